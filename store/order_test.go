package store_test

import (
	"context"
	"fmt"
	"testing"

	"go.uber.org/zap"

	"radial/aaa"
	"radial/nas"
	"radial/store"
	"radial/store/storetest"
)

// What is wanted stands once, with an audit row for each change alone.
func TestOrders(t *testing.T) {
	db := storetest.New(t)
	o := store.NewOrders(db.DB, zap.NewNop())
	slow := aaa.Order{User: "o'brien", Want: aaa.WantRate, Rate: nas.RateLimit{Down: nas.Rates{Rate: 10e6}, Up: nas.Rates{Rate: 2e6}}}
	out := aaa.Order{User: "o'brien", Want: aaa.WantDisconnect, Reason: aaa.ReasonDataUsed, Detail: "all"}
	for i, step := range []struct {
		order  aaa.Order
		audits string
		want   string
	}{
		{aaa.Order{User: "o'brien"}, "0", "[]"},
		{slow, "1", "[[o'brien rate 10000000 ]]"},
		{slow, "1", "[[o'brien rate 10000000 ]]"},
		{out, "2", "[[o'brien disconnect NULL data_used_up]]"},
		{out, "2", "[[o'brien disconnect NULL data_used_up]]"},
		{aaa.Order{User: "o'brien"}, "3", "[]"},
	} {
		if err := o.Order(t.Context(), step.order); err != nil {
			t.Fatal(err)
		}
		rows := fmt.Sprint(db.Rows(`SELECT username, want, rate_down::text, reason FROM radial.orders`))
		if audits := db.Rows(`SELECT count(*)::text FROM radial.audit WHERE action = 'session.order'`); rows != step.want || audits[0][0] != step.audits {
			t.Errorf("step %d: %s, %s audit rows", i, rows, audits[0][0])
		}
	}
}

// Those are looked at who have quotas, an open session, and news.
func TestQuotaSessions(t *testing.T) {
	db := storetest.New(t)
	look := func() string {
		var names []string
		err := db.QuotaSessions(t.Context(), 2, func(_ context.Context, all []aaa.OpenLogin) error {
			for _, s := range all {
				names = append(names, s.User+" "+s.Port)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return fmt.Sprint(names)
	}
	for i, s := range []struct{ user, updated, stop string }{
		{"alice", "now()", "NULL"}, {"alice", "now()", "NULL"}, {"bob", "now()", "NULL"}, {"o=27brien", "now()", "NULL"}, {"carol", "now() - interval '1 hour'", "NULL"},
		{"dora", "now()", "now()"}, {"emil", "now()", "NULL"}, {"fay", "now() - interval '1 hour'", "NULL"},
	} {
		db.Exec(fmt.Sprintf(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, nasportid, acctstarttime, acctupdatetime, acctstoptime)
			VALUES ('s%d', 's%d', '%s', '10.0.0.1', 'p%d', now() - interval '2 hours', %s, %s)`, i, i, s.user, i, s.updated, s.stop))
	}
	if got := look(); got != "[]" {
		t.Errorf("without quotas: %s", got)
	}
	db.Exec(`INSERT INTO radial.quotas (subject, name, period, counts, octets) VALUES ('group', 'gold', 'month', 'total', 5), ('user', 'bob', 'day', 'up', 5), ('user', 'o''brien', 'day', 'up', 5)`)
	db.Exec(`INSERT INTO radusergroup (username, groupname) VALUES ('alice', 'gold'), ('carol', 'gold'), ('dora', 'gold'), ('fay', 'gold'), ('emil', 'silver')`)
	db.Exec(`INSERT INTO radial.orders (username, want, reason, detail) VALUES ('carol', 'disconnect', '', ''), ('dora', 'disconnect', '', '')`)
	if got := look(); got != "[alice p0 bob p2 carol p4 o'brien p3]" {
		t.Errorf("looked at %s", got)
	}
	if got := fmt.Sprint(db.Rows(`SELECT username FROM radial.orders`)); got != "[[carol]]" {
		t.Errorf("still wanted of %s", got)
	}
}
