package store

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

const (
	historyColumns = `h.id, h.at, h.vrf_id, h.address, coalesce(p.name, ''), h.action, coalesce(h.username, ''), coalesce(h.mac, ''), h.nas,
       coalesce(h.port, ''), coalesce(h.session_id, ''), coalesce(h.radacctid, 0), coalesce(h.reason, ''), coalesce(h.actor, '')`

	// Questions about the history are planned with their values: which months to
	// open, and which index serves, depends on them.
	sqlHistoryPlan = `SELECT set_config('plan_cache_mode', 'force_custom_plan', true)`

	sqlPrefixLengths = `SELECT length::int FROM radial.prefix_lengths ORDER BY length`

	// The months that there are, the newest first.
	sqlHistorySpan = `SELECT first, next FROM radial.history_months ORDER BY first DESC`

	sqlVRFIDs = `SELECT id FROM radial.vrfs ORDER BY id`

	// $1 addresses (NULL: any), $2 user name, $3 MAC, $4 Acct-Session-Id, $5
	// radacctid (empty or 0: any), $6 since, $7 until (NULL: no bound), $8 VRF (0: any), $9 how many,
	// $10 a network in which the address lies (NULL: any), which is one run of the index, whose last one is $11.
	sqlHistoryList = `
SELECT ` + historyColumns + `
FROM (SELECT * FROM radial.address_history h
      WHERE ($1::inet[] IS NULL OR h.address = ANY ($1)) AND ($2::text = '' OR h.username = $2) AND ($3::text = '' OR h.mac = $3)
        AND ($4::text = '' OR h.session_id = $4) AND ($5::bigint = 0 OR h.radacctid = $5) AND ($8::int = 0 OR h.vrf_id = $8)
        AND ($10::inet IS NULL OR h.address BETWEEN $10 AND $11::inet)
        AND h.at >= coalesce($6::timestamptz, '-infinity') AND h.at < coalesce($7::timestamptz, 'infinity')
      ORDER BY h.at DESC, h.id DESC LIMIT $9::int) h
LEFT JOIN radial.pools p ON p.id = h.pool_id
ORDER BY h.at DESC, h.id DESC`

	// The row of a session by its acctuniqueid.
	sqlHistorySession = `
SELECT radacctid, coalesce(username, '') FROM radacct WHERE acctuniqueid = $1::text
UNION ALL
SELECT radacctid, coalesce(username, '') FROM radial.radacct_archive WHERE acctuniqueid = $1
LIMIT 1`
)

// HistoryQuery selects rows of the history; what is zero selects nothing.
type HistoryQuery struct {
	Address      netip.Prefix // an address (IPv6: also the prefixes it lay in), or a network: it and all in it
	User         string
	MAC          string    // in any spelling
	Session      string    // Acct-Session-Id (no index: bound it by Since or another field) or acctuniqueid
	Since, Until time.Time // from Since on, before Until
	VRF          int32
	Limit        int
}

// AddressHistory returns changes of holders, the newest first, at most
// q.Limit.
func (db *DB) AddressHistory(ctx context.Context, q HistoryQuery) (all []AddressChange, err error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, wrapErr("history", err)
	}
	err = db.askHistory(ctx, func(tx pgx.Tx) error {
		var frame historyFrame
		if err := frame.read(ctx, tx); err != nil {
			return err
		}
		var addresses []netip.Prefix
		var network *netip.Prefix
		var last netip.Addr
		switch {
		case q.Address.IsSingleIP():
			addresses = frame.leasesOf(q.Address)
		case q.Address.IsValid():
			within := ipam.RangeOf(q.Address)
			network, last = new(q.Address.Masked()), within.Last
		}
		user, session := storableText(q.User), storableText(q.Session)
		var radacctid int64
		if session != "" {
			var owner string
			err := tx.QueryRow(ctx, sqlHistorySession, session).Scan(&radacctid, &owner)
			if err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			if err == nil { // which tells the way: the user's rows have an index
				session = ""
				if user == "" {
					user = storableText(esc.UnescapeUser(owner))
				}
			}
		}
		rows, err := tx.Query(ctx, sqlHistoryList, addresses, user, storableText(ipam.NormaliseMAC(q.MAC)), session, radacctid,
			nullTime(q.Since), nullTime(q.Until), q.VRF, max(q.Limit, 1), network, orNull(last))
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scanChange)
		return err
	})
	return all, wrapErr("history", err)
}

// askHistory runs f in a transaction that reads one state of the database.
func (db *DB) askHistory(ctx context.Context, f func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, f)
}

// historyFrame is what a question about the history must know of it.
type historyFrame struct {
	vrfs       []int32
	lengths    []int     // of the prefixes that were leased ever
	begin, end time.Time // of the newest span of months without a gap
}

// read makes one trip. The transaction's statements are planned with their
// values from then on.
func (f *historyFrame) read(ctx context.Context, tx pgx.Tx) error {
	b := &pgx.Batch{}
	b.Queue(sqlHistoryPlan)
	b.Queue(sqlVRFIDs).Query(func(rows pgx.Rows) (err error) {
		f.vrfs, err = pgx.CollectRows(rows, pgx.RowTo[int32])
		return err
	})
	b.Queue(sqlPrefixLengths).Query(func(rows pgx.Rows) (err error) {
		f.lengths, err = pgx.CollectRows(rows, pgx.RowTo[int])
		return err
	})
	b.Queue(sqlHistorySpan).Query(func(rows pgx.Rows) error {
		var first, next time.Time
		gap := false
		_, err := pgx.ForEachRow(rows, []any{&first, &next}, func() error {
			if f.end.IsZero() {
				f.begin, f.end = first, next
			} else if gap = gap || !next.Equal(f.begin); !gap {
				f.begin = first
			}
			return nil
		})
		return err
	})
	return tx.SendBatch(ctx, b).Close()
}

// leasesOf lists what an address may have been leased as: itself, and for IPv6
// the prefixes of the lengths in use that it lies in. A prefix stands for itself.
func (f *historyFrame) leasesOf(p netip.Prefix) []netip.Prefix {
	p = p.Masked()
	if !p.Addr().Is6() || !p.IsSingleIP() {
		return []netip.Prefix{p}
	}
	var all []netip.Prefix
	for _, bits := range f.lengths {
		all = append(all, netip.PrefixFrom(p.Addr(), bits).Masked())
	}
	return all
}

// scanChange reads historyColumns.
func scanChange(row pgx.CollectableRow) (AddressChange, error) {
	var c AddressChange
	var nas *netip.Addr
	err := row.Scan(&c.ID, &c.At, &c.VRF, &c.Address, &c.Pool, &c.Action, &c.User, &c.MAC, &nas, &c.Port, &c.Session, &c.RadacctID, &c.Reason, &c.Actor)
	if nas != nil {
		c.NAS = *nas
	}
	return c, err
}
