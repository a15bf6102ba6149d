package jobs

import (
	"context"

	"radial/aaa"
)

// offers is where offers of addresses run out (store.DB).
type offers interface {
	ExpireOffers(ctx context.Context, limit int) (n int, err error)
}

// expireOffers frees offers batch by batch, until a batch finds none left.
func expireOffers(db offers) func(context.Context, aaa.ExpireOffers) error {
	return func(ctx context.Context, job aaa.ExpireOffers) error {
		batch := max(job.Batch, 1)
		for {
			n, err := db.ExpireOffers(ctx, batch)
			if err != nil || n < batch {
				return err
			}
		}
	}
}

// ended is where addresses of closed sessions are found (store.DB).
type ended interface {
	ReleaseEnded(ctx context.Context, limit int) (n int, err error)
}

// releaseEnded frees them batch by batch, until a batch finds none left.
func releaseEnded(db ended) func(context.Context, aaa.ReleaseEnded) error {
	return func(ctx context.Context, job aaa.ReleaseEnded) error {
		batch := max(job.Batch, 1)
		for {
			n, err := db.ReleaseEnded(ctx, batch)
			if err != nil || n < batch {
				return err
			}
		}
	}
}
