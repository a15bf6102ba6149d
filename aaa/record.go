package aaa

import (
	"net/netip"
	"time"
)

// Status is Acct-Status-Type as far as the state machine tells it apart.
type Status uint8

// The events of a session. StatusOther (missing or unknown) is acknowledged
// and changes nothing, as FreeRADIUS does.
const (
	StatusOther Status = iota
	StatusStart
	StatusInterim
	StatusStop
	StatusOn
	StatusOff
)

// String is the status in a word: a metric label.
func (s Status) String() string {
	switch s {
	case StatusStart:
		return "start"
	case StatusInterim:
		return "interim"
	case StatusStop:
		return "stop"
	case StatusOn:
		return "on"
	case StatusOff:
		return "off"
	default:
		return "other"
	}
}

// Record is an Accounting-Request as the state machine and radacct see it: raw
// text (store escapes), resolved event time. Pointers are nil where the packet
// lacks the attribute and FreeRADIUS stores NULL for that.
type Record struct {
	Status    Status
	UniqueID  string // acctuniqueid: radius-semantics "acctuniqueid"
	SessionID string
	User      string // radacct.username: User-Name, without its realm where the settings take it off
	Login     string // User-Name as it was sent: whose lease it is
	Realm     *string
	NAS       netip.Addr // nasipaddress: NAS-IPv6-Address, NAS-IP-Address, else the packet's source
	DeviceID  int64      // nas.id of the device that sent it
	VRF       int32
	PortID    *string // NAS-Port-Id, else NAS-Port
	PortType  string

	At       time.Time // event time, whole seconds
	Received time.Time // fixed once, kept through journal and retries

	SessionTime     *int64 // seconds
	Input, Output   *int64 // octets from and to the user, gigawords included
	Authentic       string
	ConnectInfo     string
	CalledStation   string
	CallingStation  string
	TerminateCause  string
	ServiceType     string
	FramedProtocol  string
	FramedIP        netip.Addr   // invalid: absent
	FramedIPv6      netip.Addr   // invalid: absent
	FramedIPv6Pfx   netip.Prefix // invalid: absent
	InterfaceID     *string
	DelegatedPrefix netip.Prefix // invalid: absent
	Class           *string
}
