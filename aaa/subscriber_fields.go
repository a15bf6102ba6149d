package aaa

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"radial/nas"
)

// SubscriberFields lists what a file may say of subscribers, in the order in
// which an export writes it.
func SubscriberFields() []Field {
	return []Field{
		{Name: "username", Help: "his name"},
		{Name: "password", Help: "in clear; it is stored as password_type says"},
		{Name: "password_type", Help: "cleartext, nt, ssha2 and so on, or none: the device's MAC address is enough"},
		{Name: "credential", Help: "in place of password: its check item as it stands, NT-Password := 8846…"},
		{Name: "package"},
		{Name: "status", Help: "active, inactive, suspended or expired"},
		{Name: "service_type", Help: "pppoe, hotspot, static or dhcp"},
		{Name: "macs", List: true, Help: "the only devices that he may use"},
		{Name: "static_ip"},
		{Name: "expires_at", Help: "2026-11-30, 2026-11-30T23:00 or 30 Nov 2026 23:00"},
		{Name: "billing_day", Help: "1 to 31"},
		{Name: "email"},
		{Name: "comment"},
		{Name: "groups", List: true, Help: "GROUP or GROUP:priority"},
		{Name: "quotas", List: true, Help: "100G:month:total, or a step of fair use: 100G:month:total=10M/2M"},
		{Name: "checks", List: true, Help: "Attribute op value"},
		{Name: "replies", List: true, Help: "Attribute op value"},
	}
}

// SubscriberImport is what one record of a file says of a subscriber.
type SubscriberImport struct {
	Name    string
	Change  SubscriberChange
	Package *Package // that it names
	// Groups, Checks and Replies tell that the lists of the change take the place of
	// what he has.
	Groups, Checks, Replies bool
}

// ReadSubscriber reads a record; packages are all that there are, by name. It
// returns everything that is wrong with it.
func (p *Provisioner) ReadSubscriber(fields Fields, packages map[string]*Package) (im SubscriberImport, errs []error) {
	r := fieldReader{fields: fields}
	c := &im.Change
	if im.Name = fields["username"]; ValidUsername(im.Name) != nil {
		r.wrong("username", ValidUsername(im.Name))
	}
	p.readCredential(&r, c)
	take(&r, "package", &c.Package, func(name string) (string, error) {
		if im.Package = packages[name]; im.Package == nil {
			return "", fmt.Errorf("package %q: %w%s", name, ErrNotFound, thereAre(packages))
		}
		return name, nil
	})
	take(&r, "status", &c.Status, asOneOf("status", SubscriberStatuses))
	take(&r, "service_type", &c.ServiceType, func(text string) (ServiceType, error) {
		if text == "static_ip" { // the other spelling that panels use
			text = "static"
		}
		return asOneOf("service type", ServiceTypes)(text)
	})
	if words, said := r.words("macs"); said {
		c.MACs = []string{}
		for _, word := range words {
			mac, err := NormalMAC(word)
			if err != nil {
				r.wrong("macs", err)
				continue
			}
			c.MACs = append(c.MACs, mac)
		}
	}
	take(&r, "static_ip", &c.StaticIP, func(text string) (netip.Addr, error) {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return ip, fmt.Errorf("address %q: want one of IPv4 or IPv6, as 100.64.9.7: %w", text, ErrInvalid)
		}
		return ip.Unmap(), nil
	})
	take(&r, "expires_at", &c.Expires, func(text string) (time.Time, error) { return ParseISOOrFreeRADIUS(text, p.Zone) })
	take(&r, "billing_day", &c.BillingDay, func(text string) (int, error) {
		n, err := asNumber("billing day", 1, 31)(text)
		return int(n), err
	})
	take(&r, "email", &c.Email, func(text string) (string, error) { return text, validEmail(text) })
	takeText(&r, "comment", &c.Comment)
	p.readLists(&r, &im)
	return im, r.errs
}

// readLists reads groups, quotas, checks and replies.
func (p *Provisioner) readLists(r *fieldReader, im *SubscriberImport) {
	c := &im.Change
	var lines []string
	lines, im.Groups = r.lines("groups")
	for _, line := range lines {
		if len(lines) > 1 && strings.ContainsAny(line, ",;\t") { // more likely a line that a quote has swallowed
			r.wrong("groups", fmt.Errorf("%q: one group a line, or all in one line with commas between: %w", line, ErrInvalid))
			continue
		}
		for text := range strings.SplitSeq(line, ",") {
			g, err := ParseGroup(strings.TrimSpace(text))
			if err != nil {
				r.wrong("groups", err)
				continue
			}
			c.AddGroups = append(c.AddGroups, g)
		}
	}
	c.Quotas = r.quotas("quotas")
	if err := validQuotas(append(slices.Clone(c.Quotas.Quotas), c.Quotas.Steps...)); err != nil {
		r.wrong("quotas", err)
	}
	c.AddChecks, im.Checks = p.items(r, "checks", TableCheck)
	c.AddReplies, im.Replies = p.items(r, "replies", TableReply)
}

// readCredential reads a password, in clear or as its row stands, or that there
// is none.
func (p *Provisioner) readCredential(r *fieldReader, c *SubscriberChange) {
	password, kind, row := r.fields["password"], strings.TrimSpace(r.fields["password_type"]), strings.TrimSpace(r.fields["credential"])
	switch {
	case password != "" && row != "":
		r.wrong("credential", fmt.Errorf("password is there too; one of the two: %w", ErrInvalid))
	case kind == PasswordNone && (password != "" || row != ""):
		r.wrong("password_type", fmt.Errorf("none, and a password is there; leave one of the two out: %w", ErrInvalid))
	case kind == PasswordNone:
		c.NoPassword = true
	case row != "":
		it, err := ParseItem(row)
		if err != nil { // which may show a password in clear that was put there
			err = fmt.Errorf("want a check item, as NT-Password := 8846f7ea…; a password in clear goes into password: %w", ErrInvalid)
		} else {
			err = p.checkItem(TableCheck, it)
		}
		if err == nil && (!IsPasswordAttribute(it.Attribute) || it.Op != ":=") {
			err = fmt.Errorf("%s %s: want a password attribute with :=, as NT-Password := 8846f7ea…: %w", it.Attribute, it.Op, ErrInvalid)
		}
		if err != nil {
			r.wrong("credential", err)
			return
		}
		c.Password, c.PasswordType = &it, kindStored(kind, it.Attribute)
	case password != "":
		if kind == "" {
			kind = "cleartext"
		}
		var err error
		if c.Password, err = PasswordItem(kind, password); err != nil {
			r.wrong("password_type", err)
		}
		c.PasswordType, c.Plain = kind, nas.Secret(password)
	}
}

// kindStored is the kind that a password's row is told as.
func kindStored(said, attribute string) string {
	for _, k := range PasswordKindList {
		if strings.EqualFold(k.Attribute, attribute) && (said == "" || said == k.Name) {
			return k.Name
		}
	}
	return "other"
}

// thereAre names some of the packages that there are.
func thereAre(packages map[string]*Package) string {
	names := slices.Sorted(maps.Keys(packages))
	if len(names) == 0 {
		return "; there is none yet"
	}
	more := ""
	if len(names) > 8 {
		names, more = names[:8], ", …"
	}
	return "; there are " + strings.Join(names, ", ") + more
}

// ImportSubscriber makes the subscriber that a record tells of, or with update
// changes the one who is there: what the record says takes the place of what he
// has, and what it does not say stays. Said again it changes nothing.
func (p *Provisioner) ImportSubscriber(im SubscriberImport, update bool) func(Account) (AccountDelta, error) {
	return func(acc Account) (AccountDelta, error) {
		c := im.Change
		if !acc.Exists() {
			return p.AddSubscriber(c, im.Package)(acc)
		}
		if !update {
			return AccountDelta{}, fmt.Errorf("user %q is there already; with --update he is changed: %w", acc.Name, ErrConflict)
		}
		if s := acc.Subscriber; s != nil {
			if im.Groups {
				for _, g := range s.Groups {
					c.DelGroups = append(c.DelGroups, g.Group)
				}
			}
			if im.Checks {
				c.AddChecks, c.DelChecks = asStored(c.AddChecks, s.Checks), attributesOf(s.Checks)
			}
			if im.Replies {
				c.AddReplies, c.DelReplies = asStored(c.AddReplies, s.Replies), attributesOf(s.Replies)
			}
			if c.NoPassword && s.PasswordType == PasswordNone {
				c.NoPassword = false
			}
		}
		return p.SetSubscriber(c, im.Package)(acc)
	}
}

func attributesOf(items []Item) []string {
	names := make([]string, len(items))
	for i, it := range items {
		names[i] = it.Attribute
	}
	return names
}

// WriteSubscriber writes a subscriber as ReadSubscriber reads him; rows are those
// of radcheck, for his credential, or nil to leave it out.
func (p *Provisioner) WriteSubscriber(s *Subscriber, rows []StoredRow) Fields {
	f := Fields{
		"username": s.Name, "password_type": s.PasswordType, "package": s.Package, "status": string(s.Status), "service_type": string(s.ServiceType),
		"macs": strings.Join(s.MACs, "\n"), "email": s.Email, "comment": s.Comment,
		"quotas": quotaLines(s.Quotas), "checks": itemLines(s.Checks), "replies": itemLines(s.Replies),
	}
	if have := passwordsOf(rows); len(have) > 0 {
		f["credential"] = itemLines(have[:1])
	}
	if s.StaticIP.IsValid() {
		f["static_ip"] = s.StaticIP.String()
	}
	if s.Expires != nil {
		f["expires_at"] = s.Expires.In(p.Zone).Format("2006-01-02T15:04:05")
	}
	if s.BillingDay > 0 {
		f["billing_day"] = strconv.Itoa(s.BillingDay)
	}
	groups := make([]string, len(s.Groups))
	for i, g := range s.Groups {
		groups[i] = fmt.Sprintf("%s:%d", g.Group, g.Priority)
	}
	f["groups"] = strings.Join(groups, "\n")
	return f
}
