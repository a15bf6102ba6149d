package aaa

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

// PackageStatus says whether a package may be given to subscribers. Those who
// have an inactive one keep it.
type PackageStatus string

// The states of a package.
const (
	PackageActive   PackageStatus = "active"
	PackageInactive PackageStatus = "inactive"
)

// BillingCycle is how often a package is paid for.
type BillingCycle string

// BillingCycles lists the cycles.
var BillingCycles = []BillingCycle{"once", "daily", "monthly", "quarterly", "yearly"}

// Package is a row of radial.packages: what a subscriber buys. It is projected
// as the group of its name. Zero fields are not set.
type Package struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	RateDown    int64  `json:"rate_down"` // bits per second to the subscriber
	RateUp      int64  `json:"rate_up"`   // bits per second from the subscriber
	Pool        string `json:"pool"`      // Pool-Name of its group
	// SessionTimeout, IdleTimeout and InterimInterval are in seconds.
	SessionTimeout  int64 `json:"session_timeout"`
	IdleTimeout     int64 `json:"idle_timeout"`
	InterimInterval int64 `json:"interim_interval"`
	// SimultaneousUse is the number of sessions at a time; nil is no limit, 0
	// refuses every login.
	SimultaneousUse *int64        `json:"simultaneous_use"`
	Price           string        `json:"price"` // decimal with two places, or ""
	BillingCycle    BillingCycle  `json:"billing_cycle"`
	ValidityDays    int64         `json:"validity_days"` // until a new subscriber expires
	Status          PackageStatus `json:"status"`
	Checks          []Item        `json:"checks"`
	Replies         []Item        `json:"replies"`
	Created         time.Time     `json:"created_at"`
	Updated         time.Time     `json:"updated_at"`
}

// pricePattern is what numeric(10, 2) holds.
var pricePattern = regexp.MustCompile(`^[0-9]{1,8}(\.[0-9]{1,2})?$`)

// maxSeconds bounds timeouts: what an integer attribute and column both hold.
const maxSeconds = 1<<31 - 1

// validPackage holds the fields to what the table and the projection take.
func validPackage(p *Package) error {
	if err := validGroupName("package", p.Name); err != nil {
		return err
	}
	switch {
	case p.RateDown < 0 || p.RateUp < 0:
		return fmt.Errorf("package %q: a rate is below 0: %w", p.Name, ErrInvalid)
	case (p.RateDown == 0) != (p.RateUp == 0):
		return fmt.Errorf("package %q: down and up are set together, as in --down 100M --up 20M: %w", p.Name, ErrInvalid)
	case p.InterimInterval != 0 && (p.InterimInterval < 60 || p.InterimInterval > maxSeconds):
		return fmt.Errorf("interim interval %d: want 60 seconds or more (RFC 2869 §5.16): %w", p.InterimInterval, ErrInvalid)
	case p.SimultaneousUse != nil && (*p.SimultaneousUse < 0 || *p.SimultaneousUse > maxSeconds):
		return fmt.Errorf("simultaneous use %d: want 0 or more: %w", *p.SimultaneousUse, ErrInvalid)
	case p.ValidityDays < 0 || p.ValidityDays > 36500:
		return fmt.Errorf("validity %d: want 1 to 36500 days: %w", p.ValidityDays, ErrInvalid)
	case p.Price != "" && !pricePattern.MatchString(p.Price):
		return fmt.Errorf("price %q: want a number like 19.90: %w", p.Price, ErrInvalid)
	case !slices.Contains(BillingCycles, p.BillingCycle):
		return fmt.Errorf("billing cycle %q: one of %s: %w", p.BillingCycle, joined(BillingCycles), ErrInvalid)
	case p.Status != PackageActive && p.Status != PackageInactive:
		return fmt.Errorf("package status %q: active or inactive: %w", p.Status, ErrInvalid)
	}
	for what, n := range map[string]int64{"session timeout": p.SessionTimeout, "idle timeout": p.IdleTimeout} {
		if n < 0 || n > maxSeconds {
			return fmt.Errorf("%s %d: want 1 to %d seconds: %w", what, n, maxSeconds, ErrInvalid)
		}
	}
	if p.Pool != "" {
		return validGroupName("pool", p.Pool)
	}
	return nil
}
