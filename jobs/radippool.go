package jobs

import (
	"context"

	"radial/aaa"
)

// mirrored is where radippool is kept true (store.DB).
type mirrored interface {
	RefreshMirror(ctx context.Context, limit int) (n int, err error)
}

func refreshMirror(db mirrored) func(context.Context, aaa.RefreshMirror) error {
	return func(ctx context.Context, job aaa.RefreshMirror) error {
		return byBatches(ctx, job.Batch, db.RefreshMirror)
	}
}
