package store

import "context"

// Statements of the clock's work, for EXPLAIN.
const (
	SQLPoolCounts   = sqlPoolCounts
	SQLExpireOffers = sqlExpireOffers
	SQLEndCooling   = sqlEndCooling
)

// Look counts once.
func (w *PoolWatch) Look(ctx context.Context) { w.look(ctx) }
