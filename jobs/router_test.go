package jobs

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"radial/aaa"
	"radial/nas"
	"radial/store"
	"radial/store/storetest"
	fake "radial/test/fakes/routeros"
)

func TestCheckRouters(t *testing.T) {
	r, api := fake.Play(t, fake.Config{Identity: "pop1", Password: "geheim"}, nil)
	port := netip.MustParseAddrPort(api).Port()
	db := storetest.New(t)
	sealer, err := nas.NewSealer(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	for name, password := range map[string]nas.Secret{"good": "geheim", "bad": "falsch", "idle": "geheim"} {
		c := aaa.RouterChange{Address: new("127.0.0.1"), Port: &port, Username: new("admin"), Password: sealer.Seal(aaa.RouterPasswordUse, password)}
		if name == "idle" {
			c.Status = new(aaa.RouterInactive)
		}
		if _, err := db.ChangeRouter(t.Context(), store.Change{Actor: "t", Action: "router.add"}, name, c.LooksFor, c.AddRouter); err != nil {
			t.Fatal(err)
		}
	}
	check := func(book *store.RouterBook) map[string]aaa.Router {
		t.Helper()
		if err := checkRouters(db.DB, book, time.Now)(t.Context(), aaa.CheckRouters{}); err != nil {
			t.Fatal(err)
		}
		all, err := db.Routers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]aaa.Router{}
		for _, r := range all {
			found[r.Name] = r
		}
		return found
	}
	book := &store.RouterBook{DB: db.DB, Sealer: sealer}
	got := check(book)
	if g := got["good"]; g.Status != aaa.RouterActive || g.Identity != "pop1" || g.Checked == nil || g.Problem != "" {
		t.Errorf("good: %+v", g)
	}
	if g := got["bad"]; g.Status != aaa.RouterError || !strings.Contains(g.Problem, "refuses the login") || strings.Contains(g.Problem, "falsch") {
		t.Errorf("bad: %+v", g)
	}
	if g := got["idle"]; g.Status != aaa.RouterInactive || g.Checked != nil {
		t.Errorf("idle: %+v", g)
	}
	r.Break(fake.Fault{How: fake.Drop, Times: 2})
	if g := check(book)["good"]; g.Status != aaa.RouterError || g.Identity != "pop1" {
		t.Errorf("a router that hangs up: %+v", g)
	}
	if g := check(book)["good"]; g.Status != aaa.RouterActive {
		t.Errorf("and answers again: %+v", g)
	}
	if g := check(nil)["good"]; g.Status != aaa.RouterActive {
		t.Errorf("without a book: %+v", g)
	}
}
