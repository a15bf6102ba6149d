package jobs

import (
	"context"
	"time"

	"radial/aaa"
	"radial/nas/routeros"
	"radial/store"
)

// Options are what an operator may set of the jobs. All servers of a database
// should say the same: whichever is free does a job.
type Options struct {
	// HistoryRetention is how long the history of addresses is kept; 0 for ever.
	HistoryRetention time.Duration
	// ConflictRetention is how long a conflict is kept after it was last seen; 0
	// for ever.
	ConflictRetention time.Duration
	// UsageRetention is how long usage is kept day by day; 0 for ever.
	UsageRetention time.Duration
	// Stale says when a session that is silent is closed.
	Stale store.StaleRule
	// Warden looks at users with quotas; nil: nobody does.
	Warden *aaa.Warden
	// Rules are those of provisioning, for subscribers whose end has come; nil:
	// nobody's state changes by itself.
	Rules *aaa.Provisioner
	// Archive says when closed sessions leave radacct, and when the archive.
	Archive ArchiveRule
	// Routers says how routers are reached; nil: nobody looks at them.
	Routers *store.RouterBook
	// Fleet has connections to routers; nil: they are not asked who is logged in.
	Fleet *routeros.Fleet
	// AskRouters says whether silent sessions are left open where their router has
	// them, ProbeSilent whether where their device acknowledges a CoA that changes
	// nothing, ReconcileRouters whether what routers and radacct do not have in common
	// is mended each quarter of an hour.
	AskRouters, ProbeSilent, ReconcileRouters bool
	// Reconcile compares what sessions have with what they should have.
	Reconcile Reconcile
	// Control carries out what is wanted of sessions that run; nil: other servers
	// do.
	Control *Control
}

// history is the history of addresses (store.DB).
type history interface {
	MakeHistoryMonths(ctx context.Context) error
	DropHistoryMonth(ctx context.Context, before time.Time, by store.Change) (month string, err error)
	ForgetHistory(ctx context.Context, before time.Time, limit int) (n int, err error)
}

// tendHistory makes the months to come, and lets go what is older than keep:
// whole months at once, and the few rows that no month has by batches.
func tendHistory(db history, keep time.Duration, now func() time.Time) func(context.Context, aaa.TendHistory) error {
	return func(ctx context.Context, job aaa.TendHistory) error {
		if err := db.MakeHistoryMonths(ctx); err != nil || keep <= 0 {
			return err
		}
		before := now().Add(-keep)
		if err := dropMonths(ctx, db.DropHistoryMonth, before, store.Change{Actor: "job:" + job.Kind(), Action: "history.drop"}); err != nil {
			return err
		}
		return byBatches(ctx, job.Batch, func(ctx context.Context, limit int) (int, error) { return db.ForgetHistory(ctx, before, limit) })
	}
}

// dropMonths drops month after month until none is left that is over before a
// time.
func dropMonths(ctx context.Context, drop func(context.Context, time.Time, store.Change) (month string, err error), before time.Time, by store.Change) error {
	for {
		month, err := drop(ctx, before, by)
		if err != nil || month == "" {
			return err
		}
	}
}
