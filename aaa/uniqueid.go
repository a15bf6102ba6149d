package aaa

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"net/netip"
)

// uniqueParts are the raw values that acctuniqueid is made of; what a packet
// lacks is empty.
type uniqueParts struct {
	user, sessionID []byte
	nas             netip.Addr
	nasIdentifier   []byte
	portID          []byte
	port            string // NAS-Port in decimal
}

// uniqueID computes acctuniqueid as FreeRADIUS's policy acct_unique does: the
// MD5 of the parts joined by commas, in lower-case hex. Leading white space of
// the whole is skipped, as FreeRADIUS's expansion does. A user that begins
// with & breaks FreeRADIUS's expansion (all such users share the empty id); it
// is hashed here like any other.
func uniqueID(p uniqueParts) string {
	b := make([]byte, 0, 256)
	b = append(b, p.user...)
	b = append(b, ',')
	b = append(b, p.sessionID...)
	b = append(b, ',')
	if p.nas.IsValid() {
		b = p.nas.AppendTo(b)
	}
	b = append(b, ',')
	b = append(b, p.nasIdentifier...)
	b = append(b, ',')
	b = append(b, p.portID...)
	b = append(b, ',')
	b = append(b, p.port...)
	return md5Hex(bytes.TrimLeft(b, " \t\n\v\f\r"))
}

// classPrefix marks a Class that a server of FreeRADIUS's policy
// insert_acct_class has made.
const classPrefix = "ai:"

// classToken returns the 32 hex digits (64 in the older, twice encoded form)
// of a Class that identifies the session. The whole value must fit, as from
// FreeRADIUS 3.2.8 on.
func classToken(class []byte) (token []byte, ok bool) {
	token, ok = bytes.CutPrefix(class, []byte(classPrefix))
	if !ok || len(token) != 32 && len(token) != 64 {
		return nil, false
	}
	for _, c := range token {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return nil, false
		}
	}
	return token, true
}

// classUniqueID is acctuniqueid by a Class token: it survives changes of the
// NAS's address and port.
func classUniqueID(token, sessionID []byte) string {
	b := make([]byte, 0, 128)
	b = append(b, token...)
	b = append(b, ',')
	return md5Hex(append(b, sessionID...))
}

func md5Hex(b []byte) string {
	sum := md5.Sum(b)
	var text [2 * md5.Size]byte
	hex.Encode(text[:], sum[:])
	return string(text[:])
}
