package aaa

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"radial/nas"
)

// PackageFields lists what a file may say of packages, in the order in which an
// export writes it.
func PackageFields() []Field {
	return []Field{
		{Name: "name"},
		{Name: "description"},
		{Name: "rate_down", Help: "100M; with rate_up"},
		{Name: "rate_up"},
		{Name: "burst_down"},
		{Name: "burst_up"},
		{Name: "threshold_down"},
		{Name: "threshold_up"},
		{Name: "burst_time", Help: "seconds, or 16s"},
		{Name: "min_down"},
		{Name: "min_up"},
		{Name: "priority", Help: "1 to 8"},
		{Name: "address_list"},
		{Name: "filter"},
		{Name: "dns", List: true, Help: "addresses"},
		{Name: "vlan"},
		{Name: "pool"},
		{Name: "framed_pool"},
		{Name: "ipv6_prefix_pool"},
		{Name: "delegated_prefix_pool"},
		{Name: "ipv6_address_pool"},
		{Name: "session_timeout", Help: "seconds, or 12h"},
		{Name: "idle_timeout"},
		{Name: "interim_interval"},
		{Name: "simultaneous_use", Help: "sessions at a time"},
		{Name: "price", Help: "19.90"},
		{Name: "currency", Help: "EUR"},
		{Name: "billing_cycle", Help: "once, daily, monthly, quarterly or yearly"},
		{Name: "validity_days"},
		{Name: "status", Help: "active or inactive"},
		{Name: "quotas", List: true, Help: "100G:month:total, or a step of fair use: 100G:month:total=10M/2M"},
		{Name: "walled", List: true, Help: "suspended, expired, exhausted: its walled garden, with the fields that follow"},
		{Name: "walled_down"},
		{Name: "walled_up"},
		{Name: "walled_address_list"},
		{Name: "walled_filter"},
		{Name: "walled_pool"},
		{Name: "walled_framed_pool"},
		{Name: "walled_session_timeout"},
		{Name: "walled_replies", List: true, Help: "Attribute op value"},
		{Name: "checks", List: true, Help: "Attribute op value"},
		{Name: "replies", List: true, Help: "Attribute op value"},
	}
}

// PackageImport is what one record of a file says of a package.
type PackageImport struct {
	Name            string
	Change          PackageChange
	Checks, Replies bool // the lists of the change take the place of what it has
}

// ReadPackage reads a record. It returns everything that is wrong with it.
func (p *Provisioner) ReadPackage(fields Fields) (im PackageImport, errs []error) {
	r := fieldReader{fields: fields}
	c := &im.Change
	if im.Name = fields["name"]; validGroupName("package", im.Name) != nil {
		r.wrong("name", validGroupName("package", im.Name))
	}
	for name, to := range map[string]**string{
		"address_list": &c.AddressList, "filter": &c.Filter, "pool": &c.Pool, "framed_pool": &c.FramedPool,
		"ipv6_prefix_pool": &c.IPv6PrefixPool, "delegated_prefix_pool": &c.DelegatedPool, "ipv6_address_pool": &c.IPv6AddressPool,
		"price": &c.Price, "walled_address_list": &c.Walled.AddressList, "walled_filter": &c.Walled.Filter,
		"walled_pool": &c.Walled.Pool, "walled_framed_pool": &c.Walled.FramedPool,
	} {
		take(&r, name, to, asText[string])
	}
	takeText(&r, "description", &c.Description)
	for name, to := range map[string]**int64{
		"rate_down": &c.RateDown, "rate_up": &c.RateUp, "burst_down": &c.Burst.BurstDown, "burst_up": &c.Burst.BurstUp,
		"threshold_down": &c.Burst.ThresholdDown, "threshold_up": &c.Burst.ThresholdUp, "min_down": &c.Burst.MinDown, "min_up": &c.Burst.MinUp,
		"walled_down": &c.Walled.RateDown, "walled_up": &c.Walled.RateUp,
	} {
		take(&r, name, to, asRate)
	}
	for name, to := range map[string]**int64{
		"session_timeout": &c.SessionTimeout, "idle_timeout": &c.IdleTimeout, "interim_interval": &c.InterimInterval,
		"burst_time": &c.Burst.BurstTime, "walled_session_timeout": &c.Walled.SessionTimeout,
	} {
		take(&r, name, to, asSeconds)
	}
	take(&r, "priority", &c.Burst.Priority, asNumber("priority", 1, 8))
	take(&r, "vlan", &c.VLAN, asNumber("VLAN", 1, 4094))
	take(&r, "validity_days", &c.ValidityDays, asNumber("validity", 1, maxValidity))
	take(&r, "currency", &c.Currency, func(text string) (string, error) { return strings.ToUpper(text), nil })
	take(&r, "billing_cycle", &c.BillingCycle, asOneOf("billing cycle", BillingCycles))
	take(&r, "status", &c.Status, asOneOf("status", []PackageStatus{PackageActive, PackageInactive}))
	take(&r, "simultaneous_use", &c.SimultaneousUse, asNumber("simultaneous use", 0, maxSeconds))
	if strings.TrimSpace(fields["simultaneous_use"]) == Taken {
		c.SimultaneousUse = new(int64(-1))
	}
	p.readPackageLists(&r, &im)
	slices.SortFunc(r.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return im, r.errs
}

func (p *Provisioner) readPackageLists(r *fieldReader, im *PackageImport) {
	c := &im.Change
	if words, said := r.words("dns"); said {
		c.DNS = []netip.Addr{}
		for _, word := range words {
			server, err := netip.ParseAddr(word)
			if err != nil {
				r.wrong("dns", fmt.Errorf("name server %q: want an address like 9.9.9.9: %w", word, ErrInvalid))
				continue
			}
			c.DNS = append(c.DNS, server.Unmap())
		}
	}
	c.Quotas = r.quotas("quotas")
	if words, said := r.words("walled"); said {
		c.Walled.Remove = len(words) == 0
		for _, word := range words {
			state, err := asOneOf("state", WallStates)(word)
			if err != nil {
				r.wrong("walled", err)
				continue
			}
			c.Walled.For = append(c.Walled.For, state)
		}
	}
	c.AddChecks, im.Checks = p.items(r, "checks", TableGroupCheck)
	c.AddReplies, im.Replies = p.items(r, "replies", TableGroupReply)
	if items, said := p.items(r, "walled_replies", TableGroupReply); said {
		c.Walled.Replies = append([]Item{}, items...) // taken away where there are none
	}
}

// asSeconds reads a number of seconds, or a duration.
func asSeconds(text string) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil && n >= 0 {
		return n, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 && d%time.Second == 0 {
		return int64(d / time.Second), nil
	}
	return 0, fmt.Errorf("%q: want seconds, or a duration like 90s or 12h: %w", text, ErrInvalid)
}

// ImportPackage makes the package that a record tells of, or with update changes
// the one that is there, as ImportSubscriber does with subscribers.
func (p *Provisioner) ImportPackage(im PackageImport, update bool) func(PackageState) (PackageDelta, error) {
	return func(s PackageState) (PackageDelta, error) {
		c := im.Change
		if s.Package == nil {
			return p.AddPackage(c, false)(s)
		}
		if !update {
			return PackageDelta{}, fmt.Errorf("package %q is there already; with --update it is changed: %w", s.Name, ErrConflict)
		}
		if im.Checks {
			c.AddChecks, c.DelChecks = asStored(c.AddChecks, s.Package.Checks), attributesOf(s.Package.Checks)
		}
		if im.Replies {
			c.AddReplies, c.DelReplies = asStored(c.AddReplies, s.Package.Replies), attributesOf(s.Package.Replies)
		}
		if w := s.Package.Walled; w != nil && c.Walled.Replies != nil {
			c.Walled.Replies = asStored(c.Walled.Replies, w.Replies)
		}
		return p.SetPackage(c)(s)
	}
}

// WritePackage writes a package as ReadPackage reads it.
func WritePackage(p *Package) Fields {
	rate := func(bits int64) string {
		if bits == 0 {
			return ""
		}
		return nas.FormatRate(bits)
	}
	dns := make([]string, len(p.DNS))
	for i, server := range p.DNS {
		dns[i] = server.String()
	}
	f := Fields{
		"name": p.Name, "description": p.Description, "rate_down": rate(p.RateDown), "rate_up": rate(p.RateUp),
		"burst_down": rate(p.BurstDown), "burst_up": rate(p.BurstUp), "threshold_down": rate(p.ThresholdDown), "threshold_up": rate(p.ThresholdUp),
		"burst_time": positive(p.BurstTime), "min_down": rate(p.MinDown), "min_up": rate(p.MinUp), "priority": positive(p.Priority),
		"address_list": p.AddressList, "filter": p.Filter, "dns": strings.Join(dns, "\n"), "vlan": positive(p.VLAN),
		"pool": p.Pool, "framed_pool": p.FramedPool, "ipv6_prefix_pool": p.IPv6PrefixPool, "delegated_prefix_pool": p.DelegatedPool,
		"ipv6_address_pool": p.IPv6AddressPool, "session_timeout": positive(p.SessionTimeout), "idle_timeout": positive(p.IdleTimeout),
		"interim_interval": positive(p.InterimInterval), "price": p.Price, "currency": p.Currency, "billing_cycle": string(p.BillingCycle),
		"validity_days": positive(p.ValidityDays), "status": string(p.Status), "quotas": quotaLines(p.Quotas),
		"checks": itemLines(p.Checks), "replies": itemLines(p.Replies),
	}
	if p.SimultaneousUse != nil {
		f["simultaneous_use"] = strconv.FormatInt(*p.SimultaneousUse, 10)
	}
	if w := p.Walled; w != nil {
		states := make([]string, len(w.For))
		for i, s := range w.For {
			states[i] = string(s)
		}
		f["walled"] = strings.Join(states, "\n")
		f["walled_down"], f["walled_up"] = rate(w.RateDown), rate(w.RateUp)
		f["walled_address_list"], f["walled_filter"], f["walled_pool"], f["walled_framed_pool"] = w.AddressList, w.Filter, w.Pool, w.FramedPool
		f["walled_session_timeout"], f["walled_replies"] = positive(w.SessionTimeout), itemLines(w.Replies)
	}
	return f
}
