package aaa

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strconv"
)

// maxIterations bounds what one login may cost: a value above it is refused as
// malformed, not computed. OWASP's advice of 2023 is 600,000 for SHA-256.
const maxIterations = 10_000_000

// pbkdf2Hashes are the names in FreeRADIUS's (Crypt::PBKDF2's) forms.
var pbkdf2Hashes = map[string]func() hash.Hash{
	"HMACSHA1":     sha1.New,
	"HMACSHA2+224": sha256.New224, "HMACSHA2+256": sha256.New,
	"HMACSHA2+384": sha512.New384, "HMACSHA2+512": sha512.New,
	"HMACSHA3+224": newSHA3of224, "HMACSHA3+256": newSHA3of256,
	"HMACSHA3+384": newSHA3of384, "HMACSHA3+512": newSHA3of512,
}

// passlibHashes are the names in Python passlib's form.
var passlibHashes = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

// checkPBKDF2 reads the three forms of PBKDF2-Password:
//
//	HMACSHA2+256:<base64 of 4 bytes, big-endian iterations>:<base64 salt>:<base64 hash>
//	$PBKDF2$HMACSHA2+256:<iterations>:<base64 salt>$<base64 hash>
//	$pbkdf2-sha256$<iterations>$<base64 salt>$<base64 hash>   (passlib)
func checkPBKDF2(stored, typed []byte) (bool, error) {
	p, err := parsePBKDF2(stored)
	if err != nil {
		return false, err
	}
	got, err := pbkdf2.Key(p.newHash, string(typed), p.salt, p.iterations, len(p.key))
	if err != nil {
		return false, fmt.Errorf("value cannot be computed: %w", err)
	}
	return equal(got, p.key), nil
}

type pbkdf2Value struct {
	newHash    func() hash.Hash
	iterations int
	salt, key  []byte
}

func parsePBKDF2(stored []byte) (pbkdf2Value, error) {
	if rest, ok := bytes.CutPrefix(stored, []byte("$PBKDF2$")); ok {
		return splitPBKDF2(rest, pbkdf2Hashes, "::$", decimalIterations)
	}
	if rest, ok := bytes.CutPrefix(stored, []byte("$pbkdf2-")); ok {
		return splitPBKDF2(rest, passlibHashes, "$$$", decimalIterations)
	}
	// {PBKDF2-SHA256} and the like: passlib's LDAP form, which later FreeRADIUS
	// reads as well.
	for header, name := range map[string]string{"{PBKDF2}": "sha1", "{PBKDF2-SHA256}": "sha256", "{PBKDF2-SHA512}": "sha512"} {
		if rest, ok := bytes.CutPrefix(stored, []byte(header)); ok {
			return splitPBKDF2(append([]byte(name+"$"), rest...), passlibHashes, "$$$", decimalIterations)
		}
	}
	if end := bytes.IndexByte(stored, '}'); len(stored) > 0 && stored[0] == '{' && end > 0 {
		stored = stored[end+1:]
	}
	return splitPBKDF2(stored, pbkdf2Hashes, ":::", base64Iterations)
}

// splitPBKDF2 cuts hash name, iterations, salt and key at the three separators.
func splitPBKDF2(b []byte, names map[string]func() hash.Hash, separators string, iterations func([]byte) (uint64, bool)) (v pbkdf2Value, err error) {
	var field [4][]byte
	for i := range 3 {
		var ok bool
		if field[i], b, ok = bytes.Cut(b, []byte{separators[i]}); !ok {
			return v, errors.New("value is not of the form hash:iterations:salt:key")
		}
	}
	field[3] = b
	if v.newHash = names[string(field[0])]; v.newHash == nil {
		return v, fmt.Errorf("hash %q: %w", field[0], errScheme)
	}
	n, ok := iterations(field[1])
	if !ok || n < 1 || n > maxIterations {
		return v, fmt.Errorf("iterations are not a number from 1 to %d in this form", maxIterations)
	}
	v.iterations = int(n)
	if v.salt, ok = base64Decode(field[2]); !ok || len(v.salt) == 0 {
		return v, errors.New("salt is not base64")
	}
	if v.key, ok = base64Decode(field[3]); !ok || len(v.key) != v.newHash().Size() {
		return v, fmt.Errorf("key is not base64 of %d bytes", v.newHash().Size())
	}
	return v, nil
}

func base64Iterations(text []byte) (uint64, bool) {
	b, ok := base64Decode(text)
	if !ok || len(b) != 4 {
		return 0, false
	}
	return uint64(binary.BigEndian.Uint32(b)), true
}

func decimalIterations(text []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(text), 10, 32)
	return n, err == nil
}
