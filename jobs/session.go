package jobs

import (
	"context"

	"radial/aaa"
	"radial/store"
)

// silence is where sessions are watched and closed (store.DB).
type silence interface {
	WatchSilence(ctx context.Context, rule store.StaleRule) (goes bool, err error)
	CloseStale(ctx context.Context, rule store.StaleRule, limit int) (n int, err error)
}

// closeStale looks for silent sessions, and closes those that have been silent
// for too long. It looks also where none is to be closed: that keeps the time.
func closeStale(db silence, rule store.StaleRule) func(context.Context, aaa.CloseStale) error {
	return func(ctx context.Context, job aaa.CloseStale) error {
		goes, err := db.WatchSilence(ctx, rule)
		if err != nil || !goes {
			return err
		}
		return byBatches(ctx, job.Batch, func(ctx context.Context, limit int) (int, error) { return db.CloseStale(ctx, rule, limit) })
	}
}
