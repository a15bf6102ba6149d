package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// What the statements on sessions share, in radacct and in the archive: the
// columns that events change (scanSession reads them), and how they are set.
const (
	acctSession = `
SELECT radacctid, acctuniqueid, acctstarttime, acctupdatetime, acctstoptime, acctinterval, acctsessiontime,
       acctinputoctets, acctoutputoctets, connectinfo_start, connectinfo_stop, acctterminatecause,
       framedipaddress, framedipv6address, framedipv6prefix, framedinterfaceid, delegatedipv6prefix`
	acctSetCounters = `
SET acctupdatetime = e.updated, acctinterval = e.spell, acctsessiontime = e.lived, acctinputoctets = e.input, acctoutputoctets = e.output`
	acctSetAll = `
SET acctuniqueid = e.uniqueid, acctstarttime = e.started, acctupdatetime = e.updated, acctstoptime = e.stopped, acctinterval = e.spell,
    acctsessiontime = e.lived, acctinputoctets = e.input, acctoutputoctets = e.output, connectinfo_start = e.info_start,
    connectinfo_stop = e.info_stop, acctterminatecause = e.cause, framedipaddress = e.ip, framedipv6address = e.ipv6,
    framedipv6prefix = e.prefix, framedinterfaceid = e.interface, delegatedipv6prefix = e.delegated`
)

const (
	// Rows of a batch's sessions, locked in order of acctuniqueid: $1.
	sqlAcctLock = acctSession + `
FROM radacct WHERE acctuniqueid = ANY ($1::text[]) ORDER BY acctuniqueid FOR UPDATE`

	// An interim: columns that no index has, so that the update is HOT.
	sqlAcctCounters = `
UPDATE radacct r` + acctSetCounters + `
FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
         AS e (id, updated, spell, lived, input, output)
WHERE r.radacctid = e.id AND ` + usageKept

	// Whatever an event may change.
	sqlAcctUpdate = `
UPDATE radacct r` + acctSetAll + `
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::text[], $13::inet[], $14::inet[], $15::inet[], $16::text[], $17::inet[])
         AS e (id, uniqueid, started, updated, stopped, spell, lived, input, output, info_start, info_stop, cause, ip, ipv6, prefix, interface, delegated)
WHERE r.radacctid = e.id AND ` + usageKept

	// New rows. One that is there already (another server, or FreeRADIUS, was
	// quicker) is not returned.
	sqlAcctInsert = `
INSERT INTO radacct (acctuniqueid, acctstarttime, acctupdatetime, acctstoptime, acctinterval, acctsessiontime, acctinputoctets, acctoutputoctets,
    connectinfo_start, connectinfo_stop, acctterminatecause, framedipaddress, framedipv6address, framedipv6prefix, framedinterfaceid,
    delegatedipv6prefix, acctsessionid, username, realm, nasipaddress, nasportid, nasporttype, acctauthentic, calledstationid,
    callingstationid, servicetype, framedprotocol, class)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
    $9::text[], $10::text[], $11::text[], $12::inet[], $13::inet[], $14::inet[], $15::text[],
    $16::inet[], $17::text[], $18::text[], $19::text[], $20::inet[], $21::text[], $22::text[], $23::text[], $24::text[],
    $25::text[], $26::text[], $27::text[], $28::text[])
WHERE ` + usageKept + `
ON CONFLICT (acctuniqueid) DO NOTHING
RETURNING radacctid, acctuniqueid::text`
)

// apply folds a batch into radacct and settles its leases, in one transaction.
func (l *Ledger) apply(ctx context.Context, batch []*entry) error {
	texts, err := l.texts(ctx)
	if err != nil {
		return err
	}
	w := writer{conventions: texts, metrics: l.metrics}
	ids := make([]string, len(batch))
	for i, e := range batch {
		if e.rec.UniqueID == "" { // once, also when the batch runs again
			w.write(&e.rec, e.raw)
		}
		ids[i] = e.rec.UniqueID
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	days, err := l.db.reckon(ctx)
	if err != nil {
		return err
	}
	var done *settlement
	var rows *storedRows
	err = l.db.inTrips(ctx, func(conn *pgx.Conn) error {
		done, rows, err = l.applyOn(ctx, conn, ids, batch, usageFold{reckoning: days, esc: texts.escape})
		return err
	})
	if ownerGone(err) { // a pool went while a row of it was made; radacct has no foreign keys
		err = fmt.Errorf("%w: %w", errInsertLost, err)
	}
	if err == nil {
		l.settled(done)
		l.learn(rows.rows, rows.xid, done)
	}
	return err
}

// storedRows is the rows that a transaction has written.
type storedRows struct {
	rows []*acctRow
	xid  uint32
}

// applyOn makes three trips: begin and lock the sessions; write them and lock
// their addresses; write those and commit.
func (l *Ledger) applyOn(ctx context.Context, conn *pgx.Conn, ids []string, batch []*entry, usage usageFold) (*settlement, *storedRows, error) {
	var look, write, settle pgx.Batch
	var rows []*acctRow
	var pools poolFacts
	look.Queue(tripBegin)
	look.Queue(sqlAcctLock, ids).Query(func(found pgx.Rows) (err error) {
		rows, err = pgx.CollectRows(found, scanSession)
		return err
	})
	pools.queue(&look)
	if err := conn.SendBatch(ctx, &look).Close(); err != nil {
		return nil, nil, err
	}
	l.pools.Store(&pools)
	rows, err := withArchived(ctx, conn, rows, batch, pools.archived)
	if err != nil {
		return nil, nil, err
	}
	f := foldBatch(rows, batch)
	if err := f.settleEarlier(ctx, conn); err != nil {
		return nil, nil, err
	}
	s := newSettlement()
	var started starting
	lost := queueSessions(&write, f)
	queueArchived(&write, f)
	usage.take(f.all())
	usage.queueLook(&write, sqlUsageLook)
	if events := f.leases(); len(events) > 0 {
		s.queueLock(&write, events, pools.sparse)
		if pools.admissions {
			started.queue(&write, events, l.now())
		}
	}
	if write.Len() > 0 {
		if err := conn.SendBatch(ctx, &write).Close(); err != nil {
			return nil, nil, err
		}
	}
	if lost() {
		return nil, nil, errInsertLost
	}
	s.replaced = started.replaced
	s.settle(f.leases(), l.now()) // anew: now new sessions have their radacctid
	s.queueWrite(&settle)
	usage.queueWrite(&settle)
	w := &storedRows{rows: f.touched(), xid: pools.xid}
	settle.Queue(tripCommit)
	return s, w, conn.SendBatch(ctx, &settle).Close()
}

// queueSessions adds the write of each changed row, once. Retired rows give up
// their acctuniqueid before the new ones take it. lost tells, after the batch
// has run, that another server had inserted a row first.
func queueSessions(b *pgx.Batch, f *fold) (lost func() bool) {
	inserts, counters, updates := f.changed()
	if len(updates) > 0 {
		args := append([]any{column(updates, func(r *acctRow) int64 { return r.ID })}, sessionColumns(updates)...)
		b.Queue(sqlAcctUpdate, args...)
	}
	if len(counters) > 0 {
		b.Queue(sqlAcctCounters,
			column(counters, func(r *acctRow) int64 { return r.ID }),
			column(counters, func(r *acctRow) *time.Time { return nullTime(r.Update) }),
			column(counters, func(r *acctRow) *int64 { return r.Interval }),
			column(counters, func(r *acctRow) *int64 { return r.SessionTime }),
			column(counters, func(r *acctRow) *int64 { return r.Input }),
			column(counters, func(r *acctRow) *int64 { return r.Output }))
	}
	if len(inserts) > 0 {
		queueInserts(b, inserts)
	}
	return func() bool { return slices.ContainsFunc(inserts, func(r *acctRow) bool { return r.ID == 0 }) }
}

// queueInserts adds the insert of new rows. Those that were there already keep
// no radacctid.
func queueInserts(b *pgx.Batch, inserts []*acctRow) {
	byID := make(map[string]*acctRow, len(inserts))
	for _, r := range inserts {
		byID[r.UniqueID] = r
	}
	b.Queue(sqlAcctInsert, append(sessionColumns(inserts), recordColumns(inserts)...)...).Query(func(rows pgx.Rows) error {
		var id int64
		var unique string
		_, err := pgx.ForEachRow(rows, []any{&id, &unique}, func() error {
			r := byID[unique]
			if r == nil {
				return fmt.Errorf("%w: %q", errRenamed, unique)
			}
			r.ID = id
			return nil
		})
		return err
	})
}

// sessionColumns are the columns that events change, from acctuniqueid on.
func sessionColumns(rows []*acctRow) []any {
	return []any{
		texts(column(rows, func(r *acctRow) string { return r.UniqueID })),
		times(column(rows, func(r *acctRow) *time.Time { return nullTime(r.Start) })),
		times(column(rows, func(r *acctRow) *time.Time { return nullTime(r.Update) })),
		times(column(rows, func(r *acctRow) *time.Time { return nullTime(r.Stop) })),
		wholes(column(rows, func(r *acctRow) *int64 { return r.Interval })),
		wholes(column(rows, func(r *acctRow) *int64 { return r.SessionTime })),
		wholes(column(rows, func(r *acctRow) *int64 { return r.Input })),
		wholes(column(rows, func(r *acctRow) *int64 { return r.Output })),
		words(column(rows, func(r *acctRow) *string { return r.ConnectInfoStart })),
		words(column(rows, func(r *acctRow) *string { return r.ConnectInfoStop })),
		words(column(rows, func(r *acctRow) *string { return r.TerminateCause })),
		hosts(column(rows, func(r *acctRow) *netip.Addr { return orNull(r.FramedIP) })),
		hosts(column(rows, func(r *acctRow) *netip.Addr { return orNull(r.FramedIPv6) })),
		optionals(column(rows, func(r *acctRow) *netip.Prefix { return nullPrefix(r.FramedIPv6Pfx) })),
		words(column(rows, func(r *acctRow) *string { return r.InterfaceID })),
		optionals(column(rows, func(r *acctRow) *netip.Prefix { return nullPrefix(r.DelegatedPrefix) })),
	}
}

// recordColumns are the columns of new rows that no later event changes.
func recordColumns(rows []*acctRow) []any {
	return []any{
		texts(column(rows, func(r *acctRow) string { return r.First.SessionID })),
		texts(column(rows, func(r *acctRow) string { return r.First.User })),
		words(column(rows, func(r *acctRow) *string { return r.First.Realm })),
		column(rows, func(r *acctRow) netip.Addr { return r.First.NAS }),
		words(column(rows, func(r *acctRow) *string { return r.First.PortID })),
		texts(column(rows, func(r *acctRow) string { return r.First.PortType })),
		texts(column(rows, func(r *acctRow) string { return r.First.Authentic })),
		texts(column(rows, func(r *acctRow) string { return r.First.CalledStation })),
		texts(column(rows, func(r *acctRow) string { return r.First.CallingStation })),
		texts(column(rows, func(r *acctRow) string { return r.First.ServiceType })),
		texts(column(rows, func(r *acctRow) string { return r.First.FramedProtocol })),
		words(column(rows, func(r *acctRow) *string { return r.First.Class })),
	}
}

// column collects one value of each row, as unnest wants them.
func column[R, T any](rows []R, value func(R) T) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = value(r)
	}
	return out
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func nullPrefix(p netip.Prefix) *netip.Prefix {
	if !p.IsValid() {
		return nil
	}
	return &p
}

// scanSession reads a row of sqlAcctLock. Its texts stay as they are kept.
func scanSession(rows pgx.CollectableRow) (*acctRow, error) { return scanSessionAnd(rows) }

// scanSessionAnd reads the columns of acctSession and what comes after them.
func scanSessionAnd(rows pgx.CollectableRow, more ...any) (*acctRow, error) {
	var r acctRow
	var start, update, stop *time.Time
	var ip, ipv6, prefix, delegated *netip.Prefix
	err := rows.Scan(append([]any{&r.ID, &r.UniqueID, &start, &update, &stop, &r.Interval, &r.SessionTime, &r.Input, &r.Output,
		&r.ConnectInfoStart, &r.ConnectInfoStop, &r.TerminateCause, &ip, &ipv6, &prefix, &r.InterfaceID, &delegated}, more...)...)
	if err != nil {
		return nil, err
	}
	r.Start, r.Update, r.Stop = timeOf(start), timeOf(update), timeOf(stop)
	r.FramedIP, r.FramedIPv6 = addrOf(ip), addrOf(ipv6)
	r.FramedIPv6Pfx, r.DelegatedPrefix = prefixOf(prefix), prefixOf(delegated)
	r.before = r.Session
	return &r, nil
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func addrOf(p *netip.Prefix) netip.Addr { return prefixOf(p).Addr() }

func prefixOf(p *netip.Prefix) netip.Prefix {
	if p == nil {
		return netip.Prefix{}
	}
	return *p
}

var _ aaa.Ledger = (*Ledger)(nil)
