package aaa

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"radial/nas"
)

// Account is all that the database holds of a subscriber at one moment: our
// row, if there is one, and his rows of FreeRADIUS's tables, whoever wrote
// them.
type Account struct {
	Name       string
	Subscriber *Subscriber // nil: known to FreeRADIUS's tables alone, or to none
	Rows       []StoredRow // radcheck, radreply and radusergroup, each in its order
	Lost       []LostRow
	// Packages are the groups among Rows that are packages of ours, Bought is the
	// one that Subscriber has, if any.
	Packages []string
	Bought   *Package
}

// Exists tells whether anything that lets him log in is there: a mere group
// membership is not.
func (a *Account) Exists() bool {
	return a.Subscriber != nil || slices.ContainsFunc(a.Rows, func(r StoredRow) bool { return r.Table != TableUserGroup })
}

// SubscriberChange is what an operator says of a subscriber. Nil fields are
// left as they are.
type SubscriberChange struct {
	Password     *Item // a password attribute for radcheck, see PasswordItem
	PasswordType string
	Plain        nas.Secret // of Password before it was hashed; "" where only the row is known
	NoPassword   bool       // the device's MAC address is enough
	Package      *string    // "" takes it away
	Status       *SubscriberStatus
	ServiceType  *ServiceType
	StaticIP     *netip.Addr // the zero Addr takes it away
	Expires      *time.Time  // the zero Time takes it away
	Email        *string
	Comment      *string
	Quotas       QuotaChange
	BillingDay   *int     // 0 takes it away
	MACs         []string // in place of all before; nil: as they are
	AddGroups    []GroupItem
	DelGroups    []string
	AddChecks    []Item
	DelChecks    []string // attributes
	AddReplies   []Item
	DelReplies   []string // attributes
}

// PasswordItem makes the radcheck row of a password: kind is one of
// HashPassword's.
func PasswordItem(kind, password string) (*Item, error) {
	if password == "" {
		return nil, fmt.Errorf("password is empty: it would never match: %w", ErrInvalid)
	}
	attribute, value, err := HashPassword(kind, password)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return &Item{Attribute: attribute, Op: ":=", Value: QuoteValue(value)}, nil
}

// storedAlready tells whether the one password that somebody has is the change's, by a
// row of ours: by the same text, or as another hash of it.
func (c *SubscriberChange) storedAlready(acc Account) bool {
	have := passwordsOf(acc.Rows)
	all := 0
	for _, r := range acc.Rows {
		if r.Table == TableCheck && IsPasswordAttribute(r.Attribute) {
			all++
		}
	}
	if acc.Subscriber == nil || acc.Subscriber.PasswordType != c.PasswordType || len(have) != 1 || all != 1 {
		return false
	}
	row := have[0]
	if row.Attribute != c.Password.Attribute || row.Op != c.Password.Op {
		return false
	}
	if readsAs(row.Value, c.Password.Value) {
		return true
	}
	text, _, err := unquote(row.Value)
	if err != nil || c.Plain == "" {
		return false
	}
	kind, stored := passwordKindNamed(row.Attribute), []byte(text)
	if kind == nil {
		kind, stored = splitHeader(stored) // Password-With-Header
	}
	same, err := kind.check(stored, []byte(c.Plain.Reveal()))
	return same && err == nil
}

// AddSubscriber makes a new subscriber. pkg is the package that c names, or
// nil; its validity sets the expiry unless c does.
func (p *Provisioner) AddSubscriber(c SubscriberChange, pkg *Package) func(Account) (AccountDelta, error) {
	return func(acc Account) (AccountDelta, error) {
		switch {
		case acc.Subscriber != nil:
			return AccountDelta{}, fmt.Errorf("user %q exists already; change it with user set: %w", acc.Name, ErrConflict)
		case acc.Exists():
			return AccountDelta{}, fmt.Errorf("user %q stands in FreeRADIUS's tables already; change it with user set: %w", acc.Name, ErrConflict)
		}
		if c.Expires == nil && pkg != nil && pkg.ValidityDays > 0 {
			end, err := pkg.validFrom(p.Now().In(p.Zone).Truncate(time.Second))
			if err != nil {
				return AccountDelta{}, err
			}
			c.Expires = &end
		}
		if err := p.takePassword(&c); err != nil {
			return AccountDelta{}, err
		}
		if c.Password == nil && !c.NoPassword && !slices.ContainsFunc(c.AddChecks, func(it Item) bool { return strings.EqualFold(it.Attribute, "Auth-Type") }) {
			return AccountDelta{}, fmt.Errorf("user %q: no password: nobody could log in; give one (--password-stdin, --password), or --no-password where the device's MAC address is enough: %w", acc.Name, ErrInvalid)
		}
		return p.change(acc, c, pkg)
	}
}

// SetSubscriber changes what c names and nothing else. What it names is
// written over, whoever wrote it. A password that he has already is not hashed anew:
// that would end his sessions.
func (p *Provisioner) SetSubscriber(c SubscriberChange, pkg *Package) func(Account) (AccountDelta, error) {
	return func(acc Account) (AccountDelta, error) {
		if !acc.Exists() {
			return AccountDelta{}, fmt.Errorf("user %q: %w", acc.Name, ErrNotFound)
		}
		if err := p.takePassword(&c); err != nil {
			return AccountDelta{}, err
		}
		if c.Password != nil && c.storedAlready(acc) {
			c.Password = nil
		}
		return p.change(acc, c, pkg)
	}
}

// DeleteSubscriber removes a subscriber and every row that FreeRADIUS's tables
// have of him: a row that stayed could still let him in.
func (p *Provisioner) DeleteSubscriber(acc Account) (AccountDelta, error) {
	if acc.Subscriber == nil && len(acc.Rows) == 0 {
		return AccountDelta{}, fmt.Errorf("user %q: %w", acc.Name, ErrNotFound)
	}
	d := AccountDelta{Remove: acc.Subscriber != nil, Rows: RowDelta{Delete: acc.Rows, Forget: acc.Lost}}
	var had any
	if acc.Subscriber != nil {
		had = maskedSubscriber(*acc.Subscriber)
	}
	return d.audited(had, nil)
}

// SyncSubscriber repairs the projection: it adds what was never projected and
// removes rows of ours that nothing asks for any more. Drift is reported, and
// with force taken back.
func (p *Provisioner) SyncSubscriber(force bool) func(Account) (AccountDelta, error) {
	return func(acc Account) (AccountDelta, error) {
		if !acc.Exists() {
			return AccountDelta{}, fmt.Errorf("user %q: %w", acc.Name, ErrNotFound)
		}
		if acc.Subscriber == nil {
			return AccountDelta{}, nil
		}
		rows := p.reconcile(acc.Subscriber, acc.Bought, passwordsOf(acc.Rows), acc, overwrite{force: force}, force)
		d := synced[Subscriber](rows)
		d.Garden = p.gardenOf(acc.Subscriber, acc.Bought)
		return d, nil
	}
}

// gardenOf is the package whose walled garden decides how a subscriber's rows are
// projected, if any does.
func (p *Provisioner) gardenOf(s *Subscriber, bought *Package) *Package {
	if s.Refused(p.Now()) == "" {
		return nil
	}
	return bought
}

// reconcile compares what a subscriber's rows should be with those that are there; named
// tells that the operator names his status, see standFirst.
func (p *Provisioner) reconcile(s *Subscriber, bought *Package, passwords []Item, acc Account, how overwrite, named bool) RowDelta {
	var wall *Walled
	if bought != nil {
		wall = bought.Walled
	}
	want, have := ProjectSubscriber(s, wall, passwords, p.Now(), p.Zone), acc.Rows
	if s.Refused(p.Now()) == "" {
		return reconcile(want, have, acc.Lost, how)
	}
	first, want, have := standFirst(want, have, named)
	d := reconcile(want, have, acc.Lost, how)
	d.Update, d.Delete, d.Keep = append(d.Update, first.Update...), append(d.Delete, first.Delete...), first.Keep
	return d
}

// passwordsOf returns the passwords that we projected, as they stand: radcheck
// alone has them, so that a changed one is right as it is.
func passwordsOf(rows []StoredRow) []Item {
	var items []Item
	for _, r := range rows {
		if r.Table == TableCheck && r.Digest != "" && IsPasswordAttribute(r.Attribute) {
			items = append(items, r.Item)
		}
	}
	return items
}

// takePassword moves a password that was given as a check item to where it
// belongs, and holds all items to the dictionary.
func (p *Provisioner) takePassword(c *SubscriberChange) error {
	checks := c.AddChecks[:0:0]
	for _, it := range p.normalItems(c.AddChecks) {
		if err := p.checkItem(TableCheck, it); err != nil {
			return err
		}
		if !IsPasswordAttribute(it.Attribute) {
			checks = append(checks, it)
			continue
		}
		if c.Password != nil || it.Op != ":=" {
			return fmt.Errorf("check %s: one password with := can be given: %w", it.Attribute, ErrInvalid)
		}
		c.Password, c.PasswordType = &it, "other"
	}
	c.AddChecks = checks
	for _, it := range c.AddReplies {
		if err := p.replyItem(TableReply, it); err != nil {
			return err
		}
	}
	return nil
}

// change is what all changes have in common.
func (p *Provisioner) change(acc Account, c SubscriberChange, pkg *Package) (AccountDelta, error) {
	before := acc.Subscriber
	if before == nil {
		before = &Subscriber{Name: acc.Name, Status: SubscriberActive, ServiceType: ServicePPPoE, PasswordType: "other"}
	}
	after, err := c.apply(*before)
	if err != nil {
		return AccountDelta{}, err
	}
	if c.Expires != nil && c.Status == nil && after.Status == SubscriberExpired && (after.Expires == nil || after.Expires.After(p.Now())) {
		after.Status = SubscriberActive // his time goes on
	}
	if err := validSubscriber(&after); err != nil {
		return AccountDelta{}, err
	}
	bought := acc.Bought
	if c.Package != nil {
		bought = pkg
	}
	if c.Package != nil && *c.Package != "" && *c.Package != before.Package && pkg != nil && pkg.Status != PackageActive {
		return AccountDelta{}, fmt.Errorf("package %q is inactive: it is not given to anyone new: %w", pkg.Name, ErrConflict)
	}
	passwords := passwordsOf(acc.Rows)
	switch {
	case c.Password != nil:
		passwords = []Item{*c.Password}
	case c.NoPassword:
		passwords = nil
	}
	how := overwrite{claims: c.claims(acc, before, &after)}
	d := AccountDelta{Rows: p.reconcile(&after, bought, passwords, acc, how, c.Status != nil)}
	var had any
	if acc.Subscriber != nil {
		had = maskedSubscriber(*before)
	}
	var secrets []string
	if c.Password != nil {
		secrets = []string{"password"}
	}
	d, err = d.audited(had, maskedSubscriber(after), secrets...)
	if d.Audit != nil {
		d.Save, d.Garden = &after, p.gardenOf(&after, bought)
	}
	return d, err
}

// apply gives s the fields that c names.
func (c *SubscriberChange) apply(s Subscriber) (Subscriber, error) {
	assign(&s.Package, c.Package)
	assign(&s.Status, c.Status)
	assign(&s.ServiceType, c.ServiceType)
	assign(&s.StaticIP, c.StaticIP)
	assign(&s.Email, c.Email)
	assign(&s.Comment, c.Comment)
	assign(&s.BillingDay, c.BillingDay)
	if c.MACs != nil {
		s.MACs = c.MACs
	}
	if c.NoPassword {
		s.PasswordType = PasswordNone
		if mac, err := NormalMAC(s.Name); err == nil && len(s.MACs) == 0 {
			s.MACs = []string{mac}
		}
	}
	s.Quotas = c.Quotas.apply(s.Quotas)
	if c.Password != nil {
		s.PasswordType = c.PasswordType
	}
	if c.Expires != nil {
		s.Expires = nil
		if !c.Expires.IsZero() {
			s.Expires = c.Expires
		}
	}
	groups := s.Groups[:0:0]
	named := func(name string) bool {
		return slices.Contains(c.DelGroups, name) || slices.ContainsFunc(c.AddGroups, func(g GroupItem) bool { return g.Group == name })
	}
	for _, g := range s.Groups {
		if !named(g.Group) {
			groups = append(groups, g)
		}
	}
	s.Groups = append(groups, c.AddGroups...)
	var err error
	if s.Checks, err = mergeItems(s.Checks, c.AddChecks, c.DelChecks, false); err != nil {
		return s, err
	}
	s.Replies, err = mergeItems(s.Replies, c.AddReplies, c.DelReplies, true)
	return s, err
}

// assign gives *field the value, if there is one.
func assign[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

// maskedSubscriber hides secrets among the items.
func maskedSubscriber(s Subscriber) *Subscriber {
	s.Checks, s.Replies = maskedItems(s.Checks), maskedItems(s.Replies)
	return &s
}

func maskedItems(items []Item) []Item {
	out := slices.Clone(items)
	for i := range out {
		if SoundsSecret(out[i].Attribute) {
			out[i].Value = "***"
		}
	}
	return out
}
