package routeros

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// orderedList is what is ours in a menu whose order counts. Each item is known by its
// comment, our tag and a note.
type orderedList struct {
	path  string
	wants []listed
	// inCharge tells whether an item of ours that is not wanted, by its note, is to
	// go: one of an earlier server.
	inCharge func(note string) bool
	// rival tells whether ours must stand before an item of others.
	rival func(Row) bool
	// strict: ours must stand in the order of wants as well.
	strict bool
}

// listed is an item of a list.
type listed struct {
	note   string
	fields Row
}

func (l listed) comment() string { return Tag + " " + l.note }

// written are the fields that we write in menus from which items of ours may
// have to go: what makes them anew.
var written = map[string][]string{
	"/radius": {"service", "address", "secret", "authentication-port", "accounting-port", "timeout", "src-address", "comment", "disabled"},
	"/ip/firewall/filter": {
		"chain", "action", "protocol", "src-address", "dst-port", "connection-state", "comment", "disabled",
	},
}

// servers makes the RADIUS servers of a service, before those of others.
func (k *configurer) servers(ctx context.Context, service string) error {
	source, err := k.ownSource(ctx)
	if err != nil {
		return err
	}
	l := orderedList{path: "/radius", strict: true, inCharge: func(note string) bool { return strings.HasPrefix(note, service+" ") }, rival: serves(service)}
	for _, s := range k.s.Servers {
		fields := Row{
			"service": service, "address": s.Address.String(), "secret": k.s.Secret.Reveal(), "timeout": "3s",
			"authentication-port": strconv.Itoa(int(s.AuthPort)), "accounting-port": strconv.Itoa(int(s.AcctPort)), "disabled": "no",
		}
		if source != "" {
			fields["src-address"] = source
		}
		l.wants = append(l.wants, listed{service + " " + s.Address.String(), fields})
	}
	return k.list(ctx, l)
}

// serves tells whether a RADIUS server is asked for a service.
func serves(service string) func(Row) bool {
	return func(r Row) bool { return slices.Contains(strings.Split(r["service"], ","), service) }
}

// ownSource is the address that the router shall ask from: the one that it is
// known by, if it has it. One that translates addresses on the way has not.
func (k *configurer) ownSource(ctx context.Context) (string, error) {
	if !k.s.Source.IsValid() {
		return "", nil
	}
	reply, err := k.c.Run(ctx, "/ip/address/print", "=.proplist=address")
	if err != nil {
		return "", err
	}
	for _, r := range reply.Rows {
		if p, err := netip.ParsePrefix(r["address"]); err == nil && p.Addr() == k.s.Source {
			return k.s.Source.String(), nil
		}
	}
	return "", nil
}

// firewall lets in what the router itself must take. Nothing is closed.
func (k *configurer) firewall(ctx context.Context) error {
	doors := []listed{
		{"established", Row{"connection-state": "established,related"}},
		{"icmp", Row{"protocol": "icmp"}},
	}
	for _, s := range k.s.Servers {
		doors = append(doors, listed{"api " + s.Address.String(), Row{"protocol": "tcp", "src-address": s.Address.String(), "dst-port": strconv.Itoa(int(k.s.APIPort))}})
	}
	return k.doors(ctx, []string{"established", "icmp", "api", "coa"}, append(doors, k.coaDoors()...))
}

// coaDoors let the servers' CoA and Disconnect in.
func (k *configurer) coaDoors() []listed {
	var doors []listed
	for _, s := range k.s.Servers {
		doors = append(doors, listed{"coa " + s.Address.String(), Row{"protocol": "udp", "src-address": s.Address.String(), "dst-port": strconv.Itoa(int(k.s.CoAPort))}})
	}
	return doors
}

// doors makes rules of the input chain that accept, before all rules of others;
// kinds are the first words of the notes that this is in charge of. Rules for
// IPv6 stand in another menu, and are not made.
func (k *configurer) doors(ctx context.Context, kinds []string, doors []listed) error {
	l := orderedList{path: "/ip/firewall/filter", rival: func(r Row) bool { return r["chain"] == "input" }, inCharge: func(note string) bool {
		first, _, _ := strings.Cut(note, " ")
		return slices.Contains(kinds, first)
	}}
	for _, d := range doors {
		if a, err := netip.ParseAddr(d.fields["src-address"]); err == nil && !a.Is4() {
			continue
		}
		d.fields["chain"], d.fields["action"], d.fields["disabled"] = "input", "accept", "no"
		l.wants = append(l.wants, d)
	}
	return k.list(ctx, l)
}

// list makes what is ours in an ordered menu what it should be.
func (k *configurer) list(ctx context.Context, l orderedList) error {
	rows, err := k.rows(ctx, l.path)
	if err != nil {
		return err
	}
	first := firstRival(rows, l.rival)
	wanted := map[string]bool{}
	for _, w := range l.wants {
		wanted[w.comment()] = true
		if err := k.one(ctx, l.path, w, rows, first); err != nil {
			return fmt.Errorf("%s: %w", w.note, err)
		}
	}
	for i, r := range rows {
		note, ours := strings.CutPrefix(r["comment"], Tag+" ")
		if !ours || !Ours(r) || wanted[r["comment"]] || !l.inCharge(note) {
			continue
		}
		done, err := Remove(ctx, k.c, l.path, Row{"comment": r["comment"]}, false, k.dryRun)
		if err != nil {
			return err
		}
		done.Before = only(done.Before, written[l.path])
		k.note(Applied{Path: l.path, Key: Row{"comment": r["comment"]}, Next: nextOfOthers(rows[i+1:])}, done)
	}
	return k.arrange(ctx, l)
}

// one ensures one item of a list; a new one goes before the first of others.
func (k *configurer) one(ctx context.Context, path string, w listed, rows []Row, first string) error {
	key := Row{"comment": w.comment()}
	i := slices.IndexFunc(rows, func(r Row) bool { return r["comment"] == w.comment() && r["dynamic"] != "true" })
	if i >= 0 {
		done, err := change(ctx, k.c, path, rows[i], w.fields, k.dryRun)
		if err == nil {
			k.note(Applied{Path: path, Key: key}, done)
		}
		return err
	}
	fields := only(w.fields, written[path])
	fields["comment"] = w.comment()
	done := Change{Action: Added, Path: path, After: fields}
	if !k.dryRun {
		words := assignments(fields)
		if first != "" {
			words = append(words, "=place-before="+first)
		}
		if _, err := k.c.Run(ctx, path+"/add", words...); err != nil {
			return err
		}
	}
	k.note(Applied{Path: path, Key: key}, done)
	return nil
}

// arrange moves ours before what is others', where somebody has put them
// behind it: a rule behind one that drops does nothing.
func (k *configurer) arrange(ctx context.Context, l orderedList) error {
	rows, err := k.rows(ctx, l.path)
	if err != nil {
		return err
	}
	first, place := firstRival(rows, l.rival), map[string]int{}
	ids := map[string]string{}
	for i, r := range rows {
		place[r["comment"]], ids[r["comment"]] = i, r[".id"]
	}
	rival := slices.IndexFunc(rows, func(r Row) bool { return r[".id"] == first })
	last, astray := -1, false
	for _, w := range l.wants {
		at, there := place[w.comment()]
		if !there {
			continue // a dry run
		}
		if rival >= 0 && at > rival || l.strict && at < last {
			astray = true
		}
		last = at
	}
	if !astray {
		return nil
	}
	for _, w := range l.wants {
		id, there := ids[w.comment()]
		if !there {
			continue
		}
		if !k.dryRun {
			words := []string{"=numbers=" + id}
			if first != "" {
				words = append(words, "=destination="+first)
			}
			if _, err := k.c.Run(ctx, l.path+"/move", words...); err != nil {
				return err
			}
		}
		k.note(Applied{Path: l.path, Key: Row{"comment": w.comment()}}, Change{Action: Moved, After: Row{"place": "before those of others"}})
	}
	return nil
}

// Moved is an item of ours that was put before those of others again.
const Moved Action = "moved"

// rows are the items of a menu in their order, without what the router has made
// by itself.
func (k *configurer) rows(ctx context.Context, path string) ([]Row, error) {
	reply, err := k.c.Run(ctx, path+"/print")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(reply.Rows, func(r Row) bool { return r["dynamic"] == "true" }), nil
}

// firstRival is the id of the first item of others that ours must stand before,
// or "".
func firstRival(rows []Row, rival func(Row) bool) string {
	for _, r := range rows {
		if !Ours(r) && rival(r) {
			return r[".id"]
		}
	}
	return ""
}

// nextOfOthers is the id of the first item that is not ours, or "".
func nextOfOthers(rows []Row) string {
	return firstRival(rows, func(Row) bool { return true })
}

// only are the fields of those names that a row has.
func only(r Row, names []string) Row {
	out := Row{}
	for _, n := range names {
		if v, has := r[n]; has {
			out[n] = v
		}
	}
	return out
}
