package store_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"radial/store"
	"radial/store/storetest"
)

// Sessions of a NAS, and of users elsewhere, as they are compared with a
// router's; what it does not have is closed unless something was heard of it.
func TestLostSessions(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, acctstarttime, acctupdatetime, acctstoptime, acctinputoctets) VALUES
		('s1', 'u1', 'al=20ice', '10.0.0.1', '100.64.0.1', now() - interval '2 hours', now() - interval '30 minutes', NULL, 5),
		('s2', 'u2', 'bob', '10.0.0.1', NULL, now() - interval '2 hours', now() - interval '20 minutes', NULL, 6),
		('s3', 'u3', 'bob', '10.0.0.2', NULL, now() - interval '2 hours', NULL, NULL, NULL),
		('s4', 'u4', 'carol', '10.0.0.2', NULL, now() - interval '2 hours', NULL, NULL, NULL),
		('s5', 'u5', 'bob', '10.0.0.1', NULL, now() - interval '2 hours', NULL, now(), NULL)`)
	open, err := db.OpenAtNAS(t.Context(), []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}, []string{"bob"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range open {
		got = append(got, fmt.Sprint(s.SessionID, " ", s.User, " ", s.Here))
	}
	if want := []string{"s1 al ice true", "s2 bob true", "s3 bob false"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	db.Exec(`UPDATE radacct SET acctupdatetime = now(), acctinputoctets = 7 WHERE acctsessionid = 's2'`) // it was heard of meanwhile
	open[2].Rebooted = true
	n, err := db.CloseLost(t.Context(), open)
	if err != nil || n != 2 {
		t.Errorf("%d closed, %v", n, err)
	}
	for range 2 {
		rows := fmt.Sprint(db.Rows(`SELECT acctsessionid, acctterminatecause, acctsessiontime, round(extract(epoch FROM now() - acctstoptime) / 60) FROM radacct WHERE acctterminatecause IS NOT NULL ORDER BY 1`))
		if want := "[[s1 Lost-Carrier 5400 30] [s3 NAS-Reboot 0 120]]"; rows != want {
			t.Errorf("%s, want %s", rows, want)
		}
		if n, err := db.CloseLost(t.Context(), open); err != nil || n != 0 {
			t.Errorf("again: %d, %v", n, err)
		}
	}
}

// A silent session that its router has stays open for as long once more.
func TestSilentSessionThatLives(t *testing.T) {
	s := newSilent(t, store.StaleRule{Intervals: 3})
	s.session("here", "10.0.0.1", 300, 0)
	s.session("away", "10.0.0.1", 300, 0)
	s.rule.Intervals = 100 // nobody closes while time passes
	s.run(16, nil)
	rule := store.StaleRule{Intervals: 3}
	due, err := s.DueStale(t.Context(), rule, 10)
	if err != nil || len(due) != 2 || due[0].NAS.String() != "10.0.0.1" {
		t.Fatalf("%+v, %v", due, err)
	}
	here := slices.IndexFunc(due, func(d store.OpenAt) bool { return d.SessionID == "here" })
	if err := s.StaleLives(t.Context(), []int64{due[here].ID}); err != nil {
		t.Fatal(err)
	}
	if left, err := s.DueStale(t.Context(), rule, 10); err != nil || len(left) != 1 || left[0].SessionID != "away" {
		t.Fatalf("%+v, %v", left, err)
	}
	if n, err := s.CloseStaleOf(t.Context(), rule, due[here:here+1]); err != nil || n != 0 {
		t.Errorf("what lives: %d, %v", n, err)
	}
	if n, err := s.CloseStaleOf(t.Context(), rule, due[1-here:2-here]); err != nil || n != 1 {
		t.Errorf("what does not: %d, %v", n, err)
	}
	s.run(14, nil)
	if left, err := s.DueStale(t.Context(), rule, 10); err != nil || len(left) != 0 {
		t.Errorf("before as long has passed again: %+v, %v", left, err)
	}
	s.run(2, nil)
	if left, err := s.DueStale(t.Context(), rule, 10); err != nil || len(left) != 1 {
		t.Errorf("after it: %+v, %v", left, err)
	}
}
