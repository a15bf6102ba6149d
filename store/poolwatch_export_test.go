package store

import "context"

// SQLPoolCounts is for EXPLAIN.
const SQLPoolCounts = sqlPoolCounts

// Look counts once.
func (w *PoolWatch) Look(ctx context.Context) { w.look(ctx) }
