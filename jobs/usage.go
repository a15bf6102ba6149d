package jobs

import (
	"context"
	"time"

	"radial/aaa"
)

// usage is where what users have used is added up (store.DB).
type usage interface {
	FoldUsage(ctx context.Context, limit int) (n int, err error)
	RollUsage(ctx context.Context, after int64, limit int) (last int64, err error)
	BackfillUsage(ctx context.Context, limit int) (left bool, err error)
	MergeUsage(ctx context.Context, before time.Time, batch int, step func(days int) error) error
}

func foldUsage(db usage) func(context.Context, aaa.FoldUsage) error {
	return func(ctx context.Context, job aaa.FoldUsage) error {
		return byBatches(ctx, job.Batch, db.FoldUsage)
	}
}

func rollUsage(db usage) func(context.Context, aaa.RollUsage) error {
	return func(ctx context.Context, job aaa.RollUsage) error {
		for after := int64(0); ; {
			last, err := db.RollUsage(ctx, after, job.Batch)
			if err != nil || last == 0 {
				return err
			}
			after = last
		}
	}
}

// The backfill works for most of the minute until the next one, and rests after
// each batch for as long as that took: accounting goes first.
const (
	backfillFor  = 50 * time.Second
	backfillRest = 5 * time.Millisecond // at least
)

func backfillUsage(db usage) func(context.Context, aaa.BackfillUsage) error {
	return func(ctx context.Context, job aaa.BackfillUsage) error {
		for end := time.Now().Add(backfillFor); time.Now().Before(end); {
			began := time.Now()
			left, err := db.BackfillUsage(ctx, job.Batch)
			if err != nil || !left {
				return err
			}
			if !pause(ctx, max(time.Since(began), backfillRest)) {
				return ctx.Err()
			}
		}
		return nil
	}
}

// mergeUsage adds up days that are older than keep, resting after each batch that wrote
// for as long as it took.
func mergeUsage(db usage, keep time.Duration, now func() time.Time) func(context.Context, aaa.MergeUsage) error {
	return func(ctx context.Context, job aaa.MergeUsage) error {
		if keep <= 0 {
			return nil
		}
		begun := now()
		return db.MergeUsage(ctx, begun.Add(-keep), job.Batch, func(days int) error {
			if days > 0 && !pause(ctx, min(now().Sub(begun), archivePause)) {
				return ctx.Err()
			}
			begun = now()
			return nil
		})
	}
}
