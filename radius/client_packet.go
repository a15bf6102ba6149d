package radius

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	wire "layeh.com/radius"

	"radial/dictionaries"
)

// errNotOurs marks a packet that answers another request.
var errNotOurs = errors.New("reply to another request")

// clientMA is where the value of the Message-Authenticator begins in a request.
const clientMA = headerLen + 2

// encode makes the signed request. Message-Authenticator is the first attribute
// (CVE-2024-3596). An Access-Request and a Status-Server have a random
// authenticator; that of the others is the MD5 sum of all with zeroes in its
// place (RFC 2866 §3, RFC 5176 §2.3), and so it is for their
// Message-Authenticator (RFC 5176 §3.5), which comes before.
func (c *Client) encode(code Code, pairs dictionaries.Pairs, authenticator [16]byte) ([]byte, error) {
	var id [1]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return c.encodeAs(id[0], code, pairs, authenticator)
}

// encodeAs is encode with a chosen Identifier.
func (c *Client) encodeAs(id byte, code Code, pairs dictionaries.Pairs, authenticator [16]byte) ([]byte, error) {
	keys := dictionaries.Keys{Secret: c.secret, Authenticator: &authenticator}
	signed := code != AccessRequest && code != StatusServer
	if signed {
		authenticator, keys.Authenticator = [16]byte{}, nil // nothing can be hidden with what is computed last
	}
	b := append(make([]byte, 0, 512), byte(code), id, 0, 0)
	b = append(b, authenticator[:]...)
	b = append(append(b, attrMessageAuth, messageAuthLen), make([]byte, md5.Size)...)
	b, err := c.dict.Append(b, c.sendable(pairs), keys)
	if err != nil {
		return nil, err
	}
	if len(b) > wire.MaxPacketLength {
		return nil, fmt.Errorf("the packet has %d bytes, %d is the most (RFC 2865 §3)", len(b), wire.MaxPacketLength)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	mac := hmac.New(md5.New, c.secret)
	mac.Write(b)
	copy(b[clientMA:], mac.Sum(nil))
	if signed {
		sum := md5.Sum(append(slices.Clone(b), c.secret...))
		copy(b[4:], sum[:])
	}
	return b, nil
}

// sendable leaves out a Message-Authenticator among the pairs: ours is there.
func (c *Client) sendable(pairs dictionaries.Pairs) dictionaries.Pairs {
	ma := c.dict.Find("Message-Authenticator")
	if ma == nil || !pairs.Has(ma) {
		return pairs
	}
	return slices.DeleteFunc(slices.Clone(pairs), func(p dictionaries.Pair) bool { return p.Attr == ma })
}

// decode verifies datagram as the reply to request: form, Identifier, Response
// Authenticator, Message-Authenticator, and then whether its code fits.
func (c *Client) decode(datagram, request []byte) (*Reply, error) {
	if len(datagram) < headerLen {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadReply, len(datagram))
	}
	length := int(binary.BigEndian.Uint16(datagram[2:]))
	if length < headerLen || length > len(datagram) || length > wire.MaxPacketLength {
		return nil, fmt.Errorf("%w: its length field says %d, it has %d bytes", ErrBadReply, length, len(datagram))
	}
	b := bytes.Clone(datagram[:length])
	if b[1] != request[1] {
		return nil, fmt.Errorf("%w: identifier %d, want %d", errNotOurs, b[1], request[1])
	}
	code, authenticator := Code(b[0]), [16]byte(b[4:20])
	copy(b[4:20], request[4:20])
	if !c.authentic(b, authenticator) {
		return nil, ErrBadAuthenticator
	}
	at, err := messageAuthenticatorAt(b)
	switch {
	case err != nil:
		return nil, err
	case at != 0 && !c.authenticMessage(b, at):
		return nil, ErrBadMessageAuthenticator
	case at == 0 && c.opts.RequireMessageAuthenticator:
		return nil, ErrNoMessageAuthenticator
	case !slices.Contains(repliesTo(Code(request[0])), code):
		return nil, fmt.Errorf("%w: %s", ErrUnexpectedCode, code)
	}
	pairs, err := c.dict.Decode(nil, b[headerLen:], dictionaries.Keys{Secret: c.secret, Authenticator: (*[16]byte)(request[4:20])})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadReply, err)
	}
	return &Reply{Code: code, ID: b[1], Length: length, Pairs: pairs, MessageAuthenticator: at != 0}, nil
}

// authentic checks the Response Authenticator (RFC 2865 §3) of b, in which the
// request's stands in its place.
func (c *Client) authentic(b []byte, authenticator [16]byte) bool {
	h := md5.New()
	h.Write(b)
	h.Write(c.secret)
	return subtle.ConstantTimeCompare(h.Sum(nil), authenticator[:]) == 1
}

// authenticMessage checks the Message-Authenticator whose value begins at at
// (RFC 3579 §3.2).
func (c *Client) authenticMessage(b []byte, at int) bool {
	mac := hmac.New(md5.New, c.secret)
	mac.Write(b[:at])
	mac.Write(make([]byte, md5.Size))
	mac.Write(b[at+md5.Size:])
	return hmac.Equal(mac.Sum(nil), b[at:at+md5.Size])
}

// messageAuthenticatorAt returns where the value of the Message-Authenticator
// begins, or 0 for none.
func messageAuthenticatorAt(b []byte) (at int, err error) {
	for i := headerLen; i < len(b); i += int(b[i+1]) {
		if i+2 > len(b) || b[i+1] < 2 || i+int(b[i+1]) > len(b) {
			return 0, fmt.Errorf("%w: the attribute at byte %d does not fit", ErrBadReply, i)
		}
		if b[i] != attrMessageAuth {
			continue
		}
		if at != 0 || b[i+1] != messageAuthLen {
			return 0, fmt.Errorf("%w: two Message-Authenticators, or one of %d bytes", ErrBadReply, b[i+1]-2)
		}
		at = i + 2
	}
	return at, nil
}

// repliesTo lists the codes that answer a request.
func repliesTo(request Code) []Code {
	switch request {
	case AccessRequest:
		return []Code{AccessAccept, AccessReject, AccessChallenge}
	case AccountingRequest:
		return []Code{AccountingResponse}
	case StatusServer: // RFC 5997 §3: by port
		return []Code{AccessAccept, AccountingResponse}
	case DisconnectRequest:
		return []Code{DisconnectACK, DisconnectNAK}
	case CoARequest:
		return []Code{CoAACK, CoANAK}
	}
	return nil
}
