package nas

import (
	"encoding/binary"
	"math"
	"slices"

	"radial/dictionaries"
)

// Volume is how many octets a session may still transfer; 0 is without limit.
type Volume struct {
	Total, Up, Down uint64 // Up is from the subscriber
}

// volumeAttrs are MikroTik's limits, in which a merged reply tells volumes:
// octets of the session, the low and the high 32 bits (RouterOS, "RADIUS
// client": Recv is what the router receives from the client).
var volumeAttrs = []struct {
	low, high string
	of        func(*Volume) *uint64
}{
	{"Mikrotik-Total-Limit", "Mikrotik-Total-Limit-Gigawords", func(v *Volume) *uint64 { return &v.Total }},
	{"Mikrotik-Recv-Limit", "Mikrotik-Recv-Limit-Gigawords", func(v *Volume) *uint64 { return &v.Up }},
	{"Mikrotik-Xmit-Limit", "Mikrotik-Xmit-Limit-Gigawords", func(v *Volume) *uint64 { return &v.Down }},
}

// ParseVolume reads the limits of a reply list.
func ParseVolume(ps dictionaries.Pairs, d *dictionaries.Dictionary) (v Volume) {
	for _, a := range volumeAttrs {
		low, _ := value(ps, d, a.low)
		high, _ := value(ps, d, a.high)
		*a.of(&v) = uint64(integer(high))<<32 | uint64(integer(low))
	}
	return v
}

func integer(v []byte) uint32 {
	if len(v) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(v)
}

// LimitVolume lowers the limits of a reply list to v, or sets them. ps may be
// changed. A multiple of 4 GiB is made one octet less: its low half would be 0,
// which says "no limit" where a device does not read the high one.
func LimitVolume(ps dictionaries.Pairs, v Volume, d *dictionaries.Dictionary) dictionaries.Pairs {
	have := ParseVolume(ps, d)
	for _, a := range volumeAttrs {
		want, is := *a.of(&v), *a.of(&have)
		low, high := d.Find(a.low), d.Find(a.high)
		if want == 0 || is != 0 && is <= want || low == nil || high == nil {
			continue
		}
		if uint32(want) == 0 {
			want--
		}
		ps = slices.DeleteFunc(ps, func(p dictionaries.Pair) bool { return p.Attr == low || p.Attr == high })
		ps = append(ps, dictionaries.Pair{Attr: low, Value: binary.BigEndian.AppendUint32(nil, uint32(want))})
		if want > math.MaxUint32 {
			ps = append(ps, dictionaries.Pair{Attr: high, Value: binary.BigEndian.AppendUint32(nil, uint32(want>>32))})
		}
	}
	return ps
}

// ReplaceRate takes every rate out of a reply list, whatever vendor's, and puts
// one in its place. ps may be changed.
func ReplaceRate(ps dictionaries.Pairs, l RateLimit, d *dictionaries.Dictionary) dictionaries.Pairs {
	own := d.Find("Mikrotik-Rate-Limit")
	ps = slices.DeleteFunc(ps, func(p dictionaries.Pair) bool {
		if p.Attr == own {
			return true
		}
		one := dictionaries.Pairs{p}
		return wispr.present(one, d) || slices.ContainsFunc(vendors, func(v vendor) bool { return v.rates != nil && v.rates.present(one, d) })
	})
	if own == nil {
		return ps
	}
	return append(ps, dictionaries.Pair{Attr: own, Value: []byte(l.String())})
}

// volumes is how a vendor is told a volume.
type volumes interface {
	encode(ps dictionaries.Pairs, v Volume, d *dictionaries.Dictionary) dictionaries.Pairs
}

// kibioctets is one attribute for both directions together, in 1024 octets. What
// is left of a number is granted: below one of them the session would end at
// once.
type kibioctets struct{ attr string }

func (k kibioctets) encode(ps dictionaries.Pairs, v Volume, d *dictionaries.Dictionary) dictionaries.Pairs {
	a := d.Find(k.attr)
	if a == nil || v.Total == 0 || ps.Has(a) {
		return ps
	}
	units := min((v.Total+1023)/1024, math.MaxUint32-1) // the greatest number says "no limit"
	return append(ps, dictionaries.Pair{Attr: a, Value: binary.BigEndian.AppendUint32(nil, uint32(units))})
}

// octetPairs are attributes for octets and gigawords, by direction.
type octetPairs struct{ total, up, down [2]string }

// limits are its attributes, and that of time.
func (o octetPairs) limits() []string {
	return slices.Concat([]string{"Session-Timeout"}, o.total[:], o.up[:], o.down[:])
}

func (o octetPairs) encode(ps dictionaries.Pairs, v Volume, d *dictionaries.Dictionary) dictionaries.Pairs {
	for _, one := range []struct {
		names  [2]string
		octets uint64
	}{{o.total, v.Total}, {o.up, v.Up}, {o.down, v.Down}} {
		low, high := d.Find(one.names[0]), d.Find(one.names[1])
		if low == nil || high == nil || one.octets == 0 || ps.Has(low) {
			continue
		}
		ps = append(ps, dictionaries.Pair{Attr: low, Value: binary.BigEndian.AppendUint32(nil, uint32(one.octets))})
		if one.octets > math.MaxUint32 {
			ps = append(ps, dictionaries.Pair{Attr: high, Value: binary.BigEndian.AppendUint32(nil, uint32(one.octets>>32))})
		}
	}
	return ps
}
