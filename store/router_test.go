package store_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"radial/aaa"
	"radial/nas"
	"radial/nas/routeros"
	"radial/store"
	"radial/store/storetest"
)

func sealer(t *testing.T) *nas.Sealer {
	t.Helper()
	s, err := nas.NewSealer(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRouters(t *testing.T) {
	db, s := storetest.New(t), sealer(t)
	db.Exec(`INSERT INTO nas (nasname, shortname, type, secret) VALUES ('10.0.0.1', 'pop1', 'mikrotik', 'k9-long-enough')`)
	by := store.Change{Actor: "cli:tester", Action: "router.add"}
	add := aaa.RouterChange{Address: new("10.0.0.1"), Username: new("radial"), TLS: new(true), Password: s.Seal(aaa.RouterPasswordUse, "geheim")}
	dry := by
	dry.DryRun = true
	for _, c := range []store.Change{dry, by} {
		d, err := db.ChangeRouter(t.Context(), c, "pop1", add.LooksFor, add.AddRouter)
		if err != nil || d.Save.NAS != "10.0.0.1" || d.Save.Port != 8729 {
			t.Fatalf("%+v, %v", d.Save, err)
		}
	}
	if _, err := db.ChangeRouter(t.Context(), by, "pop1", add.LooksFor, add.AddRouter); !errors.Is(err, aaa.ErrConflict) {
		t.Errorf("a second one of the name: %v", err)
	}
	book := &store.RouterBook{DB: db.DB, Sealer: s}
	login, err := book.Login(t.Context(), "pop1")
	if err != nil || login.Address != "10.0.0.1:8729" || login.Password.Reveal() != "geheim" || login.TLS == nil {
		t.Errorf("%+v, %v", login, err)
	}
	r, err := db.Router(t.Context(), "pop1")
	if err != nil {
		t.Fatal(err)
	}
	name, err := book.OfNAS(t.Context(), r.NASID)
	if err != nil || name != "pop1" {
		t.Errorf("of the device: %q, %v", name, err)
	}

	at := time.Now().Round(time.Millisecond)
	look := func(h aaa.RouterHealth, status aaa.RouterStatus, version string) {
		t.Helper()
		if err := db.SaveRouterHealth(t.Context(), r.ID, h); err != nil {
			t.Fatal(err)
		}
		got, err := db.Router(t.Context(), "pop1")
		if err != nil || got.Status != status || got.Version != version || got.Problem != h.Problem || !got.Checked.Equal(at) {
			t.Errorf("after %+v: %+v, %v", h, got, err)
		}
	}
	look(aaa.RouterHealth{Checked: &at, Version: "7.15.3", Uptime: time.Hour}, aaa.RouterActive, "7.15.3")
	look(aaa.RouterHealth{Checked: &at, Problem: "no answer"}, aaa.RouterError, "7.15.3")
	set := aaa.RouterChange{Status: new(aaa.RouterInactive)}
	by.Action = "router.set"
	if _, err := db.ChangeRouter(t.Context(), by, "pop1", set.LooksFor, set.SetRouter); err != nil {
		t.Fatal(err)
	}
	look(aaa.RouterHealth{Checked: &at, Version: "7.16"}, aaa.RouterInactive, "7.16")
	fleet := routeros.NewFleet(book, 1, time.Now)
	if _, err := fleet.Pool(t.Context(), "pop1"); !errors.Is(err, aaa.ErrInvalid) {
		t.Errorf("a pool of an inactive router: %v", err)
	}
	if _, _, err := fleet.PoolOfNAS(t.Context(), r.NASID); !errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("the inactive router of a device: %v", err)
	}
	set.Status = new(aaa.RouterActive)
	if _, err := db.ChangeRouter(t.Context(), by, "pop1", set.LooksFor, set.SetRouter); err != nil {
		t.Fatal(err)
	}
	first, err := fleet.Pool(t.Context(), "pop1")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := fleet.Pool(t.Context(), "pop1"); err != nil || again != first {
		t.Errorf("another pool of the same router: %v", err)
	}
	moved := aaa.RouterChange{Address: new("10.0.0.2")}
	if _, err := db.ChangeRouter(t.Context(), by, "pop1", moved.LooksFor, moved.SetRouter); err != nil {
		t.Fatal(err)
	}
	other, err := fleet.Pool(t.Context(), "pop1")
	if err != nil || other == first {
		t.Errorf("the pool of the old address: %v", err)
	}
	for _, names := range [][2]string{{"pop1", "core1"}, {"core1", "pop1"}} {
		named := aaa.RouterChange{Name: &names[1]}
		if _, err := db.ChangeRouter(t.Context(), by, names[0], named.LooksFor, named.SetRouter); err != nil {
			t.Fatal(err)
		}
		if same, err := fleet.Pool(t.Context(), names[1]); err != nil || same != other {
			t.Errorf("the pool after %s was called %s: %v", names[0], names[1], err)
		}
	}
	if err := fleet.Close(); err != nil {
		t.Error(err)
	}

	wrong, err := nas.NewSealer(bytes.Repeat([]byte{2}, 32))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&store.RouterBook{DB: db.DB, Sealer: wrong}).Login(t.Context(), "pop1"); !errors.Is(err, nas.ErrSeal) {
		t.Errorf("with another key: %v", err)
	}
	by.Action = "router.del"
	none := func(*aaa.Router) string { return "" }
	if _, err := db.ChangeRouter(t.Context(), by, "pop1", none, aaa.DeleteRouter); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Router(t.Context(), "pop1"); !errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("after del: %v", err)
	}
	if got := db.Rows(`SELECT action, count(*)::text FROM radial.audit GROUP BY 1 ORDER BY 1`); len(got) != 3 {
		t.Errorf("audit: %v", got)
	}
}

// A configuration is recorded before anything is changed; one that never ended
// is found to be taken back, and one that was taken back is not found again.
func TestRouterConfigurations(t *testing.T) {
	db, s := storetest.New(t), sealer(t)
	by := store.Change{Actor: "cli:tester", Action: "router.add"}
	add := aaa.RouterChange{Address: new("10.0.0.1"), Username: new("radial"), Password: s.Seal(aaa.RouterPasswordUse, "geheim")}
	delta, err := db.ChangeRouter(t.Context(), by, "pop1", add.LooksFor, add.AddRouter)
	if err != nil {
		t.Fatal(err)
	}
	r := *delta.Save
	if _, err := db.RouterConfiguration(t.Context(), r, 0); !errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("of none: %v", err)
	}
	begin := func(kind string, undoes int64) int64 {
		t.Helper()
		by.Action = "router." + kind
		id, err := db.BeginRouterConfiguration(t.Context(), by, r, store.RouterConfiguration{Kind: kind, Parts: []string{"radius"}, Changes: []byte(`[{"action": "added"}]`), Undoes: undoes}, 1)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	end := func(id int64, problem string, changes []byte) {
		t.Helper()
		if err := db.EndRouterConfiguration(t.Context(), id, problem, changes); err != nil {
			t.Fatal(err)
		}
	}
	newest := func(want int64, status string) {
		t.Helper()
		got, err := db.RouterConfiguration(t.Context(), r, 0)
		if err != nil || got.ID != want || got.Status != status || got.Actor != "cli:tester" {
			t.Errorf("the newest: %+v, %v, want %d %s", got, err, want, status)
		}
	}
	first := begin(store.ConfigureKind, 0)
	newest(first, "pending")
	end(first, "", []byte(`[]`))
	newest(first, "applied")
	second := begin(store.ConfigureKind, 0)
	end(second, "the connection broke", nil)
	newest(second, "failed")
	if got, err := db.RouterConfiguration(t.Context(), r, second); err != nil || got.Problem != "the connection broke" || string(got.Changes) != `[{"action": "added"}]` || got.Applied != nil {
		t.Errorf("the failed one: %+v, %v", got, err)
	}
	failed := begin(store.UndoKind, second)
	end(failed, "broke again", nil)
	newest(second, "failed")
	undo := begin(store.UndoKind, second)
	end(undo, "", nil)
	newest(first, "applied")
	all, err := db.RouterConfigurations(t.Context(), r, 10, 0)
	if err != nil || len(all) != 4 || all[0].ID != undo || all[0].Undoes != second || all[2].Status != "undone" || all[0].Applied == nil {
		t.Errorf("%+v, %v", all, err)
	}
	if page, err := db.RouterConfigurations(t.Context(), r, 1, all[1].ID); err != nil || len(page) != 1 || page[0].ID != second {
		t.Errorf("a page: %+v, %v", page, err)
	}
	if _, err := db.RouterConfiguration(t.Context(), aaa.Router{ID: r.ID + 1}, first); !errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("of another router: %v", err)
	}
	if err := db.EndRouterConfiguration(t.Context(), 999, "", nil); !errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("the end of none: %v", err)
	}
	if got := db.Rows(`SELECT count(*)::text FROM radial.audit WHERE action IN ('router.configure', 'router.undo')`); got[0][0] != "4" {
		t.Errorf("audit: %v", got)
	}
}
