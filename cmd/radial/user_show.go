package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
)

// userView is a subscriber in JSON. Secrets are masked.
type userView struct {
	Username     string          `json:"username"`
	Source       string          `json:"source"` // radial, or radcheck for those whom FreeRADIUS's tables alone know
	Status       string          `json:"status"`
	Package      string          `json:"package"`
	ServiceType  string          `json:"service_type"`
	PasswordType string          `json:"password_type"`
	MACs         []string        `json:"macs"`
	StaticIP     string          `json:"static_ip"`
	Expires      *time.Time      `json:"expires_at"`
	Email        string          `json:"email"`
	Comment      string          `json:"comment"`
	Groups       []aaa.GroupItem `json:"groups"`
	Checks       []aaa.Item      `json:"checks"`
	Replies      []aaa.Item      `json:"replies"`
	Quotas       []aaa.Quota     `json:"quotas"`
	BillingDay   int             `json:"billing_day"`
	Created      *time.Time      `json:"created_at"`
	Updated      *time.Time      `json:"updated_at"`
}

// The sources of a userView.
const (
	knownByRadial     = "radial"
	knownByFreeRADIUS = "radcheck"
)

func viewOf(s aaa.Subscriber) userView {
	v := userView{
		Username: s.Name, Source: knownByFreeRADIUS, Status: string(s.Status), Package: s.Package, ServiceType: string(s.ServiceType),
		PasswordType: s.PasswordType, MACs: orEmpty(s.MACs), Expires: s.Expires, Email: s.Email, Comment: s.Comment,
		Groups: orEmpty(s.Groups), Checks: masked(s.Checks), Replies: masked(s.Replies),
		Quotas: orEmpty(s.Quotas), BillingDay: s.BillingDay,
	}
	if s.ID != 0 {
		v.Source, v.Created, v.Updated = knownByRadial, &s.Created, &s.Updated
	}
	if s.StaticIP.IsValid() {
		v.StaticIP = s.StaticIP.String()
	}
	return v
}

func passwordText(kind string) string {
	if kind == aaa.PasswordNone {
		return "none: the device's MAC address is enough"
	}
	return kind + " ***"
}

func orEmpty[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

func masked(items []aaa.Item) []aaa.Item {
	out := make([]aaa.Item, len(items))
	for i, it := range items {
		out[i] = maskedItem(it)
	}
	return out
}

func maskedItem(it aaa.Item) aaa.Item {
	if aaa.SoundsSecret(it.Attribute) {
		it.Value = "***"
	}
	return it
}

// rowView is a row of FreeRADIUS's tables in JSON. Secrets are masked.
type rowView struct {
	Table     aaa.Table `json:"table"`
	ID        int64     `json:"id"`
	Attribute string    `json:"attribute,omitempty"`
	Op        string    `json:"op,omitempty"`
	Value     string    `json:"value,omitempty"`
	Group     string    `json:"group,omitempty"`
	Priority  *int32    `json:"priority,omitempty"`
	WrittenBy string    `json:"written_by"` // radial, other, or "changed" for ours that somebody changed
}

func viewRows(rows []aaa.StoredRow) []rowView {
	views := make([]rowView, len(rows))
	for i, r := range rows {
		it := maskedItem(r.Item)
		v := rowView{Table: r.Table, ID: r.ID, Attribute: it.Attribute, Op: it.Op, Value: it.Value, Group: r.Group, WrittenBy: "other"}
		if r.Table == aaa.TableUserGroup {
			v.Priority = &rows[i].Priority
		}
		switch {
		case r.Ours():
			v.WrittenBy = "radial"
		case r.Changed():
			v.WrittenBy = "changed"
		}
		views[i] = v
	}
	return views
}

// rowGrid is the table of rows for people.
func rowGrid(rows []rowView) string {
	g := grid{titles: []string{"table", "id", "attribute or group", "op", "value", "written by"}}
	for _, r := range rows {
		if r.Priority != nil {
			g.add(string(r.Table), strconv.FormatInt(r.ID, 10), r.Group, "", fmt.Sprintf("priority %d", *r.Priority), r.WrittenBy)
			continue
		}
		g.add(string(r.Table), strconv.FormatInt(r.ID, 10), r.Attribute, r.Op, r.Value, r.WrittenBy)
	}
	return g.String()
}

func newUserShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a subscriber and every row of FreeRADIUS's tables, whoever wrote it",
		Args:  named("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withDesk(cmd.Context(), func(d *desk) error {
				acc, err := d.db.Account(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if acc.Subscriber == nil && len(acc.Rows) == 0 {
					return fmt.Errorf("user %q: %w", args[0], aaa.ErrNotFound)
				}
				use, err := d.usageOf(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return showUser(d, acc, use)
			})
		},
	}
}

func showUser(d *desk, acc aaa.Account, use userUsage) error {
	sub := aaa.Subscriber{Name: acc.Name}
	if acc.Subscriber != nil {
		sub = *acc.Subscriber
	}
	v := struct {
		userView
		userUsage
		Rows []rowView `json:"rows"`
	}{viewOf(sub), use, viewRows(acc.Rows)}
	return d.print(v, func() string {
		g := grid{}
		g.add("user", v.Username)
		g.add("known by", v.Source)
		if acc.Subscriber != nil {
			status := v.Status
			if refused := sub.Refused(d.now()); refused != "" && refused != sub.Status {
				status += " (" + string(refused) + ")"
			}
			g.add("status", status)
			g.add("package", orDash(v.Package))
			g.add("service", v.ServiceType)
			g.add("password", passwordText(v.PasswordType))
			if len(v.MACs) > 0 {
				g.add("devices", strings.Join(v.MACs, ", "))
			}
			g.add("static ip", orDash(v.StaticIP))
			g.add("expires", d.timeOr(v.Expires))
			for _, line := range []struct{ title, text string }{
				{"quota", quotaText(v.Quotas, false)}, {"fair use", quotaText(v.Quotas, true)}, {"billing day", numberOr(int64(v.BillingDay))},
			} {
				if line.text != "-" {
					g.add(line.title, line.text)
				}
			}
			g.add("e-mail", orDash(v.Email))
			g.add("comment", orDash(v.Comment))
			g.add("created", d.timeOr(v.Created))
			g.add("changed", d.timeOr(v.Updated))
		}
		out := g.String() + use.text()
		if len(v.Rows) > 0 {
			out += "\n" + rowGrid(v.Rows)
		}
		return out
	})
}
