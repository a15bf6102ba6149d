package jobs

import (
	"context"

	"radial/aaa"
)

// statics is where static addresses are taken out of pools (store.DB).
type statics interface {
	ReserveStaticIPs(ctx context.Context) (n int64, err error)
	RefreshStaticIPs(ctx context.Context) (n int64, err error)
}

func reserveStatic(db statics) func(context.Context, aaa.ReserveStatic) error {
	return func(ctx context.Context, _ aaa.ReserveStatic) error {
		_, err := db.ReserveStaticIPs(ctx)
		return err
	}
}

func refreshStatic(db statics) func(context.Context, aaa.RefreshStatic) error {
	return func(ctx context.Context, _ aaa.RefreshStatic) error {
		_, err := db.RefreshStaticIPs(ctx)
		return err
	}
}
