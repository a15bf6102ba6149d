package ipam

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// maxRounds is how often one login tries a pool. A few times is much, even when
// hundreds race for the last address: whoever comes so far has found rows that
// contradict themselves, and must not ask for ever.
const maxRounds = 500

// staleRounds is how many windows of a pool are lost to others before it is
// looked at again: it may give nothing any more of what we believe free.
const staleRounds = 4

// search is one login on its way through the pools of its wants.
type search struct {
	a      *Allocator
	wants  []wanted
	tries  []Try // of the wants
	leases []Lease

	one struct { // room for what nearly every login wants: one thing, of one pool
		want [1]wanted
		pool [1]asked
		try  [1]Try
	}
}

// wanted is one want of a login.
type wanted struct {
	Want
	pools   []asked // in the order in which they are asked
	room    []asked // for pools, empty: of the first look at them
	unknown string  // a pool named by the policy that is not there: the search ends before it
	why     error   // what is wrong with unknown
	at      int     // the one of pools that is asked now; len(pools): none

	candidates []netip.Addr
	usual      bool // the candidates are the caller's usual ones, and not of the hint
	round      int  // of the pool that is asked now
	empty      bool // the rows have shown no free address of that pool
	fresh      bool // pools have been read anew since a look has found none
}

// asked is a pool of a search.
type asked struct {
	hint *hint
	info *PoolInfo
}

// resolve finds the pools of a want and their fallback lists.
func (w *wanted) resolve(ctx context.Context, a *Allocator) error {
	w.pools, w.room, w.unknown, w.why, w.at, w.round, w.empty = w.room, nil, "", nil, 0, 0, false
	for _, name := range w.Pools {
		err := w.add(ctx, a, name)
		if errors.Is(err, ErrPoolUnknown) {
			w.unknown, w.why = name, err
			break
		}
		if err != nil {
			return err
		}
	}
	if w.unknown == "" {
		for _, name := range w.Spare {
			if err := w.addSpare(ctx, a, name); err != nil {
				return err
			}
		}
	}
	if len(w.pools) == 0 && w.unknown == "" {
		return fmt.Errorf("want of %s names no pool", w.Kind)
	}
	if len(w.pools) == 0 {
		return w.refusal()
	}
	w.skip()
	return nil
}

// add appends a pool and, after it, what it falls back to.
func (w *wanted) add(ctx context.Context, a *Allocator, name string) error {
	if slices.ContainsFunc(w.pools, func(p asked) bool { return p.hint.key.name == name }) {
		return nil
	}
	h := a.hint(poolKey{vrf: w.VRF, name: name}, false)
	info, err := h.info(ctx, a, w.fresh)
	if err != nil {
		return err
	}
	if info.Kind != w.Kind {
		return fmt.Errorf("%w for %s: it gives %s", ErrPoolUnknown, w.Kind, info.Kind)
	}
	w.pools = append(w.pools, asked{hint: h, info: info})
	for _, next := range info.Fallback {
		err := w.add(ctx, a, next)
		if errors.Is(err, ErrPoolUnknown) {
			a.metrics.unknownFallback()
		} else if err != nil {
			return err
		}
	}
	return nil
}

// addSpare appends a pool of the server's own list, if it is one for this want.
func (w *wanted) addSpare(ctx context.Context, a *Allocator, name string) error {
	info, err := a.hint(poolKey{vrf: w.VRF, name: name}, true).info(ctx, a, w.fresh)
	if errors.Is(err, ErrPoolUnknown) || err == nil && info.Kind != w.Kind {
		return nil
	}
	if err != nil {
		return err
	}
	return w.add(ctx, a, name)
}

// skip goes on to the next pool that gives new leases.
func (w *wanted) skip() {
	for w.at < len(w.pools) && w.pools[w.at].info.Status != Active {
		w.at++
	}
}

// claim asks the rows for everything at once.
func (s *search) claim(ctx context.Context) ([]Claimed, error) {
	for i := range s.wants {
		w := &s.wants[i]
		if err := w.propose(ctx, s.a); err != nil {
			s.giveBack()
			return nil, err
		}
		s.tries[i] = w.try()
	}
	claimed, err := s.a.rows.Claim(ctx, s.tries)
	if err == nil && len(claimed) != len(s.tries) {
		err = fmt.Errorf("claim answered %d tries of %d", len(claimed), len(s.tries))
	}
	if err != nil {
		s.giveBack()
		return nil, err
	}
	return claimed, nil
}

// propose takes candidates of the pool that is asked now, unless the want has
// some left of a claim that failed for another want.
func (w *wanted) propose(ctx context.Context, a *Allocator) (err error) {
	if len(w.candidates) > 0 || w.at == len(w.pools) {
		return nil
	}
	p := &w.pools[w.at]
	w.round++
	if w.usual = p.info.Kind.Sparse() && w.round == 1; w.usual {
		w.candidates = p.info.usual(w.Caller, a.opts.Candidates)
		return nil
	}
	// Each round has twice the chance of the one before: what was taken meanwhile
	// is soon outrun.
	if w.round > maxRounds {
		return fmt.Errorf("pool %q: shows free addresses that cannot be had, in %d tries", p.info.Name, maxRounds)
	}
	w.candidates, w.empty, err = p.hint.take(ctx, a, p.info, a.opts.Candidates<<min(w.round-1, 5))
	return err
}

func (w *wanted) try() Try {
	t := Try{Want: w.Want, Candidates: w.candidates}
	if w.at >= len(w.pools) {
		t.Pool = &PoolInfo{}
	}
	for i, p := range w.pools {
		if i == w.at {
			t.Pool = p.info
		} else {
			t.Others = append(t.Others, p.info.ID)
		}
	}
	return t
}

// judge reads the answer of the rows: done, or what is asked next.
func (s *search) judge(ctx context.Context, claimed []Claimed) (done bool, err error) {
	missing := slices.ContainsFunc(claimed, func(c Claimed) bool { return !c.Prefix.IsValid() })
	if !missing {
		for i, c := range claimed {
			s.wants[i].keepUnused(c.Prefix.Addr())
			s.leases = append(s.leases, s.wants[i].lease(c))
		}
		return true, nil
	}
	for i, c := range claimed {
		w := &s.wants[i]
		if c.Prefix.IsValid() {
			continue // not leased, as another want was not found
		}
		w.drop()
		if w.round >= staleRounds && !w.fresh {
			w.fresh = true
			if err := w.resolve(ctx, s.a); err != nil {
				s.giveBack()
				return false, err
			}
			continue
		}
		if !w.empty && w.at < len(w.pools) {
			s.a.metrics.lost()
			continue
		}
		if err := w.next(ctx, s.a); err != nil {
			s.giveBack()
			return false, err
		}
	}
	return false, nil
}

// next goes on to the next pool; after the last one the want is refused, unless
// the pools are others by now than we believed.
func (w *wanted) next(ctx context.Context, a *Allocator) error {
	if w.at < len(w.pools) {
		w.at++
		w.skip()
		w.round, w.empty = 0, false
	}
	if w.at < len(w.pools) {
		a.metrics.fellBack()
		return nil
	}
	if !w.fresh {
		before := w.pools
		w.fresh = true
		if err := w.resolve(ctx, a); err != nil {
			return err
		}
		if !slices.EqualFunc(before, w.pools, func(a, b asked) bool { return sameSource(a.info, b.info) }) {
			return nil
		}
	}
	return w.refusal()
}

// sameSource tells whether two looks at a pool have seen the same to give.
func sameSource(a, b *PoolInfo) bool {
	return a.ID == b.ID && a.Status == b.Status && slices.Equal(a.Networks, b.Networks) && slices.Equal(a.Runs, b.Runs)
}

func (w *wanted) refusal() error {
	r := &Refusal{Kind: w.Kind, Pool: w.unknown, Err: w.why}
	switch {
	case w.unknown != "":
	case w.pools[0].info.Status != Active:
		r.Pool, r.Err = w.pools[0].info.Name, ErrPoolInactive
	default:
		r.Pool, r.Err = w.pools[0].info.Name, ErrPoolFull
	}
	return r
}

func (w *wanted) lease(c Claimed) Lease {
	l := Lease{Kind: w.Kind, Prefix: c.Prefix, Until: c.Until}
	for i := range w.pools {
		if p := w.pools[i].info; p.ID == c.PoolID {
			l.Pool, l.DNS = p.Name, p.DNS
			if p.Kind == IPv6Prefix {
				l.InterfaceID = InterfaceID(p.InterfaceID, w.Caller)
			}
		}
	}
	return l
}

// keepUnused gives candidates back to the hint: all but got and those before it.
func (w *wanted) keepUnused(got netip.Addr) {
	if w.at < len(w.pools) && !w.usual {
		w.pools[w.at].hint.giveBack(w.candidates, got)
	}
	w.candidates = nil
}

// drop lets go of candidates that were all found taken.
func (w *wanted) drop() {
	if w.at < len(w.pools) && !w.usual {
		w.pools[w.at].hint.drop(w.candidates)
	}
	w.candidates = nil
}

func (s *search) giveBack() {
	for i := range s.wants {
		s.wants[i].keepUnused(netip.Addr{})
	}
}
