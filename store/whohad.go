package store

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// The months that there are, as spans without a gap; the newest first. Within
	// one the default partition need not be opened with the months.
	sqlHistorySpan = `SELECT first, next FROM radial.history_months ORDER BY first DESC`

	// The rows of each address in each VRF nearest to a time, before and after
	// it. Months are opened from that time on until there are enough rows; the
	// default partition, which is nearly empty, in its own right: among the months
	// it would have all of them opened. $1 addresses, $2 VRF (0: any), $3 when, $4
	// the beginning (the end) of the span, $5 how many of each.
	sqlWhoHadBefore = `
SELECT ` + historyColumns + `
FROM unnest($1::inet[]) AS w (address) CROSS JOIN radial.vrfs v
CROSS JOIN LATERAL (
    (SELECT * FROM radial.address_history h
     WHERE h.address = w.address AND h.vrf_id = v.id AND h.at <= $3::timestamptz AND h.at >= $4::timestamptz
     ORDER BY h.at DESC LIMIT $5::int)
    UNION ALL
    (SELECT * FROM radial.address_history_default h
     WHERE h.address = w.address AND h.vrf_id = v.id AND h.at <= $3
     ORDER BY h.at DESC LIMIT $5)) h
LEFT JOIN radial.pools p ON p.id = h.pool_id
WHERE $2::int = 0 OR v.id = $2`
	sqlWhoHadAfter = `
SELECT ` + historyColumns + `
FROM unnest($1::inet[]) AS w (address) CROSS JOIN radial.vrfs v
CROSS JOIN LATERAL (
    (SELECT * FROM radial.address_history h
     WHERE h.address = w.address AND h.vrf_id = v.id AND h.at > $3::timestamptz AND h.at < $4::timestamptz
     ORDER BY h.at LIMIT $5::int)
    UNION ALL
    (SELECT * FROM radial.address_history_default h
     WHERE h.address = w.address AND h.vrf_id = v.id AND h.at > $3
     ORDER BY h.at LIMIT $5)) h
LEFT JOIN radial.pools p ON p.id = h.pool_id
WHERE $2::int = 0 OR v.id = $2`

	// The current rows: $1 addresses, $2 VRF (0: any).
	sqlWhoHasNow = `
SELECT a.vrf_id, a.address, p.name, a.state, coalesce(a.username, ''), coalesce(a.mac, ''), a.nas, coalesce(a.port, ''),
       coalesce(a.session_id, ''), coalesce(a.radacctid, 0), a.since, coalesce(a.reason, '')
FROM unnest($1::inet[]) AS w (address) CROSS JOIN radial.vrfs v
JOIN radial.addresses a ON a.vrf_id = v.id AND a.address = w.address
JOIN radial.pools p ON p.id = a.pool_id
WHERE $2::int = 0 OR v.id = $2`
)

// nearest is how many rows on either side of a time are looked at: more than
// one, since they need not have come in their order.
const nearest = 8

// WhoHadQuery asks who had an address.
type WhoHadQuery struct {
	Address netip.Addr
	At      time.Time
	VRF     int32 // 0: in every one
	// Lookback bounds what is read of radacct where the history knows nothing:
	// sessions that began earlier are found only while they are open. 0: radacct
	// is not asked.
	Lookback time.Duration
}

// WhoHad says who had an address at a time: the history's rows around it and
// the current row, in each VRF, and for IPv6 for each prefix that the address
// lies in. Who held it comes first. Where neither knows anything of that time,
// radacct is asked (Source tells); it has no index on addresses, so that this
// may take seconds. No Tenure at all: nobody knows of the address.
func (db *DB) WhoHad(ctx context.Context, q WhoHadQuery) (all []Tenure, err error) {
	op := "who had " + q.Address.String()
	q.Address = q.Address.Unmap().WithZone("")
	esc, err := db.Escaper(ctx)
	if err != nil {
		return nil, wrapErr(op, err)
	}
	err = db.askHistory(ctx, func(tx pgx.Tx) error {
		if all, err = whoHad(ctx, tx, q); err != nil {
			return err
		}
		if q.Lookback > 0 && !slices.ContainsFunc(all, Tenure.Held) && (len(all) == 0 || slices.ContainsFunc(all, Tenure.unknown)) {
			sessions, err := whoHadByRadacct(ctx, tx, esc, q)
			if err != nil {
				return err
			}
			all = append(all, news(sessions, all, q.VRF)...)
		}
		return addTraffic(ctx, tx, esc, q, all)
	})
	if err != nil {
		return nil, wrapErr(op, err)
	}
	slices.SortStableFunc(all, func(a, b Tenure) int {
		if a.Held() != b.Held() {
			if a.Held() {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.VRF, b.VRF), cmp.Compare(b.Address.Bits(), a.Address.Bits()))
	})
	return all, nil
}

// news are those tenures of radacct's that the history does not know better,
// in a VRF if one is asked for.
func news(sessions, known []Tenure, vrf int32) []Tenure {
	return slices.DeleteFunc(sessions, func(s Tenure) bool {
		return vrf != 0 && s.VRF != 0 && s.VRF != vrf || slices.ContainsFunc(known, func(k Tenure) bool {
			return k.RadacctID == s.RadacctID || !k.unknown() && k.VRF == s.VRF
		})
	})
}

// leaseAddress is a lease's address in a VRF.
type leaseAddress struct {
	vrf     int32
	address netip.Prefix
}

// found is what is on record of an address.
type found struct {
	before, after []AddressChange
	row           *Tenure
}

func whoHad(ctx context.Context, tx pgx.Tx, q WhoHadQuery) ([]Tenure, error) {
	addresses, err := leasesOf(ctx, tx, netip.PrefixFrom(q.Address, q.Address.BitLen()))
	if err != nil {
		return nil, err
	}
	begin, end, err := historySpan(ctx, tx)
	if err != nil {
		return nil, err
	}
	var order []leaseAddress
	byAddress := map[leaseAddress]*found{}
	at := func(vrf int32, address netip.Prefix) *found {
		key := leaseAddress{vrf, address}
		if byAddress[key] == nil {
			byAddress[key] = &found{}
			order = append(order, key)
		}
		return byAddress[key]
	}
	b := &pgx.Batch{}
	b.Queue(sqlWhoHadBefore, addresses, q.VRF, q.At, begin, nearest).Query(eachChange(func(c AddressChange) {
		f := at(c.VRF, c.Address)
		f.before = append(f.before, c)
	}))
	b.Queue(sqlWhoHadAfter, addresses, q.VRF, q.At, end, nearest).Query(eachChange(func(c AddressChange) {
		f := at(c.VRF, c.Address)
		f.after = append(f.after, c)
	}))
	b.Queue(sqlWhoHasNow, addresses, q.VRF).Query(func(rows pgx.Rows) error {
		now, err := pgx.CollectRows(rows, scanHeld)
		for _, r := range now {
			at(r.VRF, r.Address).row = r
		}
		return err
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return nil, err
	}
	var all []Tenure
	for _, key := range order {
		f := byAddress[key]
		all = append(all, tenureAt(q.At, f.before, f.after, f.row))
	}
	return all, nil
}

// historySpan is the newest span of months without a gap.
func historySpan(ctx context.Context, tx pgx.Tx) (begin, end time.Time, err error) {
	rows, err := tx.Query(ctx, sqlHistorySpan)
	if err != nil {
		return begin, end, err
	}
	gap := false
	var first, next time.Time
	_, err = pgx.ForEachRow(rows, []any{&first, &next}, func() error {
		if end.IsZero() {
			begin, end = first, next
		} else if gap = gap || !next.Equal(begin); !gap {
			begin = first
		}
		return nil
	})
	return begin, end, err
}

// eachChange reads historyColumns.
func eachChange(use func(AddressChange)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, scanChange)
		for _, c := range all {
			use(c)
		}
		return err
	}
}

func scanHeld(row pgx.CollectableRow) (*Tenure, error) {
	var r Tenure
	var state string
	var nas *netip.Addr
	var since *time.Time
	err := row.Scan(&r.VRF, &r.Address, &r.Pool, &state, &r.User, &r.MAC, &nas, &r.Port, &r.Session, &r.RadacctID, &since, &r.Reason)
	if nas != nil {
		r.NAS = *nas
	}
	r.Since = timeOf(since)
	switch r.State = TenureState(state); r.State {
	case TenureBound, TenureReserved, TenureOffered:
	default: // cooling is free for everybody else
		r.State = TenureFree
	}
	return &r, err
}
