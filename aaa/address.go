package aaa

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"radial/dictionaries"
	"radial/ipam"
)

// addressKinds is the table of what a login can get from pools, and how its
// policy says so. Control items choose pools of ours (all of them known to a
// stock FreeRADIUS); what stands in the reply already wins.
var addressKinds = []struct {
	kind   ipam.Kind
	choose string   // control item: a pool of ours; several are the order in which they are asked
	grant  string   // attribute of the reply that tells the lease
	named  []string // attributes of the reply that name a pool of the device's own: nothing is leased then
	one    string
	many   string
}{
	{ipam.IPv4, "Pool-Name", "Framed-IP-Address", []string{"Framed-Pool"}, "an IPv4 address", "IPv4 addresses"},
	{ipam.IPv6Prefix, "Framed-IPv6-Pool", "Framed-IPv6-Prefix", []string{"Framed-IPv6-Pool"}, "an IPv6 prefix", "IPv6 prefixes"},
	{ipam.DelegatedPrefix, "Delegated-IPv6-Prefix-Pool", "Delegated-IPv6-Prefix",
		[]string{"Delegated-IPv6-Prefix-Pool", "Mikrotik-Delegated-IPv6-Pool"}, "a delegated prefix", "delegated prefixes"},
	{ipam.IPv6Address, "Stateful-IPv6-Address-Pool", "Framed-IPv6-Address", []string{"Stateful-IPv6-Address-Pool"}, "an IPv6 address", "IPv6 addresses"},
}

// PoolChosenBy tells of which kind the pool is that a check item of this
// attribute (in any case) chooses; ok is false for all other attributes.
func PoolChosenBy(attribute string) (k ipam.Kind, ok bool) {
	for i := range addressKinds {
		if strings.EqualFold(attribute, addressKinds[i].choose) {
			return addressKinds[i].kind, true
		}
	}
	return ipam.IPv4, false
}

// LeasesOf names what pools of a kind give, for people: "IPv4 addresses".
func LeasesOf(k ipam.Kind) string { return addressKinds[k].many }

// addressWords are the attributes of addressKinds, and of what goes with a
// lease.
type addressWords struct {
	kinds                []addressWord // as addressKinds, whose order is that of ipam.Kind
	interfaceID          *dictionaries.Attribute
	primaryDNS, otherDNS *dictionaries.Attribute // RFC 2548 §2.7.1, §2.7.2; nil without Microsoft's dictionary
	dnsIPv6              *dictionaries.Attribute // RFC 6911 §3.2
	withoutAddress       [][]byte                // values of Service-Type
}

type addressWord struct {
	kind          ipam.Kind
	choose, grant *dictionaries.Attribute
	named         []*dictionaries.Attribute
}

func newAddressWords(d *dictionaries.Dictionary) addressWords {
	w := addressWords{
		interfaceID: d.Must("Framed-Interface-Id"), dnsIPv6: d.Must("DNS-Server-IPv6-Address"),
		primaryDNS: d.Find("MS-Primary-DNS-Server"), otherDNS: d.Find("MS-Secondary-DNS-Server"),
	}
	for _, k := range addressKinds {
		word := addressWord{kind: k.kind, choose: d.Must(k.choose), grant: d.Must(k.grant)}
		for _, name := range k.named {
			if a := d.Find(name); a != nil {
				word.named = append(word.named, a)
			}
		}
		w.kinds = append(w.kinds, word)
	}
	service := d.Must("Service-Type")
	for _, name := range []string{"Administrative-User", "NAS-Prompt-User", "Authenticate-Only", "Call-Check", "Authorize-Only"} {
		w.withoutAddress = append(w.withoutAddress, mustParse(service, name))
	}
	return w
}

// leaseAddresses gives a login what its policy wants of pools: all of it, in one
// transaction, or nothing. What Simultaneous-Use asks for is done in the same
// transaction, or in one of its own where nothing is leased.
func (l *authorization) leaseAddresses(ctx context.Context) (*denial, error) {
	l.own = len(l.reply)
	wants := l.wants()
	if len(wants) > 0 && l.e.addresses == nil && !l.dry {
		return &denial{ReasonUnsupportedCheck, addressKinds[wants[0].Kind].choose + ": no pools are served here"}, nil
	}
	if err := ctx.Err(); err != nil && len(wants) > 0 {
		return nil, err
	}
	if len(wants) > 0 {
		if err := l.needsDatabase("a lease of a pool"); err != nil {
			return nil, err
		}
	}
	for len(wants) > 0 {
		leases, err := l.lease(ctx, wants)
		if err == nil {
			l.grant(leases)
			return nil, nil
		}
		var refusal *ipam.Refusal
		var reached *ipam.LimitReached
		if errors.As(err, &reached) {
			return l.limitReached(reached), nil
		}
		if !errors.As(err, &refusal) {
			return nil, fmt.Errorf("lease addresses for %q: %w", l.user, err)
		}
		switch d := l.refused(refusal, wants); {
		case d.reason != ReasonPoolFull:
			return d, nil
		case l.e.opts.PoolFull == PoolFullAccept: // without what cannot be had
			if l.trace != nil {
				l.note(StepInfo, d.detail+"; accepted without (pool_full: accept)")
			}
			if l.without != "" {
				l.without += "; "
			}
			l.without += d.detail
			wants = slices.DeleteFunc(wants, func(w ipam.Want) bool { return w.Kind == refusal.Kind })
		case l.e.opts.PoolFull == PoolFullSilence:
			return nil, fmt.Errorf("lease addresses for %q: %w: %s (pool_full: silence)", l.user, ErrPoolFull, d.detail)
		default:
			return d, nil
		}
	}
	return l.admit(ctx)
}

func (l *authorization) lease(ctx context.Context, wants []ipam.Want) ([]ipam.Lease, error) {
	if l.dry {
		return nil, l.wouldLease(ctx, wants)
	}
	for i := range wants {
		wants[i].Admission = l.admission
	}
	return l.e.addresses.Lease(ctx, wants)
}

// refused tells why a want cannot be had.
func (l *authorization) refused(r *ipam.Refusal, wants []ipam.Want) *denial {
	many, others := addressKinds[r.Kind].many, []string(nil)
	for _, w := range wants {
		if w.Kind == r.Kind {
			others = append(w.Pools[1:len(w.Pools):len(w.Pools)], w.Spare...)
		}
	}
	switch {
	case errors.Is(r.Err, ipam.ErrPoolUnknown):
		return &denial{ReasonPoolUnknown, fmt.Sprintf("there is no pool %q of %s%s", r.Pool, many, inVRF(wants[0].VRF))}
	case errors.Is(r.Err, ipam.ErrPoolInactive) && len(others) == 0:
		return &denial{ReasonPoolInactive, fmt.Sprintf("pool %q gives nothing new: it is draining or inactive", r.Pool)}
	case errors.Is(r.Err, ipam.ErrPoolInactive):
		return &denial{ReasonPoolInactive, fmt.Sprintf("pool %q gives nothing new, draining or inactive, and %s has nothing either", r.Pool, quoted(others))}
	case len(others) == 0:
		return &denial{ReasonPoolFull, fmt.Sprintf("no %s are free in pool %q", many, r.Pool)}
	}
	return &denial{ReasonPoolFull, fmt.Sprintf("no %s are free in pool %q, nor in %s", many, r.Pool, quoted(others))}
}

func quoted(names []string) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(texts, ", ")
}

// wants are the leases that the login asks for, one of each kind at most.
func (l *authorization) wants() []ipam.Want {
	var wants []ipam.Want
	for i := range l.e.words.address.kinds {
		word := &l.e.words.address.kinds[i]
		pools := l.poolsOf(word)
		if len(pools) == 0 {
			continue
		}
		if wants == nil {
			wants = make([]ipam.Want, 0, len(l.e.words.address.kinds))
		}
		w := l.caller()
		w.Kind, w.Pools, w.Spare = word.kind, pools, l.e.opts.FallbackPools
		wants = append(wants, w)
	}
	return wants
}

// poolsOf says which pools a kind of address is wanted of, in order; none means
// that nothing is leased. A pool named by an empty text is none, which keeps a
// user from the device's default.
func (l *authorization) poolsOf(word *addressWord) []string {
	if has := l.given(word); has != nil {
		l.noteGiven(word, has)
		return nil
	}
	var pools []string
	named := false
	for i := range l.control {
		if p := &l.control[i]; p.Attr == word.choose {
			named = true
			if len(p.Value) > 0 {
				pools = append(pools, string(p.Value))
			}
		}
	}
	if !named && word.kind == ipam.IPv4 {
		pools = l.defaultPool(pools)
	}
	return pools
}

// given is what of the reply stands in the way of a lease: the address itself,
// also one that leaves the choice to the device or the user (RFC 2865 §5.8:
// 255.255.255.254, 255.255.255.255), or a pool of the device's own.
func (l *authorization) given(word *addressWord) *dictionaries.Attribute {
	return givenIn(l.reply, word)
}

func givenIn(reply dictionaries.Pairs, word *addressWord) *dictionaries.Attribute {
	if reply.Has(word.grant) {
		return word.grant
	}
	for _, a := range word.named {
		if reply.Has(a) {
			return a
		}
	}
	return nil
}

// defaultPool adds the device's own pool, unless the login is none that would
// have an address: an operator's at the device, or a mere question.
func (l *authorization) defaultPool(pools []string) []string {
	dev := l.in.req.Device
	if dev == nil || dev.Settings.Pool == "" {
		return pools
	}
	w := l.e.words
	for _, list := range []dictionaries.Pairs{l.in.pairs, l.reply} {
		service, ok := list.Value(w.serviceType)
		if ok && slices.ContainsFunc(w.address.withoutAddress, func(v []byte) bool { return string(v) == string(service) }) {
			if l.trace != nil {
				l.note(StepInfo, "the device's pool "+dev.Settings.Pool+" is not for Service-Type "+w.serviceType.Text(service))
			}
			return pools
		}
	}
	return append(pools, dev.Settings.Pool)
}

// caller is the part of a want that tells who asks. The caller's name is the one
// that the NAS will account with: a User-Name in the reply, else its own (RFC
// 2865 §5.1).
func (l *authorization) caller() ipam.Want {
	w := l.e.words
	name, ok := l.reply.Value(w.userName)
	if !ok {
		name, _ = l.in.req.Pairs.Value(w.userName)
	}
	var vrf int32 = 1
	if d := l.in.req.Device; d != nil && d.Settings.VRF != 0 {
		vrf = d.Settings.VRF
	}
	return ipam.Want{
		VRF: vrf, SessionID: l.text(w.acctSessionID),
		Caller: ipam.Caller{
			User: string(name), MAC: ipam.NormaliseMAC(l.text(w.callingStation)), NAS: l.nasAddress(), Port: l.port(),
		},
	}
}

// grant puts leases into the reply.
func (l *authorization) grant(leases []ipam.Lease) {
	w := &l.e.words.address
	hadIPv4, hadIPv6 := w.primaryDNS == nil || l.reply.Has(w.primaryDNS) || l.reply.Has(w.otherDNS), l.reply.Has(w.dnsIPv6)
	for i := range leases {
		lease := &leases[i]
		a := w.kinds[lease.Kind].grant
		switch lease.Kind {
		case ipam.IPv6Prefix, ipam.DelegatedPrefix:
			l.add(a, prefixBytes(lease.Prefix))
		default:
			l.add(a, lease.Address().AsSlice())
		}
		if lease.InterfaceID != 0 && !l.reply.Has(w.interfaceID) {
			l.add(w.interfaceID, interfaceIDBytes(lease.InterfaceID))
		}
		for _, server := range lease.DNS {
			switch server = server.Unmap(); {
			case server.Is4() && !hadIPv4:
				l.addDNS(server)
			case server.Is6() && !hadIPv6:
				l.addOnce(w.dnsIPv6, server.AsSlice())
			}
		}
	}
}

// addDNS adds an IPv4 name server: there is room for two.
func (l *authorization) addDNS(server netip.Addr) {
	w := &l.e.words.address
	first, ok := l.reply.Value(w.primaryDNS)
	switch {
	case !ok:
		l.add(w.primaryDNS, server.AsSlice())
	case w.otherDNS != nil && !l.reply.Has(w.otherDNS) && string(first) != string(server.AsSlice()):
		l.add(w.otherDNS, server.AsSlice())
	}
}

func (l *authorization) add(a *dictionaries.Attribute, value []byte) {
	l.reply = append(l.reply, dictionaries.Pair{Attr: a, Value: value})
}

// addOnce adds a value that the reply does not have yet.
func (l *authorization) addOnce(a *dictionaries.Attribute, value []byte) {
	if !slices.ContainsFunc(l.reply, func(p dictionaries.Pair) bool { return p.Attr == a && string(p.Value) == string(value) }) {
		l.add(a, value)
	}
}

// prefixBytes is the value of an attribute of type ipv6prefix (RFC 3162 §2.3): a
// reserved octet, the length, and the prefix with zeros beyond it.
func prefixBytes(p netip.Prefix) []byte {
	b := make([]byte, 18)
	a := p.Masked().Addr().As16()
	b[1] = byte(p.Bits())
	copy(b[2:], a[:])
	return b
}

// interfaceIDBytes is the value of a Framed-Interface-Id (RFC 3162 §2.2).
func interfaceIDBytes(id uint64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(id >> (56 - 8*i))
	}
	return b
}
