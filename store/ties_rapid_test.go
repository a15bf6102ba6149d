package store_test

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"radial/aaa"
	"radial/ipam"
)

// tie is a session as its subscriber sees it.
type tie struct {
	session string
	user    int
	began   int64
	last    int64 // time of its last event that was sent in order
	has     map[ipam.Kind]netip.Prefix
	told    map[ipam.Kind]netip.Prefix // what its records carry
	ended   bool
}

// story is a run of sessions, and the records of them that were sent so far.
type story struct {
	w        *ties
	now      int64
	n        int
	sessions []*tie
	sent     []*aaa.Record
}

// Logins, Starts, interims, moves, Stops and reboots of a few subscribers at one
// NAS, with every record sent again and again later: afterwards an address is
// bound if and only if a living session has it, and its history tells of each
// change of holder once.
func TestTiesInAnyOrder(t *testing.T) {
	w := newTies(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		if round++; round > 20 { // each round is many database trips
			return
		}
		w.Exec("TRUNCATE radacct, radial.address_history, radial.address_conflicts, radial.reboots")
		w.Exec("DELETE FROM radial.addresses WHERE family(address) = 6")
		w.Exec("UPDATE radial.addresses SET state = 'free', username = NULL, mac = NULL, nas = NULL, port = NULL, session_id = NULL, radacctid = NULL, until = NULL, since = NULL WHERE state <> 'free' OR username IS NOT NULL")
		s := &story{w: w}
		rt.Repeat(map[string]func(*rapid.T){
			"begin":  s.begin,
			"go on":  s.goOn,
			"move":   s.move,
			"end":    s.end,
			"reboot": s.reboot,
			"again":  s.again,
			"":       s.check,
		})
	})
}

func (s *story) record(rt *rapid.T, r *aaa.Record) {
	s.sent = append(s.sent, r)
	if err := s.w.ledger.Record(rt.Context(), r); err != nil {
		rt.Fatal(err)
	}
}

func (s *story) event(x *tie, st aaa.Status) *aaa.Record {
	r := s.w.event(x.user, x.session, st, s.now, x.told)
	if st != aaa.StatusStart {
		lived := s.now - x.began
		r.SessionTime, r.Input, r.Output = &lived, &lived, &lived
	}
	x.last = s.now
	return r
}

func (s *story) begin(rt *rapid.T) {
	s.now += 10
	s.n++
	x := &tie{session: fmt.Sprint("s", s.n), user: rapid.IntRange(1, 4).Draw(rt, "user"), began: s.now, told: map[ipam.Kind]netip.Prefix{}}
	for _, old := range s.sessions {
		if old.user == x.user {
			old.ended = true // the same MAC and port: it is over
		}
	}
	kinds := []ipam.Kind{ipam.IPv4}
	if rapid.Bool().Draw(rt, "dual stack") {
		kinds = append(kinds, ipam.DelegatedPrefix)
	}
	x.has = s.w.login(x.user, x.session, kinds...)
	for _, k := range kinds {
		if k == ipam.IPv4 || rapid.Bool().Draw(rt, "reported") {
			x.told[k] = x.has[k]
		}
	}
	s.sessions = append(s.sessions, x)
	first := rapid.SampledFrom([]aaa.Status{aaa.StatusStart, aaa.StatusStart, aaa.StatusStart, aaa.StatusInterim}).Draw(rt, "first")
	s.record(rt, s.event(x, first)) // a Start, or its first interim where that was lost
}

func (s *story) living(rt *rapid.T) *tie {
	var open []*tie
	for _, x := range s.sessions {
		if !x.ended {
			open = append(open, x)
		}
	}
	if len(open) == 0 {
		rt.Skip("nobody")
	}
	return rapid.SampledFrom(open).Draw(rt, "session")
}

func (s *story) goOn(rt *rapid.T) {
	x := s.living(rt)
	s.now += 60
	s.record(rt, s.event(x, aaa.StatusInterim))
}

// move gives a session another free address in the middle.
func (s *story) move(rt *rapid.T) {
	x := s.living(rt)
	s.now += 60
	free := s.w.Rows("SELECT address FROM radial.addresses WHERE state = 'free' AND family(address) = 4 AND username IS NULL ORDER BY address LIMIT 1")
	x.has, x.told = maps.Clone(x.has), maps.Clone(x.told)
	a := netip.MustParseAddr(free[0][0])
	x.has[ipam.IPv4] = netip.PrefixFrom(a, 32)
	x.told[ipam.IPv4] = x.has[ipam.IPv4]
	s.record(rt, s.event(x, aaa.StatusInterim))
}

func (s *story) end(rt *rapid.T) {
	x := s.living(rt)
	s.now += 60
	x.ended = true
	s.record(rt, s.event(x, aaa.StatusStop))
}

func (s *story) reboot(rt *rapid.T) {
	s.now += 200 // well after the last sign of life
	for _, x := range s.sessions {
		x.ended = true
	}
	r := s.w.event(0, "", aaa.StatusOn, s.now, nil)
	s.record(rt, r)
}

// again sends records that were sent before, in any order.
func (s *story) again(rt *rapid.T) {
	if len(s.sent) == 0 {
		rt.Skip("nothing sent")
	}
	for range rapid.IntRange(1, 6).Draw(rt, "how many") {
		r := *rapid.SampledFrom(s.sent).Draw(rt, "which")
		if err := s.w.ledger.Record(rt.Context(), &r); err != nil {
			rt.Fatal(err)
		}
	}
}

func (s *story) check(rt *rapid.T) {
	want := map[string]string{}
	for _, x := range s.sessions {
		if !x.ended {
			for _, p := range x.has {
				want[p.String()] = x.session
			}
		}
	}
	got := map[string]string{}
	for _, r := range s.w.Rows("SELECT a.address::text, r.acctsessionid FROM radial.addresses a LEFT JOIN radacct r USING (radacctid) WHERE a.state = 'bound'") {
		got[r[0]] = r[1]
	}
	if !maps.Equal(got, want) {
		rt.Fatalf("bound: %v\nwant   %v", got, want)
	}
	// History: of each address the holders one after the other, each bound and released once.
	holder := map[string]string{}
	for _, r := range s.w.Rows("SELECT address::text, action, session_id FROM radial.address_history ORDER BY id") {
		switch at := r[0]; r[1] {
		case "bound":
			if holder[at] != "" {
				rt.Fatalf("%s bound to %s while %s has it", at, r[2], holder[at])
			}
			holder[at] = r[2]
		case "taken_over":
			if holder[at] == "" || holder[at] == r[2] {
				rt.Fatalf("%s taken over by %s from %q", at, r[2], holder[at])
			}
			holder[at] = r[2]
		case "released":
			if holder[at] != r[2] {
				rt.Fatalf("%s released by %s, while %q has it", at, r[2], holder[at])
			}
			holder[at] = ""
		}
	}
	maps.DeleteFunc(holder, func(_, by string) bool { return by == "" })
	if !maps.Equal(holder, want) {
		rt.Fatalf("by history: %v\nwant       %v", holder, want)
	}
}
