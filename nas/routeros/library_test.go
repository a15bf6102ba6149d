package routeros_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	ros "github.com/go-routeros/routeros/v3"
	"github.com/google/go-cmp/cmp"

	fake "radial/test/fakes/routeros"
)

// The library that we use, as it is, through what python3-librouteros and
// node-routeros do in test/interop: login, print with a query, add, set, remove,
// listen, errors.
func TestLibrary(t *testing.T) {
	for _, v := range versions {
		t.Run(v, func(t *testing.T) {
			_, login := play(t, fake.Config{Version: v}, nil)
			if _, err := ros.Dial(login.Address, "admin", "falsch"); err == nil || !strings.Contains(err.Error(), "log in") && !strings.Contains(err.Error(), "invalid user name") {
				t.Errorf("a wrong password: %v", err)
			}
			listening, err := ros.Dial(login.Address, "admin", "geheim")
			if err != nil {
				t.Fatal(err)
			}
			defer listening.Close()
			listening.Queue = 1000
			changes, err := listening.ListenArgsContext(t.Context(), []string{"/ppp/secret/listen"}) // with a context of ours, or its goroutines never end
			if err != nil {
				t.Fatal(err)
			}
			c, err := ros.Dial(login.Address, "admin", "geheim")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			run := func(words ...string) (rows []string, ret string) {
				t.Helper()
				reply, err := c.Run(words...)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range reply.Re {
					rows = append(rows, s.Map["name"]+" "+s.Map["profile"])
				}
				return rows, reply.Done.Map["ret"]
			}
			next := func(patience time.Duration) map[string]string {
				select {
				case s, open := <-changes.Chan():
					if !open {
						t.Fatalf("the listen has ended: %v", changes.Done)
					}
					return s.Map
				case <-time.After(patience):
					return nil
				}
			}
			// The library forgets an answer that comes before it has noted the question's
			// tag (RunArgsContext, v3.0.1), so a connection that listens asks nothing: that
			// the listen has begun is told by what it hears.
			tries := map[string]bool{}
			for next(20*time.Millisecond) == nil {
				_, id := run("/ppp/secret/add", "=name=try")
				run("/ppp/secret/remove", "=.id="+id)
				tries[id] = true
			}
			rows, _ := run("/ppp/secret/print")
			_, first := run("/ppp/secret/add", "=name=alice", "=password=p=w", "=service=pppoe")
			_, second := run("/ppp/secret/add", "=name=bob", "=service=l2tp", "=profile=default-encryption")
			one, _ := run("/ppp/secret/print", "?service=pppoe", "=.proplist=name,profile")
			other, _ := run("/ppp/secret/print", "?service=pppoe", "?service=l2tp", "?#|", "?name=alice", "?#!")
			run("/ppp/secret/set", "=.id="+first, "=disabled=yes")
			if diff := cmp.Diff([][]string{nil, {"alice default"}, {"bob default-encryption"}}, [][]string{rows, one, other}); diff != "" {
				t.Error(diff)
			}
			for command, want := range map[string]string{
				"/ppp/secret/add =name=alice =service=pppoe": "already exists", "/ppp/secret/add =name=x =profile=nope": "input does not match any value of profile",
				"/ppp/secret/add =foo=1": "unknown parameter foo", "/ppp/secret/add =password=x": "missing value(s) of argument(s) name", "/no/such/print": "no such command prefix",
			} {
				var refused *ros.DeviceError
				if _, err := c.Run(strings.Fields(command)...); !errors.As(err, &refused) || !strings.Contains(refused.Error(), want) {
					t.Errorf("%s: %v, want %s", command, err, want)
				}
			}
			run("/ppp/secret/remove", "=.id="+first+","+second)
			if left, _ := run("/ppp/secret/print"); left != nil {
				t.Errorf("left: %v", left)
			}
			var heard []string
			for len(heard) < 5 {
				s := next(time.Minute)
				if s == nil {
					t.Fatalf("heard only %q", heard)
				}
				if !tries[s[".id"]] {
					heard = append(heard, fmt.Sprint(s[".id"], s["name"], s["disabled"], s[".dead"]))
				}
			}
			if diff := cmp.Diff([]string{first + "alicefalse", second + "bobfalse", first + "alicetrue", first + "yes", second + "yes"}, heard); diff != "" {
				t.Error(diff)
			}
			go changes.CancelContext(t.Context()) // its own answer may be forgotten: what counts is that the listen ends
			select {
			case s, open := <-changes.Chan():
				if open {
					t.Errorf("after all: %v", s)
				}
			case <-time.After(time.Minute):
				t.Error("the listen goes on after its cancel")
			}
			if changes.Done == nil || changes.Done.Word != "!trap" || changes.Done.Map["category"] != "2" {
				t.Errorf("the listen's end: %v, want the trap of category 2", changes.Done)
			}
		})
	}
}
