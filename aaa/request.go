package aaa

import (
	"net/netip"
	"time"

	"radial/dictionaries"
	"radial/nas"
)

// Request is an Access-Request or Accounting-Request that has passed the gate:
// its source is known, its authenticator and Message-Authenticator hold, and
// its attributes are decoded (User-Password in clear). Pairs and their values
// live only as long as the call that they were handed to.
type Request struct {
	Device        *nas.Device
	Source        netip.AddrPort
	ID            uint8
	Authenticator [16]byte // Request Authenticator: the CHAP challenge where there is no CHAP-Challenge
	Pairs         dictionaries.Pairs
	Received      time.Time
}
