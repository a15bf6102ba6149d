package faults

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"radial/load"
	"radial/store/storetest"
	"radial/test/harness"
)

// outage is sessions under way at a server whose PostgreSQL the test may kill.
type outage struct {
	t        *testing.T
	db       *storetest.Own
	server   *harness.Server
	restart  harness.Config
	progress load.Progress
	ended    chan error
	result   *load.Result
}

// startOutage begins sessions; set are further settings of the server, dir its
// data_dir ("": a folder of the test).
func startOutage(t *testing.T, mode load.Mode, dir string, set map[string]string) *outage {
	t.Helper()
	o := &outage{t: t, db: storetest.NewOwn(t), ended: make(chan error, 1)}
	o.server = harness.Start(t, harness.Config{DatabaseURL: o.db.URL(), DataDir: dir, Set: set})
	seed(t, o.server, o.db.DB)
	o.restart = harness.Config{DatabaseURL: o.db.URL(), DataDir: o.server.DataDir, Set: map[string]string{
		"RADIAL_RADIUS_AUTH_LISTEN": o.server.Auth, "RADIAL_RADIUS_ACCT_LISTEN": o.server.Acct,
	}}
	for k, v := range set {
		o.restart.Set[k] = v
	}
	l := load.DefaultOptions()
	l.Mode, l.Secret, l.Users, l.Window, l.KeepSessions = mode, "kill-s3cret", users, 128, true
	l.Auth, l.Acct = netip.MustParseAddrPort(o.server.Auth), netip.MustParseAddrPort(o.server.Acct)
	l.Duration, l.Timeout, l.Tries, l.Seed = time.Hour, 300*time.Millisecond, 1000, uint64(time.Now().UnixNano())
	watching := make(chan load.Progress, 1)
	go func() {
		var err error
		o.result, err = load.Run(context.Background(), l, func(p load.Progress) { watching <- p })
		o.ended <- err
	}()
	o.progress = <-watching
	return o
}

// more waits for so many acknowledgements.
func (o *outage) more(what string, n uint64) {
	o.t.Helper()
	target := o.progress.Acknowledged() + n
	harness.Eventually(o.t, 2*time.Minute, fmt.Sprintf("%s: %d acknowledgements", what, n), func() bool { return o.progress.Acknowledged() >= target })
}

// holds waits until the journal has so many records.
func (o *outage) holds(n float64) {
	o.t.Helper()
	harness.Eventually(o.t, time.Minute, fmt.Sprintf("%v records in the journal", n), func() bool { return o.server.Metric(o.t, "radial_journal_records") >= n })
}

func (o *outage) drained() {
	o.t.Helper()
	harness.Eventually(o.t, time.Minute, "the journal is drained", func() bool {
		return o.server.Metric(o.t, "radial_journal_records") == 0 && o.server.Metric(o.t, "radial_journal_bytes") == 0
	})
}

// end ends the sessions and compares.
func (o *outage) end() {
	o.t.Helper()
	o.progress.Finish()
	if err := <-o.ended; err != nil {
		o.t.Fatal(err)
	}
	o.drained()
	r := o.result
	o.t.Logf("%d acknowledged, %d sent again, %d late", r.Acknowledged, r.Retransmitted, r.Stray)
	if r.GivenUp > 0 || r.BadAuthenticator > 0 || r.Rejected > 0 || r.DoubleAddress > 0 {
		o.t.Errorf("result %+v", r.Counts)
	}
	compare(o.t, o.db.DB, r.Sessions)
	if n := o.db.Rows(`SELECT count(*) FROM radial.quarantine`)[0][0]; n != "0" {
		o.t.Errorf("%s records in quarantine", n)
	}
}

// away waits for what the test takes in each outage, 10 s in the long form.
func (o *outage) away(short time.Duration) {
	if *long {
		short = 10 * time.Second
	}
	<-time.After(short)
}

// TestKill9OfPostgreSQL: PostgreSQL is killed under load, again while the
// journal is drained, paused, and killed together with the server. No accounting
// that was acknowledged is lost.
func TestKill9OfPostgreSQL(t *testing.T) {
	o := startOutage(t, load.Session, "", nil)
	o.more("before", 2000)
	o.db.Kill()
	o.holds(50)
	o.away(3 * time.Second)
	o.db.Start()
	o.more("after the first kill", 2000)

	o.killInTheDrain()
	o.more("after the kill in the drain", 2000)

	o.db.Pause()
	o.holds(1)
	o.away(2 * time.Second)
	o.db.Resume()
	o.more("after the pause", 2000)

	o.db.Kill()
	o.holds(50)
	o.server.Kill(t)
	o.db.Start()
	o.server = harness.Start(t, o.restart)
	o.more("after both were killed", 2000)
	o.end()
}

// killInTheDrain kills PostgreSQL when a part of the journal is drained, while
// the same sessions go on.
func (o *outage) killInTheDrain() {
	o.t.Helper()
	for range 5 {
		o.db.Kill()
		o.holds(100) // no more is sure to come: sessions wait at their logins, which are silent
		o.away(time.Second)
		full := o.server.Metric(o.t, "radial_journal_records")
		o.db.Start()
		left := full
		harness.Eventually(o.t, time.Minute, "the drain begins", func() bool {
			left = o.server.Metric(o.t, "radial_journal_records")
			return left < full
		})
		if left == 0 {
			continue // it was quicker than we
		}
		o.db.Kill()
		o.t.Logf("killed with %v of %v records left", left, full)
		o.away(time.Second)
		o.db.Start()
		return
	}
	o.t.Log("PostgreSQL could not be killed in a drain: each was over before")
}

// TestJournalFull: at its bound the journal takes nothing, and nothing of what
// it took before is lost; when the database is back all goes on.
func TestJournalFull(t *testing.T) {
	o := startOutage(t, load.Acct, "", map[string]string{"RADIAL_JOURNAL_MAX_BYTES": "1048576"})
	o.fill()
}

// TestJournalDiskFull: the same on a disk that is full before the bound.
func TestJournalDiskFull(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "journal")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=1536k"); err != nil {
		t.Skipf("needs root for a small tmpfs: %v", err)
	}
	t.Cleanup(func() { // after the server has ended
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	startOutage(t, load.Acct, dir, nil).fill()
}

// fill lets outages last until the journal takes nothing any more.
func (o *outage) fill() {
	t := o.t
	t.Helper()
	rounds := 2
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		o.more("before", 3000)
		before := o.server.Metric(t, "radial_journal_refused_total")
		o.db.Kill()
		harness.Eventually(t, time.Minute, "the journal refuses", func() bool { return o.server.Metric(t, "radial_journal_refused_total") > before })
		o.away(time.Second)
		o.db.Start()
	}
	o.more("afterwards", 2000)
	o.end()
}

// TestGapOfTwoServers: the database is away for longer than an offer lives,
// while callers start, renew and stop at two servers, of which one is killed
// and started again in that time. No live session loses its lease, and none is
// held twice.
func TestGapOfTwoServers(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	gap := offerTime + 4*time.Second
	if *long {
		gap = 2 * time.Minute
	}
	db := storetest.NewOwn(t)
	steady, fragile := harness.Start(t, harness.Config{DatabaseURL: db.URL()}), harness.Start(t, harness.Config{DatabaseURL: db.URL()})
	seedPool(t, steady, db.DB)
	restart := harness.Config{DatabaseURL: db.URL(), DataDir: fragile.DataDir, Set: map[string]string{
		"RADIAL_RADIUS_AUTH_LISTEN": fragile.Auth, "RADIAL_RADIUS_ACCT_LISTEN": fragile.Acct,
	}}
	s := newStorm(t, steady, fragile)
	var group sync.WaitGroup
	for n := range 96 {
		group.Go(func() { s.live(&tenant{number: n}) })
	}
	for n := range 32 {
		group.Go(func() { s.stay(200 + n) })
	}
	steps := func(what string, n int64) {
		t.Helper()
		target := s.steps.Load() + n
		harness.Eventually(t, 2*time.Minute, what, func() bool { return s.steps.Load() >= target })
	}
	journal := func(server *harness.Server, n float64) {
		t.Helper()
		harness.Eventually(t, time.Minute, fmt.Sprintf("both journal %v records", n), func() bool { return server.Metric(t, "radial_journal_records") >= n })
	}
	steps("before the gap", 500)
	harness.Eventually(t, time.Minute, "all stay", func() bool { return s.interims.Load() >= 32 })
	db.Kill()
	began := time.Now()
	journal(steady, 100)
	journal(fragile, 100)
	fragile.Kill(t)
	fragile = harness.Start(t, restart) // without the database
	before := fragile.Metric(t, "radial_journal_records")
	journal(fragile, before+100)
	<-time.After(gap - time.Since(began))
	t.Logf("%v and %v records in the journals", steady.Metric(t, "radial_journal_records"), fragile.Metric(t, "radial_journal_records"))
	db.Start()
	steps("after the gap", 1000)
	s.ended.Store(true)
	group.Wait()
	drained(t, steady, fragile)
	t.Logf("%d steps, %d interims, %d sessions acknowledged, %d open at the end", s.steps.Load(), s.interims.Load(), len(s.seen), len(s.open))
	s.compare(db.DB)
}
