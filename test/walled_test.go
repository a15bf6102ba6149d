package test

import (
	"testing"

	"radial/test/fakes/routeros"
	"radial/test/harness"
)

// Subscribers who are kept out stay online behind the wall of their package, by
// CoA, and are freed by CoA: the session never ends.
func TestWalledSessions(t *testing.T) {
	s, db := wireServer(t, nil)
	env := []string{"RADIAL_DATABASE_URL=" + db.URL(), "SUDO_USER=operator"}
	cli := func(args ...string) { t.Helper(); must(t, harness.CLI(t, env, args...)) }
	cli("pool", "add", "main", "--cidr", "100.64.0.0/24")
	garden := []string{"--pool", "main", "--walled", "suspended,expired,exhausted", "--walled-address-list", "unpaid", "--walled-down", "1M", "--walled-up", "512k"}
	cli(append([]string{"package", "add", "listed", "--down", "20M", "--up", "5M", "--address-list", "customers"}, garden...)...)
	cli(append([]string{"package", "add", "plain", "--down", "20M", "--up", "5M"}, garden...)...)
	cli("user", "add", "alice", "--password", "p", "--package", "listed") // her address is of the pool, and stays
	cli("user", "add", "carl", "--password", "p", "--package", "plain")
	r := playRouter(t, s, env, "127.0.0.31")
	all := r.dialAll(t, []string{"alice", "carl"})
	alice, carl := all[0], all[1]
	harness.Eventually(t, patience, "both are online", func() bool { return online(db, "alice") == "1" && online(db, "carl") == "1" })

	list := func(address string) string {
		for _, i := range r.Items("/ip/firewall/address-list") {
			if i["address"] == address {
				return i["list"]
			}
		}
		return ""
	}
	inside := func() bool { return alice.Rate() == "512k/1M" && list(alice.Address.String()) == "unpaid" }
	free := func() bool { return alice.Rate() == "5M/20M" && list(alice.Address.String()) == "customers" }
	if !free() {
		t.Fatalf("at first: %s, list %q", alice.Rate(), list(alice.Address.String()))
	}
	cli("user", "set", "alice", "--status", "suspended")
	within(t, "suspended: behind the wall", inside)
	cli("user", "set", "alice", "--status", "active")
	within(t, "resumed: free", free)

	cli("user", "set", "alice", "--expires", "2020-01-01")
	within(t, "past her end: behind the wall", inside)
	cli("user", "renew", "alice", "--days", "30")
	within(t, "renewed: free", free)

	cli("user", "set", "alice", "--quota", "3M:month")
	if err := alice.Transfer(t.Context(), 0, 2<<20); err != nil {
		t.Fatal(err)
	}
	if err := alice.Interim(t.Context()); err != nil {
		t.Fatal(err)
	}
	cli("user", "set", "alice", "--quota", "2M:month")
	within(t, "used up: behind the wall", inside)
	cli("user", "topup", "alice", "100M")
	within(t, "topped up: free", free)
	if alice.Ended() || online(db, "alice") != "1" {
		t.Error("her session has ended on the way")
	}

	// a list that his package does not have cannot be put on, or taken off, by CoA
	// alone: he is disconnected, and comes back to what he should have
	back := func() {
		t.Helper()
		if carl.Ended() {
			var err error
			if carl, err = r.Dial(t.Context(), routeros.Subscriber{Name: "carl", Password: "p"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct{ status, list string }{{"suspended", "unpaid"}, {"active", ""}} {
		cli("user", "set", "carl", "--status", step.status)
		within(t, "carl follows: "+step.status, func() bool { return carl.Ended() || list(carl.Address.String()) == step.list })
		if back(); list(carl.Address.String()) != step.list {
			t.Errorf("%s: carl is in the list %q", step.status, list(carl.Address.String()))
		}
	}
}
