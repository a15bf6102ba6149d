package store

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

// sqlAcctDown is aaa.Next for Accounting-On and Off, for all rows of a NAS at
// once: open, begun by then, and not seen alive long afterwards. $1 NAS, $2 event
// time, $3 the same and aaa.NASDownGrace, $4 cause.
const sqlAcctDown = `
WITH down AS (
    SELECT radacctid FROM radacct
    WHERE nasipaddress = $1::inet AND acctstoptime IS NULL AND acctstarttime <= $2::timestamptz
      AND (acctupdatetime IS NULL OR acctupdatetime <= $3::timestamptz)
    ORDER BY acctuniqueid FOR UPDATE
)
UPDATE radacct r
SET acctstoptime = greatest($2::timestamptz, r.acctupdatetime), acctupdatetime = greatest($2::timestamptz, r.acctupdatetime),
    acctsessiontime = greatest(r.acctsessiontime, extract(epoch FROM greatest($2::timestamptz, r.acctupdatetime) - r.acctstarttime)::bigint),
    acctterminatecause = $4::text
FROM down WHERE r.radacctid = down.radacctid
RETURNING r.radacctid, r.framedipaddress, r.framedipv6prefix, r.delegatedipv6prefix, r.framedipv6address, r.acctsessionid, coalesce(r.username, ''), coalesce(r.callingstationid, ''), coalesce(r.nasportid, '')`

// An Accounting-On or Off is applied once: out of a journal that is drained once
// more, or after a commit that was lost sight of, it would find sessions that have
// been told of since, late, and that it must leave alone as it has before. $1 NAS, $2 when it was
// received, $3 event time, $4 status. No journal is as old as what is forgotten.
const (
	sqlAcctReboot = `
INSERT INTO radial.reboots (nas, received, at, status) VALUES ($1::inet, $2::timestamptz, $3::timestamptz, $4::text) ON CONFLICT DO NOTHING`
	sqlAcctRebootForget = `DELETE FROM radial.reboots WHERE nas = $1::inet AND received < $2::timestamptz - interval '90 days'`
)

// downTimeouts is how many times longer than a batch an Accounting-On or Off
// may take: a NAS may have ten thousands of sessions.
const downTimeouts = 4

// downsAtATime is how many Accounting-Ons and Offs are stored at a time.
const downsAtATime = 2

// workDowns closes the sessions of NASes that have just started or are about to
// stop, one NAS at a time.
func (l *Ledger) workDowns(ctx context.Context, q *entryQueue) {
	for {
		batch := q.take(nil, 1)
		if len(batch) == 0 {
			return
		}
		err := l.storeDown(ctx, batch[0])
		l.finish(batch, wrapErr("accounting: reboot of NAS "+batch[0].raw.NAS.String(), err))
	}
}

// storeDown stores the barrier's record where the records of its NAS go.
func (l *Ledger) storeDown(ctx context.Context, e *entry) error {
	if ok, err := l.toJournal(e); ok {
		return err
	}
	patient, cancel := l.patient(ctx, downTimeouts*l.opts.Timeout)
	defer cancel()
	err := l.writeDown(patient, e, downTimeouts*l.opts.Timeout)
	if err != nil && l.outage.journal != nil {
		err = l.insist(err, e)
	}
	return err
}

// writeDown stores an Accounting-On or Off in the database, or in quarantine.
func (l *Ledger) writeDown(ctx context.Context, e *entry, limit time.Duration) error {
	err := l.retrying(ctx, limit, func(ctx context.Context) error { return l.applyDown(ctx, e) })
	if err != nil && refused(err) {
		err = l.quarantine(ctx, e.raw, err)
	}
	return err
}

func (l *Ledger) applyDown(ctx context.Context, e *entry) error {
	texts, err := l.texts(ctx)
	if err != nil {
		return err
	}
	writer{conventions: texts, metrics: l.metrics}.write(&e.rec, e.raw)
	var done *settlement
	err = pgx.BeginFunc(ctx, l.db.pool, func(tx pgx.Tx) error {
		first, err := firstDown(ctx, tx, &e.rec)
		if err != nil || !first {
			e.outcome = aaa.Duplicate
			return err
		}
		rows, err := tx.Query(ctx, sqlAcctDown, e.rec.NAS, e.rec.At, e.rec.At.Add(aaa.NASDownGrace), aaa.DownCause(&e.rec))
		if err != nil {
			return err
		}
		var id int64
		var ip, prefix, delegated, ipv6 *netip.Prefix
		var session, user, calling, port string
		var events []leaseEvent
		reason := aaa.DownCause(e.raw) + ": Accounting-On"
		if e.raw.Status == aaa.StatusOff {
			reason = aaa.DownCause(e.raw) + ": Accounting-Off"
		}
		_, err = pgx.ForEachRow(rows, []any{&id, &ip, &prefix, &delegated, &ipv6, &session, &user, &calling, &port}, func() error {
			ev := leaseOf(leaseRelease, e.raw, id, addressesOf(&aaa.Session{
				FramedIP: addrOf(ip), FramedIPv6Pfx: prefixOf(prefix), DelegatedPrefix: prefixOf(delegated), FramedIPv6: addrOf(ipv6),
			}))
			ev.sessionID, ev.reason = texts.escape.Unescape(session), reason
			ev.caller.User, ev.caller.Port = texts.escape.UnescapeUser(user), texts.escape.UnescapeTwice(port)
			ev.caller.MAC = ipam.NormaliseMAC(texts.escape.Unescape(calling))
			events = append(events, ev)
			return nil
		})
		if err != nil {
			return err
		}
		e.outcome = aaa.Ignored
		if len(events) > 0 {
			e.outcome = aaa.Closed
		}
		done, err = settleLeases(ctx, tx, l.now(), events)
		return err
	})
	if err == nil && done != nil { // nil: it has been applied before
		l.settled(done)
	}
	return err
}

// firstDown remembers an Accounting-On or Off; false: it has been applied before.
func firstDown(ctx context.Context, tx pgx.Tx, r *aaa.Record) (first bool, err error) {
	tag, err := tx.Exec(ctx, sqlAcctReboot, r.NAS, r.Received, r.At, r.Status.String())
	if err != nil || tag.RowsAffected() == 0 {
		return false, err
	}
	_, err = tx.Exec(ctx, sqlAcctRebootForget, r.NAS, r.Received)
	return true, err
}
