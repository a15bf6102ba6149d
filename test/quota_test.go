package test

import (
	"fmt"
	"slices"
	"testing"

	"radial/test/harness"
)

// Attributes of accounting.
const acctOutputOctets = 43

// A border that a session crosses is noticed with the report that crosses it,
// not a minute later: within seconds the order stands in radial.orders.
func TestBordersOfARunningSession(t *testing.T) {
	server, db := wireServer(t, nil)
	w := &world{server, db}
	w.user("alice")
	db.Exec(`INSERT INTO radial.quotas (subject, name, period, counts, octets, rate_down, rate_up) VALUES
		('user', 'alice', 'month', 'total', 3000, NULL, NULL), ('user', 'alice', 'month', 'total', 1000, 10000000, 2000000)`)
	w.settled(t)
	if reply := w.login(t, "alice"); reply[0] != accessAccept {
		t.Fatalf("code %d", reply[0])
	}
	report := func(status byte, octets uint32) {
		t.Helper()
		attrs := slices.Concat(av(acctStatus, string([]byte{0, 0, 0, status})), av(userName, "alice"), av(acctSessionID, "s1"),
			av(acctOutputOctets, string([]byte{byte(octets >> 24), byte(octets >> 16), byte(octets >> 8), byte(octets)})))
		dial(t, "", w.Acct, wireSecret).ask(request{code: accountingRequest, secret: wireSecret, attrs: attrs}.bytes())
	}
	wanted := func() string { return fmt.Sprint(db.Rows(`SELECT want, rate_down::text, reason FROM radial.orders`)) }
	for _, step := range []struct {
		status byte
		octets uint32
		want   string
	}{
		{1, 0, "[]"}, {3, 999, "[]"}, {3, 1000, "[[rate 10000000 ]]"}, {3, 2999, "[[rate 10000000 ]]"}, {3, 5000, "[[disconnect NULL data_used_up]]"},
	} {
		report(step.status, step.octets)
		harness.Eventually(t, patience, fmt.Sprintf("at %d octets: %s", step.octets, step.want), func() bool { return wanted() == step.want })
	}
	if reply := w.login(t, "alice"); reply[0] != accessReject || !w.rejected(t, "data_used_up") {
		t.Errorf("code %d", reply[0])
	}
	if audits := db.Rows(`SELECT count(*)::text FROM radial.audit WHERE action = 'session.order'`); audits[0][0] != "2" {
		t.Errorf("%s audit rows", audits[0][0])
	}
}
