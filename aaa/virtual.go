package aaa

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"radial/dictionaries"
)

// virtual says how a check item is compared that is no attribute of a packet.
type virtual uint8

const (
	virtualNone virtual = iota
	virtualSQLGroup
	virtualExpiration
	virtualCurrentTime
	virtualTimeOfDay
	virtualPrefix
	virtualSuffix
	virtualSource     // address of the packet's sender
	virtualSourcePort // its port
	virtualServer
	virtualShortName  // shortname of the sender in the nas table
	virtualPacketType // always Access-Request here
	virtualUnknown    // FreeRADIUS knows it, this engine does not: refused
)

// virtualItems is the table of them. Huntgroup-Name is not in it: no
// huntgroups are defined here, so it is compared with a request that never has
// it, and refuses, as in FreeRADIUS without a huntgroups file.
var virtualItems = []struct {
	name string
	how  virtual
}{
	{"SQL-Group", virtualSQLGroup},
	{"Expiration", virtualExpiration},
	{"Current-Time", virtualCurrentTime},
	{"Time-Of-Day", virtualTimeOfDay},
	{"Prefix", virtualPrefix},
	{"Suffix", virtualSuffix},
	{"Client-IP-Address", virtualSource},
	{"Packet-Src-IP-Address", virtualSource},
	{"Packet-Src-IPv6-Address", virtualSource},
	{"Packet-Src-Port", virtualSourcePort},
	{"Virtual-Server", virtualServer},
	{"Client-Shortname", virtualShortName},
	{"Packet-Type", virtualPacketType},
	{"Group", virtualUnknown}, // groups of the operating system
	{"LDAP-Group", virtualUnknown},
	{"Connect-Rate", virtualUnknown},
	{"Daily-Session-Time", virtualUnknown}, // the counters of sqlcounter
	{"Weekly-Session-Time", virtualUnknown},
	{"Monthly-Session-Time", virtualUnknown},
	{"Max-All-Session-Time", virtualUnknown},
	{"Expire-After-Initial-Login", virtualUnknown},
}

// virtualAttributes resolves the table. What else the dictionary calls virtual
// (Packet-Dst-Port …) is computed by FreeRADIUS and unknown here.
func virtualAttributes(d *dictionaries.Dictionary) map[*dictionaries.Attribute]virtual {
	m := make(map[*dictionaries.Attribute]virtual, len(virtualItems))
	for a := range d.All() {
		if a.Virtual {
			m[a] = virtualUnknown
		}
	}
	for _, v := range virtualItems {
		if a := d.Find(v.name); a != nil {
			m[a] = v.how
		}
	}
	return m
}

// compareVirtual compares a virtual item. As in FreeRADIUS their comparison
// takes any operator by the sign of (what is - what the row says), =* always
// matches and !* never does.
func (e *Engine) compareVirtual(in *checkInput, r *rule) outcome {
	if r.how == virtualUnknown {
		return unevaluable
	}
	if r.late != nil && (r.late.expand != nil || r.late.regex != nil) {
		return unevaluable
	}
	ok := false
	switch r.op {
	case opPresent:
		ok = true
	case opAbsent:
	default:
		sign, known := e.virtualSign(in, r)
		if !known {
			return mismatched
		}
		ok = r.op.holds(sign)
	}
	if ok {
		return matched
	}
	return mismatched
}

// virtualSign compares what is with what the row says; known is false where
// there is nothing to compare, which never matches.
func (e *Engine) virtualSign(in *checkInput, r *rule) (sign int, known bool) {
	switch r.how {
	case virtualSQLGroup:
		for i := range in.groups {
			if in.groups[i].Group == string(r.value) {
				return 0, true
			}
		}
		return 1, true
	case virtualExpiration: // true while now <= date
		if in.now.Unix() <= int64(uint32Value(r.value)) {
			return 0, true
		}
		return 1, true
	case virtualCurrentTime:
		if _, _, inside := r.late.hours.Left(in.now); inside {
			return 0, true
		}
		return -1, true
	case virtualTimeOfDay:
		when, err := secondsOfDay(string(r.value))
		return in.now.Hour()*3600 + in.now.Minute()*60 + in.now.Second() - when, err == nil
	case virtualPrefix, virtualSuffix:
		name, has := in.pairs.Value(e.words.userName)
		if len(name) < len(r.value) {
			return -1, has
		}
		end := name[:len(r.value)]
		if r.how == virtualSuffix {
			end = name[len(name)-len(r.value):]
		}
		return bytes.Compare(end, r.value), has
	case virtualSource:
		return sourceSign(in.req.Source.Addr(), r)
	case virtualSourcePort:
		return int(in.req.Source.Port()) - int(integerValue(r.value)), true
	case virtualServer:
		name := "default"
		if in.req.Device != nil && in.req.Device.Server != "" {
			name = in.req.Device.Server
		}
		return strings.Compare(name, string(r.value)), true
	case virtualShortName:
		if in.req.Device == nil {
			return 0, false
		}
		return strings.Compare(in.req.Device.ShortName, string(r.value)), true
	case virtualPacketType:
		return 1 - int(integerValue(r.value)), true
	}
	return 0, false
}

// sourceSign compares the sender's address; one of the other family is not
// there to be compared.
func sourceSign(source netip.Addr, r *rule) (sign int, known bool) {
	want, ok := netip.AddrFromSlice(r.value)
	source = source.Unmap()
	if !ok || want.Is4() != source.Is4() {
		return 0, false
	}
	return source.Compare(want), true
}

// integerValue reads an unsigned integer of up to 4 bytes.
func integerValue(v []byte) uint32 {
	var n uint32
	for _, b := range v[:min(len(v), 4)] {
		n = n<<8 | uint32(b)
	}
	return n
}

// secondsOfDay reads the value of a Time-Of-Day item: HH:MM or HH:MM:SS.
func secondsOfDay(text string) (int, error) {
	parts := strings.Split(text, ":")
	secs := 0
	for i, limit := range []uint64{23, 59, 59} {
		secs *= 60
		if i == len(parts) && i == 2 {
			break
		}
		if i >= len(parts) {
			return 0, fmt.Errorf("time of day %q: write HH:MM or HH:MM:SS", text)
		}
		n, err := strconv.ParseUint(parts[i], 10, 8)
		if err != nil || n > limit {
			return 0, fmt.Errorf("time of day %q: write HH:MM or HH:MM:SS", text)
		}
		secs += int(n)
	}
	if len(parts) > 3 {
		return 0, fmt.Errorf("time of day %q: write HH:MM or HH:MM:SS", text)
	}
	return secs, nil
}
