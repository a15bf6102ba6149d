package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

type postAuth struct {
	*store.PostAuth
	reg  *prometheus.Registry
	logs *observer.ObservedLogs
}

func newPostAuth(db *store.DB) postAuth {
	core, logs := observer.New(zap.InfoLevel)
	reg := prometheus.NewRegistry()
	return postAuth{store.NewPostAuth(db, store.NewMetrics(reg), zap.New(core)), reg, logs}
}

func (p postAuth) check(t *testing.T, written, dropped, refused int) {
	t.Helper()
	want := fmt.Sprintf(`# HELP radial_postauth_rows_total Rows for radpostauth: written; dropped, since the queue was full or the database away at shutdown; refused by the database.
# TYPE radial_postauth_rows_total counter
radial_postauth_rows_total{outcome="dropped"} %d
radial_postauth_rows_total{outcome="refused"} %d
radial_postauth_rows_total{outcome="written"} %d
`, dropped, refused, written)
	if err := testutil.GatherAndCompare(p.reg, strings.NewReader(want), "radial_postauth_rows_total"); err != nil {
		t.Error(err)
	}
}

// The columns are FreeRADIUS's, byte for byte, then ours.
func TestPostAuthColumns(t *testing.T) {
	db := storetest.New(t)
	p := newPostAuth(db.DB)
	stop := run(t, p.Run)
	at := time.Date(2026, 11, 21, 19, 0, 0, 123456000, time.FixedZone("", 3600))
	p.Log(aaa.PostAuth{User: `o'br\`, Pass: "p#1=x é", Reply: "Access-Accept", CalledStation: "h=1;z", CallingStation: "00:11:22:33:44:55",
		Class: "c", At: at, NAS: "10.0.0.1", NASPortID: "<pppoe-x>", FramedIPAddress: "100.64.0.1"})
	p.Log(aaa.PostAuth{User: "nul\x00x", Reply: "Access-Reject", At: at, Reason: aaa.ReasonBadPassword, Detail: "nul\x00 \xff", NAS: "invalid IP"})
	stop()
	want := [][]string{
		{"o=27br=5C", "p=3D231=3D3Dx é", "Access-Accept", "h=3D1=3Bz", "00:11:22:33:44:55", "2026-11-21 18:00:00.123456", "c", "NULL", "NULL", "10.0.0.1", "=3D3Cpppoe-x=3D3E", "100.64.0.1"},
		{"nul=00x", "", "Access-Reject", "NULL", "NULL", "2026-11-21 18:00:00.123456", "NULL", "bad_password", "nul=00 =FF", "NULL", "NULL", "NULL"},
	}
	got := db.Rows(`SELECT username, pass, reply, calledstationid, callingstationid, (authdate AT TIME ZONE 'UTC')::text, class, reason, detail, host(nasipaddress), nasportid, host(framedipaddress) FROM radpostauth ORDER BY id`)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	p.check(t, 2, 0, 0)
}

// A row that the database refuses does not take its neighbours along.
func TestPostAuthOneBadRow(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`ALTER TABLE radpostauth ADD CHECK (username <> 'bad')`)
	p := newPostAuth(db.DB)
	for i := range 50 {
		p.Log(aaa.PostAuth{User: fmt.Sprint("user", i), Reply: "Access-Accept", At: time.Now()})
		if i%20 == 7 {
			p.Log(aaa.PostAuth{User: "bad", Reply: "Access-Accept", At: time.Now()})
		}
	}
	stop := run(t, p.Run)
	stop()
	p.check(t, 50, 0, 3)
	if n := db.Rows(`SELECT count(DISTINCT username) FROM radpostauth`)[0][0]; n != "50" {
		t.Errorf("%s rows", n)
	}
	if n := p.logs.FilterMessage("radpostauth refused a row").Len(); n != 3 {
		t.Errorf("%d log lines", n)
	}
}

// Where no row can be stored, the log tells of it without a line for each login.
func TestPostAuthTableRefusesAll(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`ALTER TABLE radpostauth ADD CHECK (username = 'nobody')`)
	p := newPostAuth(db.DB)
	for i := range 200 {
		p.Log(aaa.PostAuth{User: fmt.Sprint("user", i), Reply: "Access-Accept", At: time.Now()})
	}
	stop := run(t, p.Run)
	stop()
	p.check(t, 0, 0, 200)
	if n := p.logs.Len(); n > 30 {
		t.Errorf("%d log lines", n)
	}
}

// While the database is away rows wait; afterwards each is written once.
func TestPostAuthOutage(t *testing.T) {
	db := storetest.New(t)
	p := newPostAuth(db.DB)
	stop := run(t, p.Run)
	p.Log(aaa.PostAuth{User: "before", Reply: "Access-Accept", At: time.Now()})
	eventually(t, "the first row", func() bool { return db.Rows(`SELECT count(*) FROM radpostauth`)[0][0] == "1" })
	db.Away(func() {
		for i := range 100 {
			p.Log(aaa.PostAuth{User: fmt.Sprint("user", i), Reply: "Access-Accept", At: time.Now()})
		}
		eventually(t, "it says that it waits", func() bool { return p.logs.FilterMessage("post-auth log waits for the database").Len() == 1 })
	})
	eventually(t, "all rows", func() bool { return db.Rows(`SELECT count(*) FROM radpostauth`)[0][0] == "101" })
	stop()
	p.check(t, 101, 0, 0)
	if n := db.Rows(`SELECT count(DISTINCT username) FROM radpostauth`)[0][0]; n != "101" {
		t.Errorf("%s users", n)
	}
}

// A queue that is full drops and counts; at shutdown what is queued is written.
func TestPostAuthQueueIsBounded(t *testing.T) {
	db := storetest.New(t)
	p := newPostAuth(db.DB)
	for range store.PostAuthQueue + 10 {
		p.Log(aaa.PostAuth{User: "x", Reply: "Access-Accept"})
	}
	p.check(t, 0, 10, 0)
	if testing.Short() {
		return
	}
	stop := run(t, p.Run)
	stop()
	p.check(t, store.PostAuthQueue, 10, 0)
}
