package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zaptest"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// acctZero is the time zero of the events in these tests.
const acctZero = 1_790_000_000

func acctAt(n int64) time.Time { return time.Unix(acctZero+n, 0).UTC() }

func ptrTo[T any](v T) *T { return &v }

// newLedger makes a ledger that runs until the test ends.
func newLedger(t testing.TB, db *storetest.DB, opts store.LedgerOptions) (*store.Ledger, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	l, err := store.NewLedger(db.DB, opts, store.NewLedgerMetrics(reg), zaptest.NewLogger(t), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	runLedger(t, l)
	return l, reg
}

// runLedger runs a ledger until the test ends.
func runLedger(t testing.TB, l *store.Ledger) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("ledger:", err)
		}
	})
}

// counterOf sums the samples of a counter whose labels have all the given values.
func counterOf(t testing.TB, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			have := map[string]bool{}
			for _, l := range m.GetLabel() {
				have[l.GetValue()] = true
			}
			all := true
			for _, l := range labels {
				all = all && have[l]
			}
			if all {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// acctRecord makes an event of session s with every column filled in; session time
// and octets below 0 are absent.
func acctRecord(s string, st aaa.Status, n, session, octets int64) *aaa.Record {
	r := &aaa.Record{
		Status: st, UniqueID: fmt.Sprintf("%032s", s), SessionID: s, User: "bob", Login: "bob@isp", Realm: ptrTo("isp"),
		NAS: netip.MustParseAddr("10.0.0.9"), VRF: 1, PortID: ptrTo("ether1"), PortType: "Ethernet", At: acctAt(n), Received: acctAt(n),
		Authentic: "RADIUS", ConnectInfo: "up", CalledStation: "pppoe1", CallingStation: "AA:BB:CC:DD:EE:FF",
		ServiceType: "Framed-User", FramedProtocol: "PPP", FramedIP: netip.MustParseAddr("100.64.0.1"),
		FramedIPv6: netip.MustParseAddr("2001:db8::5"), FramedIPv6Pfx: netip.MustParsePrefix("2001:db8:1::/64"),
		InterfaceID: ptrTo("1:2:3:4"), DelegatedPrefix: netip.MustParsePrefix("2001:db8:100::/56"),
	}
	if session >= 0 {
		r.SessionTime = &session
	}
	if octets >= 0 {
		r.Input, r.Output = ptrTo(octets), ptrTo(2*octets)
	}
	if st == aaa.StatusStop {
		r.TerminateCause, r.ConnectInfo = "User-Request", "down"
	}
	return r
}

// bareRecord is a record without what packets may lack.
func bareRecord(s string, st aaa.Status, n, session, octets int64) *aaa.Record {
	full := acctRecord(s, st, n, session, octets)
	return &aaa.Record{
		Status: st, UniqueID: full.UniqueID, NAS: full.NAS, VRF: 1, At: full.At, Received: full.Received,
		SessionTime: full.SessionTime, Input: full.Input, Output: full.Output,
	}
}

// sqlAcctRows reads every column of radacct, or of another table with them; times are seconds after acctZero.
const sqlAcctRows = `
SELECT acctuniqueid, extract(epoch FROM acctstarttime)::bigint - 1790000000, extract(epoch FROM acctupdatetime)::bigint - 1790000000,
       extract(epoch FROM acctstoptime)::bigint - 1790000000, acctinterval, acctsessiontime, acctinputoctets, acctoutputoctets,
       connectinfo_start, connectinfo_stop, acctterminatecause, acctsessionid, username, realm, host(nasipaddress), nasportid, nasporttype,
       acctauthentic, calledstationid, callingstationid, servicetype, framedprotocol, host(framedipaddress), host(framedipv6address),
       framedipv6prefix, framedinterfaceid, delegatedipv6prefix, class
FROM `

var acctColumns = strings.Fields(`unique start update stop interval lived in out info infostop cause session user realm nas port porttype
	authentic called calling service protocol ip ipv6 prefix ifid delegated class`)

// acctRow is what sqlAcctRows should say: the row of a Start, with changes "column=value".
func acctRow(s string, changes ...string) map[string]string {
	m := map[string]string{
		"unique": fmt.Sprintf("%032s", s), "start": "0", "update": "0", "stop": "NULL", "interval": "NULL", "lived": "0", "in": "0", "out": "0",
		"info": "up", "infostop": "NULL", "cause": "NULL", "session": s, "user": "bob", "realm": "isp", "nas": "10.0.0.9", "port": "ether1",
		"porttype": "Ethernet", "authentic": "RADIUS", "called": "pppoe1", "calling": "AA:BB:CC:DD:EE:FF", "service": "Framed-User",
		"protocol": "PPP", "ip": "100.64.0.1", "ipv6": "2001:db8::5", "prefix": "2001:db8:1::/64", "ifid": "1:2:3:4",
		"delegated": "2001:db8:100::/56", "class": "NULL",
	}
	for _, c := range changes {
		k, v, _ := strings.Cut(c, "=")
		m[k] = v
	}
	return m
}

func acctRows(db *storetest.DB) []map[string]string { return acctRowsOf(db, "radacct") }

// acctRowsOf are the rows of radacct or of the view that has the archive too.
func acctRowsOf(db *storetest.DB, table string) []map[string]string {
	var all []map[string]string
	for _, r := range db.Rows(sqlAcctRows + table + ` ORDER BY acctstarttime, acctuniqueid`) {
		m := map[string]string{}
		for i, v := range r {
			m[acctColumns[i]] = v
		}
		all = append(all, m)
	}
	return all
}

// Every line of the table of radius-semantics §1.7, all acctColumns, each event in a
// transaction of its own and all of them in one.
func TestLedgerStates(t *testing.T) {
	const (
		start, interim, stop, on = aaa.StatusStart, aaa.StatusInterim, aaa.StatusStop, aaa.StatusOn
	)
	empty := []string{"session=", "user=", "realm=NULL", "port=NULL", "porttype=", "authentic=", "info=", "called=", "calling=", "service=",
		"protocol=", "ip=NULL", "ipv6=NULL", "prefix=NULL", "ifid=NULL", "delegated=NULL"}
	closed := []string{"update=200", "stop=200", "lived=200", "in=7", "out=14", "infostop=down", "cause=User-Request"}
	another := acctRecord("s", interim, 60, 60, 5)
	another.FramedIP = netip.MustParseAddr("100.64.0.2")
	again := acctRecord("s", start, 10, -1, -1)
	again.ConnectInfo, again.FramedIP = "again", netip.MustParseAddr("100.64.0.2")
	tests := []struct {
		name   string
		events []*aaa.Record
		want   []map[string]string
	}{
		{"start", []*aaa.Record{acctRecord("s", start, 0, -1, -1)}, []map[string]string{acctRow("s")}},
		{"start with nothing", []*aaa.Record{bareRecord("s", start, 0, -1, -1)}, []map[string]string{acctRow("s", empty...)}},
		{"start, open", []*aaa.Record{acctRecord("s", start, 0, -1, -1), again}, []map[string]string{acctRow("s", "start=10", "update=10", "info=again")}},
		{"interim, open", []*aaa.Record{acctRecord("s", start, 0, -1, -1), acctRecord("s", interim, 60, 61, 5), acctRecord("s", interim, 180, 181, 1<<33)},
			[]map[string]string{acctRow("s", "update=180", "interval=120", "lived=181", "in=8589934592", "out=17179869184")}},
		{"interim, open, another address", []*aaa.Record{acctRecord("s", start, 0, -1, -1), another},
			[]map[string]string{acctRow("s", "update=60", "interval=60", "lived=60", "in=5", "out=10", "ip=100.64.0.2")}},
		{"interim, open, without addresses", []*aaa.Record{acctRecord("s", start, 0, -1, -1), bareRecord("s", interim, 60, -1, -1)},
			[]map[string]string{acctRow("s", "update=60", "interval=60")}},
		{"interim, none", []*aaa.Record{acctRecord("s", interim, 100, 60, 5)},
			[]map[string]string{acctRow("s", "start=40", "update=100", "lived=60", "in=5", "out=10")}},
		{"interim, none, with nothing", []*aaa.Record{bareRecord("s", interim, 100, -1, -1)},
			[]map[string]string{acctRow("s", append(empty, "start=100", "update=100", "lived=NULL")...)}},
		{"interim, closed", []*aaa.Record{acctRecord("s", start, 0, -1, -1), acctRecord("s", stop, 200, 200, 7), acctRecord("s", interim, 300, 300, 9)},
			[]map[string]string{acctRow("s", closed...)}},
		{"start, row of an interim", []*aaa.Record{acctRecord("s", interim, 100, 60, 5), acctRecord("s", start, 0, -1, -1)},
			[]map[string]string{acctRow("s", "update=100", "lived=60", "in=5", "out=10")}},
		{"stop, open", []*aaa.Record{acctRecord("s", start, 0, -1, -1), acctRecord("s", stop, 200, 200, 7)}, []map[string]string{acctRow("s", closed...)}},
		{"stop, open, with nothing", []*aaa.Record{acctRecord("s", start, 0, -1, -1), bareRecord("s", stop, 200, -1, -1)},
			[]map[string]string{acctRow("s", "update=200", "stop=200", "lived=200", "infostop=", "cause=")}},
		{"stop, none", []*aaa.Record{acctRecord("s", stop, 200, 150, 7)},
			[]map[string]string{acctRow("s", append(closed, "start=50", "lived=150", "info=down", "infostop=NULL")...)}},
		{"stop, none, with nothing", []*aaa.Record{bareRecord("s", stop, 200, -1, -1)},
			[]map[string]string{acctRow("s", append(empty, "start=200", "update=200", "stop=200", "lived=NULL", "cause=")...)}},
		{"start after its stop", []*aaa.Record{acctRecord("s", stop, 200, 150, 7), acctRecord("s", start, 0, -1, -1)},
			[]map[string]string{acctRow("s", append(closed, "lived=150", "infostop=NULL")...)}},
		{"stop, closed", []*aaa.Record{acctRecord("s", start, 0, -1, -1), acctRecord("s", stop, 200, 200, 7), acctRecord("s", stop, 200, 200, 7), bareRecord("s", stop, 100, 100, 0)},
			[]map[string]string{acctRow("s", closed...)}},
		{"stop, closed, newer", []*aaa.Record{acctRecord("s", start, 0, -1, -1), acctRecord("s", stop, 100, 100, 5), acctRecord("s", stop, 200, 200, 7)},
			[]map[string]string{acctRow("s", closed...)}},
		{"session id reused", []*aaa.Record{acctRecord("s", start, 0, -1, -1), acctRecord("s", stop, 200, 200, 7), acctRecord("s", start, 500, -1, -1), acctRecord("s", interim, 560, 60, 1)},
			[]map[string]string{
				acctRow("s", append(closed, "unique="+retiredID("s", 0, 200))...),
				acctRow("s", "start=500", "update=560", "interval=60", "lived=60", "in=1", "out=2"),
			}},
		{"session id reused, stop lost", []*aaa.Record{acctRecord("s", start, 0, -1, -1), acctRecord("s", interim, 60, 60, 5), acctRecord("s", start, 500, -1, -1)},
			[]map[string]string{
				acctRow("s", "unique="+retiredID("s", 0, 60), "update=60", "stop=60", "interval=60", "lived=60", "in=5", "out=10", "cause=NAS-Reboot"),
				acctRow("s", "start=500", "update=500"),
			}},
		{"accounting on", []*aaa.Record{acctRecord("s", start, 0, -1, -1), acctRecord("s", interim, 60, 60, 5), acctRecord("later", start, 150, -1, -1), bareRecord("", on, 100, -1, -1)},
			[]map[string]string{
				acctRow("s", "update=100", "stop=100", "interval=60", "lived=100", "in=5", "out=10", "cause=NAS-Reboot"),
				acctRow("later", "start=150", "update=150"),
			}},
		{"no status", []*aaa.Record{acctRecord("s", aaa.StatusOther, 0, -1, -1)}, nil},
	}
	db := storetest.New(t)
	l, _ := newLedger(t, db, store.LedgerOptions{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db.Exec("TRUNCATE radacct")
			for _, ev := range tt.events {
				if err := l.Record(t.Context(), ev); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(tt.want, acctRows(db)); d != "" {
				t.Errorf("one by one (-want +got):\n%s", d)
			}
			for _, ev := range tt.events { // once more: nothing changes
				if err := l.Record(t.Context(), ev); err != nil {
					t.Fatal(err)
				}
			}
			if d := cmp.Diff(tt.want, acctRows(db)); d != "" && !strings.Contains(tt.name, "start, open") {
				t.Errorf("all again (-want +got):\n%s", d)
			}
			if last := tt.events[len(tt.events)-1].Status; last == on || last == aaa.StatusOther {
				return // never part of a batch
			}
			db.Exec("TRUNCATE radacct")
			if err := errors.Join(l.Apply(t.Context(), tt.events...)...); err != nil {
				t.Fatal(err)
			}
			got := acctRows(db)
			if late := strings.Contains(tt.name, "start after") || strings.Contains(tt.name, "row of an interim"); late {
				return // a batch puts its events in order
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("in one batch (-want +got):\n%s", d)
			}
		})
	}
}

func retiredID(s string, start, stop int64) string {
	return aaa.RetiredID(&aaa.Session{UniqueID: fmt.Sprintf("%032s", s), Start: acctAt(start), Stop: acctAt(stop)})
}

// Golden values of FreeRADIUS 3.2.1 (radius-semantics §1.3).
func TestLedgerEscapes(t *testing.T) {
	send := func(db *storetest.DB) *store.Ledger {
		l, _ := newLedger(t, db, store.LedgerOptions{})
		for i, user := range []string{"o'br+ien<x>", `a\b`, "t\tn\nx", "Žofia"} {
			r := acctRecord(fmt.Sprint(i), aaa.StatusStart, int64(i), -1, -1)
			r.User = user
			if i == 0 {
				r.SessionID, r.CalledStation, r.PortID, r.ConnectInfo = "V4#1", "h=1;z", ptrTo("<pppoe-x>"), "50000/10000 (x=y)"
			}
			if err := l.Record(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	const sqlTexts = `SELECT username, acctsessionid, calledstationid, nasportid, connectinfo_start FROM radacct ORDER BY acctstarttime`
	db := storetest.New(t)
	send(db)
	rows := db.Rows(sqlTexts)
	want := []string{"o=27br=2Bien=3Cx=3E", "V4=231", "h=3D1=3Bz", "=3D3Cpppoe-x=3D3E", "50000/10000 =28x=3Dy=29"}
	if d := cmp.Diff(want, rows[0]); d != "" {
		t.Errorf("safe-characters (-want +got):\n%s", d)
	}
	for i, user := range []string{"a=5C=5Cb", "t=5Ctn=5Cnx", "Žofia"} {
		if got := rows[i+1][0]; got != user {
			t.Errorf("username %q, want %q", got, user)
		}
	}
	raw := storetest.New(t, storetest.WithOptions(store.Options{Escaping: "raw"}))
	send(raw)
	if d := cmp.Diff([]string{"o'br+ien<x>", "V4#1", "h=1;z", "<pppoe-x>", "50000/10000 (x=y)"}, raw.Rows(sqlTexts)[0]); d != "" {
		t.Errorf("raw (-want +got):\n%s", d)
	}
}
