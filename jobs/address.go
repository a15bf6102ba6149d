package jobs

import (
	"context"
	"time"

	"radial/aaa"
)

// offers is where offers of addresses run out (store.DB).
type offers interface {
	ExpireOffers(ctx context.Context, limit int) (n int, err error)
}

func expireOffers(db offers) func(context.Context, aaa.ExpireOffers) error {
	return func(ctx context.Context, job aaa.ExpireOffers) error {
		return byBatches(ctx, job.Batch, db.ExpireOffers)
	}
}

// ended is where addresses of closed sessions are found (store.DB).
type ended interface {
	ReleaseEnded(ctx context.Context, limit int) (n int, err error)
}

func releaseEnded(db ended) func(context.Context, aaa.ReleaseEnded) error {
	return func(ctx context.Context, job aaa.ReleaseEnded) error {
		return byBatches(ctx, job.Batch, db.ReleaseEnded)
	}
}

// cooling is where released addresses cool off (store.DB).
type cooling interface {
	EndCooling(ctx context.Context, limit int) (n int, err error)
}

func endCooling(db cooling) func(context.Context, aaa.EndCooling) error {
	return func(ctx context.Context, job aaa.EndCooling) error { return byBatches(ctx, job.Batch, db.EndCooling) }
}

// idlePrefixes is where rows of IPv6 leases are kept for those who had them
// last (store.DB).
type idlePrefixes interface {
	DropIdlePrefixes(ctx context.Context, olderThan time.Duration, limit int) (n int, err error)
}

func dropIdlePrefixes(db idlePrefixes) func(context.Context, aaa.DropIdlePrefixes) error {
	return func(ctx context.Context, job aaa.DropIdlePrefixes) error {
		idle := time.Duration(max(job.Days, 1)) * 24 * time.Hour
		return byBatches(ctx, job.Batch, func(ctx context.Context, limit int) (int, error) { return db.DropIdlePrefixes(ctx, idle, limit) })
	}
}

// conflicts is where conflicts of addresses are kept (store.DB).
type conflicts interface {
	DropConflicts(ctx context.Context, before time.Time, limit int) (n int, err error)
}

// dropConflicts forgets what was last seen longer ago than keep.
func dropConflicts(db conflicts, keep time.Duration, now func() time.Time) func(context.Context, aaa.DropConflicts) error {
	return func(ctx context.Context, job aaa.DropConflicts) error {
		if keep <= 0 {
			return nil
		}
		before := now().Add(-keep)
		return byBatches(ctx, job.Batch, func(ctx context.Context, limit int) (int, error) { return db.DropConflicts(ctx, before, limit) })
	}
}
