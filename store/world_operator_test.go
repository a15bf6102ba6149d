package store_test

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
)

// What operators do in the world of world_test.go, by what the command line
// calls.

func operator(action string) store.Change { return store.Change{Actor: "test", Action: action} }

func (w *world) drawSpace(rt *rapid.T) *space {
	return w.spaces[rapid.Int32Range(1, 2).Draw(rt, "VRF")]
}

// drawAddress picks one of the first network, there or not.
func drawAddress(rt *rapid.T) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(2, 6).Draw(rt, "address"))}), 32)
}

// refused tells whether a change was refused because an address is in use. It
// has to be where somebody has it, and may be where a row is not free.
func (w *world) refused(rt *rapid.T, s *space, addresses []netip.Prefix, err error) bool {
	held := slices.IndexFunc(addresses, func(a netip.Prefix) bool { return w.holder(s.vrf, a) != nil })
	switch {
	case err == nil && held >= 0:
		rt.Fatalf("%s was taken away from caller %d", addresses[held], w.holder(s.vrf, addresses[held]).number)
	case err == nil:
		return false
	case !errors.Is(err, aaa.ErrConflict):
		rt.Fatal(err)
	}
	if held < 0 {
		rows := w.db.Rows(`SELECT address::text FROM radial.addresses WHERE vrf_id = $1 AND state <> 'free' AND address = ANY ($2)`, s.vrf, addresses)
		if len(rows) == 0 {
			rt.Fatalf("%s is free; refused with %v", addresses, err)
		}
	}
	return true
}

func (w *world) drain(rt *rapid.T) {
	s := w.drawSpace(rt)
	s.draining = !s.draining
	status := "active"
	if s.draining {
		status = "draining"
	}
	if _, err := w.db.SetPool(rt.Context(), operator("pool.set"), s.vrf, "main", store.PoolChange{Status: &status}); err != nil {
		rt.Fatal(err)
	}
}

// cool makes what is released cool off for an hour, or not.
func (w *world) cool(rt *rapid.T) {
	s := w.drawSpace(rt)
	s.cools = !s.cools
	pause := map[bool]string{true: "1 hour", false: "0"}[s.cools]
	if n := w.db.Exec(`UPDATE radial.pools SET cooling_time = $2::text::interval WHERE vrf_id = $1 AND name = 'main'`, s.vrf, pause); n != 1 {
		rt.Fatalf("%d pools", n)
	}
}

func (w *world) reserve(rt *rapid.T) {
	s, a := w.drawSpace(rt), drawAddress(rt)
	if !s.may[a] {
		rt.Skip("not there")
	}
	_, changed, err := w.db.ReserveAddress(rt.Context(), operator("ip.reserve"), store.Reservation{VRF: s.vrf, Address: a, Reason: "a camera"})
	if w.refused(rt, s, []netip.Prefix{a}, err) {
		return
	}
	if changed == s.reserved[a] {
		rt.Fatalf("%s reserved: changed %v, though it was %v", a, changed, s.reserved[a])
	}
	s.reserved[a] = true
	delete(s.cooling, a)
}

func (w *world) unreserve(rt *rapid.T) {
	s, a := w.drawSpace(rt), drawAddress(rt)
	if !s.reserved[a] {
		rt.Skip("not reserved")
	}
	if _, _, err := w.db.ReleaseAddress(rt.Context(), operator("ip.release"), s.vrf, a, "gone", false); err != nil {
		rt.Fatal(err)
	}
	delete(s.reserved, a)
}

// subnet is the id of a space's network.
func (w *world) subnet(rt *rapid.T, s *space, network string) int64 {
	found, err := w.db.FindSubnet(rt.Context(), s.vrf, "", network)
	if err != nil {
		rt.Fatal(err)
	}
	return found.ID
}

// exclude takes an address out of its pool.
func (w *world) exclude(rt *rapid.T) {
	s, a := w.drawSpace(rt), drawAddress(rt)
	if !s.may[a] {
		rt.Skip("not there")
	}
	run := ipam.Range{First: a.Addr(), Last: a.Addr()}
	_, err := w.db.SetSubnet(rt.Context(), operator("subnet.set"), w.subnet(rt, s, worldNetwork), store.SubnetChange{Exclude: []store.Exclusion{{Range: run}}}, store.Making{})
	if err != nil && strings.Contains(err.Error(), "no address to give") {
		return
	}
	if w.refused(rt, s, []netip.Prefix{a}, err) {
		return
	}
	w.gone(rt, s, a)
	w.looked(s, netip.MustParsePrefix(worldNetwork))
}

func (w *world) gone(rt *rapid.T, s *space, a netip.Prefix) {
	if s.reserved[a] {
		rt.Fatalf("%s was reserved, and is gone", a)
	}
	delete(s.may, a)
	delete(s.cooling, a)
}

// include puts an excluded address back. A session that reported it meanwhile
// has it.
func (w *world) include(rt *rapid.T) {
	s, a := w.drawSpace(rt), drawAddress(rt)
	if s.may[a] {
		rt.Skip("there")
	}
	run := ipam.Range{First: a.Addr(), Last: a.Addr()}
	_, err := w.db.SetSubnet(rt.Context(), operator("subnet.set"), w.subnet(rt, s, worldNetwork), store.SubnetChange{Include: []ipam.Range{run}}, store.Making{})
	if err != nil {
		rt.Fatal(err)
	}
	s.may[a] = true
	w.looked(s, netip.MustParsePrefix(worldNetwork))
}

// looked takes down what a look for open sessions with addresses of a network
// has found: those that nobody had have them, of several the newest.
func (w *world) looked(s *space, network netip.Prefix) {
	newest := slices.SortedFunc(maps.Values(w.strangers), func(a, b *session) int { return b.start.Compare(a.start) })
	for _, x := range newest {
		if x.vrf == s.vrf && network.Contains(x.addresses[0].Addr()) {
			w.found(x)
		}
	}
}

// growOrShrink adds a network to a pool, or takes it away.
func (w *world) growOrShrink(rt *rapid.T) {
	s := w.drawSpace(rt)
	more := prefixes("192.0.2.9/32", "192.0.2.10/32")
	if !s.may[more[0]] {
		spec := store.SubnetSpec{Network: netip.MustParsePrefix(worldMore)}
		if _, err := w.db.AddSubnet(rt.Context(), operator("subnet.add"), s.vrf, "main", spec, store.Making{}); err != nil {
			rt.Fatal(err)
		}
		for _, a := range more {
			s.may[a] = true
		}
		w.looked(s, netip.MustParsePrefix(worldMore))
		return
	}
	if w.refused(rt, s, more, w.db.DeleteSubnet(rt.Context(), operator("subnet.del"), w.subnet(rt, s, worldMore))) {
		return
	}
	for _, a := range more {
		w.gone(rt, s, a)
	}
}
