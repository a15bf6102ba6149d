package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
	"radial/store"
)

const (
	controlWorkers = 64                     // of what is wanted of single users and sessions
	bulkWorkers    = 8                      // bulk orders at once
	controlPoll    = 200 * time.Millisecond // how long a change may lie in the queue
	watchEvery     = 2 * time.Second        // over jobs of servers that have died, and sessions whose Stop does not come
	controlTimeout = 2 * time.Minute        // of one job
	patience       = 15 * time.Minute       // how long a job waits for a device that does not answer
)

// Control is what carries out what operators want of sessions that run. Without
// Way nothing of it is done here: other servers may.
type Control struct {
	// Due says what a login of a session would be given now, from rows that are no
	// older than the change (aaa.Engine.Due).
	Due func(ctx context.Context, s *aaa.LiveSession) (aaa.Due, error)
	// Decide says what follows from it (aaa.Decide).
	Decide func(s *aaa.LiveSession, d *aaa.Due) aaa.Action
	// Limit puts another rate into a reply that is shaped for a device.
	Limit func(dev *nas.Device, reply dictionaries.Pairs, rate nas.RateLimit) dictionaries.Pairs
	// Device is the device of an address; nil where no row of nas has it.
	Device func(netip.Addr) *nas.Device
	Way    aaa.Way
	// Client is this server's name in the queue: its id, '#', and a mark of this
	// life of it.
	Client string

	ControlOptions
}

// ControlOptions are the settings of control.
type ControlOptions struct {
	// CloseAfter is how long after a device has let a session go its Stop may
	// take; then the session is closed.
	CloseAfter time.Duration
	// Refused says what becomes of a session whose device refuses a change of it:
	// RefusedDisconnect or RefusedKeep.
	Refused string
	// Reconcile is how often all open sessions are compared with what they should
	// have; 0: never, and they do not follow what others than us change.
	Reconcile time.Duration
	// Password says what becomes of sessions whose user's password is changed:
	// PasswordDisconnect or PasswordKeep.
	Password string
}

// The values of ControlOptions.
const (
	RefusedDisconnect  = "disconnect"
	RefusedKeep        = "keep"
	PasswordDisconnect = "disconnect"
	PasswordKeep       = "keep"
)

// DefaultControl are the settings of control where nothing is said.
func DefaultControl() ControlOptions {
	return ControlOptions{CloseAfter: time.Minute, Reconcile: DefaultReconcile, Refused: RefusedDisconnect, Password: PasswordDisconnect}
}

// controlStore is what control needs of the database beside its bulk orders.
type controlStore interface {
	TakeWish(ctx context.Context, subject string, serial int64) (bool, error)
	OpenSessionsOf(ctx context.Context, user string) ([]int64, error)
	RescueJobs(ctx context.Context, client string) (int, error)
}

// control has the workers of the queue's jobs of control.
type control struct {
	*enforcer
	db    controlStore
	bulk  bulkStore
	letGo letGo
}

// register adds the workers.
func (c *control) register(workers *river.Workers, metrics *Metrics) error {
	return errors.Join(
		river.AddWorkerSafely(workers, &controlWorker[aaa.FollowUser]{do: c.followUser, metrics: metrics}),
		river.AddWorkerSafely(workers, &controlWorker[aaa.FollowSession]{do: c.followSession, metrics: metrics}),
		river.AddWorkerSafely(workers, &controlWorker[aaa.EndSession]{do: c.endSession, metrics: metrics}),
		river.AddWorkerSafely(workers, &controlWorker[aaa.EndUser]{do: c.endUser, metrics: metrics}),
		river.AddWorkerSafely(workers, &controlWorker[aaa.LimitUser]{do: c.limitUser, metrics: metrics}),
		river.AddWorkerSafely(workers, &controlWorker[aaa.FollowMany]{do: c.followMany, metrics: metrics}),
	)
}

// queues are the queues of control.
func (c *control) queues() map[string]river.QueueConfig {
	return map[string]river.QueueConfig{
		store.QueueControl: {MaxWorkers: controlWorkers, FetchPollInterval: controlPoll, FetchCooldown: 50 * time.Millisecond},
		store.QueueBulk:    {MaxWorkers: bulkWorkers, FetchPollInterval: controlPoll, FetchCooldown: 50 * time.Millisecond},
	}
}

// watch sees to jobs of servers that have died, and to sessions whose Stop does
// not come, until ctx ends.
func (c *control) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		n, err := c.db.RescueJobs(ctx, c.Client)
		if n > 0 {
			c.log.Info("jobs of a server that has died are done by others", zap.Int("jobs", n))
			c.metrics.rescued.Add(float64(n))
		}
		if err = errors.Join(err, c.closeLetGo(ctx)); err != nil && ctx.Err() == nil {
			c.log.Debug("look after sessions and jobs", zap.Error(err)) // the database is away; others tell
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// controlWorker does jobs of one kind of control.
type controlWorker[A river.JobArgs] struct {
	river.WorkerDefaults[A]
	do      func(context.Context, *river.Job[A]) error
	metrics *Metrics
}

// Timeout bounds one run.
func (w *controlWorker[A]) Timeout(*river.Job[A]) time.Duration { return controlTimeout }

// NextRetry is soon at first: a packet may be lost, a router restarts in a
// minute.
func (w *controlWorker[A]) NextRetry(job *river.Job[A]) time.Time {
	waits := []time.Duration{3 * time.Second, 10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
	return time.Now().Add(waits[min(max(job.Attempt, 1), len(waits))-1])
}

// Work does one job and measures it.
func (w *controlWorker[A]) Work(ctx context.Context, job *river.Job[A]) error {
	begin := time.Now()
	err := w.do(ctx, job)
	var snooze *rivertype.JobSnoozeError
	if errors.As(err, &snooze) {
		return err // it goes on
	}
	w.metrics.ran(job.Args.Kind(), begin, err)
	return err
}

func (c *control) followUser(ctx context.Context, job *river.Job[aaa.FollowUser]) error {
	a := job.Args
	return c.follow(ctx, job.JobRow, store.UserSubject(a.User), a.Serial, wish{verb: store.BulkFollow, actor: a.Actor, why: a.Why, changed: a.Actor != actorOthers},
		func(ctx context.Context) ([]int64, error) { return c.db.OpenSessionsOf(ctx, a.User) })
}

func (c *control) followSession(ctx context.Context, job *river.Job[aaa.FollowSession]) error {
	a := job.Args
	return c.follow(ctx, job.JobRow, store.SessionSubject(a.Session), a.Serial, wish{verb: store.BulkFollow, actor: a.Actor, why: a.Why}, only(a.Session))
}

func (c *control) endSession(ctx context.Context, job *river.Job[aaa.EndSession]) error {
	a := job.Args
	return c.follow(ctx, job.JobRow, "", 0, wish{verb: store.BulkDisconnect, actor: a.Actor, why: a.Why}, only(a.Session))
}

func (c *control) endUser(ctx context.Context, job *river.Job[aaa.EndUser]) error {
	a := job.Args
	if c.Password == PasswordKeep {
		return c.told(ctx, "kept: control.password_change says so", nil)
	}
	w := wish{verb: store.BulkDisconnect, actor: a.Actor, why: a.Why, begunBy: job.CreatedAt}
	return c.follow(ctx, job.JobRow, "", 0, w, func(ctx context.Context) ([]int64, error) { return c.db.OpenSessionsOf(ctx, a.User) })
}

func (c *control) limitUser(ctx context.Context, job *river.Job[aaa.LimitUser]) error {
	a := job.Args
	return c.follow(ctx, job.JobRow, "", 0, wish{verb: store.BulkChange, limits: true, actor: a.Actor, why: a.Why},
		func(ctx context.Context) ([]int64, error) { return c.db.OpenSessionsOf(ctx, a.User) })
}

func only(id int64) func(context.Context) ([]int64, error) {
	return func(context.Context) ([]int64, error) { return []int64{id}, nil }
}

// follow is what the jobs of few sessions have in common.
func (c *control) follow(ctx context.Context, job *rivertype.JobRow, subject string, serial int64, w wish, sessions func(context.Context) ([]int64, error)) error {
	if serial != 0 {
		mine, err := c.db.TakeWish(ctx, subject, serial)
		if err != nil {
			return err
		}
		if !mine {
			c.metrics.superseded.Inc()
			return c.told(ctx, "superseded: a later change has seen to it, or will", nil)
		}
	}
	ids, err := sessions(ctx)
	if err != nil {
		return err
	}
	w.job, w.asked = job.ID, job.CreatedAt
	done, err := c.deal(ctx, w, ids)
	if ctx.Err() != nil {
		return river.JobSnooze(0) // the server ends: another goes on
	}
	if err != nil {
		return err
	}
	if wait := done.wait; wait > 0 && time.Since(job.CreatedAt) < patience {
		return errors.Join(c.told(ctx, done.text(), done.sessions), river.JobSnooze(wait))
	}
	return c.finish(ctx, &done)
}

// finish ends a job: well, as refused for good, or to be tried again.
func (c *control) finish(ctx context.Context, done *dealt) error {
	if err := c.told(ctx, done.text(), done.sessions); err != nil {
		return err
	}
	switch {
	case done.again != nil:
		return done.again
	case done.final != nil:
		return river.JobCancel(done.final)
	case done.wait > 0:
		return river.JobCancel(fmt.Errorf("given up after %s: %s", patience, done.text()))
	}
	return nil
}

// told keeps with the job what came of it.
func (c *control) told(ctx context.Context, outcome string, sessions []sessionNote) error {
	err := river.RecordOutput(ctx, store.JobOutput{Outcome: outcome, Sessions: notesOf(sessions)})
	if err != nil {
		return fmt.Errorf("outcome of the job: %w", err)
	}
	return nil
}
