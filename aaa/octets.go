package aaa

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// octetUnits are powers of 1000, as telecommunication counts; the binary ones
// have an i.
var octetUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3},
}

// ParseOctets reads a volume: 500000, 100G or 1.5T (powers of 1000, a B may
// follow), 100GiB or 100Gi (powers of 1024).
func ParseOctets(text string) (int64, error) {
	number, size := strings.TrimSpace(text), int64(1)
	for _, u := range octetUnits {
		cut, ok := cutUnit(number, u.name)
		if ok {
			number, size = cut, u.size
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if n, whole := strconv.ParseInt(number, 10, 64); whole == nil && n >= 0 && n <= maxOctets/size {
		return n * size, nil
	}
	if err != nil || strings.ContainsAny(number, "eExXnNiI_+-") || f < 0 || f*float64(size) > float64(maxOctets) {
		return 0, fmt.Errorf("volume %q: want octets, as 500000, 100G, 1.5T or 100GiB: %w", text, ErrInvalid)
	}
	return int64(math.Round(f * float64(size))), nil
}

// cutUnit takes a unit off: GiB and Gi, G and GB, in any case.
func cutUnit(text, unit string) (string, bool) {
	for _, name := range []string{unit, unit + "B", strings.TrimSuffix(unit, "B")} {
		if n := len(text) - len(name); n > 0 && strings.EqualFold(text[n:], name) {
			return strings.TrimSpace(text[:n]), true
		}
	}
	return text, false
}

// FormatOctets writes a volume as a person reads it, never rounded up: 1.5G,
// 999 octets; "unlimited" for Unlimited.
func FormatOctets(n int64) string {
	if n == Unlimited {
		return unlimited
	}
	for _, u := range octetUnits[4:] {
		if n >= u.size {
			whole, rest := n/u.size, n%u.size*1000/u.size
			return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%03d", whole, rest), "0"), ".") + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
