package routeros

import (
	"fmt"
	"slices"
	"strings"
)

// trap is an error as a client gets it: !trap with a category (MikroTik,
// "API", error category) and the router's text.
type trap struct {
	category int
	message  string
}

func (t *trap) Error() string { return t.message }

const (
	trapMissing  = 0 // missing item or command
	trapArgument = 1
	trapStopped  = 2
	trapGeneral  = 4
)

// arguments are the =name=value words of a command, in their order.
type arguments struct {
	names  []string
	values map[string]string
}

func (a *arguments) take(name string) (string, bool) {
	v, ok := a.values[name]
	if ok {
		delete(a.values, name)
		a.names = slices.DeleteFunc(a.names, func(n string) bool { return n == name })
	}
	return v, ok
}

// add makes an item and returns its id.
func (r *Router) add(m *menu, a arguments) (string, error) {
	if m.single || m.fixed {
		return "", &trap{trapMissing, "no such command"}
	}
	before, placed := a.take("place-before")
	a.take("copy-from") // taken, as all menus do; nobody of ours uses it
	values := m.standards()
	if err := r.fill(m, values, a, nil); err != nil {
		return "", err
	}
	for _, f := range m.fields {
		if f.required && values[f.name] == "" {
			return "", &trap{trapArgument, "missing value(s) of argument(s) " + f.name}
		}
	}
	if m.path == "/queue/simple" && values["name"] == "" {
		values["name"] = fmt.Sprintf("queue%d", len(r.items[m.path])+1)
	}
	at := len(r.items[m.path])
	if placed {
		if !m.ordered {
			return "", &trap{trapArgument, "unknown parameter place-before"}
		}
		n, err := r.find(m, before)
		if err != nil {
			return "", err
		}
		at = n
	}
	i := &item{id: r.nextID(), values: values}
	r.items[m.path] = slices.Insert(r.items[m.path], at, i)
	r.tell(m.path, i, false)
	return i.id, nil
}

// fill puts judged arguments into the values of an item; self is the item
// itself, which may keep its own name.
func (r *Router) fill(m *menu, values map[string]string, a arguments, self *item) error {
	for _, name := range a.names {
		f := m.byName[name]
		if f == nil || f.readOnly {
			return &trap{trapArgument, "unknown parameter " + name}
		}
		text, err := r.judge(f, a.values[name])
		if err != nil {
			return &trap{trapArgument, err.Error()}
		}
		values[name] = text
	}
	for _, f := range m.fields {
		if f.unique && values[f.name] != "" && r.twin(m, f.name, values, self) {
			return &trap{trapGeneral, m.dup}
		}
	}
	return nil
}

// twin tells whether another item has the same name; of hotspot users, for the
// same server; of PPP secrets, for the same service (a name may stand once for
// each).
func (r *Router) twin(m *menu, name string, values map[string]string, self *item) bool {
	for _, i := range r.items[m.path] {
		if i == self || i.values[name] != values[name] {
			continue
		}
		if m.path == "/ppp/secret" && i.values["service"] != values["service"] {
			continue
		}
		return true
	}
	return false
}

// set changes the items of =.id= (or =numbers=), or settings.
func (r *Router) set(m *menu, a arguments) error {
	if m.single {
		return r.change(m, r.items[m.path][0], a)
	}
	found, err := r.targets(m, &a)
	if err != nil {
		return err
	}
	for _, i := range found {
		if err := r.change(m, i, a); err != nil {
			return err
		}
	}
	return nil
}

// change changes one item, wholly or not at all.
func (r *Router) change(m *menu, i *item, a arguments) error {
	if i.values["dynamic"] == "true" {
		return &trap{trapGeneral, "failure: can not change dynamic"}
	}
	values := make(map[string]string, len(i.values))
	for k, v := range i.values {
		values[k] = v
	}
	if err := r.fill(m, values, a, i); err != nil {
		return err
	}
	i.values = values
	r.tell(m.path, i, false)
	return nil
}

// unset takes values away: those without a default are gone, others fall back.
func (r *Router) unset(m *menu, a arguments) error {
	names, ok := a.take("value-name")
	if !ok {
		return &trap{trapArgument, "missing value(s) of argument(s) value-name"}
	}
	found, err := r.targets(m, &a)
	if err != nil {
		return err
	}
	for _, i := range found {
		for name := range strings.SplitSeq(names, ",") {
			f := m.byName[name]
			if f == nil || f.readOnly || f.required {
				return &trap{trapArgument, "input does not match any value of value-name"}
			}
			delete(i.values, name)
			if f.hasStandard {
				i.values[name] = f.standard
			}
		}
		r.tell(m.path, i, false)
	}
	return nil
}

// remove removes items. What a menu fixes stays: default profiles, interfaces.
func (r *Router) remove(m *menu, a arguments) error {
	if m.single || m.fixed && m.removeByRouter == nil {
		return &trap{trapMissing, "no such command"}
	}
	found, err := r.targets(m, &a)
	if err != nil {
		return err
	}
	for _, i := range found {
		if i.values["default"] == "true" {
			return &trap{trapGeneral, "failure: can not remove default"}
		}
		if i.values["dynamic"] == "true" {
			return &trap{trapGeneral, "failure: can not remove dynamic"}
		}
	}
	for _, i := range found {
		r.take(m.path, i.id)
		if m.removeByRouter != nil {
			m.removeByRouter(r, i)
		}
	}
	return nil
}

// move puts items before another one, or to the end.
func (r *Router) move(m *menu, a arguments) error {
	if !m.ordered {
		return &trap{trapMissing, "no such command"}
	}
	before, placed := a.take("destination")
	found, err := r.targets(m, &a)
	if err != nil {
		return err
	}
	for _, i := range found {
		all := r.items[m.path]
		all = slices.DeleteFunc(all, func(o *item) bool { return o == i })
		at := len(all)
		r.items[m.path] = all
		if placed {
			n, err := r.find(m, before)
			if err != nil {
				return err
			}
			at = n
		}
		r.items[m.path] = slices.Insert(r.items[m.path], at, i)
	}
	return nil
}

// able enables or disables items.
func (r *Router) able(m *menu, a arguments, disabled string) error {
	if m.byName["disabled"] == nil {
		return &trap{trapMissing, "no such command"}
	}
	found, err := r.targets(m, &a)
	if err != nil {
		return err
	}
	for _, i := range found {
		i.values["disabled"] = disabled
		r.tell(m.path, i, false)
	}
	return nil
}

// targets are the items that a command names, by ids or names with commas.
func (r *Router) targets(m *menu, a *arguments) ([]*item, error) {
	list, ok := a.take(".id")
	if numbers, has := a.take("numbers"); has {
		list, ok = numbers, true
	}
	if !ok {
		return nil, &trap{trapArgument, "missing =.id="}
	}
	var found []*item
	for name := range strings.SplitSeq(list, ",") {
		n, err := r.find(m, name)
		if err != nil {
			return nil, err
		}
		found = append(found, r.items[m.path][n])
	}
	return found, nil
}

// find is the place of an item by its id or its name.
func (r *Router) find(m *menu, name string) (int, error) {
	n := slices.IndexFunc(r.items[m.path], func(i *item) bool {
		return i.id == name || i.id != "" && name != "" && i.values["name"] == name
	})
	if n < 0 {
		return 0, &trap{trapMissing, m.nosuch}
	}
	return n, nil
}
