package nas

import (
	"net/netip"
	"slices"
)

// Table finds devices by address. It never changes once made, so that any
// number of packets may ask it at once.
type Table struct {
	v4, v6  family
	devices []*Device
}

// family holds the devices of one address family: one map for all prefixes,
// probed once for each length that occurs, longest first.
type family struct {
	lengths  []int
	byPrefix map[netip.Prefix]*Device
}

// NewTable makes a table. Of several devices with the same prefix the first
// is served; the others come back as shadowed, each with the one that wins.
func NewTable(devices []*Device) (t *Table, shadowed []Shadow) {
	t = &Table{
		v4: family{byPrefix: make(map[netip.Prefix]*Device)},
		v6: family{byPrefix: make(map[netip.Prefix]*Device)},
	}
	for _, dev := range devices {
		p := unmapPrefix(dev.Prefix).Masked()
		f := t.family(p.Addr())
		if first, ok := f.byPrefix[p]; ok {
			if first.ID != dev.ID {
				shadowed = append(shadowed, Shadow{Prefix: p, Device: dev, By: first})
			}
			continue
		}
		f.byPrefix[p] = dev
		if !slices.Contains(f.lengths, p.Bits()) {
			f.lengths = append(f.lengths, p.Bits())
		}
		t.devices = append(t.devices, dev)
	}
	longestFirst := func(a, b int) int { return b - a }
	slices.SortFunc(t.v4.lengths, longestFirst)
	slices.SortFunc(t.v6.lengths, longestFirst)
	return t, shadowed
}

// Shadow is a device that is not served for a prefix, as another row has it.
type Shadow struct {
	Prefix     netip.Prefix
	Device, By *Device
}

// Find returns the device with the longest prefix that holds addr, or nil. An
// IPv4 address in IPv6 form counts as IPv4; a zone is ignored.
func (t *Table) Find(addr netip.Addr) *Device {
	addr = addr.Unmap()
	if addr.Is6() {
		addr = addr.WithZone("")
	}
	f := t.family(addr)
	for _, bits := range f.lengths {
		p, err := addr.Prefix(bits)
		if err != nil { // the zero Addr
			return nil
		}
		if dev, ok := f.byPrefix[p]; ok {
			return dev
		}
	}
	return nil
}

// Devices returns the served devices, in the order of their rows. Callers must
// not change the list.
func (t *Table) Devices() []*Device { return t.devices }

func (t *Table) family(addr netip.Addr) *family {
	if addr.Is4() {
		return &t.v4
	}
	return &t.v6
}
