package store

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

// LeaseEvent shows leaseEvent to tests.
type LeaseEvent struct {
	Kind      ipam.Event
	Address   netip.Addr
	Prefix    netip.Prefix // of an IPv6 lease, instead of Address
	RadacctID int64
	Caller    ipam.Caller
	SessionID string
	At        time.Time
	Heard     time.Time // of what comes out of a journal
	Outcome   ipam.Outcome
}

// SettleLeases runs settleLeases in a transaction of its own, in the default VRF.
func (db *DB) SettleLeases(ctx context.Context, now time.Time, events []LeaseEvent) error {
	inner := make([]leaseEvent, len(events))
	for i, e := range events {
		kind := map[ipam.Event]leaseKind{ipam.EventBind: leaseBind, ipam.EventRenew: leaseRenew, ipam.EventRelease: leaseRelease}[e.Kind]
		inner[i] = leaseEvent{kind: kind, vrf: 1, addresses: [leaseKinds]netip.Prefix{hostPrefix(e.Address)}, radacctid: e.RadacctID, caller: e.Caller, sessionID: e.SessionID, at: e.At, heard: e.Heard}
		if e.Prefix.IsValid() {
			inner[i].addresses[ipam.DelegatedPrefix] = e.Prefix
		}
	}
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		_, err := settleLeases(ctx, tx, now, inner)
		return err
	})
	for i := range events {
		events[i].Outcome = inner[i].outcome
	}
	return err
}

// KnownGapless is how many IPv6 pools are known to have a row for each prefix.
func (l *Leases) KnownGapless() int { return len(l.gapless.pools) }

// ExpectNewcomers has the next claim taken for one of callers without a row.
func (l *Leases) ExpectNewcomers() { l.newcomers.Store(true) }

// ClaimStatements are the statements of a claim, by name, whose plans are made
// once for a connection, with whatever the tables hold then.
func ClaimStatements() map[string]string {
	return map[string]string{
		"known": sqlClaimKnown, "give": sqlClaimGive, "give_free": sqlClaimGiveFree, "new": sqlClaimNew, "last_of_user": sqlClaimLastOfUser, "last_of_mac": sqlClaimLastOfMAC,
		"free": sqlClaimFree, "offer": sqlClaimOffer, "missing": sqlSparseMissing, "allowed": sqlSparseAllowed, "unmake": sqlSparseUnmake,
		"admission_look": sqlAdmissionLook, "admission_write": sqlAdmissionWrite,
	}
}

// TimedStatements are statements of the clock's work that look for a few rows
// among all.
func TimedStatements() map[string]string {
	return map[string]string{"spare": sqlSpareOffers, "idle": sqlDropIdlePrefixes, "static_rows": sqlStaticRows, "run_out": sqlRunOutAddresses}
}

// Place tells where the row of a free address is thought to be, as PostgreSQL
// writes it.
func (l *Leases) Place(vrf int32, a netip.Addr) string {
	l.places.mu.Lock()
	defer l.places.mu.Unlock()
	at := l.places.at[spotOf(vrf, a)]
	return fmt.Sprintf("(%d,%d)", at.BlockNumber, at.OffsetNumber)
}
