package jobs

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"radial/aaa"
	"radial/nas"
	"radial/store"
	"radial/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// until polls for what another goroutine brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("no ", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// start runs a runner; the function that it returns ends it.
func start(t *testing.T, r *Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the runner does not end")
		}
	}
}

func TestRunnerExpiresOffers(t *testing.T) {
	db := storetest.New(t)
	if err := db.CreatePool(t.Context(), store.PoolSpec{Name: "main", CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}); err != nil {
		t.Fatal(err)
	}
	db.Exec("UPDATE radial.addresses SET state = 'offered', until = now() - interval '1 second' WHERE address < '192.0.2.100'")
	db.Exec("UPDATE radial.addresses SET state = 'offered', until = now() + interval '1 hour' WHERE address = '192.0.2.100'")
	reg := prometheus.NewRegistry()
	r, err := NewRunner(db.DB, Options{}, reg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, r)
	until(t, "expired offers freed", func() bool {
		return db.Rows("SELECT count(*) FROM radial.addresses WHERE state = 'offered'")[0][0] == "1"
	})
	stop()
	if n, err := testutil.GatherAndCount(reg, "radial_job_runs_total", "radial_job_last_success_timestamp_seconds"); n < 2 || err != nil {
		t.Errorf("%d metrics of the run, %v", n, err)
	}
}

func TestRunnerReleasesEnded(t *testing.T) {
	db := storetest.New(t)
	if err := db.CreatePool(t.Context(), store.PoolSpec{Name: "main", CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/29")}}); err != nil {
		t.Fatal(err)
	}
	db.Exec("UPDATE radial.addresses SET state = 'bound', radacctid = 99, until = now() - interval '1 second'")
	r, err := NewRunner(db.DB, Options{}, prometheus.NewRegistry(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, r)
	until(t, "address of a session without a row freed", func() bool {
		return db.Rows("SELECT count(*) FROM radial.addresses WHERE state = 'bound'")[0][0] == "0"
	})
	stop()
	if err := releaseEnded(endedRows{})(t.Context(), aaa.ReleaseEnded{}); !errors.Is(err, errAway) {
		t.Errorf("got %v", err)
	}
}

var errAway = errors.New("away")

type endedRows struct{}

func (endedRows) ReleaseEnded(context.Context, int) (int, error) { return 0, errAway }

type testJob struct{ N int }

func (testJob) Kind() string { return "test" }

func TestRunnerTellsFailures(t *testing.T) {
	db := storetest.New(t)
	core, logs := observer.New(zapcore.ErrorLevel)
	runs := 0
	all := []work{every(time.Hour, testJob{N: 7}, func(_ context.Context, job testJob) error {
		if runs++; job.N != 7 {
			t.Errorf("arguments %+v", job)
		}
		return errors.New("no luck")
	})}
	r, err := newRunner(db.DB, all, nil, prometheus.NewRegistry(), zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, r)
	until(t, "log line", func() bool { return logs.FilterMessage("job failed").Len() > 0 })
	stop()
	if runs != 1 {
		t.Errorf("a periodic job that failed ran %d times within its period", runs)
	}
	line := logs.FilterMessage("job failed").All()[0].ContextMap()
	if line["job"] != "test" || line["error"] != "no luck" {
		t.Errorf("line %v", line)
	}
	if rows := db.Rows("SELECT kind, state FROM radial.river_job"); len(rows) != 1 || rows[0][1] != "discarded" {
		t.Errorf("queue %v", rows)
	}
}

// A shutdown waits for the job that is under way.
func TestRunnerDrains(t *testing.T) {
	db := storetest.New(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	ended := false
	all := []work{every(time.Hour, testJob{}, func(ctx context.Context, _ testJob) error {
		close(begun)
		select {
		case <-finish:
		case <-ctx.Done():
			t.Error("a running job was cancelled")
		}
		ended = true
		return nil
	})}
	r, err := newRunner(db.DB, all, nil, prometheus.NewRegistry(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	<-begun
	cancel()
	close(finish)
	if err := <-done; err != nil || !ended {
		t.Errorf("Run ended with %v, the job ended %v", err, ended)
	}
}

func TestRunnerWaitsForDatabase(t *testing.T) {
	db, err := store.Open(t.Context(), store.Options{URL: nas.Secret("postgres://nobody@127.0.0.1:1/none")}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	core, logs := observer.New(zapcore.WarnLevel)
	r, err := NewRunner(db, Options{}, prometheus.NewRegistry(), zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, r)
	until(t, "warning", func() bool { return logs.FilterMessage("jobs do not run yet").Len() > 0 })
	stop()
}

// offerRows is a row count that expiry works on.
type offerRows struct {
	left  int
	trips int
	err   error
}

func (o *offerRows) ExpireOffers(_ context.Context, limit int) (int, error) {
	o.trips++
	n := min(limit, o.left)
	o.left -= n
	return n, o.err
}

func TestExpireOffersByBatches(t *testing.T) {
	rows := &offerRows{left: 250}
	if err := expireOffers(rows)(t.Context(), aaa.ExpireOffers{Batch: 100}); err != nil || rows.left != 0 || rows.trips != 3 {
		t.Errorf("left %d after %d trips, %v", rows.left, rows.trips, err)
	}
	rows = &offerRows{err: errors.New("away")}
	if err := expireOffers(rows)(t.Context(), aaa.ExpireOffers{}); !errors.Is(err, rows.err) {
		t.Errorf("got %v", err)
	}
}

// conflictRows are how long ago conflicts were last seen, newest first.
type conflictRows struct {
	now time.Time
	ago []time.Duration
}

func (c *conflictRows) DropConflicts(_ context.Context, before time.Time, limit int) (n int, err error) {
	for n < limit && len(c.ago) > 0 && c.now.Add(-c.ago[len(c.ago)-1]).Before(before) {
		c.ago = c.ago[:len(c.ago)-1]
		n++
	}
	return n, nil
}

func TestDropConflicts(t *testing.T) {
	for keep, left := range map[time.Duration]int{0: 5, 3 * time.Hour: 3, time.Hour: 1} {
		rows := &conflictRows{now: time.Unix(1_790_000_000, 0), ago: []time.Duration{1, time.Hour + 1, 2 * time.Hour, 4 * time.Hour, 5 * time.Hour}}
		if err := dropConflicts(rows, keep, func() time.Time { return rows.now })(t.Context(), aaa.DropConflicts{Batch: 1}); err != nil || len(rows.ago) != left {
			t.Errorf("keep %s: %d left, want %d; %v", keep, len(rows.ago), left, err)
		}
	}
}

type idleRows map[time.Duration]int

func (r idleRows) DropIdlePrefixes(_ context.Context, olderThan time.Duration, limit int) (int, error) {
	n := min(limit, r[olderThan])
	r[olderThan] -= n
	return n, nil
}

func TestDropIdlePrefixes(t *testing.T) {
	rows := idleRows{48 * time.Hour: 25, 24 * time.Hour: 3}
	if err := dropIdlePrefixes(rows)(t.Context(), aaa.DropIdlePrefixes{Batch: 10, Days: 2}); err != nil || rows[48*time.Hour] != 0 || rows[24*time.Hour] != 3 {
		t.Errorf("left %v, %v", rows, err)
	}
}

func TestPeriodicListIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range periodic(nil, Options{}) {
		if seen[w.kind] || w.cadence < time.Second {
			t.Errorf("work %q, every %s: twice, or too often", w.kind, w.cadence)
		}
		seen[w.kind] = true
	}
	for _, kind := range []string{"end_cooling", "drop_conflicts", "drop_idle_prefixes", "expire_offers", "expire_admissions", "release_ended", "close_stale", "tend_history"} {
		if !seen[kind] {
			t.Errorf("nobody does %s", kind)
		}
	}
}
