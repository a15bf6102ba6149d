package aaa

import (
	"bytes"
	"crypto/des"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/md4" //nolint:staticcheck // weak, but it is what NT hashes are made of
)

var errNotUTF8 = errors.New("the password is not valid UTF-8, and NT hashes are made of Unicode text")

// NTHash is NtPasswordHash of RFC 2759 §8.3: MD4 over the password in UTF-16,
// little-endian. The password must be UTF-8.
func NTHash(password []byte) (hash [16]byte, err error) {
	if !utf8.Valid(password) {
		return hash, errNotUTF8
	}
	var buf [256]byte
	text := buf[:0]
	for _, u := range utf16.Encode([]rune(string(password))) {
		text = binary.LittleEndian.AppendUint16(text, u)
	}
	return md4Sum(text), nil
}

// NTHashHash is HashNtPasswordHash of RFC 2759 §8.4.
func NTHashHash(hash [16]byte) [16]byte { return md4Sum(hash[:]) }

func md4Sum(b []byte) (sum [16]byte) {
	h := md4.New()
	h.Write(b)
	h.Sum(sum[:0])
	return sum
}

// LMHash is LmPasswordHash of RFC 2433 §A.2: two DES keys from the first 14
// characters in upper case.
func LMHash(password []byte) (hash [16]byte) {
	var key [14]byte
	copy(key[:], bytes.ToUpper(password))
	desEncrypt(hash[:8], key[:7], []byte("KGS!@#$%"))
	desEncrypt(hash[8:], key[7:], []byte("KGS!@#$%"))
	return hash
}

// MSCHAPv1Response is ChallengeResponse of RFC 2433 §A.5 (and RFC 2759 §8.5):
// the 24 bytes that prove knowledge of a hash for an 8-byte challenge.
func MSCHAPv1Response(challenge [8]byte, hash [16]byte) (response [24]byte) {
	var key [21]byte
	copy(key[:], hash[:])
	for i := range 3 {
		desEncrypt(response[8*i:8*i+8], key[7*i:7*i+7], challenge[:])
	}
	return response
}

// MSCHAPv2Response is GenerateNTResponse of RFC 2759 §8.1. user is the name as
// the peer gave it, without a domain and its backslash.
func MSCHAPv2Response(authenticator, peer [16]byte, user string, hash [16]byte) [24]byte {
	return MSCHAPv1Response(challengeHash(authenticator, peer, user), hash)
}

// challengeHash is RFC 2759 §8.2.
func challengeHash(authenticator, peer [16]byte, user string) (challenge [8]byte) {
	h := sha1.New()
	h.Write(peer[:])
	h.Write(authenticator[:])
	h.Write([]byte(user))
	copy(challenge[:], h.Sum(nil))
	return challenge
}

// MSCHAPv2Success is GenerateAuthenticatorResponse of RFC 2759 §8.7: the text
// "S=" and 40 hexadecimal digits by which the server proves that it knows the
// password too.
func MSCHAPv2Success(authenticator, peer [16]byte, user string, hashHash [16]byte, ntResponse [24]byte) string {
	const (
		magic1 = "Magic server to client signing constant"
		magic2 = "Pad to make it do more than one iteration"
	)
	h := sha1.New()
	h.Write(hashHash[:])
	h.Write(ntResponse[:])
	h.Write([]byte(magic1))
	digest := h.Sum(nil)
	challenge := challengeHash(authenticator, peer, user)
	h.Reset()
	h.Write(digest)
	h.Write(challenge[:])
	h.Write([]byte(magic2))
	return "S=" + strings.ToUpper(hex.EncodeToString(h.Sum(nil)))
}

// WithoutDomain cuts the domain off DOMAIN\user: MS-CHAPv2 hashes the bare
// name (RFC 2759 §4).
func WithoutDomain(user string) string {
	if i := strings.IndexByte(user, '\\'); i >= 0 {
		return user[i+1:]
	}
	return user
}

// desEncrypt encrypts one block under a 7-byte key, whose bits are spread over
// eight bytes with an unused parity bit each (RFC 2759 §8.6).
func desEncrypt(dst, key7, block []byte) {
	var key [8]byte
	for i := range key {
		var b byte
		if i > 0 {
			b = key7[i-1] << (8 - i)
		}
		if i < 7 {
			b |= key7[i] >> i
		}
		key[i] = b &^ 1
	}
	c, err := des.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key that is not 8 bytes long
	}
	c.Encrypt(dst, block)
}
