package aaa

import (
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// PasswordKind is a way to store a password that HashPassword knows, and the
// methods that a user with it can log in by. FreeRADIUS reads all of them.
type PasswordKind struct {
	Name      string // for HashPassword
	Attribute string // of the radcheck row
	PAP       bool
	CHAP      bool
	MSCHAP    bool // v1 and v2
}

// PasswordKindList lists the kinds for HashPassword in the order to show them.
var PasswordKindList = []PasswordKind{
	{Name: "cleartext", Attribute: "Cleartext-Password", PAP: true, CHAP: true, MSCHAP: true},
	{Name: "nt", Attribute: "NT-Password", PAP: true, MSCHAP: true},
	{Name: "ssha2", Attribute: "SSHA2-512-Password", PAP: true},
	{Name: "ssha2-256", Attribute: "SSHA2-256-Password", PAP: true},
	{Name: "ssha2-512", Attribute: "SSHA2-512-Password", PAP: true},
	{Name: "pbkdf2", Attribute: "Password-With-Header", PAP: true},
	{Name: "crypt-sha512", Attribute: "Crypt-Password", PAP: true},
	{Name: "sha2", Attribute: "SHA2-Password", PAP: true},
	{Name: "ssha", Attribute: "SSHA-Password", PAP: true},
	{Name: "sha", Attribute: "SHA-Password", PAP: true},
	{Name: "smd5", Attribute: "SMD5-Password", PAP: true},
	{Name: "md5", Attribute: "MD5-Password", PAP: true},
}

// PasswordKindOf returns the kind of a name that HashPassword takes.
func PasswordKindOf(name string) (PasswordKind, bool) {
	for _, k := range PasswordKindList {
		if k.Name == name {
			return k, true
		}
	}
	return PasswordKind{}, false
}

const (
	saltLength       = 16
	pbkdf2Iterations = 100_000 // tens of milliseconds a login; FreeRADIUS's own examples have fewer
)

// HashPassword returns the row that stores a password in one of the kinds of
// PasswordKindList: the attribute (to be set with :=) and its value in text.
// pbkdf2 goes into Password-With-Header, because a bare PBKDF2-Password does
// not log in under FreeRADIUS 3.2.1. The password must not be empty, since no
// method accepts an empty one, and for nt it must be UTF-8.
func HashPassword(kind, password string) (attribute, value string, err error) {
	k, ok := PasswordKindOf(kind)
	if !ok {
		var names []string
		for _, k := range PasswordKindList {
			names = append(names, k.Name)
		}
		return "", "", fmt.Errorf("hash password: kind %q is not one of %s", kind, strings.Join(names, ", "))
	}
	if password == "" {
		return "", "", fmt.Errorf("hash password: the password is empty: no login could use it")
	}
	if value, err = hashedValue(kind, []byte(password)); err != nil {
		return "", "", fmt.Errorf("hash password as %s: %w", kind, err)
	}
	return k.Attribute, value, nil
}

func hashedValue(kind string, password []byte) (string, error) {
	switch kind {
	case "cleartext":
		return string(password), nil
	case "nt":
		h, err := NTHash(password)
		return hex.EncodeToString(h[:]), err
	case "md5":
		return digestText(md5.New(), password, nil), nil
	case "smd5":
		return digestText(md5.New(), password, newSalt()), nil
	case "sha":
		return digestText(sha1.New(), password, nil), nil
	case "ssha":
		return digestText(sha1.New(), password, newSalt()), nil
	case "sha2":
		return digestText(sha512.New(), password, nil), nil
	case "ssha2", "ssha2-512":
		return digestText(sha512.New(), password, newSalt()), nil
	case "ssha2-256":
		return digestText(sha256.New(), password, newSalt()), nil
	case "crypt-sha512":
		h, err := shacrypt.NewSHA512()
		if err != nil {
			return "", err
		}
		d, err := h.Hash(string(password))
		if err != nil {
			return "", err
		}
		return d.Encode(), nil
	case "pbkdf2":
		return pbkdf2Text(string(password))
	}
	return "", fmt.Errorf("kind %q has no hash", kind) // a line of the list without its case
}

// digestText writes a digest and its salt in hexadecimal, which unwrap never
// mistakes.
func digestText(h hash.Hash, password, salt []byte) string {
	h.Write(password)
	h.Write(salt)
	return hex.EncodeToString(append(h.Sum(nil), salt...))
}

func pbkdf2Text(password string) (string, error) {
	salt := newSalt()
	key, err := pbkdf2.Key(sha256.New, password, salt, pbkdf2Iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	b64 := base64.StdEncoding.EncodeToString
	return "{x-pbkdf2}HMACSHA2+256:" + b64(binary.BigEndian.AppendUint32(nil, pbkdf2Iterations)) + ":" + b64(salt) + ":" + b64(key), nil
}

func newSalt() []byte {
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails: crypto/rand ends the process instead
	return salt
}
