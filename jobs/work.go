package jobs

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// work is one kind of job: how to work it off, and when it is due.
type work struct {
	kind     string
	args     river.JobArgs
	cadence  time.Duration
	register func(*river.Workers, *Metrics) error
	due      *river.PeriodicJob
}

// every makes periodic work of a function and the arguments that it gets.
func every[A river.JobArgs](cadence time.Duration, args A, do func(context.Context, A) error) work {
	opts := &river.InsertOpts{
		MaxAttempts: 1, // the next one comes anyway
		UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
			rivertype.JobStateRetryable, rivertype.JobStateScheduled,
		}},
	}
	return work{
		kind:    args.Kind(),
		args:    args,
		cadence: cadence,
		register: func(workers *river.Workers, metrics *Metrics) error {
			return river.AddWorkerSafely(workers, &worker[A]{do: do, timeout: max(cadence, time.Minute), metrics: metrics})
		},
		due: river.NewPeriodicJob(river.PeriodicInterval(cadence), func() (river.JobArgs, *river.InsertOpts) { return args, opts },
			&river.PeriodicJobOpts{ID: args.Kind(), RunOnStart: true}),
	}
}

// worker does jobs of one kind and measures them.
type worker[A river.JobArgs] struct {
	river.WorkerDefaults[A]
	do      func(context.Context, A) error
	timeout time.Duration
	metrics *Metrics
}

// Timeout bounds one run.
func (w *worker[A]) Timeout(*river.Job[A]) time.Duration { return w.timeout }

// Work does one job.
func (w *worker[A]) Work(ctx context.Context, job *river.Job[A]) error {
	begin := time.Now()
	err := w.do(ctx, job.Args)
	w.metrics.ran(job.Args.Kind(), begin, err)
	return err
}

// byBatches repeats a step that takes at most so many rows until one finds
// fewer: then none are left, and what comes meanwhile waits for the next time.
func byBatches(ctx context.Context, batch int, step func(ctx context.Context, limit int) (n int, err error)) error {
	batch = max(batch, 1)
	for {
		n, err := step(ctx, batch)
		if err != nil || n < batch {
			return err
		}
	}
}

// pause waits; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
