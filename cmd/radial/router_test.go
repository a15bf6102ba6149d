package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	fake "radial/test/fakes/routeros"
)

// stage is a script as what a fake router is played on.
type stage struct{ *testscript.TestScript }

func (stage) Helper()             {}
func (s stage) Fatal(args ...any) { s.Fatalf("%s", fmt.Sprint(args...)) }
func (s stage) Error(args ...any) { s.Logf("%s", fmt.Sprint(args...)) }
func (s stage) Cleanup(f func())  { s.Defer(f) }

// playRouter: `fakerouter NAME [VERSION]` plays a router for the rest of the
// script, user admin, password geheim, and sets $NAME_PORT, $NAME_TLS,
// $NAME_COA (ports) and $NAME_SHA256 (of its certificate).
func playRouter(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: fakerouter NAME [VERSION]")
	}
	c := fake.Config{Identity: args[0], Password: "geheim", Address: netip.MustParseAddr("127.0.0.1"), Version: strings.Join(args[1:], " ")}
	certificate, sum, err := fake.Certificate()
	ts.Check(err)
	r, plain := fake.Play(stage{ts}, c, nil)
	secure, incoming := r.PlayAPI(stage{ts}, certificate), r.PlayIncoming(stage{ts})
	for name, at := range map[string]string{"_PORT": plain, "_TLS": secure, "_COA": incoming} {
		_, port, err := net.SplitHostPort(at)
		ts.Check(err)
		ts.Setenv(args[0]+name, port)
	}
	ts.Setenv(args[0]+"_SHA256", sum)
	routersOf(ts)[args[0]] = r
}

// routerItems: `routeritems NAME PATH` prints what stands in a menu of a router,
// without ids, after a line with their number.
func routerItems(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: routeritems NAME PATH")
	}
	items := routersOf(ts)[args[0]].Items(args[1])
	_, err := fmt.Fprintln(ts.Stdout(), len(items), "items")
	ts.Check(err)
	for _, i := range items {
		delete(i, ".id")
		_, err := fmt.Fprintln(ts.Stdout(), strings.TrimPrefix(fmt.Sprint(i), "map"))
		ts.Check(err)
	}
}

// putItem: `putitem NAME PATH FIELD=VALUE…` puts an item of somebody else's into
// a router.
func putItem(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: putitem NAME PATH FIELD=VALUE…")
	}
	_, err := routersOf(ts)[args[0]].Put(args[1], fieldsOf(args[2:]))
	ts.Check(err)
}

// setItem: `setitem NAME PATH FIELD=VALUE…` changes settings of a router, as
// somebody else would.
func setItem(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: setitem NAME PATH FIELD=VALUE…")
	}
	ts.Check(routersOf(ts)[args[0]].Set(args[1], "", fieldsOf(args[2:])))
}

func fieldsOf(texts []string) map[string]string {
	fields := map[string]string{}
	for _, text := range texts {
		name, value, _ := strings.Cut(text, "=")
		fields[name] = value
	}
	return fields
}

func routersOf(ts *testscript.TestScript) map[string]*fake.Router {
	return ts.Value("routers").(map[string]*fake.Router)
}

// changeRouter: `routerset NAME PATH ITEM FIELD=VALUE…` changes an item past all
// rules, `routerdrop NAME PATH ITEM` removes one.
func changeRouter(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: routerset NAME PATH ITEM FIELD=VALUE…")
	}
	ts.Check(routersOf(ts)[args[0]].Set(args[1], args[2], fieldsOf(args[3:])))
}

func dropItem(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: routerdrop NAME PATH ITEM")
	}
	r := routersOf(ts)[args[0]]
	for _, i := range r.Items(args[1]) {
		if i["name"] == args[2] || i["comment"] == args[2] {
			r.Drop(args[1], i[".id"])
		}
	}
}

// breakRouter: `routerfault NAME lose|drop COMMAND` breaks the connection once,
// after the router has done a command or before.
func breakRouter(ts *testscript.TestScript, neg bool, args []string) {
	how := map[string]fake.Breaking{"lose": fake.Lose, "drop": fake.Drop}
	if neg || len(args) != 3 || routersOf(ts)[args[0]] == nil || how[args[1]] == 0 {
		ts.Fatalf("usage: routerfault NAME lose|drop COMMAND")
	}
	routersOf(ts)[args[0]].Break(fake.Fault{On: args[2], How: how[args[1]]})
}

// dialRouter: `routerdial NAME USER PASSWORD` logs a subscriber in.
func dialRouter(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: routerdial NAME USER PASSWORD")
	}
	_, err := routersOf(ts)[args[0]].Dial(context.Background(), fake.Subscriber{Name: args[1], Password: args[2], MAC: "00:00:5E:00:53:01"})
	ts.Check(err)
}
