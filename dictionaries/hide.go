package dictionaries

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
)

// reveal decrypts a value. ok is false when there are no keys or the result
// cannot be right.
func reveal(a *Attribute, hidden []byte, k Keys) (plain []byte, ok bool) {
	if k.Authenticator == nil {
		return nil, false
	}
	switch a.Encrypt {
	case EncryptUser:
		return revealUser(a, hidden, k)
	case EncryptTunnel:
		return revealTunnel(hidden, k)
	case EncryptAscend:
		if len(hidden) != 16 {
			return nil, false
		}
		return bytes.TrimRight(ascend(hidden, k), "\x00"), true
	}
	return hidden, true
}

// revealUser decrypts User-Password (RFC 2865 §5.2). Padding is taken off: the
// zeros at the end, or what is beyond the length of a fixed-size value.
func revealUser(a *Attribute, hidden []byte, k Keys) ([]byte, bool) {
	if len(hidden) == 0 || len(hidden)%16 != 0 || len(hidden) > 128 {
		return nil, false
	}
	plain := make([]byte, len(hidden))
	chain(plain, hidden, hidden, k.Secret, k.Authenticator[:])
	size := a.Length
	if size == 0 {
		size = int(typeSizes[a.Type])
	}
	if size == 0 {
		return bytes.TrimRight(plain, "\x00"), true
	}
	if size > len(plain) {
		return nil, false
	}
	return plain[:size], true
}

// revealTunnel decrypts Tunnel-Password (RFC 2868 §3.5): two octets of salt,
// then blocks whose first octet is the length of what follows.
func revealTunnel(hidden []byte, k Keys) ([]byte, bool) {
	if len(hidden) < 18 || (len(hidden)-2)%16 != 0 {
		return nil, false
	}
	plain := make([]byte, len(hidden)-2)
	var seed [18]byte
	copy(seed[:], k.Authenticator[:])
	copy(seed[16:], hidden[:2])
	chain(plain, hidden[2:], hidden[2:], k.Secret, seed[:])
	size := int(plain[0])
	if size > len(plain)-1 {
		return nil, false
	}
	return plain[1 : 1+size : 1+size], true
}

// chain XORs blocks of 16 octets with MD5(secret + previous cipher block); the
// first block uses seed. cipher is src when decrypting and dst when encrypting.
func chain(dst, src, cipher, secret, seed []byte) {
	var room [128]byte
	for at := 0; at < len(src); at += 16 {
		in := append(room[:0], secret...)
		if at == 0 {
			in = append(in, seed...)
		} else {
			in = append(in, cipher[at-16:at]...)
		}
		mask := md5.Sum(in)
		for i := range mask {
			dst[at+i] = src[at+i] ^ mask[i]
		}
	}
}

// ascend XORs 16 octets with MD5(authenticator + secret): it hides and reveals
// Ascend's secrets.
func ascend(value []byte, k Keys) []byte {
	mask := md5.Sum(append(k.Authenticator[:], k.Secret...))
	out := make([]byte, 16)
	copy(out, value)
	for i := range mask {
		out[i] ^= mask[i]
	}
	return out
}

var errNoKeys = errors.New("cannot be sent without a secret and a Request Authenticator")

// hide appends the encrypted value.
func (e *encoder) hide(dst []byte, a *Attribute, value []byte) ([]byte, error) {
	if e.keys.Authenticator == nil {
		return dst, errNoKeys
	}
	switch a.Encrypt {
	case EncryptUser:
		if len(value) > 128 {
			return dst, fmt.Errorf("%d octets; at most 128 can be hidden (RFC 2865 §5.2)", len(value))
		}
		var plain [128]byte
		size := max(16, (copy(plain[:], value)+15)/16*16)
		at := len(dst)
		dst = append(dst, plain[:size]...)
		chain(dst[at:], plain[:size], dst[at:], e.keys.Secret, e.keys.Authenticator[:])
		return dst, nil
	case EncryptTunnel:
		return e.hideTunnel(dst, value)
	}
	if len(value) > 16 {
		return dst, fmt.Errorf("%d octets; at most 16 can be hidden", len(value))
	}
	return append(dst, ascend(value, e.keys)...), nil
}

// hideTunnel appends salt and blocks (RFC 2868 §3.5). The salts of one packet
// count up from a random start, so no two are the same.
func (e *encoder) hideTunnel(dst, value []byte) ([]byte, error) {
	if len(value) > 239 {
		return dst, fmt.Errorf("%d octets; at most 239 can be hidden (RFC 2868 §3.5)", len(value))
	}
	if !e.salted {
		var b [2]byte
		if _, err := rand.Read(b[:]); err != nil {
			return dst, fmt.Errorf("make salt: %w", err)
		}
		e.salt, e.salted = binary.BigEndian.Uint16(b[:]), true
	}
	e.salt++
	var seed [18]byte
	copy(seed[:], e.keys.Authenticator[:])
	binary.BigEndian.PutUint16(seed[16:], e.salt|0x8000)
	var plain [240]byte
	plain[0] = byte(len(value))
	size := (1 + copy(plain[1:], value) + 15) / 16 * 16
	dst = append(dst, seed[16:]...)
	at := len(dst)
	dst = append(dst, plain[:size]...)
	chain(dst[at:], plain[:size], dst[at:], e.keys.Secret, seed[:])
	return dst, nil
}
