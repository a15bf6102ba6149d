package jobs

import (
	"context"

	"radial/aaa"
)

// letGo is where sessions are that their devices have let go of (store.DB).
type letGo interface {
	CloseLetGo(ctx context.Context, limit int) (closed, lives int, err error)
	TidyControl(ctx context.Context, limit int) (n int, err error)
}

// closeLetGo closes disconnected sessions whose Stop has not come in time. Each
// server looks, and a row that another has is left to it.
func (c *control) closeLetGo(ctx context.Context) error {
	return byBatches(ctx, 500, func(ctx context.Context, limit int) (int, error) {
		closed, lives, err := c.letGo.CloseLetGo(ctx, limit)
		c.metrics.closed.Add(float64(closed))
		c.metrics.lives.Add(float64(lives))
		return closed + lives, err
	})
}

// tidyControl forgets what control does not need any more.
func tidyControl(db letGo) func(context.Context, aaa.TidyControl) error {
	return func(ctx context.Context, job aaa.TidyControl) error { return byBatches(ctx, job.Batch, db.TidyControl) }
}
