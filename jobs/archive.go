package jobs

import (
	"context"
	"errors"
	"time"

	"radial/aaa"
	"radial/store"
)

// ArchiveRule says what of radacct goes into the archive, and how long it stays there.
type ArchiveRule struct {
	// After is how long ago a session must have ended; 0: never.
	After time.Duration
	// Retention is how long ago the sessions of a month must have ended for it to
	// be dropped; 0: never.
	Retention time.Duration
}

// archive is where sessions of long ago are kept (store.DB).
type archive interface {
	Archive(ctx context.Context, before time.Time, batch int, step func(moved int) error) error
	DropArchiveMonth(ctx context.Context, before time.Time, by store.Change) (month string, err error)
	ForgetArchived(ctx context.Context, before time.Time, limit int) (n int, err error)
}

// archivePause bounds the rest between two batches.
const archivePause = time.Second

// archiveSessions moves what is old enough, resting after each batch for as
// long as it took, since the database has better to do; and lets go what is
// older than the rule wants. What one run does not get done the next one does.
func archiveSessions(db archive, rule ArchiveRule, now func() time.Time) func(context.Context, aaa.ArchiveSessions) error {
	return func(ctx context.Context, job aaa.ArchiveSessions) error {
		if rule.After > 0 {
			begun := now()
			err := db.Archive(ctx, begun.Add(-rule.After), job.Batch, func(moved int) error {
				if moved < job.Batch {
					return nil
				}
				if !pause(ctx, min(now().Sub(begun), archivePause)) {
					return ctx.Err()
				}
				begun = now()
				return nil
			})
			if err != nil && !errors.Is(err, store.ErrArchiveWaits) {
				return err
			}
		}
		if rule.Retention <= 0 {
			return nil
		}
		before := now().Add(-rule.Retention)
		if err := dropMonths(ctx, db.DropArchiveMonth, before, store.Change{Actor: "job:" + job.Kind(), Action: "archive.drop"}); err != nil {
			return err
		}
		return byBatches(ctx, job.Batch, func(ctx context.Context, limit int) (int, error) { return db.ForgetArchived(ctx, before, limit) })
	}
}
