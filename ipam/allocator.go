package ipam

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// AllocatorOptions tune an Allocator; zero fields mean the defaults.
type AllocatorOptions struct {
	// Window is how many free addresses of a pool are kept at hand; 2048.
	Window int
	// Candidates is how many of them the first try at a pool proposes: 1, since
	// each is locked and hardly one is taken. Further tries propose more.
	Candidates int
	// PoolLife is how long a pool's row is believed; 2 s.
	PoolLife time.Duration
	// Now is the clock for PoolLife; time.Now.
	Now func() time.Time
	// Seed begins the order in which this server proposes addresses, so that
	// several servers do not propose the same ones; random when 0.
	Seed uint64
}

// Allocator leases addresses: it proposes, the rows judge. Safe for any number
// of concurrent callers; it starts no goroutine.
type Allocator struct {
	rows    Rows
	opts    AllocatorOptions
	metrics *Metrics

	searches sync.Pool // of *search, that are over

	mu    sync.Mutex
	hints map[poolKey]*hint
	rand  *rand.Rand // guarded by mu
}

type poolKey struct {
	vrf  int32
	name string
}

// NewAllocator makes an allocator over rows. Metrics may be nil.
func NewAllocator(rows Rows, opts AllocatorOptions, metrics *Metrics) *Allocator {
	if opts.Window <= 0 {
		opts.Window = 2048
	}
	if opts.Candidates <= 0 {
		opts.Candidates = 1
	}
	if opts.PoolLife == 0 {
		opts.PoolLife = 2 * time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Seed == 0 {
		opts.Seed = rand.Uint64()
	}
	return &Allocator{
		rows:    rows,
		opts:    opts,
		metrics: metrics,
		hints:   make(map[poolKey]*hint),
		rand:    rand.New(rand.NewPCG(opts.Seed, 0)), // spreads load, guards nothing
	}
}

// Lease gives a login what it wants, all of it in one committed transaction: for
// each want the caller's own lease where the rules say so (Judge), else its last
// one if that is free, else a free one of the first pool that has room. Where
// one cannot be had, none is leased and the error is a *Refusal, or a
// *LimitReached by the login's Admission. Other errors are trouble, which is no
// decision.
func (a *Allocator) Lease(ctx context.Context, wants []Want) ([]Lease, error) {
	leases, err := a.lease(ctx, wants)
	if err != nil {
		a.metrics.refused(err)
		return nil, fmt.Errorf("lease: %w", err)
	}
	a.metrics.leased(len(leases))
	return leases, nil
}

func (a *Allocator) lease(ctx context.Context, wants []Want) ([]Lease, error) {
	if len(wants) == 0 {
		return nil, nil
	}
	s := a.search(len(wants))
	for i := range wants {
		s.wants[i].Want = wants[i]
		if err := s.wants[i].resolve(ctx, a); err != nil {
			return nil, err
		}
	}
	for {
		claimed, err := s.claim(ctx)
		if err != nil {
			return nil, err
		}
		done, err := s.judge(ctx, claimed)
		if err != nil {
			return nil, err
		}
		if done {
			leases := s.leases
			a.searches.Put(s) // of others, who may look at theirs yet, the collector takes care
			return leases, nil
		}
	}
}

// search returns a search for so many wants.
func (a *Allocator) search(wants int) *search {
	s, again := a.searches.Get().(*search)
	if !again {
		s = &search{}
	}
	*s = search{a: a}
	if s.wants, s.tries = s.one.want[:], s.one.try[:]; wants > 1 {
		s.wants, s.tries = make([]wanted, wants), make([]Try, wants)
	} else {
		s.wants[0].room = s.one.pool[:0]
	}
	return s
}

// hint returns the hint of a pool. Names come from policy rows, not from
// packets, so there are few; one whose pool is unknown is dropped again, unless
// it is listed in a setting: every login asks for it, and the rows need not be
// asked each time.
func (a *Allocator) hint(key poolKey, listed bool) *hint {
	a.mu.Lock()
	defer a.mu.Unlock()
	h, ok := a.hints[key]
	if !ok {
		h = &hint{key: key, rand: rand.New(rand.NewPCG(a.rand.Uint64(), a.rand.Uint64()))}
		a.hints[key] = h
	}
	h.listed = h.listed || listed
	return h
}

func (a *Allocator) forget(key poolKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.hints[key]; h != nil && !h.listed {
		delete(a.hints, key)
	}
}
