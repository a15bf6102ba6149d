package ipam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// hint is what we believe of a pool. Its lock is never held over a call of
// Rows: one caller looks (busy), the others wait for it.
type hint struct {
	key    poolKey
	listed bool // guarded by the allocator's lock: kept though there is no such pool

	mu     sync.Mutex
	busy   chan struct{} // closed when the look that is under way ends; nil when none is
	pool   *PoolInfo     // never changed, but replaced; nil: none is known
	none   bool          // there was no such pool
	read   time.Time     // when pool was read
	seen   uint64        // by the look of this number; 0: never
	reads  uint64        // looks for the pool that have begun
	free   []netip.Addr
	out    map[netip.Addr]struct{} // candidates that callers here are trying
	tried  map[netip.Addr]struct{} // those that they were trying, or had at hand, at any time of the look under way, which may have seen them before; nil when none is
	cursor netip.Addr              // where the next look begins; invalid: at the first address
	begun  bool                    // the first look has chosen its beginning
	more   bool                    // there may be free ones beyond the cursor
	ahead  chan struct{}           // closed when the look ahead that is under way ends; nil when none is
	rand   *rand.Rand

	looks     uint64 // looks for free addresses that have begun
	lastEmpty uint64 // the number of the last one that found none
}

// alone waits until no other caller looks, neither ahead where nothing is left,
// and returns with the lock held.
func (h *hint) alone(ctx context.Context) error {
	h.mu.Lock()
	for h.busy != nil || h.ahead != nil && len(h.free) == 0 {
		wait := h.busy
		if wait == nil {
			wait = h.ahead
		}
		h.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
		h.mu.Lock()
	}
	return nil
}

// look runs f, which asks the rows, without the lock and with no other look
// beside it. The lock is held before and after.
func (h *hint) look(f func() error) error {
	done := make(chan struct{})
	h.busy = done
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.busy = nil
		close(done)
	}()
	return f()
}

// info returns the pool; where fresh is set, as a look that began after the
// call has seen it, else as it was within PoolLife.
func (h *hint) info(ctx context.Context, a *Allocator, fresh bool) (*PoolInfo, error) {
	h.mu.Lock()
	arrived := h.reads
	h.mu.Unlock()
	if err := h.alone(ctx); err != nil {
		return nil, err
	}
	defer h.mu.Unlock()
	if h.seen > 0 && (h.seen > arrived || !fresh && a.opts.Now().Sub(h.read) < a.opts.PoolLife) {
		if h.none {
			return nil, ErrPoolUnknown
		}
		return h.pool, nil
	}
	h.reads++
	number := h.reads
	var pool PoolInfo
	err := h.look(func() (err error) {
		pool, err = a.rows.PoolNamed(ctx, h.key.vrf, h.key.name)
		return err
	})
	if err != nil {
		if errors.Is(err, ErrPoolUnknown) {
			h.pool, h.none, h.read, h.seen = nil, true, a.opts.Now(), number
			a.forget(h.key)
		}
		return nil, err
	}
	if h.pool == nil || !sameSource(&pool, h.pool) {
		h.free, h.cursor, h.begun, h.more = nil, netip.Addr{}, false, false
	}
	h.pool, h.none, h.read, h.seen = &pool, false, a.opts.Now(), number
	return h.pool, nil
}

// take returns up to want candidates, which no other caller here gets meanwhile;
// empty tells that the rows have shown none at all to a look that began after
// the call.
func (h *hint) take(ctx context.Context, a *Allocator, pool *PoolInfo, want int) (candidates []netip.Addr, empty bool, err error) {
	h.mu.Lock()
	arrived := h.looks
	h.mu.Unlock()
	for low := true; low; {
		if err := h.alone(ctx); err != nil {
			return nil, false, err
		}
		if low = h.more && h.ahead == nil && len(h.free) < a.opts.Window/4; low {
			h.lookAhead(ctx, a, pool)
			h.mu.Unlock()
		}
	}
	defer h.mu.Unlock()
	if len(h.free) == 0 && h.lastEmpty <= arrived {
		if err := h.refill(ctx, a, pool); err != nil {
			return nil, false, err
		}
	}
	n := min(len(h.free), want)
	at := len(h.free) - n
	candidates = append(candidates, h.free[at:]...)
	h.free = h.free[:at]
	if h.out == nil {
		h.out = make(map[netip.Addr]struct{})
	}
	for _, c := range candidates {
		h.out[c] = struct{}{}
		if h.tried != nil {
			h.tried[c] = struct{}{}
		}
	}
	return candidates, n == 0, nil
}

// refill asks the rows for the next free addresses, going round the pool from a
// place of this server's own. All who want one wait for it, so it asks for few
// beyond those that are tried already.
func (h *hint) refill(ctx context.Context, a *Allocator, pool *PoolInfo) error {
	if !h.begun {
		h.begun, h.cursor = true, h.somewhere(pool)
	}
	h.looks++
	number, from, limit := h.looks, h.cursor, a.opts.Window/8+1+len(h.out)
	h.tried = h.trying()
	defer func() { h.tried = nil }()
	var found, again []netip.Addr
	err := h.look(func() (err error) {
		found, err = a.rows.FreeAddresses(ctx, *pool, from, limit)
		if err == nil && len(found) < limit && from.IsValid() { // the end of the round: on from the first
			again, err = a.rows.FreeAddresses(ctx, *pool, netip.Addr{}, limit-len(found))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("look for free addresses: %w", err)
	}
	if len(again) > 0 {
		found = distinct(append(found, again...))
	}
	if len(found) == 0 {
		h.cursor, h.more, h.lastEmpty = netip.Addr{}, false, number
		return nil
	}
	h.cursor, h.more = found[len(found)-1], len(found) == limit
	if !h.more {
		h.cursor = netip.Addr{} // the round is over
	}
	if rest := h.untried(found); len(rest) > 0 || len(h.free) > 0 { // where that is all, they may lose it yet
		found = rest
	}
	h.free = append(h.free, inRuns(found, h.rand)...)
	return nil
}

// lookAhead asks the rows for the window after the addresses at hand, while others
// take what is left of these. The lock is held before and after. What goes wrong
// does not matter: there will be a look when nothing is left.
func (h *hint) lookAhead(ctx context.Context, a *Allocator, pool *PoolInfo) {
	done, from := make(chan struct{}), h.cursor
	h.ahead = done
	h.tried = h.trying()
	note(h.tried, h.free) // some may lie beyond the cursor, where this server has freed them
	defer func() { h.tried = nil }()
	h.mu.Unlock()
	found, err := a.rows.FreeAddresses(ctx, *pool, from, a.opts.Window)
	h.mu.Lock()
	h.ahead = nil
	close(done)
	if h.cursor != from {
		return // of another pool by now
	}
	if h.more = err == nil && len(found) == a.opts.Window; len(found) > 0 {
		h.cursor = found[len(found)-1]
		h.free = append(inRuns(h.untried(found), h.rand), h.free...) // which are taken from their end
	}
	if err == nil && !h.more {
		h.cursor = netip.Addr{} // the round is over: the next look finds nothing beyond it, for which all would wait
	}
}

// trying is what callers here are trying.
func (h *hint) trying() map[netip.Addr]struct{} {
	if h.out == nil {
		return make(map[netip.Addr]struct{})
	}
	return maps.Clone(h.out)
}

// untried leaves out what callers here are trying or have at hand, or did when
// the look began or since: it is taken by now, or about to be.
func (h *hint) untried(found []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(found), func(a netip.Addr) bool {
		_, out := h.out[a]
		_, before := h.tried[a]
		return out || before
	})
}

// run is how many addresses are proposed one after the other as they lie: rows
// beside each other are cheaper to lease than rows far apart.
const run = 64

// inRuns puts addresses in an order that another server, which may have found
// the same ones, will hardly have: runs in any order.
func inRuns(found []netip.Addr, r *rand.Rand) []netip.Addr {
	runs := slices.Collect(slices.Chunk(found, run))
	r.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
	return slices.Concat(runs...)
}

// distinct removes what is there twice.
func distinct(all []netip.Addr) []netip.Addr {
	seen := make(map[netip.Addr]struct{}, len(all))
	return slices.DeleteFunc(all, func(a netip.Addr) bool {
		_, again := seen[a]
		seen[a] = struct{}{}
		return again
	})
}

// somewhere picks a random address of the pool.
func (h *hint) somewhere(pool *PoolInfo) netip.Addr {
	if pool.Kind.Sparse() {
		a, _ := pool.nth(h.rand.Uint64N(max(pool.Capacity(), 1))) // none: from the first, then
		return a
	}
	if len(pool.Networks) == 0 {
		return netip.Addr{}
	}
	all := RangeOf(pool.Networks[h.rand.IntN(len(pool.Networks))])
	if !all.First.Is4() {
		return netip.Addr{}
	}
	return toAddr(toUint(all.First) + uint32(h.rand.Uint64N(all.Size())))
}

// giveBack takes candidates back that have been tried. A claim leaves those after
// the one that it got alone: they may be free or not, as before. Those before it
// were found taken.
func (h *hint) giveBack(candidates []netip.Addr, got netip.Addr) {
	if len(candidates) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.untry(candidates)
	h.free = append(h.free, candidates[slices.Index(candidates, got)+1:]...)
}

// drop forgets candidates that were all found taken.
func (h *hint) drop(candidates []netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.untry(candidates)
}

func (h *hint) untry(candidates []netip.Addr) {
	for _, c := range candidates {
		delete(h.out, c)
	}
}
