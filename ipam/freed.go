package ipam

import (
	"maps"
	"net/netip"
	"slices"
)

// freedWindows is how many windows of a pool's addresses are at hand at most,
// where this server itself has freed them.
const freedWindows = 4

// Freed tells that this server has just freed addresses of a pool, by its id in
// radial.pools: they are proposed after those at hand, and nobody need look for
// them. It is for those that anybody may have now, as a cooling time is over or an
// offer has run out; who gives an address back at once may want it again. It returns
// which of them are kept: of a pool that nobody has asked here, and beyond some
// thousand of one, none; they are found by a look as ever.
func (a *Allocator) Freed(pool int64, addresses []netip.Addr) (kept []netip.Addr) {
	a.mu.Lock()
	hints := slices.Collect(maps.Values(a.hints)) // a hint's lock goes before the allocator's
	a.mu.Unlock()
	for _, h := range hints {
		if kept, its := h.freed(pool, addresses, freedWindows*a.opts.Window); its {
			return kept
		}
	}
	return nil
}

// freed takes those of addresses that are not at hand or being tried already, up
// to most at hand in all; its tells whether the hint is that pool's.
func (h *hint) freed(pool int64, addresses []netip.Addr, most int) (kept []netip.Addr, its bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pool == nil || h.pool.ID != pool {
		return nil, false
	}
	room := most - len(h.free)
	if room <= 0 || h.pool.Kind.Sparse() {
		return nil, true
	}
	atHand := make(map[netip.Addr]struct{}, len(h.free))
	note(atHand, h.free)
	for _, address := range addresses {
		_, known := atHand[address]
		if _, out := h.out[address]; !known && !out && len(kept) < room {
			kept = append(kept, address)
		}
	}
	if h.tried != nil {
		note(h.tried, kept) // a look is under way, which may see them too
	}
	slices.SortFunc(kept, netip.Addr.Compare)
	h.free = append(inRuns(kept, h.rand), h.free...) // which are taken from their end
	return kept, true
}

func note(set map[netip.Addr]struct{}, addresses []netip.Addr) {
	for _, a := range addresses {
		set[a] = struct{}{}
	}
}
