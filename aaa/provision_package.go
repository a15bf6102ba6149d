package aaa

import (
	"fmt"
	"net/netip"
	"strings"
)

// PackageState is all that the database holds of a package and of the group of
// its name at one moment.
type PackageState struct {
	Name        string
	Package     *Package // nil: there is none
	Rows        []StoredRow
	Lost        []LostRow
	Subscribers int // who have it
	Members     int // rows of radusergroup with that group, or its walled garden, that others wrote
	InGarden    int // rows of radusergroup with its walled garden, whoever wrote them
}

// PackageChange is what an operator says of a package. Nil fields are left as
// they are; 0 and "" take a value away.
type PackageChange struct {
	Description     *string
	RateDown        *int64 // bits per second
	RateUp          *int64
	Burst           ShapingChange
	AddressList     *string
	Filter          *string
	DNS             []netip.Addr // in place of all before; nil: as they are
	VLAN            *int64
	Pool            *string // names of pools, as in PackagePools
	FramedPool      *string
	IPv6PrefixPool  *string
	DelegatedPool   *string
	IPv6AddressPool *string
	SessionTimeout  *int64 // seconds
	IdleTimeout     *int64
	InterimInterval *int64
	SimultaneousUse *int64 // below 0 takes the limit away
	Price           *string
	Currency        *string
	BillingCycle    *BillingCycle
	ValidityDays    *int64
	Status          *PackageStatus
	Quotas          QuotaChange
	Walled          WalledChange
	AddChecks       []Item
	DelChecks       []string
	AddReplies      []Item
	DelReplies      []string
}

// AddPackage makes a new package. A group of that name that others made is a
// conflict, unless it is adopted: then the package's items are written over
// its own, and what else it has stays.
func (p *Provisioner) AddPackage(c PackageChange, adopt bool) func(PackageState) (PackageDelta, error) {
	return func(s PackageState) (PackageDelta, error) {
		if s.Package != nil {
			return PackageDelta{}, fmt.Errorf("package %q exists already; change it with package set: %w", s.Name, ErrConflict)
		}
		if !adopt && (len(s.Rows) > 0 || s.Members > 0) {
			return PackageDelta{}, fmt.Errorf("package %q: FreeRADIUS's tables have a group of that name already (%d items, %d members); choose another name, or take it over with --adopt: %w",
				s.Name, len(s.Rows), s.Members, ErrConflict)
		}
		before := Package{Name: s.Name, BillingCycle: "monthly", Status: PackageActive}
		return p.changePackage(s, before, c, adopt)
	}
}

// SetPackage changes what c names and nothing else.
func (p *Provisioner) SetPackage(c PackageChange) func(PackageState) (PackageDelta, error) {
	return func(s PackageState) (PackageDelta, error) {
		if s.Package == nil {
			return PackageDelta{}, fmt.Errorf("package %q: %w", s.Name, ErrNotFound)
		}
		return p.changePackage(s, *s.Package, c, false)
	}
}

// DeletePackage removes a package that nobody has any more, with its rows of
// the group tables as we wrote them. What others wrote there stays.
func (p *Provisioner) DeletePackage(s PackageState) (PackageDelta, error) {
	switch {
	case s.Package == nil:
		return PackageDelta{}, fmt.Errorf("package %q: %w", s.Name, ErrNotFound)
	case s.Subscribers > 0:
		return PackageDelta{}, fmt.Errorf("package %q: %d subscribers have it; give them another first: %w", s.Name, s.Subscribers, ErrConflict)
	case s.Members > 0:
		return PackageDelta{}, fmt.Errorf("package %q: %d rows of radusergroup that others wrote name it; remove them first: %w", s.Name, s.Members, ErrConflict)
	}
	d := PackageDelta{Remove: true, Rows: reconcile(nil, s.Rows, s.Lost, overwrite{})}
	return d.audited(maskedPackage(*s.Package), nil)
}

// project says the package's rows. While somebody is in a walled garden that is
// gone, its group is shut.
func (s *PackageState) project(p *Package) []ProjectedRow {
	rows := ProjectPackage(p)
	if p.Walled == nil && s.InGarden > 0 {
		rows = append(rows, projectShut(p.Name)...)
	}
	return rows
}

// SyncPackage repairs a package's rows, as SyncSubscriber does a
// subscriber's.
func (p *Provisioner) SyncPackage(force bool) func(PackageState) (PackageDelta, error) {
	return func(s PackageState) (PackageDelta, error) {
		if s.Package == nil {
			return PackageDelta{}, fmt.Errorf("package %q: %w", s.Name, ErrNotFound)
		}
		return synced[Package](reconcile(s.project(s.Package), s.Rows, s.Lost, overwrite{force: force})), nil
	}
}

func (p *Provisioner) changePackage(s PackageState, before Package, c PackageChange, adopt bool) (PackageDelta, error) {
	c.AddChecks, c.AddReplies = p.normalItems(c.AddChecks), p.normalItems(c.AddReplies)
	for _, it := range c.AddChecks {
		if IsPasswordAttribute(it.Attribute) {
			return PackageDelta{}, fmt.Errorf("check %q: a password is a subscriber's, not a package's: %w", it, ErrInvalid)
		}
		if err := p.checkItem(TableGroupCheck, it); err != nil {
			return PackageDelta{}, err
		}
	}
	for _, it := range c.AddReplies {
		if err := p.replyItem(TableGroupReply, it); err != nil {
			return PackageDelta{}, err
		}
	}
	if err := p.walledReplies(c.Walled.Replies); err != nil {
		return PackageDelta{}, err
	}
	after, err := c.apply(before)
	if err != nil {
		return PackageDelta{}, err
	}
	if err := validPackage(&after); err != nil {
		return PackageDelta{}, err
	}
	want := s.project(&after)
	d := PackageDelta{Rows: reconcile(want, s.Rows, s.Lost, overwrite{claims: c.claims(want, adopt)})}
	var had any
	if s.Package != nil {
		had = maskedPackage(before)
	}
	d, err = d.audited(had, maskedPackage(after))
	if d.Audit != nil {
		d.Save = &after
	}
	return d, err
}

func (c *PackageChange) apply(p Package) (Package, error) {
	assign(&p.Description, c.Description)
	assign(&p.RateDown, c.RateDown)
	assign(&p.RateUp, c.RateUp)
	c.Burst.apply(&p.PackageShaping)
	assign(&p.AddressList, c.AddressList)
	assign(&p.Filter, c.Filter)
	assign(&p.VLAN, c.VLAN)
	if c.DNS != nil {
		p.DNS = c.DNS
	}
	p.Walled = c.Walled.apply(p.Walled)
	assign(&p.Pool, c.Pool)
	assign(&p.FramedPool, c.FramedPool)
	assign(&p.IPv6PrefixPool, c.IPv6PrefixPool)
	assign(&p.DelegatedPool, c.DelegatedPool)
	assign(&p.IPv6AddressPool, c.IPv6AddressPool)
	assign(&p.SessionTimeout, c.SessionTimeout)
	assign(&p.IdleTimeout, c.IdleTimeout)
	assign(&p.InterimInterval, c.InterimInterval)
	assign(&p.Price, c.Price)
	assign(&p.Currency, c.Currency)
	assign(&p.BillingCycle, c.BillingCycle)
	assign(&p.ValidityDays, c.ValidityDays)
	assign(&p.Status, c.Status)
	p.Quotas = c.Quotas.apply(p.Quotas)
	if c.SimultaneousUse != nil {
		p.SimultaneousUse = nil
		if *c.SimultaneousUse >= 0 {
			p.SimultaneousUse = c.SimultaneousUse
		}
	}
	var err error
	if p.Checks, err = mergeItems(p.Checks, c.AddChecks, c.DelChecks, false); err != nil {
		return p, err
	}
	p.Replies, err = mergeItems(p.Replies, c.AddReplies, c.DelReplies, true)
	return p, err
}

// claims are the keys that the change names: what it sets or takes away
// replaces what others wrote there. Adopting claims all that is projected.
func (c *PackageChange) claims(want []ProjectedRow, adopt bool) map[rowKey]bool {
	claims := map[rowKey]bool{}
	named := map[rowKey]bool{
		{TableGroupReply, "mikrotik-rate-limit"}:        c.RateDown != nil || c.RateUp != nil || c.Burst != ShapingChange{},
		{TableGroupReply, "mikrotik-address-list"}:      c.AddressList != nil,
		{TableGroupReply, "filter-id"}:                  c.Filter != nil,
		{TableGroupReply, "ms-primary-dns-server"}:      c.DNS != nil,
		{TableGroupReply, "ms-secondary-dns-server"}:    c.DNS != nil,
		{TableGroupReply, "dns-server-ipv6-address"}:    c.DNS != nil,
		{TableGroupReply, "tunnel-private-group-id"}:    c.VLAN != nil,
		{TableGroupReply, "tunnel-type"}:                c.VLAN != nil,
		{TableGroupReply, "tunnel-medium-type"}:         c.VLAN != nil,
		{TableGroupReply, "session-timeout"}:            c.SessionTimeout != nil,
		{TableGroupReply, "idle-timeout"}:               c.IdleTimeout != nil,
		{TableGroupReply, "acct-interim-interval"}:      c.InterimInterval != nil,
		{TableGroupReply, "framed-pool"}:                c.FramedPool != nil,
		{TableGroupCheck, "pool-name"}:                  c.Pool != nil,
		{TableGroupCheck, "framed-ipv6-pool"}:           c.IPv6PrefixPool != nil,
		{TableGroupCheck, "delegated-ipv6-prefix-pool"}: c.DelegatedPool != nil,
		{TableGroupCheck, "stateful-ipv6-address-pool"}: c.IPv6AddressPool != nil,
		{TableGroupCheck, "simultaneous-use"}:           c.SimultaneousUse != nil,
	}
	for key, is := range named {
		if is {
			claims[key] = true
		}
	}
	for _, row := range want {
		if adopt || !c.Walled.empty() && strings.HasSuffix(row.Name, walledSuffix) {
			claims[row.key()] = true
		}
	}
	claimItems(claims, TableGroupCheck, c.AddChecks, c.DelChecks, false)
	claimItems(claims, TableGroupReply, c.AddReplies, c.DelReplies, true)
	return claims
}

func maskedPackage(p Package) *Package {
	p.Checks, p.Replies = maskedItems(p.Checks), maskedItems(p.Replies)
	if p.Walled != nil {
		w := *p.Walled
		w.Replies = maskedItems(w.Replies)
		p.Walled = &w
	}
	return &p
}
