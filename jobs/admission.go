package jobs

import (
	"context"

	"radial/aaa"
)

// admissions is where logins wait for their Start (store.DB).
type admissions interface {
	ExpireAdmissions(ctx context.Context, limit int) (n int, err error)
}

func expireAdmissions(db admissions) func(context.Context, aaa.ExpireAdmissions) error {
	return func(ctx context.Context, job aaa.ExpireAdmissions) error {
		return byBatches(ctx, job.Batch, db.ExpireAdmissions)
	}
}
