package store

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"radial/aaa"
)

// recordVersion is that of storedRecord; quarantine has rows of version 0 too,
// which are the same. A field that a later version adds must mean, where it is
// absent, what earlier ones did.
const recordVersion = 1

// storedRecord is a record as JSON that loses nothing: texts, whose bytes may be
// anything, stand as quoted ASCII. It is what quarantine and the journal keep.
type storedRecord struct {
	Version                               int        `json:"v"`
	Status                                aaa.Status `json:"status"`
	UniqueID                              quoted     `json:"acctuniqueid"`
	SessionID                             quoted     `json:"acctsessionid"`
	User                                  quoted     `json:"username"`
	Login                                 quoted     `json:"login"`
	Realm                                 *quoted    `json:"realm,omitempty"`
	NAS                                   netip.Addr `json:"nas"`
	DeviceID                              int64      `json:"device_id"`
	VRF                                   int32      `json:"vrf"`
	PortID                                *quoted    `json:"port_id,omitempty"`
	PortType                              quoted     `json:"port_type"`
	At                                    time.Time  `json:"at"`
	Received                              time.Time  `json:"received"`
	SessionTime, Input, Output            *int64
	Authentic, ConnectInfo, CalledStation quoted
	CallingStation, TerminateCause        quoted
	ServiceType, FramedProtocol           quoted
	FramedIP, FramedIPv6                  netip.Addr
	FramedIPv6Pfx                         netip.Prefix
	InterfaceID                           *quoted
	DelegatedPrefix                       netip.Prefix
	Class                                 *quoted
}

// quoted is a text of any bytes.
type quoted string

// MarshalText writes the text as a quoted string of Go, in ASCII.
func (q quoted) MarshalText() ([]byte, error) { return []byte(strconv.QuoteToASCII(string(q))), nil }

// UnmarshalText is MarshalText's inverse.
func (q *quoted) UnmarshalText(b []byte) error {
	s, err := strconv.Unquote(string(b))
	*q = quoted(s)
	return err
}

// encodeRecord writes a record for radial.quarantine and the journal.
func encodeRecord(r *aaa.Record) ([]byte, error) {
	return json.Marshal(storedRecord{
		Version: recordVersion, Status: r.Status, UniqueID: quoted(r.UniqueID), SessionID: quoted(r.SessionID), User: quoted(r.User), Login: quoted(r.Login),
		Realm: (*quoted)(r.Realm), NAS: r.NAS, DeviceID: r.DeviceID, VRF: r.VRF, PortID: (*quoted)(r.PortID),
		PortType: quoted(r.PortType), At: r.At, Received: r.Received, SessionTime: r.SessionTime,
		Input: r.Input, Output: r.Output, Authentic: quoted(r.Authentic), ConnectInfo: quoted(r.ConnectInfo),
		CalledStation: quoted(r.CalledStation), CallingStation: quoted(r.CallingStation),
		TerminateCause: quoted(r.TerminateCause), ServiceType: quoted(r.ServiceType), FramedProtocol: quoted(r.FramedProtocol),
		FramedIP: r.FramedIP, FramedIPv6: r.FramedIPv6, FramedIPv6Pfx: r.FramedIPv6Pfx,
		InterfaceID: (*quoted)(r.InterfaceID), DelegatedPrefix: r.DelegatedPrefix, Class: (*quoted)(r.Class),
	})
}

// DecodeRecord reads a record of the journal, or the payload of a row of
// radial.quarantine whose kind is accounting. It is encodeRecord's inverse.
func DecodeRecord(b []byte) (*aaa.Record, error) {
	var s storedRecord
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, err
	}
	if s.Version > recordVersion {
		return nil, fmt.Errorf("a record of version %d: this Radial knows %d", s.Version, recordVersion)
	}
	return &aaa.Record{
		Status: s.Status, UniqueID: string(s.UniqueID), SessionID: string(s.SessionID), User: string(s.User), Login: string(s.Login),
		Realm: (*string)(s.Realm), NAS: s.NAS, DeviceID: s.DeviceID, VRF: s.VRF, PortID: (*string)(s.PortID),
		PortType: string(s.PortType), At: s.At, Received: s.Received, SessionTime: s.SessionTime,
		Input: s.Input, Output: s.Output, Authentic: string(s.Authentic), ConnectInfo: string(s.ConnectInfo),
		CalledStation: string(s.CalledStation), CallingStation: string(s.CallingStation),
		TerminateCause: string(s.TerminateCause), ServiceType: string(s.ServiceType), FramedProtocol: string(s.FramedProtocol),
		FramedIP: s.FramedIP, FramedIPv6: s.FramedIPv6, FramedIPv6Pfx: s.FramedIPv6Pfx,
		InterfaceID: (*string)(s.InterfaceID), DelegatedPrefix: s.DelegatedPrefix, Class: (*string)(s.Class),
	}, nil
}
