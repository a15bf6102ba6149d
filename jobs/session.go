package jobs

import (
	"context"
	"slices"

	"radial/aaa"
	"radial/store"
)

// silence is where sessions are watched and closed (store.DB).
type silence interface {
	WatchSilence(ctx context.Context, rule store.StaleRule) (goes bool, err error)
	CloseStale(ctx context.Context, rule store.StaleRule, limit int) (n int, err error)
}

// doubted is where silent sessions are found, and left open where their router
// has them (store.DB).
type doubted interface {
	DueStale(ctx context.Context, rule store.StaleRule, limit int) ([]store.OpenAt, error)
	StaleLives(ctx context.Context, ids []int64) error
	CloseStaleOf(ctx context.Context, rule store.StaleRule, dead []store.OpenAt) (n int, err error)
}

// witness says which of silent sessions live all the same, and of which the device
// has begun anew since they were last heard of (RouterSessions).
type witness interface {
	Live(ctx context.Context, silent []store.OpenAt) (testimony, error)
}

// testimony is what is known of silent sessions, by their ids.
type testimony struct{ live, rebooted []int64 }

// closeStale looks for silent sessions, and closes those that have been silent
// for too long; with a witness, those of them that it does not know to live. It
// looks also where none is to be closed: that keeps the time.
func closeStale(db interface {
	silence
	doubted
}, rule store.StaleRule, ask witness,
) func(context.Context, aaa.CloseStale) error {
	return func(ctx context.Context, job aaa.CloseStale) error {
		goes, err := db.WatchSilence(ctx, rule)
		if err != nil || !goes {
			return err
		}
		return byBatches(ctx, job.Batch, func(ctx context.Context, limit int) (int, error) {
			if ask == nil {
				return db.CloseStale(ctx, rule, limit)
			}
			return closeDoubted(ctx, db, rule, ask, limit)
		})
	}
}

// closeDoubted is CloseStale after their routers have been asked; n is how many
// are not due any more.
func closeDoubted(ctx context.Context, db doubted, rule store.StaleRule, ask witness, limit int) (n int, err error) {
	due, err := db.DueStale(ctx, rule, limit)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	known, err := ask.Live(ctx, due)
	if err != nil {
		return 0, err
	}
	if len(known.live) > 0 {
		if err := db.StaleLives(ctx, known.live); err != nil {
			return 0, err
		}
	}
	var dead []store.OpenAt
	for _, s := range due {
		if !slices.Contains(known.live, s.ID) {
			s.Rebooted = slices.Contains(known.rebooted, s.ID)
			dead = append(dead, s)
		}
	}
	closed, err := db.CloseStaleOf(ctx, rule, dead)
	return len(known.live) + closed, err // what somebody holds is due the next time too
}
