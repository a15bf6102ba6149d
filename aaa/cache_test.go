package aaa

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slowTables lets a test hold a read between its look at the rows and its end.
type slowTables struct {
	*memoryTables
	looked  chan struct{} // one value for each read that has looked
	release chan struct{} // one value lets one read end
}

func (s *slowTables) UserRows(ctx context.Context, user string) (UserRows, error) {
	u, err := s.memoryTables.UserRows(ctx, user)
	s.looked <- struct{}{}
	select {
	case <-s.release:
		return u, err
	case <-ctx.Done():
		return UserRows{}, ctx.Err()
	}
}

// within takes a value from a channel, and fails the test where none comes.
func within[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came within 5 s")
	}
	return v
}

func password(u *userPolicy) string {
	if len(u.check.rules) == 0 {
		return ""
	}
	return string(u.check.rules[0].value)
}

func withPassword(p string) UserRows { return UserRows{Check: rows("Cleartext-Password", ":=", p)} }

func newSlowCache(t *testing.T) (*Cache, *slowTables, time.Time) {
	clock := time.Unix(1_800_000_000, 0)
	s := &slowTables{memoryTables: newMemoryTables(), looked: make(chan struct{}, 100), release: make(chan struct{}, 100)}
	c := NewCache(CacheConfig{Reader: s, Dict: dictionary(t), Now: func() time.Time { return clock }})
	c.Echo(clock)
	return c, s, clock
}

// A read that looked before an invalidation is not stored, and nobody who
// comes after the invalidation gets its rows.
func TestCacheMissAndInvalidationCross(t *testing.T) {
	for _, way := range []struct {
		name string
		drop func(*Cache)
	}{
		{"name", func(c *Cache) { c.Invalidate([]string{"alice"}, nil) }},
		{"all", (*Cache).InvalidateAll},
		{"down and up", func(c *Cache) { c.Down(); c.Echo(c.now()) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			c, s, _ := newSlowCache(t)
			s.set("alice", withPassword("old"))
			early := make(chan string)
			go func() {
				u, _, err := c.user(t.Context(), "alice")
				if err != nil {
					t.Error(err)
				}
				early <- password(u)
			}()
			within(t, s.looked) // it has seen the old row
			s.set("alice", withPassword("new"))
			way.drop(c)

			late := make(chan string)
			go func() {
				u, _, err := c.user(t.Context(), "alice")
				if err != nil {
					t.Error(err)
				}
				late <- password(u)
			}()
			within(t, s.looked) // the late one reads by itself
			s.release <- struct{}{}
			s.release <- struct{}{}
			if got := within(t, late); got != "new" {
				t.Errorf("after the invalidation: got %q, want new", got)
			}
			if got := within(t, early); got != "old" {
				t.Errorf("the early caller: got %q, want old", got)
			}
			// whatever landed last, memory holds no old row
			s.release <- struct{}{}
			if u, _, err := c.user(t.Context(), "alice"); err != nil || password(u) != "new" {
				t.Errorf("from memory: got %q, %v; want new", password(u), err)
			}
		})
	}
}

// Nothing is served or stored when no echo has come back within EchoLife.
func TestCacheNeedsEcho(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	m := newMemoryTables()
	c := NewCache(CacheConfig{Reader: m, Dict: dictionary(t), Now: func() time.Time { return clock }})
	look := func(want string, wantReads int) {
		t.Helper()
		u, _, err := c.user(t.Context(), "alice")
		if err != nil || password(u) != want || m.reads != wantReads {
			t.Errorf("got %q, %v after %d reads; want %q after %d", password(u), err, m.reads, want, wantReads)
		}
	}
	m.set("alice", withPassword("a"))
	look("a", 1) // no echo yet
	m.set("alice", withPassword("b"))
	look("b", 2) // nothing was stored
	c.Echo(clock)
	look("b", 3)
	look("b", 3) // from memory
	clock = clock.Add(EchoLife - time.Nanosecond)
	look("b", 3)
	clock = clock.Add(time.Nanosecond)
	m.set("alice", withPassword("c"))
	look("c", 4) // the echo is too old
	c.Invalidate([]string{"alice"}, nil)
	c.Echo(clock)
	look("c", 5)
	look("c", 5)
	c.Down()
	m.set("alice", withPassword("d"))
	look("d", 6)
	if s := c.Stats(); s.Entries != 0 {
		t.Errorf("entries while down: %d", s.Entries)
	}
}

// Many callers of one name make one read.
func TestCacheSharesReads(t *testing.T) {
	c, s, _ := newSlowCache(t)
	s.set("alice", withPassword("p"))
	var wg sync.WaitGroup
	get := func() {
		defer wg.Done()
		if u, _, err := c.user(t.Context(), "alice"); err != nil || password(u) != "p" {
			t.Errorf("got %v", err)
		}
	}
	wg.Add(1)
	go get()
	within(t, s.looked)
	for range 20 {
		wg.Add(1)
		go get()
	}
	s.release <- struct{}{}
	wg.Wait()
	if s.reads != 1 {
		t.Errorf("reads: %d, want 1", s.reads)
	}
}

// A caller that gives up fails nobody else.
func TestCacheCallerGivesUp(t *testing.T) {
	c, s, _ := newSlowCache(t)
	s.set("alice", withPassword("p"))
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, _, err := c.user(ctx, "alice"); first <- err }()
	within(t, s.looked)
	second := make(chan error)
	go func() { _, _, err := c.user(t.Context(), "alice"); second <- err }()
	cancel()
	if err := within(t, first); !errors.Is(err, context.Canceled) {
		t.Errorf("first: %v", err)
	}
	within(t, s.looked) // the second one reads by itself
	s.release <- struct{}{}
	if err := within(t, second); err != nil {
		t.Errorf("second: %v", err)
	}
}

func TestCacheTroubleIsNotKept(t *testing.T) {
	b := newWorkbench(t)
	b.tables.err = errors.New("no database")
	if _, _, err := b.cache.user(t.Context(), "alice"); !errors.Is(err, b.tables.err) {
		t.Errorf("got %v", err)
	}
	b.tables.err = nil
	b.tables.set("alice", withPassword("p"))
	if u, _, err := b.cache.user(t.Context(), "alice"); err != nil || password(u) != "p" {
		t.Errorf("got %v", err)
	}
}

// A reader that panics must not leave others waiting.
func TestCacheReaderPanics(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	c := NewCache(CacheConfig{Reader: panickyTables{}, Dict: dictionary(t), Now: func() time.Time { return clock }})
	c.Echo(clock)
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _, err := c.user(t.Context(), "alice")
			t.Errorf("returned: %v", err)
		}()
	}
}

type panickyTables struct{}

func (panickyTables) UserRows(context.Context, string) (UserRows, error)   { panic("boom") }
func (panickyTables) GroupRows(context.Context, string) (GroupRows, error) { panic("boom") }

func TestCacheIsBounded(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	m := newMemoryTables()
	const limit = 64 * 40
	c := NewCache(CacheConfig{
		Reader: m, Dict: dictionary(t), Options: CacheOptions{Entries: limit, Bytes: 64 << 20}, Now: func() time.Time { return clock },
	})
	c.Echo(clock)
	for i := range limit * 2 {
		name := strconv.Itoa(i)
		m.users[name] = withPassword("p")
	}
	for i := range limit * 2 {
		if _, _, err := c.user(t.Context(), strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	known := c.Stats()
	if known.Entries > limit || known.Entries < limit/4 || known.Evictions == 0 {
		t.Errorf("after many users: %+v, limit %d", known, limit)
	}
	// strangers push strangers out, and no subscriber
	for i := range limit * 2 {
		if _, _, err := c.user(t.Context(), "stranger"+strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	if all := c.Stats(); all.Entries > limit || all.Entries-known.Entries > limit/8 || all.Entries < known.Entries {
		t.Errorf("after many strangers: %+v; before %+v", all, known)
	}
}

func TestCacheIsBoundedInBytes(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	m := newMemoryTables()
	c := NewCache(CacheConfig{
		Reader: m, Dict: dictionary(t), Options: CacheOptions{Entries: 1 << 20, Bytes: 1 << 20}, Now: func() time.Time { return clock },
	})
	c.Echo(clock)
	var items []string
	for i := range 20 {
		items = append(items, "Framed-Route", "+=", fmt.Sprintf("10.0.%d.0/24", i))
	}
	for i := range 2000 {
		m.users[strconv.Itoa(i)] = UserRows{Check: rows("Cleartext-Password", ":=", "p"), Reply: rows(items...)}
		if _, _, err := c.user(t.Context(), strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Stats(); s.Bytes > 1<<20 || s.Entries == 0 || s.Evictions == 0 {
		t.Errorf("%+v", s)
	}
	c.InvalidateAll()
	if s := c.Stats(); s.Bytes != 0 || s.Entries != 0 {
		t.Errorf("emptied: %+v", s)
	}
}

// Writers commit and notify in order, readers check what they get: never rows
// older than the newest invalidation that had ended before they asked.
func TestCacheCoherentUnderRaces(t *testing.T) {
	// A round in which a writer lost its processor between Down and Echo has no
	// hits, and proves nothing.
	for range 100 {
		if s := raceForCache(t); t.Failed() || s.Hits > 0 && s.Misses > 0 {
			return
		}
	}
	t.Error("no round had both hits and misses")
}

func raceForCache(t *testing.T) CacheStats {
	const users, writers, readers = 8, 2, 4
	clock := time.Unix(1_800_000_000, 0)
	m := newMemoryTables()
	c := NewCache(CacheConfig{
		Reader: m, Dict: dictionary(t), Now: func() time.Time { return clock },
		Options: CacheOptions{Entries: 64 * 8, Bytes: 1 << 20},
	})
	c.Echo(clock)
	var told [users]atomic.Int64 // the version whose invalidation has ended
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { // each writer has its own users, so versions grow
			for version := int64(1); version < 2000; version++ {
				u := (rand.IntN(users/writers))*writers + w
				name := strconv.Itoa(u)
				m.set(name, withPassword(strconv.FormatInt(version, 10)))
				switch version % 97 {
				case 0:
					c.InvalidateAll()
				case 1:
					c.Down()
					c.Echo(clock)
				default:
					c.Invalidate([]string{name}, nil)
				}
				told[u].Store(version)
			}
		})
	}
	var done sync.WaitGroup
	for range readers {
		done.Go(func() {
			for !stop.Load() {
				u := rand.IntN(users)
				least := told[u].Load()
				got, _, err := c.user(t.Context(), strconv.Itoa(u))
				if err != nil {
					t.Error(err)
					return
				}
				have, _ := strconv.ParseInt(password(got), 10, 64)
				if have < least {
					t.Errorf("user %d: got version %d, %d was told before", u, have, least)
					return
				}
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	done.Wait()
	return c.Stats()
}

func TestCacheHitDoesNotAllocate(t *testing.T) {
	b := newWorkbench(t)
	b.tables.set("alice", withPassword("p"))
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		if _, _, err := b.cache.user(ctx, "alice"); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
}

// A read that ends when the echo is too old is not stored.
func TestCacheStoresOnlyWhileLive(t *testing.T) {
	c, s, clock := newSlowCache(t)
	var late atomic.Int64
	c.now = func() time.Time { return clock.Add(time.Duration(late.Load())) }
	s.set("alice", withPassword("p"))
	done := make(chan error)
	go func() { _, _, err := c.user(t.Context(), "alice"); done <- err }()
	within(t, s.looked)
	late.Store(int64(EchoLife))
	s.release <- struct{}{}
	if err := within(t, done); err != nil {
		t.Fatal(err)
	}
	if st := c.Stats(); st.Entries != 0 {
		t.Errorf("stored %d entries", st.Entries)
	}
}
