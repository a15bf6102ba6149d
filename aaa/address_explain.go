package aaa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"radial/dictionaries"
	"radial/ipam"
)

// noteGiven tells why nothing of a kind is leased.
func (l *authorization) noteGiven(word *addressWord, has *dictionaries.Attribute) {
	if l.trace == nil {
		return
	}
	v, _ := l.reply.Value(has)
	text := fmt.Sprintf("the reply has %s = %s: nothing is leased", has.Name, has.Text(v))
	if slices.Contains(word.named, has) {
		text = fmt.Sprintf("the device has a pool %s of its own (%s): nothing is leased", has.Text(v), has.Name)
	}
	l.note(StepInfo, text)
}

// wouldLease looks where a login would lease, and leases nothing. Its errors are
// those of Addresses.Lease. A caller who has a lease keeps it, whatever is told
// of a pool here: the rows are not asked whose they are.
func (l *authorization) wouldLease(ctx context.Context, wants []ipam.Want) error {
	for _, w := range wants {
		word := &l.e.words.address.kinds[w.Kind]
		if all := append(w.Pools[:len(w.Pools):len(w.Pools)], w.Spare...); len(all) > 1 {
			l.note(StepInfo, word.grant.Name+" is asked of the pools "+strings.Join(all, ", ")+", in this order")
		}
		if l.e.pools == nil {
			l.note(StepInfo, addressKinds[w.Kind].one+" of pool "+w.Pools[0]+" would be leased")
			continue
		}
		look := poolLook{l: l, want: w, word: word, asked: map[string]bool{}}
		if err := look.all(ctx); err != nil {
			return err
		}
	}
	return nil
}

// poolLook goes through the pools of a want in the order in which the allocator
// asks them.
type poolLook struct {
	l     *authorization
	want  ipam.Want
	word  *addressWord
	asked map[string]bool
	first *ipam.Refusal // of the first pool that has nothing
}

func (k *poolLook) all(ctx context.Context) error {
	for _, name := range k.want.Pools {
		found, err := k.pool(ctx, name)
		if errors.Is(err, ipam.ErrPoolUnknown) {
			return &ipam.Refusal{Kind: k.want.Kind, Pool: name, Err: ipam.ErrPoolUnknown}
		}
		if found || err != nil {
			return err
		}
	}
	for _, name := range k.want.Spare {
		found, err := k.spare(ctx, name)
		if found || err != nil {
			return err
		}
	}
	if k.first == nil { // no pool at all could be asked
		return fmt.Errorf("want of %s names no pool", k.want.Kind)
	}
	return k.first
}

// spare looks into a pool of ipam.fallback_pools, if it is one for this want.
func (k *poolLook) spare(ctx context.Context, name string) (found bool, err error) {
	s, err := k.l.e.pools.PoolState(ctx, k.want.VRF, name)
	switch {
	case errors.Is(err, ipam.ErrPoolUnknown):
		k.l.note(StepInfo, fmt.Sprintf("pool %s (ipam.fallback_pools) is passed over: there is none%s", name, inVRF(k.want.VRF)))
		return false, nil
	case err != nil:
		return false, err
	case s.Kind != k.want.Kind:
		return false, nil
	}
	return k.pool(ctx, name)
}

// pool looks into a pool and, where it has nothing, into those that it falls
// back to.
func (k *poolLook) pool(ctx context.Context, name string) (found bool, err error) {
	if k.asked[name] {
		return false, nil
	}
	k.asked[name] = true
	s, err := k.l.e.pools.PoolState(ctx, k.want.VRF, name)
	if err != nil {
		return false, err
	}
	if s.Kind != k.want.Kind {
		k.l.note(StepNo, fmt.Sprintf("pool %s is one of %s", name, addressKinds[s.Kind].many))
		return false, ipam.ErrPoolUnknown
	}
	if found := k.tell(name, s); found {
		return true, nil
	}
	for _, next := range s.Fallback {
		found, err := k.pool(ctx, next)
		if errors.Is(err, ipam.ErrPoolUnknown) {
			k.l.note(StepNo, fmt.Sprintf("pool %s, which %s falls back to, is not there for this: passed over", next, name))
			continue
		}
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// tell notes what a pool has, and whether that is something.
func (k *poolLook) tell(name string, s PoolState) (found bool) {
	kind := addressKinds[k.word.kind]
	why := ipam.ErrPoolInactive
	switch {
	case s.Status == ipam.Draining:
		k.l.note(StepInfo, fmt.Sprintf("pool %s is draining: only a caller who holds a lease of it gets in", name))
	case s.Status == ipam.Inactive:
		k.l.note(StepInfo, fmt.Sprintf("pool %s is inactive, or all its subnets are: it gives nothing", name))
	case s.Free > 0:
		k.l.note(StepYes, fmt.Sprintf("%s of pool %s would be leased (%d of %d are free)", kind.one, name, s.Free, s.Total))
		return true
	default:
		k.l.note(StepInfo, fmt.Sprintf("all %d %s of pool %s are taken: only a caller who holds one gets in", s.Total, kind.many, name))
		why = ipam.ErrPoolFull
	}
	if k.first == nil {
		k.first = &ipam.Refusal{Kind: k.want.Kind, Pool: name, Err: why}
	}
	return false
}
