package nas

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Policy is a setting that can also be learnt from what a device sends:
// FreeRADIUS's "no | yes | auto" (radius-semantics: Blast-RADIUS).
type Policy uint8

// The policies. Auto is the default.
const (
	Auto Policy = iota
	Yes
	No
)

// Settings are what Radial knows of a device beyond FreeRADIUS's nas table:
// the row of radial.nas_settings, or the defaults where there is none.
type Settings struct {
	RequireMessageAuthenticator Policy
	LimitProxyState             Policy
	CoAPort                     uint16 // UDP port of the device's dynamic authorization server
	VRF                         int32  // address space of its pools; 1 is the default VRF
	SwapOctets                  bool   // the device reports input and output the wrong way round
	RejectDelay                 *time.Duration
	Pool                        string // pool of the logins that name none; "" is none
}

// Row is a row of the nas table with its settings, as read: not yet resolved.
type Row struct {
	ID          int64
	Name        string // nasname: an address, a CIDR or a host name
	ShortName   string
	Type        string // vendor profile: mikrotik, cisco, …, other
	Ports       *int32
	Secret      Secret
	Server      string
	Community   Secret
	Description string
	Settings    Settings
}

// Device is a row of nas that a packet's source can be matched with: one
// prefix of it (a host name may resolve to several addresses).
type Device struct {
	Row
	Prefix netip.Prefix
	// Learnt is shared by all snapshots of the same row, so that what a device
	// taught us survives a reload of the table.
	Learnt *Learnt
}

// Learnt is what Policy auto has learnt from a device's packets. Zero means
// nothing yet. Safe for concurrent use.
type Learnt struct {
	RequireMessageAuthenticator atomic.Uint32 // holds a Policy: Auto (not learnt), Yes or No
	LimitProxyState             atomic.Uint32
	LastSeen                    atomic.Int64 // Unix seconds of the last admitted packet
	// Asked is the address of this server's that the device sends to: what comes
	// from there it takes for its server's. Nil: no packet has come here.
	Asked atomic.Pointer[netip.Addr]
}
