package nas

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"radial/dictionaries"
)

// Grant is what a merged reply list grants a subscriber: the one truth from
// which every vendor's attributes are made.
type Grant struct {
	Rate RateLimit // 0 bits per second is unlimited
	From string    // the attribute that said so
}

// ParseGrant reads the grant of a reply list: Mikrotik-Rate-Limit, else WISPr's
// bandwidths, else a vendor's own rate attributes; ok is false when none of
// them is there. A Mikrotik-Rate-Limit that cannot be read counts as absent.
func ParseGrant(ps dictionaries.Pairs, d *dictionaries.Dictionary) (g Grant, ok bool) {
	if text, has := value(ps, d, "Mikrotik-Rate-Limit"); has {
		if l, err := ParseRateLimit(string(text)); err == nil {
			return Grant{Rate: l, From: "Mikrotik-Rate-Limit"}, true
		}
	}
	if g, ok := wispr.decode(ps, d); ok {
		return g, true
	}
	for _, v := range vendors {
		if v.rates == nil {
			continue
		}
		if g, ok := v.rates.decode(ps, d); ok {
			return g, true
		}
	}
	return Grant{}, false
}

func value(ps dictionaries.Pairs, d *dictionaries.Dictionary, name string) ([]byte, bool) {
	a := d.Find(name)
	if a == nil {
		return nil, false
	}
	return ps.Value(a)
}

// rates is how a vendor writes rates: present tells whether a reply says any in
// that way, encode appends its attributes, decode reads them back.
type rates interface {
	present(ps dictionaries.Pairs, d *dictionaries.Dictionary) bool
	encode(ps dictionaries.Pairs, l RateLimit, d *dictionaries.Dictionary) dictionaries.Pairs
	decode(ps dictionaries.Pairs, d *dictionaries.Dictionary) (Grant, bool)
}

// numbers are two integer attributes, in units of unit bits per second.
type numbers struct {
	up, down string
	unit     int64
}

func (n numbers) present(ps dictionaries.Pairs, d *dictionaries.Dictionary) bool {
	_, up := value(ps, d, n.up)
	_, down := value(ps, d, n.down)
	return up || down
}

func (n numbers) encode(ps dictionaries.Pairs, l RateLimit, d *dictionaries.Dictionary) dictionaries.Pairs {
	ps = n.one(ps, d.Find(n.up), l.Up.Rate)
	return n.one(ps, d.Find(n.down), l.Down.Rate)
}

// one appends a rate; none where it is unlimited. What the 32 bits cannot hold
// is as much as they can.
func (n numbers) one(ps dictionaries.Pairs, a *dictionaries.Attribute, rate int64) dictionaries.Pairs {
	if a == nil || rate == 0 {
		return ps
	}
	units := min(max(rate/n.unit, 1), math.MaxUint32)
	return append(ps, dictionaries.Pair{Attr: a, Value: binary.BigEndian.AppendUint32(nil, uint32(units))})
}

func (n numbers) decode(ps dictionaries.Pairs, d *dictionaries.Dictionary) (g Grant, ok bool) {
	read := func(name string, into *int64) {
		if v, has := value(ps, d, name); has && len(v) == 4 {
			*into = int64(binary.BigEndian.Uint32(v)) * n.unit
			if !ok {
				g.From, ok = name, true
			}
		}
	}
	read(n.up, &g.Rate.Up.Rate)
	read(n.down, &g.Rate.Down.Rate)
	return g, ok
}

// policing is Cisco ISG's "QU;rate;burst;D;rate;burst": bits per second, and a
// normal burst in bytes; the device works the excess burst out by itself.
type policing struct{ attr string }

// present leaves other uses of the attribute aside, such as AService.
func (p policing) present(ps dictionaries.Pairs, d *dictionaries.Dictionary) bool {
	a := d.Find(p.attr)
	return slices.ContainsFunc(ps, func(pair dictionaries.Pair) bool {
		return a != nil && pair.Attr == a && len(pair.Value) > 0 && pair.Value[0] == 'Q'
	})
}

func (p policing) encode(ps dictionaries.Pairs, l RateLimit, d *dictionaries.Dictionary) dictionaries.Pairs {
	a := d.Find(p.attr)
	var parts []string
	for _, dir := range []struct {
		letter string
		rate   int64
	}{{"U", l.Up.Rate}, {"D", l.Down.Rate}} {
		if dir.rate > 0 {
			// Cisco advises a normal burst of one and a half seconds.
			burst := max(dir.rate/8*3/2, 1000)
			parts = append(parts, dir.letter, strconv.FormatInt(dir.rate, 10), strconv.FormatInt(burst, 10))
		}
	}
	if a == nil || parts == nil {
		return ps
	}
	return append(ps, dictionaries.Pair{Attr: a, Value: []byte("Q" + strings.Join(parts, ";"))})
}

func (p policing) decode(ps dictionaries.Pairs, d *dictionaries.Dictionary) (Grant, bool) {
	a := d.Find(p.attr)
	for _, pair := range ps {
		text, quality := strings.CutPrefix(string(pair.Value), "Q")
		if pair.Attr != a || a == nil || !quality {
			continue
		}
		g := Grant{From: p.attr}
		fields := strings.Split(text, ";")
		for i := 0; i+1 < len(fields); i++ {
			rate, ok := number(fields[i+1], 1)
			switch {
			case !ok:
			case fields[i] == "U":
				g.Rate.Up.Rate = rate
			case fields[i] == "D":
				g.Rate.Down.Rate = rate
			}
		}
		if g.Rate != (RateLimit{}) {
			return g, true
		}
	}
	return Grant{}, false
}

// overrides are SR OS's overrides of a subscriber's QoS, in kilobits per
// second: the egress aggregate rate, and the rate of ingress queue 1, the one
// that every ingress policy has.
type overrides struct{ attr string }

const (
	overrideUp   = "i:q:1:pir="
	overrideDown = "e:r:rate="
)

func (o overrides) present(ps dictionaries.Pairs, d *dictionaries.Dictionary) bool {
	_, has := value(ps, d, o.attr)
	return has
}

func (o overrides) encode(ps dictionaries.Pairs, l RateLimit, d *dictionaries.Dictionary) dictionaries.Pairs {
	a := d.Find(o.attr)
	if a == nil {
		return ps
	}
	if l.Up.Rate > 0 {
		ps = append(ps, dictionaries.Pair{Attr: a, Value: strconv.AppendInt([]byte(overrideUp), max(l.Up.Rate/1000, 1), 10)})
	}
	if l.Down.Rate > 0 {
		ps = append(ps, dictionaries.Pair{Attr: a, Value: strconv.AppendInt([]byte(overrideDown), max(l.Down.Rate/1000, 1), 10)})
	}
	return ps
}

func (o overrides) decode(ps dictionaries.Pairs, d *dictionaries.Dictionary) (Grant, bool) {
	a, g := d.Find(o.attr), Grant{From: o.attr}
	for _, pair := range ps {
		if pair.Attr != a || a == nil {
			continue
		}
		text := strings.ToLower(string(pair.Value))
		if rate, has := strings.CutPrefix(text, overrideUp); has {
			g.Rate.Up.Rate = kilobits(rate)
		}
		if rate, has := strings.CutPrefix(text, overrideDown); has {
			g.Rate.Down.Rate = kilobits(rate)
		}
	}
	return g, g.Rate != RateLimit{}
}

// kilobits reads a rate that other parameters may follow; 0 for "max" and such.
func kilobits(text string) int64 {
	digits, _, _ := strings.Cut(text, ",")
	n, _ := number(digits, 1000)
	return n
}
