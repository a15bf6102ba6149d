package nas

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// RateLimit is the value of Mikrotik-Rate-Limit (RouterOS manual, "PPP AAA" and
// "RADIUS client"; the grammar stands at ParseRateLimit). Rates are bits per
// second; 0 is unlimited.
//
// RouterOS writes "rx/tx" as the router sees it, so rx is what the subscriber
// sends: Up comes first in the text, Down second.
type RateLimit struct {
	Up, Down Rates
	Priority int // 1 (best) to 8; 0 when not given
}

// Rates are the figures of one direction. Burst figures are 0 where no burst is
// given, Min is 0 where it is not given (RouterOS then takes Rate).
type Rates struct {
	Rate      int64         // bits per second
	Burst     int64         // bits per second allowed for a while
	Threshold int64         // average in bits per second below which bursts are allowed
	BurstTime time.Duration // over which the average is taken, in whole seconds
	Min       int64         // guaranteed bits per second
}

// maxRate bounds rates, far above any line and far below overflow: 1 Pbit/s.
const maxRate = int64(1e15)

// ParseRateLimit reads
//
//	rx[/tx] [rx-burst[/tx-burst] [rx-threshold[/tx-threshold] [rx-time[/tx-time] [priority [rx-min[/tx-min]]]]]]
//
// Rates may end in k (1,000), M (1,000,000) or G; a missing tx is rx. With a
// burst, a missing threshold is the rate and a missing time is 1 second. Times
// are seconds and may end in s. The error names the part and what would be
// right.
func ParseRateLimit(s string) (RateLimit, error) {
	var l RateLimit
	parts := strings.Fields(s)
	if len(parts) == 0 || len(parts) > 6 {
		return l, fmt.Errorf("rate limit %q: want rx/tx and up to 5 further parts, as in 20M/100M", s)
	}
	pair := func(i int, what string, up, down *int64) error {
		if i >= len(parts) {
			return nil
		}
		var err error
		if *up, *down, err = parsePair(parts[i], routerRate); err != nil {
			return fmt.Errorf("rate limit %q: %s %w", s, what, err)
		}
		return nil
	}
	if err := pair(0, "rate", &l.Up.Rate, &l.Down.Rate); err != nil {
		return RateLimit{}, err
	}
	if err := pair(1, "burst", &l.Up.Burst, &l.Down.Burst); err != nil {
		return RateLimit{}, err
	}
	l.defaultBurst()
	if err := pair(2, "burst threshold", &l.Up.Threshold, &l.Down.Threshold); err != nil {
		return RateLimit{}, err
	}
	if len(parts) > 3 {
		up, down, err := parsePair(parts[3], seconds)
		if err != nil {
			return RateLimit{}, fmt.Errorf("rate limit %q: burst time %w", s, err)
		}
		l.Up.BurstTime, l.Down.BurstTime = time.Duration(up)*time.Second, time.Duration(down)*time.Second
	}
	if len(parts) > 4 {
		n, err := strconv.Atoi(parts[4])
		if err != nil || n < 1 || n > 8 {
			return RateLimit{}, fmt.Errorf("rate limit %q: priority %q: want 1 (best) to 8", s, parts[4])
		}
		l.Priority = n
	}
	if err := pair(5, "minimum", &l.Up.Min, &l.Down.Min); err != nil {
		return RateLimit{}, err
	}
	for _, r := range []Rates{l.Up, l.Down} {
		if r.Rate > 0 && r.Min > r.Rate {
			return RateLimit{}, fmt.Errorf("rate limit %q: minimum %s is over the rate %s", s, FormatRate(r.Min), FormatRate(r.Rate))
		}
	}
	return l, nil
}

// defaultBurst sets what RouterOS takes where a burst stands alone.
func (l *RateLimit) defaultBurst() {
	for _, r := range []*Rates{&l.Up, &l.Down} {
		if r.Burst > 0 {
			r.Threshold, r.BurstTime = r.Rate, time.Second
		} else {
			r.Threshold, r.BurstTime = 0, 0
		}
	}
}

// String gives the value in RouterOS's grammar, without trailing parts that
// say only what their absence says. ParseRateLimit reads it back as it was,
// but for a priority that stands only as a placeholder.
func (l RateLimit) String() string {
	bare := RateLimit{Up: Rates{Rate: l.Up.Rate}, Down: Rates{Rate: l.Down.Rate}}
	alone := bare
	alone.Up.Burst, alone.Down.Burst = l.Up.Burst, l.Down.Burst
	alone.defaultBurst()

	need := 1
	switch {
	case l.Up.Min != 0 || l.Down.Min != 0:
		need = 6
	case l.Priority != 0:
		need = 5
	case l.Up.BurstTime != alone.Up.BurstTime || l.Down.BurstTime != alone.Down.BurstTime:
		need = 4
	case l.Up.Threshold != alone.Up.Threshold || l.Down.Threshold != alone.Down.Threshold:
		need = 3
	case l.Up.Burst != 0 || l.Down.Burst != 0:
		need = 2
	}
	priority := l.Priority
	if priority == 0 {
		priority = 8 // RouterOS's own default
	}
	rates := func(up, down int64) string { return FormatRate(up) + "/" + FormatRate(down) }
	parts := []string{
		rates(l.Up.Rate, l.Down.Rate),
		rates(l.Up.Burst, l.Down.Burst),
		rates(l.Up.Threshold, l.Down.Threshold),
		fmt.Sprintf("%d/%d", int64(l.Up.BurstTime/time.Second), int64(l.Down.BurstTime/time.Second)),
		strconv.Itoa(priority),
		rates(l.Up.Min, l.Down.Min),
	}
	return strings.Join(parts[:need], " ")
}

// ParseRate reads a rate that a person writes, as 20M, 512k, 1.5G or a bare
// number of bits per second; bit/s and bps may follow.
func ParseRate(s string) (int64, error) {
	bad := func() (int64, error) {
		return 0, fmt.Errorf("rate %q: want bits per second with k, M or G, as in 20M", s)
	}
	t := strings.TrimSpace(s)
	for _, suffix := range []string{"bit/s", "bps"} {
		if cut, ok := strings.CutSuffix(t, suffix); ok {
			t = strings.TrimSpace(cut)
			break
		}
	}
	digits, unit := cutUnit(t)
	digits = strings.TrimSpace(digits)
	whole, frac, dotted := strings.Cut(digits, ".")
	n, ok := number(whole, unit)
	if !ok || dotted && (frac == "" || len(frac) > 9) {
		return bad()
	}
	for place := unit; frac != ""; frac = frac[1:] {
		d := int64(frac[0] - '0')
		if frac[0] < '0' || frac[0] > '9' || place < 10 && d != 0 {
			return bad()
		}
		place /= 10
		n += d * place
	}
	if n > maxRate {
		return bad()
	}
	return n, nil
}

// FormatRate prints bits per second with the largest of k and M that leaves a
// whole number. It never writes G, which older RouterOS does not know.
func FormatRate(bits int64) string {
	switch {
	case bits != 0 && bits%1_000_000 == 0:
		return strconv.FormatInt(bits/1_000_000, 10) + "M"
	case bits != 0 && bits%1000 == 0:
		return strconv.FormatInt(bits/1000, 10) + "k"
	default:
		return strconv.FormatInt(bits, 10)
	}
}

func parsePair(s string, one func(string) (int64, error)) (up, down int64, err error) {
	rx, tx, both := strings.Cut(s, "/")
	if up, err = one(rx); err != nil {
		return 0, 0, err
	}
	if !both {
		return up, up, nil
	}
	if down, err = one(tx); err != nil {
		return 0, 0, err
	}
	return up, down, nil
}

func routerRate(s string) (int64, error) {
	digits, unit := cutUnit(s)
	n, ok := number(digits, unit)
	if !ok {
		return 0, fmt.Errorf("%q: want a whole number of bits per second with k or M, as in 20M", s)
	}
	return n, nil
}

func seconds(s string) (int64, error) {
	n, ok := number(strings.TrimSuffix(s, "s"), 1)
	if !ok || n > math.MaxInt32 {
		return 0, fmt.Errorf("%q: want seconds, as in 10", s)
	}
	return n, nil
}

// cutUnit splits the suffix off and says what it multiplies by.
func cutUnit(s string) (digits string, unit int64) {
	if s != "" {
		last := len(s) - 1
		switch s[last] {
		case 'k', 'K':
			return s[:last], 1000
		case 'M', 'm':
			return s[:last], 1_000_000
		case 'G', 'g':
			return s[:last], 1_000_000_000
		}
	}
	return s, 1
}

// number reads decimal digits alone: no sign, no blank, nothing over maxRate.
func number(digits string, unit int64) (int64, bool) {
	if digits == "" || len(digits) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(digits[i]-'0')
	}
	if n > maxRate/unit {
		return 0, false
	}
	return n * unit, true
}
