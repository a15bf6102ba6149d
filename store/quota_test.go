package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// Limits are read with the rows of a user and of a group, under raw names.
func TestPolicyReadsLimits(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radial.quotas (subject, name, period, counts, octets, rate_down, rate_up, carry_over) VALUES
		('user', 'o''brien', 'month', 'total', 100, NULL, NULL, true), ('user', 'o''brien', 'month', 'total', 50, 8000, 4000, false),
		('group', 'plus+', 'ever', 'up', -1, NULL, NULL, false), ('group', 'o''brien', 'day', 'down', 7, NULL, NULL, false)`)
	db.Exec(`INSERT INTO radial.topups (id, username, octets, from_day, until_day) OVERRIDING SYSTEM VALUE VALUES
		(3, 'o''brien', 10, '1970-01-05', NULL), (4, 'o''brien', 20, '1970-01-05', '1970-01-11'), (5, 'bob', 30, '1970-01-05', NULL)`)
	db.Exec(`INSERT INTO radial.subscribers (username, billing_day, created_at) VALUES ('o''brien', 31, '1970-01-03 12:00:00+00')`)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('o=27brien', 'A', ':=', '1')`)
	p := newPolicy(db.DB)
	want := aaa.UserLimits{
		Quotas: []aaa.Quota{
			{Period: aaa.PeriodMonth, Counts: aaa.CountsTotal, Octets: 100, CarryOver: true},
			{Period: aaa.PeriodMonth, Counts: aaa.CountsTotal, Octets: 50, RateDown: 8000, RateUp: 4000},
		},
		TopUps:     []aaa.TopUp{{ID: 3, Octets: 10, From: 4}, {ID: 4, Octets: 20, From: 4, Until: 10}},
		BillingDay: 31, Since: 2,
	}
	for _, name := range []string{"o'brien", "o'brien\x00"} { // a NUL behind the name is the same user
		got, err := p.UserRows(t.Context(), name)
		if diff := cmp.Diff(want, got.Limits); err != nil || diff != "" || len(got.Check) != 1 {
			t.Errorf("%q: %v %v %s", name, err, got.Check, diff)
		}
	}
	group, err := p.GroupRows(t.Context(), "plus+")
	if diff := cmp.Diff([]aaa.Quota{{Period: aaa.PeriodEver, Counts: aaa.CountsUp, Octets: aaa.Unlimited}}, group.Quotas); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := p.UserRows(t.Context(), "\xff"); err != nil {
		t.Errorf("a name that is no text: %v", err)
	}
}

// The cache is told of what changes in schema radial, by raw names.
func TestTriggersTellLimits(t *testing.T) {
	db := storetest.New(t)
	for _, c := range []struct{ sql, want string }{
		{`INSERT INTO radial.quotas (subject, name, period, counts, octets) VALUES ('user', 'a=27', 'day', 'total', 1), ('user', 'b', 'day', 'total', 1)`, `U["a=27","b"]`},
		{`UPDATE radial.quotas SET octets = 2 WHERE name = 'b'`, `U["b"]`},
		{`UPDATE radial.quotas SET subject = 'group', name = 'gold' WHERE name = 'b'`, `U["b"] G["gold"]`},
		{`DELETE FROM radial.quotas WHERE subject = 'group'`, `G["gold"]`},
		{`TRUNCATE radial.quotas`, `*`},
		{`INSERT INTO radial.topups (username, octets, from_day) VALUES ('bob', 1, '2026-01-01')`, `U["bob"]`},
		{`DELETE FROM radial.topups`, `U["bob"]`},
		{`INSERT INTO radial.subscribers (username, billing_day) VALUES ('dora', NULL), ('emil', 3)`, `U["emil"]`},
		{`UPDATE radial.subscribers SET comment = 'x'`, ``},
		{`UPDATE radial.subscribers SET billing_day = 4`, `U["dora","emil"]`},
	} {
		got := hear(t, db, "radial_policy", func() { db.Exec(c.sql) })
		for i, p := range got { // the order of names is the database's
			if kind, list, ok := strings.Cut(strings.TrimSuffix(p, "]"), "["); ok {
				names := strings.Split(list, ",")
				slices.Sort(names)
				got[i] = kind + "[" + strings.Join(names, ",") + "]"
			}
		}
		if told := strings.Join(got, " "); told != c.want {
			t.Errorf("%s: told %s, want %s", c.sql, told, c.want)
		}
	}
}

func TestQuotasOfPackagesAndUsers(t *testing.T) {
	db := newOffice(t)
	rules := db.rules
	quota := aaa.Quota{Period: aaa.PeriodMonth, Counts: aaa.CountsTotal, Octets: 100e9, CarryOver: true}
	step := func(octets, rate int64) aaa.Quota {
		return aaa.Quota{Period: aaa.PeriodMonth, Counts: aaa.CountsTotal, Octets: octets, RateDown: rate, RateUp: rate}
	}
	change := store.Change{Actor: "test", Action: "package.add"}
	set := func(c aaa.QuotaChange) {
		t.Helper()
		rule := rules.SetPackage(aaa.PackageChange{Quotas: c})
		if s, err := db.PackageState(t.Context(), "gold"); err != nil || s.Package == nil {
			rule = rules.AddPackage(aaa.PackageChange{Quotas: c}, false)
		}
		if _, err := db.ChangePackage(t.Context(), change, "gold", rule); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want ...aaa.Quota) {
		t.Helper()
		p, err := db.Package(t.Context(), "gold")
		rows, err2 := newPolicy(db.DB.DB).GroupRows(t.Context(), "gold")
		if diff := cmp.Diff(want, p.Quotas) + cmp.Diff(want, rows.Quotas); errors.Join(err, err2) != nil || diff != "" {
			t.Errorf("%v %v %s", err, err2, diff)
		}
	}
	set(aaa.QuotaChange{Quotas: []aaa.Quota{quota}, Steps: []aaa.Quota{step(80e9, 2e6), step(50e9, 10e6)}})
	check(quota, step(50e9, 10e6), step(80e9, 2e6))
	set(aaa.QuotaChange{Steps: []aaa.Quota{step(60e9, 5e6)}})
	check(quota, step(60e9, 5e6))
	set(aaa.QuotaChange{Quotas: []aaa.Quota{}})
	check(step(60e9, 5e6))
	if n := db.Rows(`SELECT count(*)::text FROM radial.audit WHERE detail ? 'quotas'`); n[0][0] != "3" {
		t.Errorf("%s audit rows name the quotas", n[0][0])
	}

	day := 31
	change = store.Change{Actor: "test", Action: "user.add"}
	add := rules.AddSubscriber(aaa.SubscriberChange{Password: &aaa.Item{Attribute: "Cleartext-Password", Op: ":=", Value: "p"},
		Quotas: aaa.QuotaChange{Quotas: []aaa.Quota{quota}}, BillingDay: &day}, nil)
	if _, err := db.ChangeSubscriber(t.Context(), change, "bob", add); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	from, until, err := aaa.TopUpLife(now, now.AddDate(0, 0, 1), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.TopUp(t.Context(), change, "bob", aaa.TopUp{Octets: 5, From: from, Until: until}, "a gift"); err != nil {
		t.Fatal(err)
	}
	if err := db.TopUp(t.Context(), change, "nobody", aaa.TopUp{Octets: 5, From: from}, ""); !errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("topped nobody up: %v", err)
	}
	rows, err := newPolicy(db.DB.DB).UserRows(t.Context(), "bob")
	if err != nil || len(rows.Limits.TopUps) != 1 || rows.Limits.TopUps[0].Until != from+2 || rows.Limits.BillingDay != 31 || len(rows.Limits.Quotas) != 1 {
		t.Errorf("%v %+v", err, rows.Limits)
	}
	ups, err := db.TopUps(t.Context(), "bob")
	if err != nil || len(ups) != 1 || ups[0].Comment != "a gift" || ups[0].From != from {
		t.Fatalf("%v %+v", err, ups)
	}
	if err := db.TakeTopUp(t.Context(), change, "bob", ups[0].ID+1); !errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("took what is not there: %v", err)
	}
	if err := db.TakeTopUp(t.Context(), change, "bob", ups[0].ID); err != nil {
		t.Error(err)
	}
	if err := db.TopUp(t.Context(), change, "bob", aaa.TopUp{Octets: 5, From: from}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ChangeSubscriber(t.Context(), change, "bob", rules.DeleteSubscriber); err != nil {
		t.Fatal(err)
	}
	if n := db.Rows(`SELECT (SELECT count(*) FROM radial.topups)::text, (SELECT count(*) FROM radial.quotas WHERE subject = 'user')::text`); n[0][0] != "0" || n[0][1] != "0" {
		t.Errorf("a deleted user leaves %v", n[0])
	}
}
