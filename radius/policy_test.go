package radius

import (
	"testing"

	"radial/nas"
)

// TestSignaturePolicy is the table of radius-semantics "BlastRADIUS": packets in
// order, and what becomes of each. m has a Message-Authenticator, p a
// Proxy-State, e an EAP-Message (and so m).
func TestSignaturePolicy(t *testing.T) {
	ok, missing, limited := Admitted, RefusedMAMissing, RefusedProxyState
	for _, tc := range []struct {
		name           string
		prefix         string
		require, limit nas.Policy
		packets        string // separated by spaces; - has nothing
		want           []Refusal
		learnt         nas.Policy // of require
		learntLimit    nas.Policy
	}{
		{"yes", "10.0.0.1/32", nas.Yes, nas.Auto, "- m p mp em", []Refusal{missing, ok, missing, ok, ok}, nas.Auto, nas.Auto},
		{"yes, of a network", "10.0.0.0/8", nas.Yes, nas.Auto, "- m", []Refusal{missing, ok}, nas.Auto, nas.Auto},
		{"no, no", "10.0.0.1/32", nas.No, nas.No, "- m p mp", []Refusal{ok, ok, ok, ok}, nas.Auto, nas.Auto},
		{"no, limit", "10.0.0.1/32", nas.No, nas.Yes, "- m p mp", []Refusal{ok, ok, limited, ok}, nas.Auto, nas.Auto},
		{"no, limit, of a network", "10.0.0.0/8", nas.No, nas.Yes, "p", []Refusal{limited}, nas.Auto, nas.Auto},
		{"first signed: yes for good", "10.0.0.1/32", nas.Auto, nas.Auto, "m - p mp", []Refusal{ok, missing, missing, ok}, nas.Yes, nas.Auto},
		{"first signed, IPv6", "2001:db8::1/128", nas.Auto, nas.Auto, "m -", []Refusal{ok, missing}, nas.Yes, nas.Auto},
		{"first unsigned: no for good", "10.0.0.1/32", nas.Auto, nas.Auto, "- m -", []Refusal{ok, ok, ok}, nas.No, nas.Yes},
		{"EAP tells nothing", "10.0.0.1/32", nas.Auto, nas.Auto, "em -", []Refusal{ok, ok}, nas.No, nas.Yes},
		{"EAP, then signed", "10.0.0.1/32", nas.Auto, nas.Auto, "em m -", []Refusal{ok, ok, missing}, nas.Yes, nas.Yes},
		{"a network never learns yes", "10.0.0.0/24", nas.Auto, nas.Auto, "m - p", []Refusal{ok, ok, ok}, nas.No, nas.No},
		{"a network of IPv6", "2001:db8::/127", nas.Auto, nas.Auto, "m mp -", []Refusal{ok, ok, ok}, nas.No, nas.Auto},
		{"first a proxy: no for good", "10.0.0.1/32", nas.Auto, nas.Auto, "p - p", []Refusal{ok, ok, ok}, nas.No, nas.No},
		{"first no proxy: limited", "10.0.0.1/32", nas.Auto, nas.Auto, "- p mp", []Refusal{ok, limited, ok}, nas.No, nas.Yes},
		{"signed proxy: limited", "10.0.0.1/32", nas.No, nas.Auto, "mp p", []Refusal{ok, limited}, nas.Auto, nas.Yes},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := deviceOf(tc.prefix, func(s *nas.Settings) { s.RequireMessageAuthenticator, s.LimitProxyState = tc.require, tc.limit })
			i := 0
			for _, spec := range split(tc.packets) {
				p := packet{}
				for _, c := range spec {
					switch c {
					case 'm':
						p.ma = 22
					case 'p':
						p.proxyState = true
					case 'e':
						p.eap = true
					}
				}
				if got := signaturePolicy(d, &p); got != tc.want[i] {
					t.Errorf("packet %d (%s): %q, want %q", i+1, spec, got, tc.want[i])
				}
				i++
			}
			if got := nas.Policy(d.Learnt.RequireMessageAuthenticator.Load()); got != tc.learnt {
				t.Errorf("learnt require %d, want %d", got, tc.learnt)
			}
			if got := nas.Policy(d.Learnt.LimitProxyState.Load()); got != tc.learntLimit {
				t.Errorf("learnt limit %d, want %d", got, tc.learntLimit)
			}
		})
	}
}

// TestPolicyServed: the same over UDP, with counters; and a forged
// Message-Authenticator teaches nothing.
func TestPolicyServed(t *testing.T) {
	r := start(t, plan{devices: []*nas.Device{deviceOf("127.0.0.1/32")}})
	c := r.dial(r.authAddr())
	c.send(pap(1, signedToo, func(m *made) { m.secret = "forged" }))
	eventually(t, "refused", func() bool { return r.count("refused_total", "message_authenticator_wrong") == 1 })
	if r.device.Learnt.RequireMessageAuthenticator.Load() != 0 {
		t.Fatal("a forged packet taught something")
	}
	c.ask(pap(2, signedToo))
	c.send(pap(3))
	eventually(t, "refused", func() bool { return r.count("refused_total", "message_authenticator_missing") == 1 })
	if r.logs.FilterMessageSnippet("message_authenticator_missing").Len() != 1 {
		t.Error("not logged")
	}

	r = start(t, plan{devices: []*nas.Device{deviceOf("127.0.0.1/32", func(s *nas.Settings) { s.RequireMessageAuthenticator, s.LimitProxyState = nas.No, nas.Yes })}})
	c = r.dial(r.authAddr())
	c.send(pap(1, with(attr(33, "p"))))
	eventually(t, "refused", func() bool { return r.count("refused_total", "proxy_state_limited") == 1 })
	c.ask(pap(2, with(attr(33, "p")), signedToo))
}
