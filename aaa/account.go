package aaa

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"radial/dictionaries"
)

// AccountingOptions are the settings of accounting.
type AccountingOptions struct {
	// EventTime is packet (a NAS's Event-Timestamp counts where it is plausible)
	// or receive; empty means packet.
	EventTime string
	// EventPast and EventFuture are how far from the receive time an
	// Event-Timestamp may be and still be believed; 0 means DefaultEventPast and
	// DefaultEventFuture.
	EventPast, EventFuture time.Duration
	// StripRealm stores "bob@isp.example" as "bob", as Options.StripRealm looks it
	// up: set both or neither. acctuniqueid is of the whole name all the same.
	StripRealm bool
	// Realms (any case) are the realms that radacct.realm names, as FreeRADIUS's
	// module suffix does for those of its proxy.conf; "*" is every one. Empty:
	// every one with StripRealm, else none, as with a stock FreeRADIUS.
	Realms []string
	// StoreClass fills radacct.class (FreeRADIUS: the class section of
	// queries.conf); stock leaves it NULL.
	StoreClass bool
}

// Naming returns the options with users named as logins name them, where logins
// strip realms: open sessions are counted under the name that is looked up.
func (o AccountingOptions) Naming(login Options) AccountingOptions {
	if login.StripRealm {
		o.StripRealm, o.Realms = true, login.Realms
	}
	return o
}

// Validate lists everything that is wrong with the options.
func (o AccountingOptions) Validate() error {
	var errs []error
	if _, err := ParseEventTime(o.EventTime); err != nil {
		errs = append(errs, err)
	}
	if o.EventPast < 0 {
		errs = append(errs, fmt.Errorf("event past %v: want 0 (the default) or more", o.EventPast))
	}
	if o.EventFuture < 0 {
		errs = append(errs, fmt.Errorf("event future %v: want 0 (the default) or more", o.EventFuture))
	}
	return errors.Join(errs...)
}

// Accounting turns Accounting-Requests into records and has them stored. Safe
// for concurrent use.
type Accounting struct {
	ledger Ledger
	attrs  acctAttrs
	clock  eventClock
	opts   AccountingOptions
	realms map[string]bool
	now    func() time.Time
	seen   func(*Record) // nil: nobody
}

// NewAccounting makes an Accounting. The dictionary must have the standard
// attributes of RFC 2865, 2866, 2869, 3162, 4818 and 6911.
func NewAccounting(dict *dictionaries.Dictionary, ledger Ledger, opts AccountingOptions, now func() time.Time) (*Accounting, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("accounting options: %w", err)
	}
	mode, err := ParseEventTime(opts.EventTime)
	if err != nil {
		return nil, fmt.Errorf("accounting options: %w", err)
	}
	a := &Accounting{
		ledger: ledger, attrs: newAcctAttrs(dict), opts: opts, now: now,
		clock:  eventClock{mode: mode, past: opts.EventPast, future: opts.EventFuture},
		realms: map[string]bool{},
	}
	if a.clock.past == 0 {
		a.clock.past = DefaultEventPast
	}
	if a.clock.future == 0 {
		a.clock.future = DefaultEventFuture
	}
	for _, r := range opts.Realms {
		a.realms[strings.ToLower(r)] = true
	}
	return a, nil
}

// Post has records stored, and returns at once: their To is told when they may be
// answered, and by an error of what must be left without an answer.
func (a *Accounting) Post(ps []*Posting) { a.ledger.Post(ps) }

// Stored must be told of every record that has been stored.
func (a *Accounting) Stored(r *Record) {
	if a.seen != nil {
		a.seen(r)
	}
}

// Tell has seen hear of every record that is stored. It must not wait.
func (a *Accounting) Tell(seen func(*Record)) { a.seen = seen }

// Record reads an Accounting-Request: every column as FreeRADIUS fills it
// (radius-semantics §1.2). Nothing of it aliases the packet.
func (a *Accounting) Record(req *Request) *Record {
	at, ps := &a.attrs, req.Pairs
	received := req.Received
	if received.IsZero() {
		received = a.now()
	}
	texts := textValues(ps, [...]*dictionaries.Attribute{at.user, at.sessionID, at.calledStation, at.callingStation, at.portID})
	whole := &recordAndMore{portID: texts[4]}
	whole.Record = Record{
		Status:          statusOf(at.number(ps, at.statusType)),
		Login:           texts[0],
		SessionID:       texts[1],
		NAS:             at.nasAddress(req),
		PortType:        nameValue(ps, at.portType),
		Received:        received,
		SessionTime:     at.seconds(ps, at.sessionTime, &whole.numbers[0]),
		Input:           at.octets(ps, at.inputOctets, at.inputGigawords, &whole.numbers[1]),
		Output:          at.octets(ps, at.outputOctets, at.outputGigawords, &whole.numbers[2]),
		Authentic:       nameValue(ps, at.authentic),
		ConnectInfo:     stringValue(ps, at.connectInfo),
		CalledStation:   texts[2],
		CallingStation:  texts[3],
		TerminateCause:  nameValue(ps, at.terminateCause),
		ServiceType:     nameValue(ps, at.serviceType),
		FramedProtocol:  nameValue(ps, at.framedProtocol),
		FramedIP:        addrValue(ps, at.framedIP),
		FramedIPv6:      addrValue(ps, at.framedIPv6),
		FramedIPv6Pfx:   prefixValue(ps, at.framedIPv6Prefix),
		DelegatedPrefix: prefixValue(ps, at.delegatedPrefix),
	}
	r := &whole.Record
	if d := req.Device; d != nil {
		r.DeviceID, r.VRF = d.ID, d.Settings.VRF
		if d.Settings.SwapOctets {
			r.Input, r.Output = r.Output, r.Input
		}
	}
	var delay uint32
	if d := at.number(ps, at.delayTime); d != nil {
		delay = *d
	}
	r.At = a.clock.at(received, at.number(ps, at.eventTimestamp), delay)
	r.User, r.Realm = a.realm(r.Login)
	if id := nameValue(ps, at.interfaceID); id != "" {
		r.InterfaceID = &id
	}
	port := nameValue(ps, at.port)
	if whole.portID == "" {
		whole.portID = port
	}
	if whole.portID != "" {
		r.PortID = &whole.portID
	}
	a.identify(r, ps, port)
	return r
}

// recordAndMore is a record with the memory that it points to: one piece, not five.
type recordAndMore struct {
	Record
	numbers [3]int64
	portID  string
}

// identify sets acctuniqueid, and Class where it is wanted: a mark of ours always,
// as it stands.
func (a *Accounting) identify(r *Record, ps dictionaries.Pairs, port string) {
	sessionID, _ := ps.Value(a.attrs.sessionID)
	for i := range ps {
		if ps[i].Attr != a.attrs.class {
			continue
		}
		switch {
		case r.Class != nil:
		case isClassMark(ps[i].Value):
			class := string(ps[i].Value)
			r.Class = &class
		case a.opts.StoreClass:
			class := "0x" + hex.EncodeToString(ps[i].Value) // as FreeRADIUS prints octets
			r.Class = &class
		}
		if token, ok := classToken(ps[i].Value); ok && r.UniqueID == "" {
			r.UniqueID = classUniqueID(token, sessionID)
		}
	}
	if r.UniqueID != "" {
		return
	}
	p := uniqueParts{sessionID: sessionID, nas: r.NAS, port: port}
	p.user, _ = ps.Value(a.attrs.user)
	p.nasIdentifier, _ = ps.Value(a.attrs.nasIdentifier)
	p.portID, _ = ps.Value(a.attrs.portID)
	r.UniqueID = uniqueID(p)
}

// realm splits a known realm off a login, at the last @; user is the whole
// login unless the settings strip it.
func (a *Accounting) realm(login string) (user string, realm *string) {
	i := strings.LastIndexByte(login, '@')
	if i < 0 || i == len(login)-1 {
		return login, nil
	}
	name := login[i+1:]
	known := a.realms["*"] || a.realms[strings.ToLower(name)] || a.opts.StripRealm && len(a.realms) == 0
	if !known {
		return login, nil
	}
	if a.opts.StripRealm {
		login = login[:i]
	}
	return login, &name
}

// acctAttrs are the attributes that accounting reads.
type acctAttrs struct {
	statusType, sessionID, user, sessionTime, delayTime, eventTimestamp *dictionaries.Attribute
	inputOctets, inputGigawords, outputOctets, outputGigawords          *dictionaries.Attribute
	authentic, terminateCause, connectInfo, class                       *dictionaries.Attribute
	calledStation, callingStation, serviceType, framedProtocol          *dictionaries.Attribute
	nasIP, nasIPv6, nasIdentifier, port, portID, portType               *dictionaries.Attribute
	framedIP, framedIPv6, framedIPv6Prefix, interfaceID                 *dictionaries.Attribute
	delegatedPrefix                                                     *dictionaries.Attribute
}

func newAcctAttrs(d *dictionaries.Dictionary) acctAttrs {
	return acctAttrs{
		statusType: d.Must("Acct-Status-Type"), sessionID: d.Must("Acct-Session-Id"), user: d.Must("User-Name"),
		sessionTime: d.Must("Acct-Session-Time"), delayTime: d.Must("Acct-Delay-Time"), eventTimestamp: d.Must("Event-Timestamp"),
		inputOctets: d.Must("Acct-Input-Octets"), inputGigawords: d.Must("Acct-Input-Gigawords"),
		outputOctets: d.Must("Acct-Output-Octets"), outputGigawords: d.Must("Acct-Output-Gigawords"),
		authentic: d.Must("Acct-Authentic"), terminateCause: d.Must("Acct-Terminate-Cause"),
		connectInfo: d.Must("Connect-Info"), class: d.Must("Class"),
		calledStation: d.Must("Called-Station-Id"), callingStation: d.Must("Calling-Station-Id"),
		serviceType: d.Must("Service-Type"), framedProtocol: d.Must("Framed-Protocol"),
		nasIP: d.Must("NAS-IP-Address"), nasIPv6: d.Must("NAS-IPv6-Address"), nasIdentifier: d.Must("NAS-Identifier"),
		port: d.Must("NAS-Port"), portID: d.Must("NAS-Port-Id"), portType: d.Must("NAS-Port-Type"),
		framedIP: d.Must("Framed-IP-Address"), framedIPv6: d.Must("Framed-IPv6-Address"),
		framedIPv6Prefix: d.Must("Framed-IPv6-Prefix"), interfaceID: d.Must("Framed-Interface-Id"),
		delegatedPrefix: d.Must("Delegated-IPv6-Prefix"),
	}
}

// statusOf reads Acct-Status-Type (RFC 2866 §5.1). FreeRADIUS ignores and
// answers what it has no query for.
func statusOf(v *uint32) Status {
	if v == nil {
		return StatusOther
	}
	switch *v {
	case 1:
		return StatusStart
	case 2:
		return StatusStop
	case 3:
		return StatusInterim
	case 7:
		return StatusOn
	case 8:
		return StatusOff
	default:
		return StatusOther
	}
}

// nasAddress is what FreeRADIUS puts into nasipaddress: NAS-IPv6-Address, else
// NAS-IP-Address, else where the packet came from.
func (at *acctAttrs) nasAddress(req *Request) netip.Addr {
	if a := addrValue(req.Pairs, at.nasIPv6); a.IsValid() {
		return a
	}
	if a := addrValue(req.Pairs, at.nasIP); a.IsValid() {
		return a
	}
	return req.Source.Addr().Unmap().WithZone("")
}

func (at *acctAttrs) number(ps dictionaries.Pairs, a *dictionaries.Attribute) *uint32 {
	v, ok := ps.Value(a)
	if !ok || len(v) != 4 {
		return nil
	}
	n := binary.BigEndian.Uint32(v)
	return &n
}

func (at *acctAttrs) seconds(ps dictionaries.Pairs, a *dictionaries.Attribute, to *int64) *int64 {
	n := at.number(ps, a)
	if n == nil {
		return nil
	}
	*to = int64(*n)
	return to
}

// octets joins a counter and its gigawords (RFC 2869 §5.1, §5.2); what a
// bigint cannot hold becomes its greatest value.
func (at *acctAttrs) octets(ps dictionaries.Pairs, low, high *dictionaries.Attribute, to *int64) *int64 {
	l, h := at.number(ps, low), at.number(ps, high)
	if l == nil && h == nil {
		return nil
	}
	var n uint64
	if h != nil {
		n = uint64(*h) << 32
	}
	if l != nil {
		n += uint64(*l)
	}
	*to = int64(min(n, math.MaxInt64))
	return to
}

// stringValue returns the raw bytes of the first instance of a string.
func stringValue(ps dictionaries.Pairs, a *dictionaries.Attribute) string {
	v, _ := ps.Value(a)
	return string(v)
}

// textValues returns the raw bytes of the first instance of each, as parts of one
// string: who keeps one keeps all.
func textValues(ps dictionaries.Pairs, attrs [5]*dictionaries.Attribute) (texts [5]string) {
	var room [256]byte
	b := room[:0]
	var ends [len(attrs)]int
	for i, a := range attrs {
		v, _ := ps.Value(a)
		b = append(b, v...)
		ends[i] = len(b)
	}
	all, from := string(b), 0
	for i, end := range ends {
		texts[i], from = all[from:end], end
	}
	return texts
}

// nameValue returns the first instance in text form: the value's name where the
// dictionary has one, else the number.
func nameValue(ps dictionaries.Pairs, a *dictionaries.Attribute) string {
	v, ok := ps.Value(a)
	if !ok {
		return ""
	}
	if a.Type == dictionaries.TypeInteger && len(v) == 4 {
		if name, named := a.ValueName(uint64(binary.BigEndian.Uint32(v))); named {
			return name
		}
	}
	return a.Text(v)
}

func addrValue(ps dictionaries.Pairs, a *dictionaries.Attribute) netip.Addr {
	v, _ := ps.Value(a)
	ip, _ := netip.AddrFromSlice(v) // a length that is no address's: as if absent
	return ip
}

// prefixValue reads an IPv6 prefix (RFC 3162 §2.3): a reserved byte, the length in
// bits, then as many bytes of the prefix as were sent.
func prefixValue(ps dictionaries.Pairs, a *dictionaries.Attribute) netip.Prefix {
	v, ok := ps.Value(a)
	if !ok || len(v) < 2 || len(v) > 18 || v[1] > 128 {
		return netip.Prefix{}
	}
	var b [16]byte
	copy(b[:], v[2:])
	return netip.PrefixFrom(netip.AddrFrom16(b), int(v[1]))
}
