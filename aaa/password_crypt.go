package aaa

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/bcrypt"
	"github.com/go-crypt/crypt/algorithm/md5crypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
)

// maxBcryptCost bounds what one login may cost: each step doubles the work, and
// 16 takes seconds.
const maxBcryptCost = 16

// checkCrypt is crypt(3): DES, and the schemes that a dollar sign begins.
func checkCrypt(stored, typed []byte) (bool, error) {
	s := string(stored)
	switch scheme := cryptScheme(s); scheme {
	case "1":
		return matchCrypt(md5crypt.Decode, s, typed)
	case "5", "6":
		if err := checkRounds(s); err != nil {
			return false, err
		}
		return matchCrypt(shacrypt.Decode, s, typed)
	case "2a", "2b", "2y":
		text, _, _ := strings.Cut(s[min(4, len(s)):], "$")
		if cost, err := strconv.Atoi(text); err != nil || cost > maxBcryptCost {
			return false, fmt.Errorf("bcrypt cost %q is not a number up to %d", text, maxBcryptCost)
		}
		const used = 72 // bcrypt looks at no more
		return matchCrypt(bcrypt.Decode, s, typed[:min(len(typed), used)])
	case "":
		return checkDESCrypt(stored, typed)
	default:
		return false, fmt.Errorf("crypt(3) hash $%s$: %w: $1$, $5$, $6$, $2a$, $2b$, $2y$ and DES are", scheme, errScheme)
	}
}

// cryptScheme returns what stands after a leading dollar sign up to the next,
// or "" for a hash that does not begin with one.
func cryptScheme(s string) string {
	rest, ok := strings.CutPrefix(s, "$")
	if !ok {
		return ""
	}
	scheme, _, _ := strings.Cut(rest, "$")
	return scheme
}

// checkRounds refuses a number of rounds that would take minutes.
func checkRounds(s string) error {
	_, after, ok := strings.Cut(s, "$rounds=")
	if !ok {
		return nil
	}
	text, _, _ := strings.Cut(after, "$")
	if n, err := strconv.ParseUint(text, 10, 32); err != nil || n < 1 || n > maxIterations {
		return fmt.Errorf("rounds=%s is not a number from 1 to %d", text, maxIterations)
	}
	return nil
}

func matchCrypt(decode func(string) (algorithm.Digest, error), stored string, typed []byte) (bool, error) {
	digest, err := decode(stored)
	if err != nil {
		return false, errors.New("value is not a whole crypt(3) hash")
	}
	ok, err := digest.MatchBytesAdvanced(typed)
	if err != nil {
		return false, fmt.Errorf("value cannot be computed: %w", err)
	}
	return ok, nil
}
