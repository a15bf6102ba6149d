package radius

import (
	"sync/atomic"

	"radial/nas"
)

// signaturePolicy judges an Access-Request whose Message-Authenticator, if it
// has one, holds: must it have one, and may it carry Proxy-State without one?
// These are FreeRADIUS's require_message_authenticator and limit_proxy_state
// (3.2.5 and later), the answer to CVE-2024-3596. With the setting auto, the
// first packet that tells something decides for good (until the server starts
// anew), and only "no" can be learnt by a row that is a network: its hosts may
// differ.
func signaturePolicy(d *nas.Device, p *packet) Refusal {
	signed := p.hasMessageAuth()
	if d.Settings.RequireMessageAuthenticator == nas.Auto {
		switch {
		case !signed:
			learn(&d.Learnt.RequireMessageAuthenticator, nas.No)
		case p.eap:
			// Mandatory there anyway (RFC 3579 §3.2): tells nothing.
		case d.Prefix.IsSingleIP():
			learn(&d.Learnt.RequireMessageAuthenticator, nas.Yes)
		}
	}
	if holds(d.Settings.RequireMessageAuthenticator, &d.Learnt.RequireMessageAuthenticator) {
		if !signed {
			return RefusedMAMissing
		}
		return Admitted
	}
	bare := p.proxyState && !signed
	if d.Settings.LimitProxyState == nas.Auto {
		switch {
		case bare:
			learn(&d.Learnt.LimitProxyState, nas.No)
		case d.Prefix.IsSingleIP():
			learn(&d.Learnt.LimitProxyState, nas.Yes)
		}
	}
	if bare && holds(d.Settings.LimitProxyState, &d.Learnt.LimitProxyState) {
		return RefusedProxyState
	}
	return Admitted
}

// learn keeps the first thing learnt.
func learn(what *atomic.Uint32, p nas.Policy) {
	if nas.Policy(what.Load()) == nas.Auto {
		what.CompareAndSwap(uint32(nas.Auto), uint32(p))
	}
}

// holds tells whether a setting is yes, by itself or by what was learnt.
func holds(setting nas.Policy, learnt *atomic.Uint32) bool {
	if setting == nas.Auto {
		setting = nas.Policy(learnt.Load())
	}
	return setting == nas.Yes
}
