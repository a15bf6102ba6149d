package aaa

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"radial/ipam"
)

// pool is an Addresses that has one lease of each kind, but for those that it
// refuses, and remembers what was wanted.
type pool struct {
	refuse map[ipam.Kind]error
	err    error // trouble
	calls  int
	wants  []ipam.Want // of the last call
}

var leaseOf = map[ipam.Kind]ipam.Lease{
	ipam.IPv4: {
		Kind: ipam.IPv4, Prefix: netip.MustParsePrefix("100.64.0.7/32"),
		DNS: []netip.Addr{netip.MustParseAddr("100.64.0.53"), netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("100.64.1.53"), netip.MustParseAddr("100.64.2.53")},
	},
	ipam.IPv6Prefix: {
		Kind: ipam.IPv6Prefix, Prefix: netip.MustParsePrefix("2001:db8:0:7::/64"), InterfaceID: 0x0211_22ff_fe33_4455,
		DNS: []netip.Addr{netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("2001:db8::54")},
	},
	ipam.DelegatedPrefix: {Kind: ipam.DelegatedPrefix, Prefix: netip.MustParsePrefix("2001:db8:100::/56")},
	ipam.IPv6Address:     {Kind: ipam.IPv6Address, Prefix: netip.MustParsePrefix("2001:db8:0:9::7/128")},
}

func (p *pool) Lease(_ context.Context, wants []ipam.Want) ([]ipam.Lease, error) {
	p.calls, p.wants = p.calls+1, wants
	if p.err != nil {
		return nil, p.err
	}
	leases := make([]ipam.Lease, len(wants))
	for i, w := range wants {
		if err := p.refuse[w.Kind]; err != nil {
			return nil, fmt.Errorf("lease: %w", &ipam.Refusal{Kind: w.Kind, Pool: w.Pools[0], Err: err})
		}
		leases[i] = leaseOf[w.Kind]
	}
	return leases, nil
}

// wantsText is "kind: pools; …".
func wantsText(wants []ipam.Want) string {
	texts := make([]string, len(wants))
	for i, w := range wants {
		texts[i] = w.Kind.String() + ": " + strings.Join(append(slices.Clone(w.Pools), w.Spare...), " ")
	}
	return strings.Join(texts, "; ")
}

func TestAddressChoice(t *testing.T) {
	for _, test := range []struct {
		name     string
		check    []string // further radcheck rows
		reply    []string // radreply rows
		attrs    []string // of the request
		nas      string   // the device's pool
		fallback []string
		wants    string
		given    string // the Framed-IP-Address of the reply
	}{
		{name: "none"},
		{name: "one", check: []string{"Pool-Name", ":=", "main"}, wants: "ipv4: main", given: "100.64.0.7"},
		{name: "several, in order", check: []string{"Pool-Name", ":=", "b", "Pool-Name", "+=", "a"}, wants: "ipv4: b a", given: "100.64.0.7"},
		{name: "fallback", check: []string{"Pool-Name", ":=", "main"}, fallback: []string{"x", "y"}, wants: "ipv4: main x y", given: "100.64.0.7"},
		{name: "fallback alone is no choice", fallback: []string{"x"}},
		{name: "the device's", nas: "local", fallback: []string{"x"}, wants: "ipv4: local x", given: "100.64.0.7"},
		{name: "a user's before the device's", nas: "local", check: []string{"Pool-Name", ":=", "main"}, wants: "ipv4: main", given: "100.64.0.7"},
		{name: "an empty name is none, not the device's", nas: "local", check: []string{"Pool-Name", ":=", ""}},
		{name: "not for an operator", nas: "local", attrs: []string{"Service-Type", "Administrative-User"}},
		{name: "not for a prompt", nas: "local", attrs: []string{"Service-Type", "NAS-Prompt-User"}},
		{name: "not for a question", nas: "local", attrs: []string{"Service-Type", "Authenticate-Only"}},
		{name: "not for a call check", nas: "local", attrs: []string{"Service-Type", "Call-Check"}},
		{name: "not for a change", nas: "local", attrs: []string{"Service-Type", "Authorize-Only"}},
		{name: "not where the reply says operator", nas: "local", reply: []string{"Service-Type", ":=", "Administrative-User"}},
		{name: "for a framed user", nas: "local", attrs: []string{"Service-Type", "Framed-User"}, wants: "ipv4: local", given: "100.64.0.7"},
		{name: "a pool that is named counts for an operator too", check: []string{"Pool-Name", ":=", "main"}, attrs: []string{"Service-Type", "Administrative-User"}, wants: "ipv4: main", given: "100.64.0.7"},
		{name: "the reply has one", nas: "local", check: []string{"Pool-Name", ":=", "main"}, reply: []string{"Framed-IP-Address", ":=", "10.0.0.1"}, given: "10.0.0.1"},
		{name: "the device's choice", check: []string{"Pool-Name", ":=", "main"}, reply: []string{"Framed-IP-Address", ":=", "255.255.255.254"}, given: "255.255.255.254"},
		{name: "the user's choice", check: []string{"Pool-Name", ":=", "main"}, reply: []string{"Framed-IP-Address", ":=", "255.255.255.255"}, given: "255.255.255.255"},
		{name: "a pool of the device's own", nas: "local", check: []string{"Pool-Name", ":=", "main"}, reply: []string{"Framed-Pool", ":=", "cgnat"}},
		{
			name: "everything", check: []string{"Pool-Name", ":=", "main", "Framed-IPv6-Pool", ":=", "wan", "Delegated-IPv6-Prefix-Pool", ":=", "pd", "Stateful-IPv6-Address-Pool", ":=", "na"},
			wants: "ipv4: main; ipv6_prefix: wan; delegated_prefix: pd; ipv6_address: na", given: "100.64.0.7",
		},
		{name: "the device's is of IPv4 alone, the fallback list of all kinds", nas: "local", fallback: []string{"x"}, check: []string{"Framed-IPv6-Pool", ":=", "wan"}, wants: "ipv4: local x; ipv6_prefix: wan x", given: "100.64.0.7"},
		{name: "an IPv6 pool in the reply is the device's", check: []string{"Framed-IPv6-Pool", ":=", "wan"}, reply: []string{"Framed-IPv6-Pool", ":=", "own"}},
		{name: "a prefix of the user's own", check: []string{"Framed-IPv6-Pool", ":=", "wan", "Delegated-IPv6-Prefix-Pool", ":=", "pd"}, reply: []string{"Delegated-IPv6-Prefix", ":=", "2001:db8:ff::/48"}, wants: "ipv6_prefix: wan"},
		{name: "MikroTik's own pool", check: []string{"Delegated-IPv6-Prefix-Pool", ":=", "pd"}, reply: []string{"Mikrotik-Delegated-IPv6-Pool", ":=", "own"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newWorkbench(t)
			p := &pool{}
			b.config.Addresses, b.config.Options.FallbackPools = p, test.fallback
			b.tables.set("alice", UserRows{Check: rows(append([]string{"Cleartext-Password", ":=", "p1"}, test.check...)...), Reply: rows(test.reply...)})
			request := func() *Request {
				req := b.request(t, append([]string{"User-Name", "alice", "User-Password", "p1"}, test.attrs...)...)
				req.Device.Settings.Pool = test.nas
				return req
			}
			e := NewEngine(b.config)
			d, err := e.Authorize(t.Context(), request())
			if err != nil || d.Verdict != Accept {
				t.Fatalf("%v: %v %s", err, d.Reason, d.Detail)
			}
			if got := wantsText(p.wants); got != test.wants || p.calls > 1 {
				t.Errorf("wanted %q in %d calls, want %q in one", got, p.calls, test.wants)
			}
			if got := textOf(d.Reply, b.dict.Must("Framed-IP-Address")); got != test.given {
				t.Errorf("address %q, want %q", got, test.given)
			}
			p.calls = 0
			if x, err := e.Explain(t.Context(), request()); err != nil || x.Decision.Verdict != Accept || p.calls != 0 {
				t.Errorf("explained: %v, %d leases\n%s", err, p.calls, x.Text())
			}
		})
	}
}

func TestAddressCaller(t *testing.T) {
	b := newWorkbench(t)
	p := &pool{}
	b.config.Addresses = p
	b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1", "Pool-Name", ":=", "main", "Framed-IPv6-Pool", ":=", "wan")})
	req := b.request(t, "User-Name", "alice", "User-Password", "p1", "Calling-Station-Id", "AA-BB-CC-DD-EE-0F",
		"NAS-IP-Address", "10.0.0.9", "NAS-Port-Id", "ether1", "NAS-Port", "7", "Acct-Session-Id", "81000001")
	req.Device.Settings.VRF = 3
	if _, err := NewEngine(b.config).Authorize(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	caller := ipam.Caller{User: "alice", MAC: "aa:bb:cc:dd:ee:0f", NAS: netip.MustParseAddr("10.0.0.9"), Port: "ether1"}
	want := []ipam.Want{
		{Kind: ipam.IPv4, Pools: []string{"main"}, VRF: 3, SessionID: "81000001", Caller: caller},
		{Kind: ipam.IPv6Prefix, Pools: []string{"wan"}, VRF: 3, SessionID: "81000001", Caller: caller},
	}
	if diff := cmp.Diff(want, p.wants, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
}

// What cannot be had is refused, left out or left unanswered, as pool_full says.
func TestAddressRefusals(t *testing.T) {
	trouble := errors.New("no database")
	full, unknown, inactive := ipam.ErrPoolFull, ipam.ErrPoolUnknown, ipam.ErrPoolInactive
	for _, test := range []struct {
		name    string
		policy  string
		refuse  map[ipam.Kind]error
		err     error
		reason  Reason // "" for accepted
		detail  string
		trouble bool
		reply   string // the address attributes that go out
	}{
		{name: "all of it", reply: "100.64.0.7 2001:db8:100::/56"},
		{name: "full, reject", policy: PoolFullReject, refuse: map[ipam.Kind]error{ipam.IPv4: full}, reason: ReasonPoolFull, detail: `no IPv4 addresses are free in pool "main", nor in "second", "spare"`},
		{name: "one kind full, reject", policy: PoolFullReject, refuse: map[ipam.Kind]error{ipam.DelegatedPrefix: full}, reason: ReasonPoolFull, detail: `no delegated prefixes are free in pool "pd", nor in "spare"`},
		{name: "full, accept", policy: PoolFullAccept, refuse: map[ipam.Kind]error{ipam.IPv4: full, ipam.DelegatedPrefix: full}},
		{name: "one kind full, accept", policy: PoolFullAccept, refuse: map[ipam.Kind]error{ipam.DelegatedPrefix: full}, reply: "100.64.0.7"},
		{name: "the other kind full, accept", policy: PoolFullAccept, refuse: map[ipam.Kind]error{ipam.IPv4: full}, reply: "2001:db8:100::/56"},
		{name: "full, silence", policy: PoolFullSilence, refuse: map[ipam.Kind]error{ipam.IPv4: full}, trouble: true},
		{name: "unknown, reject", policy: PoolFullReject, refuse: map[ipam.Kind]error{ipam.IPv4: unknown}, reason: ReasonPoolUnknown, detail: `there is no pool "main" of IPv4 addresses`},
		{name: "unknown, silence", policy: PoolFullSilence, refuse: map[ipam.Kind]error{ipam.DelegatedPrefix: unknown}, reason: ReasonPoolUnknown, detail: `there is no pool "pd" of delegated prefixes`},
		{name: "unknown, accept", policy: PoolFullAccept, refuse: map[ipam.Kind]error{ipam.IPv4: unknown}, reason: ReasonPoolUnknown, detail: `there is no pool "main" of IPv4 addresses`},
		{name: "one full, one unknown, accept", policy: PoolFullAccept, refuse: map[ipam.Kind]error{ipam.IPv4: full, ipam.DelegatedPrefix: unknown}, reason: ReasonPoolUnknown, detail: `there is no pool "pd"`},
		{name: "inactive, reject", policy: PoolFullReject, refuse: map[ipam.Kind]error{ipam.DelegatedPrefix: inactive}, reason: ReasonPoolInactive, detail: `pool "pd" gives nothing new, draining or inactive, and "spare" has nothing either`},
		{name: "inactive, with others", policy: PoolFullReject, refuse: map[ipam.Kind]error{ipam.IPv4: inactive}, reason: ReasonPoolInactive, detail: `nothing new`},
		{name: "inactive, silence", policy: PoolFullSilence, refuse: map[ipam.Kind]error{ipam.DelegatedPrefix: inactive}, reason: ReasonPoolInactive, detail: "draining"},
		{name: "inactive, accept", policy: PoolFullAccept, refuse: map[ipam.Kind]error{ipam.DelegatedPrefix: inactive}, reason: ReasonPoolInactive, detail: "draining"},
		{name: "trouble", err: trouble, trouble: true},
		{name: "trouble, accept", policy: PoolFullAccept, err: trouble, trouble: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newWorkbench(t)
			p := &pool{refuse: test.refuse, err: test.err}
			b.config.Addresses, b.config.Options.FallbackPools = p, []string{"spare"}
			if test.policy != "" {
				b.config.Options.PoolFull = test.policy
			}
			b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1", "Pool-Name", ":=", "main", "Pool-Name", "+=", "second", "Delegated-IPv6-Prefix-Pool", ":=", "pd")})
			d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
			if (err != nil) != test.trouble || test.err != nil && !errors.Is(err, test.err) {
				t.Fatalf("error %v", err)
			}
			if test.trouble {
				return
			}
			if (d.Verdict == Accept) != (test.reason == "") || d.Reason != test.reason || !strings.Contains(d.Detail, test.detail) {
				t.Errorf("got %v %q (%s), want %q (%s)", d.Verdict, d.Reason, d.Detail, test.reason, test.detail)
			}
			got := strings.TrimSpace(textOf(d.Reply, b.dict.Must("Framed-IP-Address")) + " " + textOf(d.Reply, b.dict.Must("Delegated-IPv6-Prefix")))
			if got != test.reply {
				t.Errorf("reply %q, want %q", got, test.reply)
			}
		})
	}
}

// What a full pool does to an answer is told, and is no trouble.
func TestFullPoolIsTold(t *testing.T) {
	for _, test := range []struct {
		policy, verdict, reason string
		rows                    []string // of the log: reply, reason, detail
		without                 string
	}{
		{PoolFullAccept, "accept", "pool_full", []string{`Access-Accept/pool_full/no IPv4 addresses are free in pool "main"; no delegated prefixes are free in pool "pd"`},
			`no IPv4 addresses are free in pool "main"; no delegated prefixes are free in pool "pd"`},
		{PoolFullSilence, "trouble", "pool_full", nil, ""},
		{PoolFullReject, "reject", "pool_full", []string{`Access-Reject/pool_full/no IPv4 addresses are free in pool "main"`}, ""},
	} {
		b := newWorkbench(t)
		log, reg := postAuthRows{}, prometheus.NewRegistry()
		b.config.PostAuth, b.config.Metrics, b.config.Options.PoolFull = &log, NewMetrics(reg), test.policy
		b.config.Addresses = &pool{refuse: map[ipam.Kind]error{ipam.IPv4: ipam.ErrPoolFull, ipam.DelegatedPrefix: ipam.ErrPoolFull}}
		b.tables.set("alice", UserRows{Check: rows("Cleartext-Password", ":=", "p1", "Pool-Name", ":=", "main", "Delegated-IPv6-Prefix-Pool", ":=", "pd")})
		d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1"))
		if errors.Is(err, ErrPoolFull) != (test.policy == PoolFullSilence) || d.Without != test.without {
			t.Errorf("%s: without %q, error %v", test.policy, d.Without, err)
		}
		var got []string
		for _, r := range log {
			got = append(got, r.Reply+"/"+string(r.Reason)+"/"+r.Detail)
		}
		if diff := cmp.Diff(test.rows, got); diff != "" {
			t.Errorf("%s: %s", test.policy, diff)
		}
		for _, verdict := range []string{"accept", "trouble", "reject"} {
			if n, want := counted(t, reg, verdict, test.reason), map[bool]float64{true: 1}[verdict == test.verdict]; n != want {
				t.Errorf("%s: %s counted %v times, want %v", test.policy, verdict, n, want)
			}
		}
		if counted(t, reg, "accept", "") != 0 || counted(t, reg, "trouble", "") != 0 {
			t.Errorf("%s: counted twice", test.policy)
		}
	}
}

// The attributes that tell a lease, byte by byte (RFC 2865 §5.8, RFC 3162 §2.2
// and §2.3, RFC 4818 §3, RFC 6911 §3.1 and §3.2).
func TestAddressAttributes(t *testing.T) {
	b := newWorkbench(t)
	p := &pool{}
	b.config.Addresses = p
	all := []string{"Cleartext-Password", ":=", "p1", "Pool-Name", ":=", "main", "Framed-IPv6-Pool", ":=", "wan", "Delegated-IPv6-Prefix-Pool", ":=", "pd", "Stateful-IPv6-Address-Pool", ":=", "na"}
	b.tables.set("alice", UserRows{Check: rows(all...)})
	b.tables.set("carol", UserRows{Check: rows(all...), Reply: rows("MS-Secondary-DNS-Server", ":=", "9.9.9.9", "DNS-Server-IPv6-Address", ":=", "2620:fe::fe", "Framed-Interface-Id", ":=", "0000:0000:0000:0001")})
	e := NewEngine(b.config)
	login := func(user string) string {
		d, err := e.Authorize(t.Context(), b.request(t, "User-Name", user, "User-Password", "p1"))
		if err != nil || d.Verdict != Accept {
			t.Fatalf("%v %s", err, d.Detail)
		}
		var text strings.Builder
		for _, pair := range d.Reply {
			fmt.Fprintf(&text, "%s %x\n", pair.Attr.Name, pair.Value)
		}
		return text.String()
	}
	want := `Framed-IP-Address 64400007
MS-Primary-DNS-Server 64400035
DNS-Server-IPv6-Address 20010db8000000000000000000000053
MS-Secondary-DNS-Server 64400135
Framed-IPv6-Prefix 004020010db8000000070000000000000000
Framed-Interface-Id 021122fffe334455
DNS-Server-IPv6-Address 20010db8000000000000000000000054
Delegated-IPv6-Prefix 003820010db8010000000000000000000000
Framed-IPv6-Address 20010db8000000090000000000000007
`
	if diff := cmp.Diff(want, login("alice")); diff != "" {
		t.Error(diff)
	}
	want = `MS-Secondary-DNS-Server 09090909
DNS-Server-IPv6-Address 262000fe0000000000000000000000fe
Framed-Interface-Id 0000000000000001
Framed-IP-Address 64400007
Framed-IPv6-Prefix 004020010db8000000070000000000000000
Delegated-IPv6-Prefix 003820010db8010000000000000000000000
Framed-IPv6-Address 20010db8000000090000000000000007
`
	if diff := cmp.Diff(want, login("carol")); diff != "" {
		t.Errorf("what the reply has is kept: %s", diff)
	}
}

// poolStates is a PoolReader.
type poolStates map[string]PoolState

func (p poolStates) PoolState(_ context.Context, _ int32, name string) (PoolState, error) {
	s, ok := p[name]
	if !ok {
		return s, ipam.ErrPoolUnknown
	}
	return s, nil
}

// Explain asks the pools in the allocator's order and tells of each.
func TestExplainAddresses(t *testing.T) {
	pools := poolStates{
		"full":  {Total: 2, Fallback: []string{"gone", "drain", "full"}},
		"drain": {Status: ipam.Draining, Total: 2, Free: 2, Fallback: []string{"empty"}},
		"off":   {Status: ipam.Inactive, Total: 2, Free: 2},
		"empty": {Total: 1},
		"room":  {Total: 9, Free: 4},
		"six":   {Kind: ipam.IPv6Prefix, Total: 8, Free: 8},
	}
	for _, test := range []struct {
		name   string
		check  []string
		nas    string
		reason Reason
		text   []string
	}{
		{"the setting's, of the kind that is wanted", []string{"Pool-Name", ":=", "empty"}, "", "", []string{
			"asked of the pools empty, nowhere, six, room, in this order", "pool nowhere (ipam.fallback_pools) is passed over", "of pool room would be leased",
		}},
		{"in order", []string{"Pool-Name", ":=", "full", "Pool-Name", "+=", "room"}, "", "", []string{
			"Framed-IP-Address is asked of the pools full, room, in this order",
			"all 2 IPv4 addresses of pool full are taken",
			"pool gone, which full falls back to, is not there for this: passed over",
			"pool drain is draining: only a caller who holds a lease of it gets in",
			"all 1 IPv4 addresses of pool empty are taken",
			"an IPv4 address of pool room would be leased (4 of 9 are free)",
		}},
		{"full", []string{"Pool-Name", ":=", "full"}, "", ReasonPoolFull, []string{`no IPv4 addresses are free in pool "full"`}},
		{"inactive", []string{"Pool-Name", ":=", "off"}, "", ReasonPoolInactive, []string{"pool off is inactive"}},
		{"unknown after one that is full", []string{"Pool-Name", ":=", "empty", "Pool-Name", "+=", "nope"}, "", ReasonPoolUnknown, []string{`there is no pool "nope" of IPv4 addresses`}},
		{"unknown after one with room", []string{"Pool-Name", ":=", "room", "Pool-Name", "+=", "nope"}, "", "", []string{"of pool room would be leased"}},
		{"another kind", []string{"Pool-Name", ":=", "six"}, "", ReasonPoolUnknown, []string{"pool six is one of IPv6 prefixes", `there is no pool "six" of IPv4 addresses`}},
		{"the device's", nil, "room", "", []string{"of pool room would be leased"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newWorkbench(t)
			b.config.Pools = pools
			if strings.HasPrefix(test.name, "the setting's") {
				b.config.Options.FallbackPools = []string{"nowhere", "six", "room"}
			}
			b.tables.set("alice", UserRows{Check: rows(append([]string{"Cleartext-Password", ":=", "p1"}, test.check...)...)})
			req := b.request(t, "User-Name", "alice")
			req.Device.Settings.Pool = test.nas
			x, err := NewEngine(b.config).Explain(t.Context(), req)
			if err != nil || x.Decision.Reason != test.reason {
				t.Errorf("%v, reason %q, want %q", err, x.Decision.Reason, test.reason)
			}
			at, text := 0, x.Text()
			for _, want := range test.text {
				i := strings.Index(text[at:], want)
				if i < 0 {
					t.Fatalf("lacks %q, or has it earlier:\n%s", want, text)
				}
				at += i
			}
		})
	}
}
