package store

import (
	"context"
	"strings"
)

// Statements of the clock's work, for EXPLAIN.
const (
	SQLPoolCounts   = sqlPoolCounts
	SQLExpireOffers = sqlExpireOffers
	SQLEndCooling   = sqlEndCooling
)

// Look counts once.
func (w *PoolWatch) Look(ctx context.Context) { w.look(ctx) }

// Look counts once.
func (w *RouterWatch) Look(ctx context.Context) error { return w.look(ctx) }

// LedgerStatements are the statements of an accounting transaction, by name,
// whose plans are made once for a connection.
func LedgerStatements() map[string]string {
	return map[string]string{
		"counters": sqlAcctCounters, "update": sqlAcctUpdate, "lock": sqlSettleLock, "lock_more": sqlSettleLockMore,
		"plain": sqlSettlePlain, "lock_now": sqlSettleLockNow, "lock_more_now": sqlSettleLockMoreNow,
		"write": sqlSettleWrite, "renew": sqlSettleRenew, "replaced": sqlSettleReplaced, "make": sqlSettleMake, "admission_start": sqlAdmissionStart,
	}
}

// ExpireOffersAhead is ExpireOffers on a day when all offers have run out.
func (db *DB) ExpireOffersAhead(ctx context.Context, limit int) (n int, err error) {
	return db.freeByClock(ctx, strings.Replace(sqlExpireOffers, "o.until <= now()", "o.until <= now() + interval '1 day'", 1), limit)
}
