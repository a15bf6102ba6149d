package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"radial/store/storetest"
	"radial/test/fakes/routeros"
	"radial/test/harness"
)

// playedRouter is a MikroTik whose PPP sessions log in by a server.
type playedRouter struct {
	*routeros.Router
	address string
}

// playRouter plays a router at an address of this host, and makes it known.
func playRouter(t *testing.T, s *harness.Server, env []string, address string) *playedRouter {
	t.Helper()
	r, err := routeros.New(routeros.Config{Identity: "fake " + address, Address: netip.MustParseAddr(address)})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(r.PlayIncoming(t))
	_, auth, _ := net.SplitHostPort(s.Auth)
	_, acct, _ := net.SplitHostPort(s.Acct)
	_, err = r.Put("/radius", map[string]string{
		"service": "ppp", "address": "127.0.0.1", "secret": "secret of " + address, "timeout": "3s", "authentication-port": auth, "accounting-port": acct,
	})
	err = errors.Join(err, r.Set("/ppp/aaa", "", map[string]string{"use-radius": "true", "accounting": "true", "interim-update": "5m"}),
		r.Set("/radius/incoming", "", map[string]string{"accept": "true", "port": port}))
	if err != nil {
		t.Fatal(err)
	}
	must(t, harness.CLI(t, env, "nas", "add", address, "--secret", "secret of "+address, "--type", "mikrotik", "--coa-port", port))
	return &playedRouter{r, address}
}

// dialAll logs in names[i], some at a time; the first may wait until the server knows the
// router.
func (r *playedRouter) dialAll(t *testing.T, names []string) []*routeros.Session {
	t.Helper()
	all := make([]*routeros.Session, len(names))
	dial := func(i int) error {
		s, err := r.Dial(t.Context(), routeros.Subscriber{Name: names[i], Password: "p", MAC: fmt.Sprintf("00:00:5E:00:%02X:%02X", i>>8, i&0xff)})
		all[i] = s
		return err
	}
	harness.Eventually(t, time.Minute, "the first login at "+r.address, func() bool { return dial(0) == nil })
	var wait sync.WaitGroup
	next := make(chan int)
	for range 16 {
		wait.Go(func() {
			for i := range next {
				if err := dial(i); err != nil {
					t.Errorf("%s: %v", names[i], err)
				}
			}
		})
	}
	for i := 1; i < len(names); i++ {
		next <- i
	}
	close(next)
	wait.Wait()
	return all
}

// online counts the open rows of a user.
func online(db *storetest.DB, user string) string {
	return db.Rows(`SELECT count(*) FROM radacct WHERE username = '` + user + `' AND acctstoptime IS NULL`)[0][0]
}

// within wants something to be so in two seconds of an operator's change, and
// tells how long it took. (A machine that is full of other tests gets more.)
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	begin := time.Now()
	harness.Eventually(t, patience, what, ok)
	t.Logf("%s: after %s", what, time.Since(begin).Round(time.Millisecond))
}

// outcomes are the deeds of the audit for a user: who did what, and how it went.
func outcomes(t *testing.T, env []string, user string) []string {
	t.Helper()
	var rows []struct {
		Actor, Action string
		Detail        struct{ Outcome string }
	}
	if err := json.Unmarshal([]byte(must(t, harness.CLI(t, env, "audit", "list", "--key", user, "--action", "session.", "-o", "json"))), &rows); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range rows {
		if r.Detail.Outcome != "" {
			all = append(all, r.Action+" "+r.Detail.Outcome+" by "+r.Actor)
		}
	}
	slices.Reverse(all)
	return all
}

// Five hundred subscribers of a router, and an operator at the command line
// (issue 5, done when 1).
func TestControlEndToEnd(t *testing.T) {
	s, db := wireServer(t, map[string]string{"RADIAL_CONTROL_CLOSE_AFTER": "2s"})
	env := []string{"RADIAL_DATABASE_URL=" + db.URL(), "SUDO_USER=operator"}
	cli := func(args ...string) string { t.Helper(); return must(t, harness.CLI(t, env, args...)) }
	cli("pool", "add", "main", "--cidr", "100.64.0.0/22")
	cli("package", "add", "gold", "--down", "20M", "--up", "5M", "--pool", "main")
	cli("package", "add", "fast", "--down", "100M", "--up", "50M", "--pool", "main")
	cli("user", "add", "alice", "--password", "p", "--package", "gold")
	cli("user", "add", "bob2", "--password", "p", "--package", "gold")
	names := []string{"alice", "bob2"}
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT 'u' || n, 'Cleartext-Password', ':=', 'p' FROM generate_series(1, 498) n`)
	db.Exec(`INSERT INTO radusergroup (username, groupname, priority) SELECT 'u' || n, 'gold', 100 FROM generate_series(1, 498) n`)
	added := time.Now()
	for n := 1; n <= 498; n++ {
		names = append(names, fmt.Sprintf("u%d", n))
	}
	r := playRouter(t, s, env, "127.0.0.30")
	all := r.dialAll(t, names)
	harness.Eventually(t, patience, "all are online", func() bool {
		return db.Rows(`SELECT count(*) FROM radacct WHERE acctstoptime IS NULL`)[0][0] == "500"
	})
	harness.Eventually(t, patience, "the look at users whose rows are new is over", func() bool { // else it may do what the operator is about to want
		return time.Since(added) > 4*time.Second && db.Rows(`SELECT count(*) FROM radial.river_job WHERE kind LIKE 'follow_%' AND state <> 'completed'`)[0][0] == "0"
	})
	alice := all[0]

	cli("user", "set", "alice", "--package", "fast")
	within(t, "the router has the new rate", func() bool { return alice.Rate() == "50M/100M" })
	if n := len(r.Asked()); n != 1 || alice.Ended() {
		t.Errorf("requests: %v", r.Asked())
	}
	cli("session", "change", "--user", "alice", "--down", "7M", "--up", "3M")
	if alice.Rate() != "3M/7M" {
		t.Errorf("changed by hand: %s", alice.Rate())
	}

	cli("user", "set", "alice", "--status", "suspended")
	within(t, "the suspended session is off", func() bool { return alice.Ended() && online(db, "alice") == "0" })
	harness.Eventually(t, patience, "a suspended user who logs in is refused, and told why", func() bool {
		early, err := r.Dial(t.Context(), routeros.Subscriber{Name: "alice", Password: "p"})
		if early != nil {
			early.End(t.Context(), 1) // the server had not heard of it yet
		}
		return errors.Is(err, routeros.ErrRejected) && strings.Contains(err.Error(), "suspended")
	})
	cli("user", "set", "alice", "--status", "active")
	var back *routeros.Session
	harness.Eventually(t, patience, "alice gets in after her resume", func() bool { // the servers hear of it a moment later
		session, err := r.Dial(t.Context(), routeros.Subscriber{Name: "alice", Password: "p"})
		back = session
		return err == nil
	})
	harness.Eventually(t, patience, "alice is online again", func() bool { return online(db, "alice") == "1" })
	cli("user", "del", "alice", "--yes")
	within(t, "the deleted session is off", func() bool { return back.Ended() && online(db, "alice") == "0" })

	want := []string{"session.change done by cli:operator", "session.change done by cli:operator", "session.disconnect done by cli:operator", "session.disconnect done by cli:operator"}
	if got := outcomes(t, env, "alice"); !slices.Equal(got, want) {
		t.Errorf("audit: %q", got)
	}

	walledGarden(t, r, cli)

	cli("package", "set", "gold", "--down", "30M")
	within(t, "all of the package have its new rate", func() bool {
		return !slices.ContainsFunc(all[1:], func(s *routeros.Session) bool { return s.Ended() || s.Rate() != "5M/30M" })
	})

	cli("user", "set", "bob2", "--fup", "1M:month=1M/1M")
	if err := all[1].Transfer(t.Context(), 0, 2<<20); err != nil {
		t.Fatal(err)
	}
	if err := all[1].Interim(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, "beyond his step", func() bool { return all[1].Rate() == "1M/1M" })

	var v struct {
		Finished bool
		Results  map[string]int
	}
	out := cli("session", "disconnect", "--package", "gold", "--rate", "500", "--yes", "-o", "json")
	if err := json.Unmarshal([]byte(out), &v); err != nil || !v.Finished || v.Results["done"] != 499 {
		t.Errorf("%v: %s", err, out)
	}
	harness.Eventually(t, patience, "nobody is online", func() bool {
		return len(r.Sessions()) == 0 && db.Rows(`SELECT count(*) FROM radacct WHERE acctstoptime IS NULL`)[0][0] == "0"
	})
	if n := db.Rows(`SELECT count(*) FROM radacct WHERE acctterminatecause = 'Admin-Reset' AND connectinfo_stop IS NOT NULL`)[0][0]; n < "499" {
		t.Errorf("%s rows were closed by their Stops", n)
	}
}

// walledGarden suspends a user whose package has a walled garden, and frees him:
// his session stays, in another address list and at another rate.
func walledGarden(t *testing.T, r *playedRouter, cli func(...string) string) {
	t.Helper()
	cli("package", "add", "home", "--down", "20M", "--up", "5M", "--pool", "main", "--address-list", "paid",
		"--walled", "suspended", "--walled-pool", "main", "--walled-address-list", "unpaid", "--walled-down", "1M", "--walled-up", "512k")
	cli("user", "add", "dave", "--password", "p", "--package", "home")
	var dave *routeros.Session
	harness.Eventually(t, patience, "dave gets in", func() bool {
		session, err := r.Dial(t.Context(), routeros.Subscriber{Name: "dave", Password: "p"})
		dave = session
		return err == nil
	})
	has := func(list, rate string) bool {
		var lists []string
		for _, i := range r.Items("/ip/firewall/address-list") {
			if i["address"] == dave.Address.String() {
				lists = append(lists, i["list"])
			}
		}
		return !dave.Ended() && dave.Rate() == rate && slices.Equal(lists, []string{list})
	}
	if !has("paid", "5M/20M") {
		t.Errorf("at first: %s %v", dave.Rate(), r.Items("/ip/firewall/address-list"))
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(cli("audit", "list", "--key", "dave"), cli("job", "list"), dave.Rate(), dave.Ended(), r.Items("/ip/firewall/address-list"))
		}
	})
	cli("user", "set", "dave", "--status", "suspended")
	within(t, "he is in the walled garden", func() bool { return has("unpaid", "512k/1M") })
	cli("user", "set", "dave", "--status", "active")
	within(t, "he is freed", func() bool { return has("paid", "5M/20M") })
	cli("session", "disconnect", "--user", "dave")
}
