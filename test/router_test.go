package test

import (
	"encoding/json"
	"fmt"
	"testing"

	"radial/store/storetest"
	"radial/test/fakes/routeros"
	"radial/test/harness"
)

// A router is set up by commands alone, its subscribers log in through it, and
// the way is proven, step by step; what breaks is told.
func TestRouterIsSetUpAndProven(t *testing.T) {
	s := harness.Start(t, harness.Config{DatabaseURL: storetest.New(t).URL(), Set: map[string]string{"RADIAL_REJECT_DELAY": "0s"}})
	r, api, coa := playManaged(t, "127.0.0.2")
	must(t, s.Radial(t, "nas", "add", "127.0.0.1", "--secret", "of-this-host", "--name", "here"))
	must(t, s.Radial(t, "nas", "add", "127.0.0.2", "--secret", "fake-s3cret", "--name", "pop1", "--type", "mikrotik", "--coa-port", coa))
	must(t, s.Radial(t, "user", "add", "alice", "--password", "wonderland"))
	must(t, s.Radial(t, "router", "add", "pop1", "127.0.0.2", "--username", "admin", "--password", "geheim", "--port", api))

	prove := func(out harness.Output) map[string]string {
		t.Helper()
		var v struct {
			Proof []struct{ Step, Proven, Detail string }
		}
		if err := json.Unmarshal([]byte(out.Stdout), &v); err != nil {
			t.Fatalf("%v\n%s%s", err, out.Stdout, out.Stderr)
		}
		steps := map[string]string{}
		for _, p := range v.Proof {
			steps[p.Step] = p.Proven
			t.Log(p.Step, p.Proven, p.Detail)
		}
		return steps
	}
	expect := func(what string, out harness.Output, code int, want map[string]string) {
		t.Helper()
		if got := prove(out); fmt.Sprint(got) != fmt.Sprint(want) || out.Code != code {
			t.Errorf("%s: exit code %d, %v, want %v\n%s", what, out.Code, got, want, out.Stderr)
		}
	}
	expect("set up", s.Radial(t, "router", "configure", "pop1", "--radius", "--yes", "-o", "json"), 0,
		map[string]string{"device": "yes", "server": "yes", "requests": "unknown", "login": "yes", "coa": "yes"})

	session, err := r.Dial(t.Context(), routeros.Subscriber{Name: "alice", Password: "wonderland", MAC: "00:00:5E:00:53:01"})
	if err != nil || session == nil {
		t.Fatalf("alice cannot log in through the router: %v", err)
	}
	harness.Eventually(t, patience, "the session is there", func() bool {
		return len(s.Radial(t, "session", "list", "--user", "alice", "-o", "json").Stdout) > 5
	})
	expect("in use", s.Radial(t, "router", "prove", "pop1", "--test-user", "alice", "--test-password", "wonderland", "-o", "json"), 0,
		map[string]string{"device": "yes", "server": "yes", "requests": "yes", "login": "yes", "coa": "yes"})

	must(t, s.Radial(t, "nas", "set", "pop1", "--secret", "another-s3cret"))
	expect("another secret", s.Radial(t, "router", "prove", "pop1", "--test-user", "alice", "--test-password", "wrong", "-o", "json"), 1,
		map[string]string{"device": "yes", "server": "yes", "requests": "yes", "login": "no", "coa": "no"})
	expect("mended", s.Radial(t, "router", "configure", "pop1", "--radius", "--yes", "-o", "json"), 0,
		map[string]string{"device": "yes", "server": "yes", "requests": "yes", "login": "yes", "coa": "yes"})

	must(t, s.Radial(t, "nas", "add", "127.0.0.3", "--secret", "of-another", "--name", "pop2"))
	must(t, s.Radial(t, "router", "set", "pop1", "--nas", "pop2"))
	if steps := prove(s.Radial(t, "router", "prove", "pop1", "-o", "json")); steps["coa"] != "no" {
		t.Errorf("linked to another device: %v", steps)
	}
}
