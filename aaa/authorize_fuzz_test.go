package aaa

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"radial/dictionaries"
	"radial/ipam"
	"radial/nas"
)

// FuzzAuthorize decides about any request by any rows. It must not panic; what
// goes out must be allowed to go out; and Explain must agree.
//
// Rows are lines of table letter (c, r, C, R), attribute, operator, value,
// divided by tabs. The request is attributes by index, a length and the value.
func FuzzAuthorize(f *testing.F) {
	d := dictionary(f)
	var attrs []*dictionaries.Attribute
	for _, name := range []string{
		"User-Name", "User-Password", "CHAP-Password", "CHAP-Challenge", "MS-CHAP-Challenge", "MS-CHAP-Response", "MS-CHAP2-Response", "EAP-Message",
		"NAS-IP-Address", "NAS-IPv6-Address", "NAS-Port", "NAS-Port-Id", "Calling-Station-Id", "Framed-Protocol", "Service-Type", "Connect-Info",
		"Class", "State", "Tunnel-Type", "Framed-IPv6-Prefix", "Event-Timestamp", "Framed-IP-Address", "Session-Timeout", "Proxy-State",
	} {
		attrs = append(attrs, d.Must(name))
	}
	add := func(rows, request string) { f.Add(rows, []byte(request)) }
	add("c\tCleartext-Password\t:=\tp1\nr\tReply-Message\t=\t`hi %{User-Name}`", "\x00\x05alice\x01\x02p1")
	add("c\tCleartext-Password\t:=\tp1\nc\tNAS-Port\t>=\t5\nc\tCalling-Station-Id\t=~\t^a.*", "\x00\x05alice\x01\x02p1\x0a\x04\x00\x00\x00\x07\x0c\x02ab")
	add("C\tAuth-Type\t:=\tAccept\nR\tSession-Timeout\t<=\t`%{NAS-Port}`\nr\tFall-Through\t=\tYes", "\x00\x01b\x02\x11aaaaaaaaaaaaaaaaa")
	add("c\tExpiration\t==\t1 Jan 2030\nc\tTime-Of-Day\t<\t12:00\nc\tSQL-Group\t==\tg\nc\tLogin-Time\t:=\tWk", "\x00\x01b\x0a\x01\x01")
	add("c\tUser-Profile\t:=\tg\nc\tPool-Name\t:=\tmain\nc\tSimultaneous-Use\t:=\t1\nR\tTunnel-Type:1\t=\tVLAN", "\x00\x00\x12\x03\x01\x00\x00")
	add("c\tCleartext-Password\t:=\tp1\nc\tPool-Name\t:=\tmain\nC\tPool-Name\t+=\tnext\nC\tFramed-IPv6-Pool\t+=\twan\nC\tDelegated-IPv6-Prefix-Pool\t+=\tpd", "\x00\x05alice\x01\x02p1")
	add("c\tCleartext-Password\t:=\tp1\nc\tStateful-IPv6-Address-Pool\t:=\tna\nr\tFramed-Pool\t:=\tx\nr\tFramed-IPv6-Prefix\t=\t2001:db8::/64", "\x00\x05alice\x01\x02p1\x0e\x04\x00\x00\x00\x06")
	f.Fuzz(func(t *testing.T, rowText string, request []byte) {
		b := newFuzzBench(t, d, rowText)
		req := &Request{Device: &nas.Device{Row: nas.Row{Type: "other"}}, Source: netip.MustParseAddrPort("127.0.0.1:1812")}
		for len(request) >= 2 && len(req.Pairs) < 20 {
			a, n := attrs[int(request[0])%len(attrs)], min(int(request[1]), len(request)-2)
			req.Pairs = append(req.Pairs, dictionaries.Pair{Attr: a, Value: request[2 : 2+n]})
			request = request[2+n:]
		}
		req.Device.Settings.Pool = "local"
		leases := &pool{}
		b.config.Addresses, b.config.Options.FallbackPools = leases, []string{"spare"}
		e := NewEngine(b.config)
		got, err := e.Authorize(t.Context(), req)
		if err != nil {
			t.Fatalf("nothing is wrong with the world: %v", err)
		}
		if (got.Verdict == Accept) != (got.Reason == ReasonNone) {
			t.Errorf("verdict %v with reason %q", got.Verdict, got.Reason)
		}
		for _, p := range got.Reply {
			if p.Attr.Internal || len(p.Value) == 0 || got.Verdict == Reject && !e.words.inReject[p.Attr] {
				t.Errorf("verdict %v sends %s = %x", got.Verdict, p.Attr.Name, p.Value)
			}
		}
		wellWanted(t, e, leases.wants, &got)
		x, err := e.Explain(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		noCredential := got.Reason == ReasonNoCredential || got.Reason == ReasonUnsupportedCheck
		if !noCredential && (x.Decision.Verdict != got.Verdict || x.Decision.Reason != got.Reason) {
			t.Errorf("Authorize %q, Explain %q\n%s", got.Reason, x.Decision.Reason, x.Text())
		}
	})
}

// wellWanted holds what was asked of the pools to its form, and the reply to it.
func wellWanted(t *testing.T, e *Engine, wants []ipam.Want, got *Decision) {
	t.Helper()
	for i, w := range wants {
		if len(w.Pools) == 0 || slices.Contains(w.Pools, "") || i > 0 && wants[i-1].Kind >= w.Kind {
			t.Errorf("wanted %+v", wants)
		}
		if word := &e.words.address.kinds[w.Kind]; got.Verdict == Accept && !got.Reply.Has(word.grant) {
			t.Errorf("%s was leased and is not sent", word.grant.Name)
		}
	}
}

// anyTables hold the same rows for every name.
type anyTables struct {
	user  UserRows
	group GroupRows
}

func (a anyTables) UserRows(context.Context, string) (UserRows, error)   { return a.user, nil }
func (a anyTables) GroupRows(context.Context, string) (GroupRows, error) { return a.group, nil }

func newFuzzBench(t *testing.T, d *dictionaries.Dictionary, rowText string) *workbench {
	a := anyTables{user: UserRows{Groups: []Membership{{Group: "g", Priority: 1}, {Group: "h", Priority: 2}}}}
	for i, line := range strings.Split(rowText, "\n") {
		f := strings.SplitN(line, "\t", 4)
		if len(f) != 4 || i > 30 {
			continue
		}
		row := Row{ID: int64(i), Attribute: f[1], Op: f[2], Value: f[3]}
		switch f[0] {
		case "c":
			a.user.Check = append(a.user.Check, row)
		case "r":
			a.user.Reply = append(a.user.Reply, row)
		case "C":
			a.group.Check = append(a.group.Check, row)
		default:
			a.group.Reply = append(a.group.Reply, row)
		}
	}
	return &workbench{dict: d, config: EngineConfig{
		Dict: d, Policies: NewCache(CacheConfig{Reader: a, Dict: d}), Verifier: NewVerifier(d), Admissions: openSessions{}, Options: DefaultOptions(),
	}}
}
