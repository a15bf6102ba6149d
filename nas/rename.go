package nas

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"radial/dictionaries"
)

// rename is how a vendor calls what has a standard name, or Microsoft's: the
// nth instance (from 0) of from goes out as to as well. Both are of one type.
type rename struct {
	from string
	nth  int
	to   string
}

// called makes the renames of name servers, and of the pool that delegates
// prefixes; "" is none.
func called(dns1, dns2, dns6first, dns6second, delegated string) []rename {
	all := []rename{
		{"MS-Primary-DNS-Server", 0, dns1}, {"MS-Secondary-DNS-Server", 0, dns2},
		{"DNS-Server-IPv6-Address", 0, dns6first}, {"DNS-Server-IPv6-Address", 1, dns6second},
		{"Delegated-IPv6-Prefix-Pool", 0, delegated}, {"Mikrotik-Delegated-IPv6-Pool", 0, delegated},
	}
	return slices.DeleteFunc(all, func(r rename) bool { return r.to == "" })
}

// renamed appends what a vendor calls otherwise, where its own is not there yet.
func (v *vendor) renamed(out, ps dictionaries.Pairs, d *dictionaries.Dictionary) dictionaries.Pairs {
	for _, r := range v.renames {
		from, to := d.Find(r.from), d.Find(r.to)
		if from == nil || to == nil || out.Has(to) {
			continue
		}
		nth := 0
		for _, p := range ps {
			if p.Attr != from {
				continue
			}
			if nth == r.nth {
				out = append(out, dictionaries.Pair{Attr: to, Value: p.Value})
				break
			}
			nth++
		}
	}
	return out
}

// withoutPool takes Framed-Pool away where an address is given.
func withoutPool(ps dictionaries.Pairs, d *dictionaries.Dictionary) dictionaries.Pairs {
	pool, address := d.Find("Framed-Pool"), d.Find("Framed-IP-Address")
	if pool == nil || address == nil || !ps.Has(address) {
		return ps
	}
	return slices.DeleteFunc(ps, func(p dictionaries.Pair) bool { return p.Attr == pool })
}

// shaping is Junos's "T02 bits": the value of $junos-cos-shaping-rate, which
// shapes what goes to the subscriber. There is none for what comes from him.
type shaping struct{ attr string }

const shapingRate = "T02 "

func (s shaping) present(ps dictionaries.Pairs, d *dictionaries.Dictionary) bool {
	_, has := s.decode(ps, d)
	return has
}

func (s shaping) encode(ps dictionaries.Pairs, l RateLimit, d *dictionaries.Dictionary) dictionaries.Pairs {
	a := d.Find(s.attr)
	if a == nil || l.Down.Rate == 0 {
		return ps
	}
	return append(ps, dictionaries.Pair{Attr: a, Value: strconv.AppendInt([]byte(shapingRate), max(l.Down.Rate, 1000), 10)}) // Junos takes no less
}

func (s shaping) decode(ps dictionaries.Pairs, d *dictionaries.Dictionary) (Grant, bool) {
	a := d.Find(s.attr)
	for _, p := range ps {
		text, is := strings.CutPrefix(string(p.Value), shapingRate)
		if p.Attr != a || a == nil || !is {
			continue
		}
		if rate, err := routerRate(text); err == nil {
			return Grant{Rate: RateLimit{Down: Rates{Rate: rate}}, From: s.attr}, true
		}
	}
	return Grant{}, false
}

// slashed is accel-ppp's "down/up" in kilobits per second. The attribute is a
// standard one, which elsewhere names a filter: a grant is never read out of it,
// and two numbers make a rate, one alone may be a filter's.
type slashed struct{ attr string }

func (s slashed) present(ps dictionaries.Pairs, d *dictionaries.Dictionary) bool {
	a := d.Find(s.attr)
	return slices.ContainsFunc(ps, func(p dictionaries.Pair) bool {
		down, up, both := strings.Cut(string(p.Value), "/")
		return a != nil && p.Attr == a && both && isNumber(down) && isNumber(up)
	})
}

func isNumber(text string) bool {
	_, ok := number(text, 1)
	return ok
}

func (s slashed) encode(ps dictionaries.Pairs, l RateLimit, d *dictionaries.Dictionary) dictionaries.Pairs {
	a := d.Find(s.attr)
	if a == nil || l.Down.Rate == 0 && l.Up.Rate == 0 {
		return ps
	}
	kilobits := func(rate int64) string {
		if rate == 0 {
			return "0" // which leaves that direction alone
		}
		return strconv.FormatInt(min(max(rate/1000, 1), math.MaxInt32), 10)
	}
	return append(ps, dictionaries.Pair{Attr: a, Value: []byte(kilobits(l.Down.Rate) + "/" + kilobits(l.Up.Rate))})
}

func (slashed) decode(dictionaries.Pairs, *dictionaries.Dictionary) (Grant, bool) {
	return Grant{}, false
}

// guaranteed adds what is guaranteed to WISPr's greatest rates.
type guaranteed struct {
	numbers
	minUp, minDown string
}

func (g guaranteed) encode(ps dictionaries.Pairs, l RateLimit, d *dictionaries.Dictionary) dictionaries.Pairs {
	ps = g.numbers.encode(ps, l, d)
	for _, one := range []struct {
		name string
		rate int64
	}{{g.minUp, l.Up.Min}, {g.minDown, l.Down.Min}} {
		if a := d.Find(one.name); a != nil && one.rate > 0 {
			ps = append(ps, dictionaries.Pair{Attr: a, Value: binary.BigEndian.AppendUint32(nil, uint32(min(one.rate, math.MaxUint32)))})
		}
	}
	return ps
}
