package aaa

import (
	"fmt"
	"net/netip"
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
	PackageShaping
	PackagePools
	AddressList string       `json:"address_list"` // of the device's firewall: Mikrotik-Address-List
	Filter      string       `json:"filter"`       // on the device: Filter-Id
	DNS         []netip.Addr `json:"dns"`          // two IPv4 servers at most, any of IPv6
	VLAN        int64        `json:"vlan"`         // 1 to 4094
	// SessionTimeout, IdleTimeout and InterimInterval are in seconds.
	SessionTimeout  int64 `json:"session_timeout"`
	IdleTimeout     int64 `json:"idle_timeout"`
	InterimInterval int64 `json:"interim_interval"`
	// SimultaneousUse is the number of sessions at a time; nil is no limit, 0
	// refuses every login.
	SimultaneousUse *int64        `json:"simultaneous_use"`
	Price           string        `json:"price"`    // decimal with two places, or ""
	Currency        string        `json:"currency"` // ISO 4217, or ""
	BillingCycle    BillingCycle  `json:"billing_cycle"`
	ValidityDays    int64         `json:"validity_days"` // until a new subscriber expires
	Status          PackageStatus `json:"status"`
	Checks          []Item        `json:"checks"`
	Replies         []Item        `json:"replies"`
	Quotas          []Quota       `json:"quotas"` // of its group, beside FreeRADIUS's rows
	Walled          *Walled       `json:"walled"` // nil: none
	Created         time.Time     `json:"created_at"`
	Updated         time.Time     `json:"updated_at"`
}

// PackagePools says where the addresses of a package's subscribers come from.
// All but FramedPool are names of our own pools, from which a login leases.
type PackagePools struct {
	Pool            string `json:"pool"`                  // Framed-IP-Address: Pool-Name of its group
	FramedPool      string `json:"framed_pool"`           // a pool on the NAS: Framed-Pool of its group; nothing is leased
	IPv6PrefixPool  string `json:"ipv6_prefix_pool"`      // Framed-IPv6-Prefix
	DelegatedPool   string `json:"delegated_prefix_pool"` // Delegated-IPv6-Prefix
	IPv6AddressPool string `json:"ipv6_address_pool"`     // Framed-IPv6-Address
}

// checks are the items of the group that choose pools, in the order in which
// they stand there.
func (p *PackagePools) checks() []Item {
	return []Item{
		{"Pool-Name", "+=", p.Pool},
		{"Framed-IPv6-Pool", "+=", p.IPv6PrefixPool},
		{"Delegated-IPv6-Prefix-Pool", "+=", p.DelegatedPool},
		{"Stateful-IPv6-Address-Pool", "+=", p.IPv6AddressPool},
	}
}

// valid holds the names to what a row takes.
func (p *PackagePools) valid() error {
	for _, it := range append(p.checks(), Item{Attribute: "Framed-Pool", Value: p.FramedPool}) {
		if it.Value == "" {
			continue
		}
		if err := validGroupName("pool", it.Value); err != nil {
			return err
		}
	}
	if p.Pool != "" && p.FramedPool != "" {
		return fmt.Errorf("pool %q and framed pool %q: with Framed-Pool the device gives the address and nothing is leased; take one away with --pool '' or --framed-pool '': %w",
			p.Pool, p.FramedPool, ErrInvalid)
	}
	return nil
}

// pricePattern is what numeric(10, 2) holds.
var pricePattern = regexp.MustCompile(`^[0-9]{1,8}(\.[0-9]{1,2})?$`)

var currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)

// maxSeconds bounds timeouts: what an integer attribute and column both hold.
const maxSeconds = 1<<31 - 1

// maxValidity bounds validity: a hundred years, in days.
const maxValidity = 36500

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
	case p.ValidityDays < 0 || p.ValidityDays > maxValidity:
		return fmt.Errorf("validity %d: want 1 to %d days: %w", p.ValidityDays, maxValidity, ErrInvalid)
	case p.Currency != "" && !currencyPattern.MatchString(p.Currency):
		return fmt.Errorf("currency %q: want three letters like EUR (ISO 4217): %w", p.Currency, ErrInvalid)
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
	if err := validQuotas(p.Quotas); err != nil {
		return err
	}
	for _, err := range []error{p.shapingValid(), p.servedValid(), p.Walled.valid()} {
		if err != nil {
			return fmt.Errorf("package %q: %w", p.Name, err)
		}
	}
	return p.PackagePools.valid()
}
