package nas

import (
	"fmt"
	"strings"
)

// shortestSecret is refused below, not recommended: RFC 3579 §4.3.3 asks for 16
// octets of randomness, but many running devices have less, and refusing those
// would only teach operators to say --allow-weak-secret always.
const shortestSecret = 6

// weakSecrets are the secrets of examples, defaults and first guesses, in lower
// case.
var weakSecrets = map[string]string{
	"testing123":   "FreeRADIUS's example secret",
	"testing123-1": "FreeRADIUS's example secret",
	"testing":      "a usual test secret",
	"secret":       "a usual example secret",
	"mysecret":     "a usual example secret",
	"sharedsecret": "a usual example secret",
	"radius":       "the protocol's name",
	"radsec":       "known to everyone (RFC 6614 §2.3)",
	"password":     "a usual password",
	"password1":    "a usual password",
	"changeme":     "a usual placeholder",
	"admin":        "a usual password",
	"admin123":     "a usual password",
	"mikrotik":     "a vendor's name",
	"cisco":        "a vendor's name",
	"cisco123":     "a usual example secret",
	"huawei":       "a vendor's name",
	"juniper":      "a vendor's name",
	"ubnt":         "a vendor's default",
	"radial":       "this server's name",
	"123456":       "a usual password",
	"1234567":      "a usual password",
	"12345678":     "a usual password",
	"123456789":    "a usual password",
	"1234567890":   "a usual password",
	"qwerty":       "a usual password",
	"qwerty123":    "a usual password",
	"abc123":       "a usual password",
}

// WeakSecret tells whether a shared secret would be guessed at once, and why.
// It is asked when a secret is set, never when a packet comes.
func WeakSecret(s Secret) (why string, weak bool) {
	text := s.Reveal()
	if why, ok := weakSecrets[strings.ToLower(text)]; ok {
		return why, true
	}
	if len(text) < shortestSecret {
		return fmt.Sprintf("only %d characters (16 and more are good, under %d is refused)", len(text), shortestSecret), true
	}
	if strings.Count(text, text[:1]) == len(text) {
		return "one character repeated", true
	}
	return "", false
}
