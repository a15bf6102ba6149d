package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"go.uber.org/zap"

	"radial/store"
)

const (
	maxWorkers  = 4                // jobs of this server at once; they share the database with the hot path
	stopTimeout = 10 * time.Second // that running jobs have on shutdown, before they are cancelled
	startAgain  = 5 * time.Second  // between attempts while the database is away
)

// Runner works the queue off.
type Runner struct {
	client  *river.Client[pgx.Tx]
	control *control // nil: none
	log     *zap.Logger
}

// NewRunner makes a runner of all work (periodic.go). It does not touch the
// database; Run does.
func NewRunner(db *store.DB, opts Options, reg prometheus.Registerer, logger *zap.Logger) (*Runner, error) {
	var c *control
	if opts.Control != nil {
		c = newControl(db, *opts.Control, reg, logger)
	}
	return newRunner(db, periodic(db, opts), c, reg, logger)
}

// newControl makes control's workers.
func newControl(db *store.DB, opts Control, reg prometheus.Registerer, logger *zap.Logger) *control {
	quiet := newQuietDevices(time.Now)
	e := &enforcer{Control: opts, rows: db, quiet: quiet, metrics: newControlMetrics(reg, quiet), log: logger.Named("control")}
	return &control{enforcer: e, db: db, bulk: db, letGo: db}
}

func newRunner(db *store.DB, all []work, c *control, reg prometheus.Registerer, logger *zap.Logger) (*Runner, error) {
	metrics := NewMetrics(reg)
	workers := river.NewWorkers()
	queues := map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: maxWorkers}}
	id := ""
	if c != nil {
		id = c.Client
		if err := c.register(workers, metrics); err != nil {
			return nil, fmt.Errorf("jobs of control: %w", err)
		}
		maps.Copy(queues, c.queues())
	}
	var due []*river.PeriodicJob
	for _, w := range all {
		if err := w.register(workers, metrics); err != nil {
			return nil, fmt.Errorf("job %s: %w", w.kind, err)
		}
		due = append(due, w.due)
	}
	client, err := river.NewClient(riverpgxv5.New(db.Pool()), &river.Config{
		ID:              id,
		Schema:          store.Schema,
		Queues:          queues,
		Workers:         workers,
		PeriodicJobs:    due,
		PollOnly:        true,
		SoftStopTimeout: stopTimeout,
		// What has no timeout of its own and is not rescued sooner (control.rescue).
		RescueStuckJobsAfter: 5 * time.Minute,
		ErrorHandler:         failures{logger},
		Logger:               slog.New(riverLog{logger.Named("river")}),
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return &Runner{client: client, control: c, log: logger}, nil
}

// Run works until ctx ends, then lets running jobs finish, for ten seconds at
// most, and returns nil. While the database is away at the beginning it tries
// again; later River does by itself.
func (r *Runner) Run(ctx context.Context) error {
	tell := r.log.Warn
	for {
		err := r.client.Start(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return nil
		}
		tell("jobs do not run yet", zap.Error(err), zap.Duration("next_attempt", startAgain))
		tell = r.log.Debug // once is enough
		if !pause(ctx, startAgain) {
			return nil
		}
	}
	if r.control != nil {
		r.control.watch(ctx)
	}
	<-r.client.Stopped() // which the end of ctx brings about
	return nil
}

// failures tells of jobs that failed; River keeps the error with the job.
type failures struct{ log *zap.Logger }

// HandleError tells of an error.
func (f failures) HandleError(_ context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	f.log.Error("job failed", zap.String("job", job.Kind), zap.Int64("id", job.ID), zap.Int("attempt", job.Attempt), zap.Error(err))
	return nil
}

// HandlePanic tells of a panic, which ended the job alone.
func (f failures) HandlePanic(_ context.Context, job *rivertype.JobRow, value any, trace string) *river.ErrorHandlerResult {
	f.log.Error("job panicked", zap.String("job", job.Kind), zap.Int64("id", job.ID), zap.Any("panic", value), zap.String("trace", trace))
	return nil
}
