package aaa

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
)

// errScheme marks a stored password that is well formed, but of a scheme that
// we do not have.
var errScheme = errors.New("scheme is not supported")

// passwordKind is one control attribute that holds a password or a hash of it.
type passwordKind struct {
	attribute string
	// check compares what the user typed, which is never empty, with the stored
	// value, in constant time. An error says what is wrong with the value.
	check func(stored, typed []byte) (bool, error)
	slow  bool // checking takes milliseconds, by intention
}

// passwordKinds lists every password attribute but Password-With-Header, which
// wraps one of these. To add one is to add a line.
var passwordKinds = []passwordKind{
	{attribute: "Cleartext-Password", check: checkCleartext},
	{attribute: "NT-Password", check: checkNT},
	{attribute: "LM-Password", check: checkLM},
	{attribute: "Crypt-Password", check: checkCrypt, slow: true},
	{attribute: "MD5-Password", check: checkDigest(md5.New)},
	{attribute: "SMD5-Password", check: checkSalted(md5.New, 0)},
	{attribute: "SHA-Password", check: checkDigest(sha1.New)},
	{attribute: "SHA1-Password", check: checkDigest(sha1.New)},
	{attribute: "SSHA-Password", check: checkSalted(sha1.New, 0)},
	{attribute: "SSHA1-Password", check: checkSalted(sha1.New, 0)},
	{attribute: "SHA2-Password", check: checkSHA2},
	{attribute: "SSHA2-224-Password", check: checkSalted(sha256.New224, 1)},
	{attribute: "SSHA2-256-Password", check: checkSalted(sha256.New, 1)},
	{attribute: "SSHA2-384-Password", check: checkSalted(sha512.New384, 1)},
	{attribute: "SSHA2-512-Password", check: checkSalted(sha512.New, 1)},
	{attribute: "SSHA3-224-Password", check: checkSalted(newSHA3of224, 1)},
	{attribute: "SSHA3-256-Password", check: checkSalted(newSHA3of256, 1)},
	{attribute: "SSHA3-384-Password", check: checkSalted(newSHA3of384, 1)},
	{attribute: "SSHA3-512-Password", check: checkSalted(newSHA3of512, 1)},
	{attribute: "PBKDF2-Password", check: checkPBKDF2, slow: true},
	{attribute: "NS-MTA-MD5-Password", check: checkNSMTAMD5},
}

func newSHA3of224() hash.Hash { return sha3.New224() }
func newSHA3of256() hash.Hash { return sha3.New256() }
func newSHA3of384() hash.Hash { return sha3.New384() }
func newSHA3of512() hash.Hash { return sha3.New512() }

// passwordKindNamed returns the kind of an attribute's name as the table has
// it, or nil.
func passwordKindNamed(attribute string) *passwordKind {
	for i := range passwordKinds {
		if passwordKinds[i].attribute == attribute {
			return &passwordKinds[i]
		}
	}
	return nil
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

func wrongLength(got []byte, want string) error {
	return fmt.Errorf("value has %d bytes after decoding, want %s", len(got), want)
}

// checkCleartext never matches an empty stored password.
func checkCleartext(stored, typed []byte) (bool, error) {
	return len(stored) > 0 && equal(stored, typed), nil
}

// checkDigest is for a plain hash: hexadecimal, base64 or raw. FreeRADIUS
// decodes twice (in authorize and in authenticate), so that base64 of
// hexadecimal text works as well.
func checkDigest(newHash func() hash.Hash) func(stored, typed []byte) (bool, error) {
	return func(stored, typed []byte) (bool, error) {
		h := newHash()
		want := unwrap(unwrap(stored, h.Size()), h.Size())
		if len(want) != h.Size() {
			return false, wrongLength(want, fmt.Sprint(h.Size()))
		}
		h.Write(typed)
		return equal(h.Sum(nil), want), nil
	}
}

// checkSalted is for a hash over password and salt, with the salt stored after
// the digest. saltMin is the least salt that the second decoding asks for.
func checkSalted(newHash func() hash.Hash, saltMin int) func(stored, typed []byte) (bool, error) {
	return func(stored, typed []byte) (bool, error) {
		h := newHash()
		size := h.Size()
		want := unwrap(unwrap(stored, size), size+saltMin)
		if len(want) <= size {
			return false, wrongLength(want, fmt.Sprintf("more than %d: digest and salt", size))
		}
		h.Write(typed)
		h.Write(want[size:])
		return equal(h.Sum(nil), want[:size]), nil
	}
}

// checkSHA2 tells the variant by the digest's length.
func checkSHA2(stored, typed []byte) (bool, error) {
	want := unwrap(unwrap(stored, sha256.Size224), sha256.Size224)
	var h hash.Hash
	switch len(want) {
	case sha256.Size224:
		h = sha256.New224()
	case sha256.Size:
		h = sha256.New()
	case sha512.Size384:
		h = sha512.New384()
	case sha512.Size:
		h = sha512.New()
	default:
		return false, wrongLength(want, "28, 32, 48 or 64")
	}
	h.Write(typed)
	return equal(h.Sum(nil), want), nil
}

func checkNT(stored, typed []byte) (bool, error) {
	want, err := storedNTHash(stored)
	if err != nil {
		return false, err
	}
	got, err := NTHash(typed)
	if err != nil {
		return false, nil // what was typed cannot be the password of any NT hash
	}
	return equal(got[:], want[:]), nil
}

// storedNTHash reads an NT-Password or LM-Password value.
func storedNTHash(stored []byte) (hash [16]byte, err error) {
	b := unwrap(unwrap(stored, 16), 16)
	if len(b) != 16 {
		return hash, wrongLength(b, "16")
	}
	return [16]byte(b), nil
}

func checkLM(stored, typed []byte) (bool, error) {
	want, err := storedNTHash(stored)
	if err != nil {
		return false, err
	}
	got := LMHash(typed)
	return equal(got[:], want[:]), nil
}

// checkNSMTAMD5 is the Netscape Mail Server's form: 32 hexadecimal digits of
// MD5(salt 89 password 247 salt), then the 32 characters of the salt.
func checkNSMTAMD5(stored, typed []byte) (bool, error) {
	if len(stored) != 64 {
		return false, wrongLength(stored, "64")
	}
	var want [16]byte
	if _, err := hex.Decode(want[:], stored[:32]); err != nil {
		return false, errors.New("value does not begin with 32 hexadecimal digits")
	}
	salt := stored[32:]
	got := md5.Sum(bytes.Join([][]byte{salt, {89}, typed, {247}, salt}, nil))
	return equal(got[:], want[:]), nil
}
