package ipam

import "strings"

// NormaliseMAC gives a Calling-Station-Id the form in which callers are
// compared: a MAC address in lower case with colons, whichever of the usual
// forms it came in (AA:BB:CC:DD:EE:FF, AA-BB-…, aabb.ccdd.eeff, aabbccddeeff,
// also with a DHCP hardware type before it, 1:aa:bb:…). Anything else, such as
// the address of an L2TP client, comes back as it is, without blanks around.
func NormaliseMAC(s string) string {
	s = strings.TrimSpace(s)
	if mac, ok := parseMAC(s); ok {
		return mac
	}
	// RFC 2132 §9.14: a client identifier begins with the hardware type, 1 for
	// Ethernet; RouterOS's DHCP server sends it so.
	if kind, rest, ok := strings.Cut(s, ":"); ok && (kind == "1" || kind == "01") && strings.Count(rest, ":") == 5 {
		if mac, ok := parseMAC(rest); ok {
			return mac
		}
	}
	return s
}

// parseMAC takes twelve hex digits, bare or evenly divided by one kind of
// divider; with colons or hyphens a leading zero may be missing.
func parseMAC(s string) (string, bool) {
	if len(s) < 11 || len(s) > 17 {
		return "", false
	}
	var digits [12]byte
	var groups []string
	switch {
	case strings.Contains(s, ":"):
		groups = strings.Split(s, ":")
	case strings.Contains(s, "-"):
		groups = strings.Split(s, "-")
	case strings.Contains(s, "."):
		groups = strings.Split(s, ".")
	default:
		groups = []string{s}
	}
	width := 12 / len(groups)
	if len(groups) != 1 && len(groups) != 2 && len(groups) != 3 && len(groups) != 6 {
		return "", false
	}
	n := 0
	for _, g := range groups {
		if len(g) != width && (width != 2 || len(g) != 1) {
			return "", false
		}
		for range width - len(g) {
			digits[n] = '0'
			n++
		}
		for i := range len(g) {
			c := g[i]
			switch {
			case '0' <= c && c <= '9', 'a' <= c && c <= 'f':
			case 'A' <= c && c <= 'F':
				c += 'a' - 'A'
			default:
				return "", false
			}
			digits[n] = c
			n++
		}
	}
	out := make([]byte, 0, 17)
	for i := 0; i < 12; i += 2 {
		if i > 0 {
			out = append(out, ':')
		}
		out = append(out, digits[i], digits[i+1])
	}
	return string(out), true
}
