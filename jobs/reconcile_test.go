package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"radial/aaa"
)

// crowd is open sessions in memory, and who was told to follow.
type crowd struct {
	mu       sync.Mutex
	sessions []aaa.LiveSession
	groups   [][]string // that were looked at
	ids      []int64
	users    []string
	batches  int
	err      error
}

func (c *crowd) LiveSessions(ctx context.Context, page int, groups []string, f func(context.Context, []aaa.LiveSession) error) error {
	c.mu.Lock()
	c.groups = append(c.groups, groups)
	c.mu.Unlock()
	for some := range slices.Chunk(c.sessions, page) {
		if err := f(ctx, some); err != nil {
			return err
		}
	}
	return c.err
}

func (c *crowd) FollowSessions(_ context.Context, _, _ string, ids []int64) (int, error) {
	c.ids = append(c.ids, ids...)
	c.batches++
	return len(ids), nil
}

func (c *crowd) FollowUsers(_ context.Context, actor, _ string, users []string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if actor != actorOthers {
		return 0, errors.New(actor)
	}
	c.users = append(c.users, users...)
	return len(users), nil
}

func (c *crowd) ProfileAmong(_ context.Context, names, groups []string, byDefault string) (bool, error) {
	return slices.Contains(names, "profile") || slices.Contains(groups, "of a profile") || slices.Contains(names, byDefault), nil
}

// verdicts decides by what a session's user is called.
func verdicts(every time.Duration) Reconcile {
	return Reconcile{
		Every: every,
		Glance: func(_ context.Context, s *aaa.LiveSession) (aaa.Due, error) {
			switch s.Login.User {
			case "trouble":
				return aaa.Due{}, errors.New("no meter today")
			case "gone":
				return aaa.Due{Refused: aaa.ReasonUnknownUser}, nil
			}
			return aaa.Due{}, nil
		},
		Decide: func(s *aaa.LiveSession, d *aaa.Due) aaa.Action {
			switch s.Login.User {
			case "right":
				return aaa.Action{}
			case "unmarked":
				return aaa.Action{Do: aaa.VerbChange, Gently: true}
			}
			return aaa.Action{Do: aaa.VerbChange}
		},
	}
}

func crowdOf(users map[string]int) *crowd {
	c := &crowd{}
	for _, name := range []string{"right", "wrong", "unmarked", "gone", "trouble"} {
		for range users[name] {
			c.sessions = append(c.sessions, aaa.LiveSession{ID: int64(len(c.sessions) + 1), Login: aaa.OpenLogin{User: name}})
		}
	}
	return c
}

// Those that differ follow, at a pace; one in trouble keeps nobody else; and
// users who have vanished in numbers are left to a person.
func TestSweep(t *testing.T) {
	for _, c := range []struct {
		name   string
		users  map[string]int
		every  time.Duration
		follow int
		err    string
		took   time.Duration
	}{
		{"all right", map[string]int{"right": 1200}, time.Minute, 0, "", 0},
		{"some", map[string]int{"right": 700, "wrong": 3, "unmarked": 5, "gone": 2}, time.Minute, 5, "", 0},
		{"many", map[string]int{"wrong": 1050}, time.Minute, 1050, "", 5 * time.Second},
		{"off", map[string]int{"wrong": 10}, 0, 0, "", 0},
		{"trouble", map[string]int{"wrong": 10, "trouble": 2}, time.Minute, 10, "no meter today", 0},
		{"all have left", map[string]int{"gone": 50}, time.Minute, 50, "", 0},
		{"the rows are lost", map[string]int{"right": 900, "wrong": 7, "gone": 60}, time.Minute, 7, "60 of 967 open sessions", 0},
		{"many leave a large provider", map[string]int{"right": 3000, "gone": 60}, time.Minute, 60, "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			db, begin := crowdOf(c.users), time.Now()
			err := reconcile(db, verdicts(c.every))(t.Context(), aaa.ReconcileSessions{})
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
			if took := time.Since(begin); len(db.ids) != c.follow || took != c.took {
				t.Errorf("%s: %d follow, in %v", c.name, len(db.ids), took)
			}
		})
	}
}

// eventsOf is a policy cache that counts.
type eventsOf struct{ users, all, others int }

func (e *eventsOf) Invalidate(users, groups []string) { e.users += len(users) + len(groups) }
func (e *eventsOf) InvalidateAll()                    { e.all++ }
func (e *eventsOf) Echo(time.Time)                    { e.others++ }
func (e *eventsOf) Down()                             { e.others++ }

// What changes in the tables is handed on at once, and followed when it has
// settled: of users, of groups, of everybody.
func TestNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		events, db := &eventsOf{}, crowdOf(map[string]int{"wrong": 3})
		known := map[string]bool{"alice": true, "bob": true, "dora": true}
		n := NewNews(events, func(_ context.Context, user string) (bool, error) {
			db.mu.Lock()
			defer db.mu.Unlock()
			if user == "unreadable" {
				return false, errors.New("away")
			}
			return known[user], nil
		}, zap.NewNop(), time.Now)
		n.Follow(db, verdicts(time.Minute))
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := n.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		after := func(d time.Duration, users, groups string) {
			t.Helper()
			time.Sleep(d)
			db.mu.Lock()
			defer db.mu.Unlock()
			if got := fmt.Sprint(db.users); got != users {
				t.Errorf("users %s, want %s", got, users)
			}
			if got := fmt.Sprint(db.groups); got != groups {
				t.Errorf("groups %s, want %s", got, groups)
			}
			db.users, db.groups = nil, nil
		}
		n.Invalidate([]string{"alice", "alice\x00"}, []string{"gold"})
		if events.users != 3 {
			t.Error("the cache has not been told")
		}
		after(time.Second, "[]", "[]")
		n.Invalidate([]string{"alice"}, nil) // again: it has not settled
		after(1600*time.Millisecond, "[]", "[[gold]]")
		after(time.Second, "[alice]", "[]")
		n.Invalidate([]string{"alice", "alice\x00", "bob"}, nil)
		n.Followed([]string{"alice"}) // by a job of her own
		after(3*time.Second, "[bob]", "[]")
		n.Followed([]string{"alice"})
		n.Invalidate([]string{"alice"}, nil) // by psql, after that
		after(3*time.Second, "[alice]", "[]")
		for range 50 { // a script that never ends
			n.Invalidate([]string{"bob"}, nil)
			time.Sleep(time.Second)
		}
		locked := func(do func()) {
			db.mu.Lock()
			defer db.mu.Unlock()
			do()
		}
		locked(func() {
			if len(db.users) < 2 || db.users[0] != "bob" {
				t.Errorf("who changes without end is never looked at: %v", db.users)
			}
		})
		time.Sleep(10 * time.Second)
		locked(func() { db.users, db.groups = nil, nil })

		n.Invalidate([]string{"carol", "dora", "unreadable"}, nil) // carol's rows are deleted, and written anew later
		locked(func() { known["dora"] = false })
		after(10*time.Second, "[]", "[]")
		locked(func() { known["carol"] = true })
		after(time.Second, "[carol]", "[]")
		after(12*time.Second, "[dora]", "[]") // hers are not

		locked(func() { known["profile"] = true })
		n.Invalidate([]string{"profile"}, []string{"gold"}) // that others go by: it may be anybody
		after(3*time.Second, "[profile]", "[[]]")
		n.Invalidate(nil, []string{"of a profile"})
		after(3*time.Second, "[]", "[[]]")

		n.InvalidateAll()
		if events.all != 1 {
			t.Error("the cache has not been told")
		}
		after(20*time.Second, "[]", "[]")
		after(11*time.Second, "[]", "[[]]")
		names := make([]string, followNames+1)
		for i := range names {
			names[i] = fmt.Sprint("n", i)
		}
		n.Invalidate(names, nil)
		after(31*time.Second, "[]", "[[]]")
		n.Follow(db, verdicts(0)) // control.reconcile: 0
		n.Invalidate([]string{"alice"}, []string{"gold"})
		after(time.Minute, "[]", "[]")
		n.Echo(time.Now())
		n.Down()
		if events.others != 2 {
			t.Error("the cache misses echoes")
		}
		stop()
		<-done
	})
}
