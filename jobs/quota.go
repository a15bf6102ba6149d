package jobs

import (
	"context"

	"radial/aaa"
)

// quotaSessions is where open sessions of users with quotas are found (store.DB).
type quotaSessions interface {
	QuotaSessions(ctx context.Context, batch int, f func(context.Context, []aaa.OpenLogin) error) error
}

// lookAtQuotas looks at who has quotas and is online: what no server has counted
// along, such as after a restart, or with two sessions at two servers.
func lookAtQuotas(db quotaSessions, warden *aaa.Warden) func(context.Context, aaa.LookAtQuotas) error {
	return func(ctx context.Context, job aaa.LookAtQuotas) error {
		if warden == nil {
			return nil
		}
		return db.QuotaSessions(ctx, job.Batch, warden.LookAll)
	}
}
