package aaa

import (
	"bytes"
	"encoding/hex"
)

// unwrap turns a stored hash into bytes as FreeRADIUS does ("normify"): text
// that is wholly hexadecimal is tried first, then base64, each only when the
// result has at least min bytes; else the value is taken as it stands. Whoever
// stores base64 that happens to be all hexadecimal digits is read wrongly by
// both servers.
func unwrap(value []byte, min int) []byte {
	if n := len(value); n%2 == 0 && n >= 2*min {
		out := make([]byte, n/2)
		if _, err := hex.Decode(out, value); err == nil {
			return out
		}
	}
	if len(value)*3 >= min*4 {
		if out, ok := base64Decode(value); ok && len(out) >= min {
			return out
		}
	}
	return value
}

// base64Decode reads base64 with or without padding, and passlib's alphabet,
// which has a dot for the plus sign.
func base64Decode(text []byte) ([]byte, bool) {
	text = bytes.TrimRight(text, "=")
	if len(text)%4 == 1 {
		return nil, false
	}
	out := make([]byte, 0, len(text)*3/4)
	var acc uint32
	bits := 0
	for _, c := range text {
		d, ok := base64Digit(c)
		if !ok {
			return nil, false
		}
		acc = acc<<6 | d
		if bits += 6; bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
		}
	}
	return out, true
}

func base64Digit(c byte) (uint32, bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return uint32(c - 'A'), true
	case c >= 'a' && c <= 'z':
		return uint32(c-'a') + 26, true
	case c >= '0' && c <= '9':
		return uint32(c-'0') + 52, true
	case c == '+' || c == '.' || c == '-':
		return 62, true
	case c == '/' || c == '_':
		return 63, true
	}
	return 0, false
}

// passwordHeaders are the headers of Password-With-Header, in lower case (they
// are compared without case), and the attribute that the rest is a value of.
var passwordHeaders = map[string]string{
	"{clear}": "Cleartext-Password", "{cleartext}": "Cleartext-Password",
	"{crypt}": "Crypt-Password",
	"{md5}":   "MD5-Password", "{base64_md5}": "MD5-Password", "{smd5}": "SMD5-Password",
	"{sha}": "SHA-Password", "{ssha}": "SSHA-Password",
	"{sha2}": "SHA2-Password", "{sha224}": "SHA2-Password", "{sha256}": "SHA2-Password",
	"{sha384}": "SHA2-Password", "{sha512}": "SHA2-Password",
	"{ssha224}": "SSHA2-224-Password", "{ssha256}": "SSHA2-256-Password",
	"{ssha384}": "SSHA2-384-Password", "{ssha512}": "SSHA2-512-Password",
	"{ssha3-224}": "SSHA3-224-Password", "{ssha3-256}": "SSHA3-256-Password",
	"{ssha3-384}": "SSHA3-384-Password", "{ssha3-512}": "SSHA3-512-Password",
	"{x-pbkdf2}": "PBKDF2-Password",
	"{md4}":      "NT-Password", "{nt}": "NT-Password", "{nthash}": "NT-Password", "{x-nthash}": "NT-Password",
	"{x- orclntv}": "NT-Password", "{x- orcllmv}": "LM-Password",
	"{ns-mta-md5}": "NS-MTA-MD5-Password",
}

// splitHeader reads a Password-With-Header value: the kind that its header
// names and the rest. A value without a header may be base64 of one with a
// header. With no header, or one that nobody knows, the whole text is a clear
// password (so {foo}password logs in with exactly that text).
func splitHeader(value []byte) (kind *passwordKind, rest []byte) {
	if k, r, ok := cutHeader(value); ok {
		return k, r
	}
	if bytes.IndexByte(value, '}') < 0 {
		if decoded, ok := base64Decode(value); ok && len(decoded) > 0 && decoded[0] == '{' {
			if bytes.IndexByte(decoded, '}') > 0 {
				return splitHeader(decoded)
			}
		}
	}
	return passwordKindNamed("Cleartext-Password"), value
}

func cutHeader(value []byte) (*passwordKind, []byte, bool) {
	end := bytes.IndexByte(value, '}')
	if end < 0 || end > 16 {
		return nil, nil, false
	}
	name, ok := passwordHeaders[string(bytes.ToLower(value[:end+1]))]
	if !ok {
		return nil, nil, false
	}
	return passwordKindNamed(name), value[end+1:], true
}
