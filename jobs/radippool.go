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
	return func(ctx context.Context, j aaa.RefreshMirror) error {
		for {
			n, err := db.RefreshMirror(ctx, j.Batch)
			if err != nil || n < j.Batch {
				return err
			}
		}
	}
}
