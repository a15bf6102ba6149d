package routeros

import (
	"slices"
	"strconv"
	"strings"
)

// run does a verb of a menu.
func (r *Router) run(m *menu, verb string, cmd command) ([][]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if verb == "print" || verb == "getall" {
		return r.print(m, cmd)
	}
	if m.path == "/interface" && verb == "monitor-traffic" {
		return r.traffic(m, cmd)
	}
	if m.path == "/radius" && verb == "monitor" {
		return r.monitorRADIUS(m, cmd)
	}
	var err error
	done := []string{"!done"}
	said := spoken(cmd)
	if r.config.ReadOnly {
		return nil, &trap{trapGeneral, "not enough permissions (9)"}
	}
	switch verb {
	case "add":
		var id string
		if id, err = r.add(m, cmd.args); err == nil {
			done = append(done, "=ret="+id)
		}
	case "set":
		err = r.set(m, cmd.args)
	case "unset":
		err = r.unset(m, cmd.args)
	case "remove":
		err = r.remove(m, cmd.args)
	case "move":
		err = r.move(m, cmd.args)
	case "enable":
		err = r.able(m, cmd.args, "false")
	case "disable":
		err = r.able(m, cmd.args, "true")
	default:
		err = &trap{trapMissing, "no such command"}
	}
	if err != nil {
		return nil, err
	}
	r.done = append(r.done, said)
	return [][]string{done}, nil
}

// spoken is a command as Done tells it.
func spoken(cmd command) string {
	words := []string{cmd.name}
	for _, n := range cmd.args.names {
		v := cmd.args.values[n]
		if strings.Contains(n, "password") || strings.Contains(n, "secret") {
			v = "***"
		}
		words = append(words, n+"="+v)
	}
	return strings.Join(words, " ")
}

// print answers print and getall: the items that the queries want, with the
// fields of .proplist.
func (r *Router) print(m *menu, cmd command) ([][]string, error) {
	var out [][]string
	from, listed := cmd.args.values["from"], false
	if _, listed = cmd.args.values["from"]; listed && m.single {
		return nil, &trap{trapArgument, "unknown parameter from"}
	}
	for _, i := range r.items[m.path] {
		row := r.shown(m.path, i)
		if listed && !slices.Contains(strings.Split(from, ","), i.id) {
			continue
		}
		ok, err := matches(cmd.queries, func(name string) (string, bool) { v, has := row[name]; return v, has })
		if err != nil {
			return nil, &trap{trapArgument, err.Error()}
		}
		if ok {
			out = append(out, m.sentence(row, cmd.args.values[".proplist"]))
		}
	}
	if _, count := cmd.args.values["count-only"]; count {
		return [][]string{{"!done", "=ret=" + strconv.Itoa(len(out))}}, nil
	}
	if len(out) == 0 && !r.version.before(version{7, 18}) {
		out = append(out, []string{"!empty"})
	}
	return append(out, []string{"!done"}), nil
}

// sentence is a row as !re: its id first, then the fields in the menu's order.
func (m *menu) sentence(row map[string]string, proplist string) []string {
	words := []string{"!re"}
	wanted := func(string) bool { return true }
	if proplist != "" {
		names := strings.Split(proplist, ",")
		wanted = func(name string) bool { return slices.Contains(names, name) }
	}
	for _, name := range []string{".id", ".dead"} {
		if v, has := row[name]; has && (wanted(name) || name == ".dead") {
			words = append(words, "="+name+"="+v)
		}
	}
	for _, f := range m.fields {
		if v, has := row[f.name]; has && wanted(f.name) {
			words = append(words, "="+f.name+"="+v)
		}
	}
	return words
}

// traffic answers /interface/monitor-traffic once=.
func (r *Router) traffic(m *menu, cmd command) ([][]string, error) {
	if _, once := cmd.args.values["once"]; !once {
		return nil, &trap{trapArgument, "the fake router tells traffic with =once= alone"}
	}
	var out [][]string
	for name := range strings.SplitSeq(cmd.args.values["interface"], ",") {
		if _, err := r.find(m, name); err != nil {
			return nil, &trap{trapArgument, "input does not match any value of interface"}
		}
		out = append(out, []string{"!re", "=name=" + name, "=rx-bits-per-second=0", "=tx-bits-per-second=0", "=rx-packets-per-second=0", "=tx-packets-per-second=0"})
	}
	return append(out, []string{"!done"}), nil
}

// Reboot is a power cut and the start after it: connections end, and what is
// not configuration is gone. Who sat on the router is not told, nor is a server.
func (r *Router) Reboot() {
	for _, s := range r.Sessions() {
		s.lose()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.booted = r.now()
	r.boots, r.dialled = r.boots+1, 0 // session ids begin anew, with the next digit
	clear(r.sessions)
	for path, m := range r.menus {
		if m.fixed && strings.HasSuffix(path, "/active") || path == "/ip/pool/used" {
			r.items[path] = nil
			continue
		}
		r.items[path] = slices.DeleteFunc(r.items[path], func(i *item) bool { return i.values["dynamic"] == "true" })
	}
	for c, end := range r.clients {
		end()
		c.conn.Close() // now: what is sent after this gets no answer
	}
}
