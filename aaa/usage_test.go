package aaa

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"radial/nas"
)

func monthly(octets int64) Quota {
	return Quota{Period: PeriodMonth, Counts: CountsTotal, Octets: octets}
}

func fup(octets, down, up int64) Quota {
	q := monthly(octets)
	q.RateDown, q.RateUp = down, up
	return q
}

func TestQuotasAtLogin(t *testing.T) {
	const rate = "Mikrotik-Rate-Limit"
	limited := func(q Quota, counts Counts) Quota {
		q.Counts = counts
		return q
	}
	for name, c := range map[string]struct {
		user, group []Quota
		topUps      []TopUp
		used        Usage
		want        string // reply, or reason
	}{
		"all is left":         {nil, []Quota{monthly(5e9)}, nil, Usage{}, "Mikrotik-Rate-Limit=20M/100M Mikrotik-Total-Limit=705032704 Mikrotik-Total-Limit-Gigawords=1"},
		"some is left":        {nil, []Quota{monthly(1000)}, nil, Usage{Input: 300, Output: 600}, "Mikrotik-Rate-Limit=20M/100M Mikrotik-Total-Limit=100"},
		"one octet":           {nil, []Quota{monthly(1000)}, nil, Usage{Input: 300, Output: 699}, "Mikrotik-Rate-Limit=20M/100M Mikrotik-Total-Limit=1"},
		"nothing":             {nil, []Quota{monthly(1000)}, nil, Usage{Input: 300, Output: 700}, "data_used_up"},
		"topped up":           {nil, []Quota{monthly(1000)}, []TopUp{{Octets: 7, From: DayOf(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), time.UTC)}}, Usage{Output: 1000}, "Mikrotik-Rate-Limit=20M/100M Mikrotik-Total-Limit=7"},
		"upload":              {nil, []Quota{limited(monthly(1000), CountsUp)}, nil, Usage{Input: 300, Output: 700}, "Mikrotik-Rate-Limit=20M/100M Mikrotik-Recv-Limit=700"},
		"download":            {nil, []Quota{limited(monthly(1000), CountsDown)}, nil, Usage{Input: 300, Output: 700}, "Mikrotik-Rate-Limit=20M/100M Mikrotik-Xmit-Limit=300"},
		"the user's own":      {[]Quota{monthly(5000)}, []Quota{monthly(1000)}, nil, Usage{Output: 2000}, "Mikrotik-Rate-Limit=20M/100M Mikrotik-Total-Limit=3000"},
		"unlimited":           {[]Quota{monthly(Unlimited)}, []Quota{monthly(1000)}, nil, Usage{Output: 2000}, "Mikrotik-Rate-Limit=20M/100M"},
		"unlimited alone":     {[]Quota{LiftAll()}, []Quota{monthly(1000), limited(monthly(500), CountsUp), {Period: PeriodDay, Counts: CountsTotal, Octets: 500}}, nil, Usage{Output: 2000}, "Mikrotik-Rate-Limit=20M/100M"},
		"beside his own":      {[]Quota{monthly(5000), LiftAll()}, []Quota{monthly(1000), limited(monthly(500), CountsUp)}, nil, Usage{Output: 2000}, "Mikrotik-Rate-Limit=20M/100M Mikrotik-Total-Limit=3000"},
		"not of steps":        {[]Quota{LiftAll()}, []Quota{limited(monthly(500), CountsUp), fup(1000, 10e6, 2e6)}, nil, Usage{Output: 2500}, "Mikrotik-Rate-Limit=2M/10M"},
		"of another count":    {[]Quota{monthly(Unlimited)}, []Quota{monthly(1000), limited(monthly(500), CountsUp)}, nil, Usage{Output: 2000}, "Mikrotik-Rate-Limit=20M/100M Mikrotik-Recv-Limit=500"},
		"his own of days too": {[]Quota{{Period: PeriodDay, Counts: CountsTotal, Octets: 500}}, []Quota{monthly(1000)}, nil, Usage{Output: 100}, "Mikrotik-Rate-Limit=20M/100M Mikrotik-Total-Limit=400"},
		"below the step":      {nil, []Quota{fup(1000, 10e6, 2e6)}, nil, Usage{Output: 999}, "Mikrotik-Rate-Limit=20M/100M"},
		"beyond it":           {nil, []Quota{fup(1000, 10e6, 2e6)}, nil, Usage{Output: 1000}, "Mikrotik-Rate-Limit=2M/10M"},
		"beyond the second":   {nil, []Quota{fup(1000, 10e6, 2e6), fup(2000, 1e6, 512e3)}, nil, Usage{Output: 2500}, "Mikrotik-Rate-Limit=512k/1M"},
		"a step that is fast": {nil, []Quota{fup(1000, 500e6, 2e6)}, nil, Usage{Output: 2500}, "Mikrotik-Rate-Limit=2M/100M"},
		"a step and a quota":  {nil, []Quota{monthly(3000), fup(1000, 10e6, 2e6)}, nil, Usage{Output: 2500}, "Mikrotik-Rate-Limit=2M/10M Mikrotik-Total-Limit=500"},
		"the step goes first": {[]Quota{fup(500, 10e6, 2e6)}, []Quota{fup(1000, 1e6, 1e6)}, nil, Usage{Output: 2500}, "Mikrotik-Rate-Limit=2M/10M"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newWorkbench(t)
			today := DayOf(b.clock, time.UTC)
			b.config.Meter = dailyUse{today: c.used, today - 40: {Input: 1e12}}
			b.tables.set("alice", UserRows{
				Check: rows("Cleartext-Password", ":=", "p1"), Groups: []Membership{{Group: "gold", Priority: 1}},
				Limits: UserLimits{Quotas: c.user, TopUps: c.topUps},
			})
			b.tables.groups["gold"] = GroupRows{Reply: rows(rate, "=", "20M/100M"), Quotas: c.group}
			e := NewEngine(b.config)
			d, err := e.Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
			if err != nil {
				t.Fatal(err)
			}
			got := string(d.Reason)
			if d.Verdict == Accept {
				var items []string
				for _, p := range d.Reply {
					items = append(items, p.Attr.Name+"="+p.Attr.Text(p.Value))
				}
				got = strings.Join(items, " ")
			} else if v, _ := d.Reply.Value(b.dict.Must("Reply-Message")); string(v) != "Your data volume is used up" {
				t.Errorf("Reply-Message %q", v)
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s\n%s", got, c.want, d.Detail)
			}
			s, err := e.Review(t.Context(), b.request(t, "User-Name", "alice"))
			if err != nil || s.Reason != d.Reason || s.Slowed != strings.Contains(c.want, rate+"=") && s.Slowed && s.Rate.String() == "20M/100M" {
				t.Errorf("Review says %+v, %v", s, err)
			}
		})
	}
}

// Quotas without a meter refuse, and a meter in trouble is silence.
func TestQuotasNeverFailOpen(t *testing.T) {
	b := newWorkbench(t)
	b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Limits: UserLimits{Quotas: []Quota{monthly(1000)}}})
	login := func() (Decision, error) {
		return NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
	}
	if d, err := login(); err != nil || d.Reason != ReasonUnsupportedCheck {
		t.Errorf("no meter: %+v, %v", d, err)
	}
	b.config.Meter = &brokenMeter{}
	if d, err := login(); !errors.Is(err, errAway) {
		t.Errorf("trouble: %+v, %v", d, err)
	}
	if d, ok := NewEngine(b.config).AuthorizeNow(b.request(t, "User-Name", "alice", "User-Password", "p1")); ok {
		t.Errorf("memory alone says %+v", d)
	}
}

// A billing day moves the month, and what was used before it does not count.
func TestBillingDayOfAUser(t *testing.T) {
	b := newWorkbench(t) // 2026-11-21
	today := DayOf(b.clock, time.UTC)
	b.config.Meter = dailyUse{today - 3: {Input: 900}, today: {Input: 300}}
	for day, want := range map[int]Reason{1: ReasonDataUsed, 18: ReasonDataUsed, 19: ReasonNone, 21: ReasonNone, 22: ReasonDataUsed, 31: ReasonDataUsed} {
		b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Limits: UserLimits{BillingDay: day, Quotas: []Quota{monthly(1000)}}})
		b.cache.InvalidateAll()
		d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
		if err != nil || d.Reason != want {
			t.Errorf("billing day %d: %q %s, %v", day, d.Reason, d.Detail, err)
		}
	}
}

// obedientNAS is a device that ends a session at the octet that it was told, and
// counts a session's octets from its beginning.
type obedientNAS struct {
	limit, sent, reported uint64
	obeys                 bool
}

// Use never passes a quota with a device that obeys; without it passes by no more
// than what came between two reports.
func TestQuotaEndsAtItsOctet(outer *testing.T) {
	dict := dictionary(outer)
	rapid.Check(outer, func(t *rapid.T) {
		quota := int64(rapid.IntRange(1, 20).Draw(t, "quota")) * 1e9
		obeys := rapid.Bool().Draw(t, "obeys")
		use := dailyUse{}
		tables := newMemoryTables()
		tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Limits: UserLimits{Quotas: []Quota{monthly(quota)}}})
		clock := time.Date(2026, 11, 3, 10, 0, 0, 0, time.UTC)
		now := func() time.Time { return clock }
		cache := NewCache(CacheConfig{Reader: tables, Dict: dict, Location: time.UTC, Now: now})
		e := NewEngine(EngineConfig{Dict: dict, Policies: cache, Verifier: NewVerifier(dict), Meter: use, Options: DefaultOptions(), Now: now, Location: time.UTC})
		bench := &workbench{dict: dict, clock: clock}
		total := func() (n uint64) {
			for _, u := range use {
				n += u.Total()
			}
			return n
		}
		var interim uint64 // the most between two reports
		for session := range rapid.IntRange(1, 12).Draw(t, "sessions") {
			d, err := e.Authorize(context.Background(), bench.request(outer, "User-Name", "alice", "User-Password", "p1"))
			if err != nil {
				t.Fatal(err)
			}
			if left := quota - int64(total()); (left > 0) != (d.Verdict == Accept) {
				t.Fatalf("session %d: %d left, and %q %s", session, left, d.Reason, d.Detail)
			}
			if d.Verdict != Accept {
				return
			}
			dev := obedientNAS{obeys: obeys, limit: nas.ParseVolume(d.Reply, dict).Total}
			for range rapid.IntRange(1, 5).Draw(t, "interims") {
				clock = clock.Add(time.Hour)
				more := uint64(rapid.Int64Range(0, 3e9).Draw(t, "octets"))
				if dev.obeys {
					more = min(more, dev.limit-dev.sent)
				}
				dev.sent += more
				interim = max(interim, more)
				day := use[DayOf(clock, time.UTC)]
				day.Output += dev.sent - dev.reported
				use[DayOf(clock, time.UTC)], dev.reported = day, dev.sent
				s, err := e.Review(context.Background(), bench.request(outer, "User-Name", "alice"))
				if err != nil {
					t.Fatal(err)
				}
				if s.Reason == ReasonDataUsed || dev.obeys && dev.sent == dev.limit {
					break // the control port, or the device, ends it
				}
			}
			if over := int64(total()) - quota; over > 0 && (obeys || uint64(over) > interim) {
				t.Fatalf("%d beyond the quota, and %d came in one interim at most", over, interim)
			}
		}
	})
}
