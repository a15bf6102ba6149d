package aaa

import (
	"bytes"
	"net/netip"
	"strings"

	"radial/dictionaries"
	"radial/ipam"
	"radial/nas"
)

// authorization is one Access-Request at work: what Authorize and Explain walk through
// the stages. It lives as long as the call.
type authorization struct {
	e    *Engine
	in   checkInput
	user string // the name that is looked up

	control, reply dictionaries.Pairs
	merging        merging
	proof          dictionaries.Pairs // what the credential's method answers
	known          bool               // the tables know the name
	failed         *rule              // the first check row that did not match
	limit          *rule              // the first item that no engine here can enforce
	counted        bool               // control has an item of counters
	limits         *UserLimits        // of the user, beside FreeRADIUS's rows
	quotas         []Quota            // that hold for the login: his own, and those of groups that apply
	balances       []Balance          // how he stands with them

	own       int                       // how much of reply is not leased
	made      []*dictionaries.Attribute // of reply, whose values are made of the request
	class     [classMarkSize]byte
	wallOf    string      // the first group that applies and has a walled garden
	wallFor   []WallState // for which it has
	garden    string      // the walled garden's group, for who is in it
	gardenWhy string      // what kept him out of full service, where the login found it out
	without   string      // pools that had nothing for it, where it is accepted all the same

	admission *ipam.Admission // what Simultaneous-Use holds the login to; nil: nothing

	held *held // rows that are read once for several looks; nil: there is one
	kept bool  // rows are from memory, from before the database went away

	dry    bool // Explain: nothing is leased or logged
	trace  *trace
	groups []string // that applied, when traced
	needs  []string // what it needs the database for, beyond rows, when dry
}

// denial is why a login is refused.
type denial struct {
	reason Reason
	detail string
}

// start fills the login from the request: FreeRADIUS's preprocess module as far
// as check items can see it.
func (l *authorization) start() {
	w, req := l.e.words, l.in.req
	l.in.now = l.e.now().In(l.e.loc)
	// the full slice makes append copy: the request is not ours to change
	l.in.pairs = req.Pairs[:len(req.Pairs):len(req.Pairs)]
	source := req.Source.Addr().Unmap()
	if source.Is4() && !req.Pairs.Has(w.nasIPAddress) {
		l.in.pairs = append(l.in.pairs, dictionaries.Pair{Attr: w.nasIPAddress, Value: source.AsSlice()})
	}
	if source.Is6() && !req.Pairs.Has(w.nasIPv6Address) {
		l.in.pairs = append(l.in.pairs, dictionaries.Pair{Attr: w.nasIPv6Address, Value: source.AsSlice()})
	}
	if req.Pairs.Has(w.framedProtocol) && !req.Pairs.Has(w.serviceType) {
		l.in.pairs = append(l.in.pairs, dictionaries.Pair{Attr: w.serviceType, Value: w.framedUser})
	}
	name, _ := req.Pairs.Value(w.userName)
	l.user = string(name)
	l.stripRealm()
	if p, ok := req.Pairs.Value(w.framedProtocol); ok && l.e.opts.PPPDefaults && bytes.Equal(p, w.ppp) {
		l.reply = append(l.reply, dictionaries.Pair{Attr: w.framedProtocol, Value: w.ppp}, dictionaries.Pair{Attr: w.framedCompression, Value: w.vanJacobson})
	}
	// FreeRADIUS's chap and mschap modules set Auth-Type before the tables are
	// read, so that a row with = does not change it
	switch l.e.verifier.MethodOf(req.Pairs) {
	case "CHAP":
		l.control = append(l.control, dictionaries.Pair{Attr: w.authType, Value: w.authTypeCHAP})
	case "MS-CHAP":
		l.control = append(l.control, dictionaries.Pair{Attr: w.authType, Value: w.authTypeMSCHAP})
	}
}

// stripRealm takes a known realm off the name that is looked up, and shows both
// parts to check items.
func (l *authorization) stripRealm() {
	if !l.e.opts.StripRealm {
		return
	}
	at := strings.LastIndexByte(l.user, '@')
	if at < 0 || !l.e.knownRealm(l.user[at+1:]) {
		return
	}
	realm := l.user[at+1:]
	l.user = l.user[:at]
	if a := l.e.words.strippedUserName; a != nil {
		l.in.pairs = append(l.in.pairs, dictionaries.Pair{Attr: a, Value: []byte(l.user)})
	}
	if a := l.e.words.realm; a != nil {
		l.in.pairs = append(l.in.pairs, dictionaries.Pair{Attr: a, Value: []byte(realm)})
	}
}

func (e *Engine) knownRealm(realm string) bool {
	if len(e.opts.Realms) == 0 {
		return realm != ""
	}
	for _, r := range e.opts.Realms {
		if strings.EqualFold(r, realm) {
			return true
		}
	}
	return false
}

// oddUsername tells what filter_username of FreeRADIUS's stock site refuses a
// name for, or "".
func oddUsername(name string) string {
	at := strings.IndexByte(name, '@')
	switch {
	case strings.Contains(name, " "):
		return "has a blank"
	case strings.Count(name, "@") > 1:
		return "has more than one @"
	case strings.Contains(name, ".."):
		return "has two dots in a row"
	case strings.HasSuffix(name, "."):
		return "ends in a dot"
	case strings.Contains(name, "@."):
		return "has a realm that begins with a dot"
	case at >= 0 && strings.IndexByte(name[at+1:], '.') < 1:
		return "has a realm without a dot"
	}
	return ""
}

// text is the first instance of a in the request as text, or "".
func (l *authorization) text(a *dictionaries.Attribute) string {
	v, ok := l.in.pairs.Value(a)
	if !ok {
		return ""
	}
	return a.Text(v)
}

// nasAddress is the NAS as radacct.nasipaddress has it: NAS-IPv6-Address, else
// NAS-IP-Address, else the packet's source.
func (l *authorization) nasAddress() netip.Addr {
	for _, a := range []*dictionaries.Attribute{l.e.words.nasIPv6Address, l.e.words.nasIPAddress} {
		if v, ok := l.in.req.Pairs.Value(a); ok {
			if addr, ok := netip.AddrFromSlice(v); ok {
				return addr
			}
		}
	}
	return l.in.req.Source.Addr().Unmap()
}

// port is NAS-Port-Id, else NAS-Port in decimal.
func (l *authorization) port() string {
	if s := l.text(l.e.words.nasPortID); s != "" {
		return s
	}
	return l.text(l.e.words.nasPort)
}

// limitSession lowers Session-Timeout to secs, or sets it.
func (l *authorization) limitSession(secs int64) {
	a := l.e.words.sessionTimeout
	secs, _ = l.held.sinceBegin(secs, nas.Volume{})
	secs = min(max(secs, 0), 1<<32-1)
	value := []byte{byte(secs >> 24), byte(secs >> 16), byte(secs >> 8), byte(secs)}
	if p := l.reply.First(a); p == nil {
		l.reply = append(l.reply, dictionaries.Pair{Attr: a, Value: value})
	} else if int64(uint32Value(p.Value)) > secs {
		p.Value = value
	}
}
