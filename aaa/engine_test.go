package aaa

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"radial/dictionaries"
	"radial/ipam"
	"radial/nas"
)

// memoryTables is a PolicyReader over maps that tests may change while logins
// run; reads are counted.
type memoryTables struct {
	mu     sync.Mutex
	users  map[string]UserRows
	groups map[string]GroupRows
	reads  int
	err    error
}

func newMemoryTables() *memoryTables {
	return &memoryTables{users: map[string]UserRows{}, groups: map[string]GroupRows{}}
}

func (m *memoryTables) UserRows(_ context.Context, user string) (UserRows, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	return m.users[user], m.err
}

func (m *memoryTables) GroupRows(_ context.Context, group string) (GroupRows, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	return m.groups[group], m.err
}

func (m *memoryTables) set(user string, rows UserRows) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users[user] = rows
}

// openSessions is Admissions that remember nothing: open sessions by user.
type openSessions map[string][]OpenSession

func (o openSessions) Sessions(_ context.Context, user string) ([]OpenSession, []WaitingLogin, error) {
	return o[user], nil, nil
}

func (o openSessions) Admit(_ context.Context, a *ipam.Admission) error {
	if r := Admit(a, o[a.User], nil); !r.OK {
		return &ipam.LimitReached{Open: r.Open, Waiting: r.Waiting}
	}
	return nil
}

// workbench is an engine over memory, with a clock that stands still.
type workbench struct {
	dict   *dictionaries.Dictionary
	tables *memoryTables
	cache  *Cache
	config EngineConfig
	clock  time.Time
}

func newWorkbench(t testing.TB) *workbench {
	t.Helper()
	b := &workbench{dict: dictionary(t), tables: newMemoryTables(), clock: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)}
	now := func() time.Time { return b.clock }
	b.cache = NewCache(CacheConfig{Reader: b.tables, Dict: b.dict, Location: time.UTC, Now: now})
	b.cache.Echo(b.clock)
	b.config = EngineConfig{
		Dict: b.dict, Policies: b.cache, Verifier: NewVerifier(b.dict), Admissions: openSessions{}, Options: DefaultOptions(),
		Now: now, Location: time.UTC,
	}
	b.config.Options.Mark = false // marks have tests of their own
	return b
}

// request makes an Access-Request from 127.0.0.1 of "Attr", "value" pairs.
func (b *workbench) request(t testing.TB, items ...string) *Request {
	t.Helper()
	req := &Request{Device: &nas.Device{Row: nas.Row{Type: "other"}}, Source: netip.MustParseAddrPort("127.0.0.1:1812"), Received: b.clock}
	for i := 0; i < len(items); i += 2 {
		p, err := b.dict.Pair(items[i], items[i+1])
		if err != nil {
			t.Fatal(err)
		}
		req.Pairs = append(req.Pairs, p)
	}
	return req
}

// rows makes rows of "Attr", "op", "value" triples.
func rows(items ...string) (out []Row) {
	for i := 0; i < len(items); i += 3 {
		out = append(out, Row{ID: int64(i/3 + 1), Attribute: items[i], Op: items[i+1], Value: items[i+2]})
	}
	return out
}
