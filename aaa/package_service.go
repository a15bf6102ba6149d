package aaa

import (
	"fmt"
	"strings"
	"time"

	"radial/nas"
)

// PackageShaping is what a package's rates have beyond themselves, in RouterOS's
// terms (nas.RateLimit). Rates are bits per second; 0 is not set.
type PackageShaping struct {
	BurstDown     int64 `json:"burst_down"` // for a while, while the average is below the threshold
	BurstUp       int64 `json:"burst_up"`
	ThresholdDown int64 `json:"threshold_down"` // 0: the rate
	ThresholdUp   int64 `json:"threshold_up"`
	BurstTime     int64 `json:"burst_time"` // seconds of the average, 1 if not set
	MinDown       int64 `json:"min_down"`   // guaranteed
	MinUp         int64 `json:"min_up"`
	Priority      int64 `json:"priority"` // 1 (best) to 8
}

// rateLimit is the whole of what the package says of rates.
func (p *Package) rateLimit() nas.RateLimit {
	one := func(rate, burst, threshold, least int64) nas.Rates {
		r := nas.Rates{Rate: rate, Burst: burst, Min: least}
		if burst > 0 {
			r.Threshold, r.BurstTime = threshold, time.Duration(max(p.BurstTime, 1))*time.Second
			if threshold == 0 {
				r.Threshold = rate
			}
		}
		return r
	}
	return nas.RateLimit{
		Up:       one(p.RateUp, p.BurstUp, p.ThresholdUp, p.MinUp),
		Down:     one(p.RateDown, p.BurstDown, p.ThresholdDown, p.MinDown),
		Priority: int(p.Priority),
	}
}

// shapingValid holds bursts and the like to what a device makes sense of.
func (p *Package) shapingValid() error {
	s := &p.PackageShaping
	if *s == (PackageShaping{}) {
		return nil
	}
	switch {
	case p.RateDown == 0:
		return fmt.Errorf("bursts, minimum rates and a priority need rates: set down and up too: %w", ErrInvalid)
	case (s.BurstDown == 0) != (s.BurstUp == 0):
		return fmt.Errorf("burst down and up are set together: %w", ErrInvalid)
	case s.BurstDown == 0 && (s.ThresholdDown != 0 || s.ThresholdUp != 0 || s.BurstTime != 0):
		return fmt.Errorf("a burst's threshold and time need a burst: set burst down and up too: %w", ErrInvalid)
	case s.BurstTime < 0 || s.BurstTime > 3600:
		return fmt.Errorf("burst time %d: want 1 to 3600 seconds: %w", s.BurstTime, ErrInvalid)
	case s.Priority < 0 || s.Priority > 8:
		return fmt.Errorf("priority %d: want 1 (best) to 8: %w", s.Priority, ErrInvalid)
	}
	for _, dir := range []struct {
		word                          string
		rate, burst, threshold, least int64
	}{{"down", p.RateDown, s.BurstDown, s.ThresholdDown, s.MinDown}, {"up", p.RateUp, s.BurstUp, s.ThresholdUp, s.MinUp}} {
		switch {
		case dir.burst < 0 || dir.threshold < 0 || dir.least < 0:
			return fmt.Errorf("a rate %s is below 0: %w", dir.word, ErrInvalid)
		case dir.burst != 0 && dir.burst < dir.rate:
			return fmt.Errorf("burst %s %s is below the rate %s: %w", dir.word, nas.FormatRate(dir.burst), nas.FormatRate(dir.rate), ErrInvalid)
		case dir.threshold > dir.burst:
			return fmt.Errorf("threshold %s %s is above the burst %s: %w", dir.word, nas.FormatRate(dir.threshold), nas.FormatRate(dir.burst), ErrInvalid)
		case dir.least > dir.rate:
			return fmt.Errorf("minimum %s %s is above the rate %s: %w", dir.word, nas.FormatRate(dir.least), nas.FormatRate(dir.rate), ErrInvalid)
		}
	}
	return nil
}

// servedValid holds what else the device is told to what its attributes take.
func (p *Package) servedValid() error {
	for _, name := range []struct{ what, text string }{{"address list", p.AddressList}, {"filter", p.Filter}} {
		if err := validDeviceName(name.what, name.text); err != nil {
			return err
		}
	}
	if p.VLAN < 0 || p.VLAN > 4094 {
		return fmt.Errorf("VLAN %d: want 1 to 4094: %w", p.VLAN, ErrInvalid)
	}
	four := 0
	for _, server := range p.DNS {
		if !server.IsValid() || server.IsUnspecified() || server.IsMulticast() || server.Zone() != "" {
			return fmt.Errorf("name server %s: want an address like 9.9.9.9: %w", server, ErrInvalid)
		}
		if server.Unmap().Is4() {
			four++
		}
	}
	if four > 2 || len(p.DNS) > 4 {
		return fmt.Errorf("%d name servers: two of IPv4 can be told (RFC 2548 §2.7), and four in all: %w", len(p.DNS), ErrInvalid)
	}
	return nil
}

// validDeviceName holds a name of something on a device to what stands in a row
// without quoting; "" is none.
func validDeviceName(what, name string) error {
	if name == "" {
		return nil
	}
	if strings.ContainsAny(name, "\"'`\\%") {
		return fmt.Errorf("%s %q: quotes, backslashes and %% cannot be in it: %w", what, name, ErrInvalid)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) || strings.TrimSpace(name) != name || len(name) > 200 {
		return fmt.Errorf("%s %q: want 1 to 200 characters, no blank at the ends: %w", what, name, ErrInvalid)
	}
	return nil
}

// projectService says which replies of the group come of rates, address list,
// filter, name servers and VLAN.
func projectService(p *Package, add func(Item)) {
	if p.RateDown > 0 && p.RateUp > 0 {
		add(Item{"Mikrotik-Rate-Limit", "=", p.rateLimit().String()})
	}
	if p.AddressList != "" {
		add(Item{"Mikrotik-Address-List", "=", p.AddressList})
	}
	if p.Filter != "" {
		add(Item{"Filter-Id", "=", p.Filter})
	}
	names := []string{"MS-Primary-DNS-Server", "MS-Secondary-DNS-Server"}
	for _, server := range p.DNS {
		if server = server.Unmap(); server.Is4() && len(names) > 0 {
			add(Item{names[0], "=", server.String()})
			names = names[1:]
		}
	}
	for _, server := range p.DNS {
		if server.Unmap().Is6() {
			add(Item{"DNS-Server-IPv6-Address", "+=", server.String()})
		}
	}
	if p.VLAN > 0 { // RFC 3580 §3.31
		add(Item{"Tunnel-Type", "=", "VLAN"})
		add(Item{"Tunnel-Medium-Type", "=", "IEEE-802"})
		add(Item{"Tunnel-Private-Group-Id", "=", fmt.Sprint(p.VLAN)})
	}
}

// ShapingChange is what an operator says of a package's shaping. Nil fields are
// left as they are; 0 takes a value away.
type ShapingChange struct {
	BurstDown, BurstUp, ThresholdDown, ThresholdUp, BurstTime, MinDown, MinUp, Priority *int64
}

func (c *ShapingChange) apply(s *PackageShaping) {
	assign(&s.BurstDown, c.BurstDown)
	assign(&s.BurstUp, c.BurstUp)
	assign(&s.ThresholdDown, c.ThresholdDown)
	assign(&s.ThresholdUp, c.ThresholdUp)
	assign(&s.BurstTime, c.BurstTime)
	assign(&s.MinDown, c.MinDown)
	assign(&s.MinUp, c.MinUp)
	assign(&s.Priority, c.Priority)
}
