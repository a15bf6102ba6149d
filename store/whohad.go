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
	// The rows of addresses nearest to a time, before and after it. Months are
	// opened from that time on until there are enough rows; the default partition,
	// which is nearly empty, in its own right: among the months it would have all of
	// them opened. $1 VRFs, $2 addresses, $3 when, $4 how far to look, $5 how many of each.
	sqlWhoHadBefore = `
SELECT ` + historyColumns + `
FROM unnest($1::int[], $2::inet[]) AS w (vrf_id, address)
CROSS JOIN LATERAL (
    (SELECT * FROM radial.address_history h
     WHERE h.address = w.address AND h.vrf_id = w.vrf_id AND h.at <= $3::timestamptz AND h.at >= $4::timestamptz
     ORDER BY h.at DESC LIMIT $5::int)
    UNION ALL
    (SELECT * FROM radial.address_history_default h
     WHERE h.address = w.address AND h.vrf_id = w.vrf_id AND h.at <= $3
     ORDER BY h.at DESC LIMIT $5)) h
LEFT JOIN radial.pools p ON p.id = h.pool_id`
	sqlWhoHadAfter = `
SELECT ` + historyColumns + `
FROM unnest($1::int[], $2::inet[]) AS w (vrf_id, address)
CROSS JOIN LATERAL (
    (SELECT * FROM radial.address_history h
     WHERE h.address = w.address AND h.vrf_id = w.vrf_id AND h.at > $3::timestamptz AND h.at < $4::timestamptz
     ORDER BY h.at LIMIT $5::int)
    UNION ALL
    (SELECT * FROM radial.address_history_default h
     WHERE h.address = w.address AND h.vrf_id = w.vrf_id AND h.at > $3
     ORDER BY h.at LIMIT $5)) h
LEFT JOIN radial.pools p ON p.id = h.pool_id`

	// The current rows: $1 VRFs, $2 addresses.
	sqlWhoHasNow = `
SELECT a.vrf_id, a.address, p.name, a.state, coalesce(a.username, ''), coalesce(a.mac, ''), a.nas, coalesce(a.port, ''),
       coalesce(a.session_id, ''), coalesce(a.radacctid, 0), a.since, coalesce(a.reason, '')
FROM unnest($1::int[], $2::inet[]) AS w (vrf_id, address)
JOIN radial.addresses a ON a.vrf_id = w.vrf_id AND a.address = w.address
JOIN radial.pools p ON p.id = a.pool_id`
)

// nearest is how many rows on either side of a time are looked at: more than
// one, since they need not have come in their order. Most are found near: a plan
// for few months is made in a fraction of the time that one for all of them takes.
const (
	nearest = 8
	near    = 45 * 24 * time.Hour
)

// WhoHadQuery asks who had an address.
type WhoHadQuery struct {
	Address netip.Addr
	Bits    int // of IPv6: asks for the prefix of so many bits that begins with Address, and none else; 0: for the address
	At      time.Time
	VRF     int32 // 0: in every one
	// Lookback bounds what is read of radacct where the history knows nothing:
	// sessions that began earlier are found only while they are open. 0: radacct
	// is not asked.
	Lookback time.Duration
}

// WhoHad says who had an address at a time: the history's rows around it and
// the current row, in each VRF, and for IPv6 for each prefix that the address
// lies in. Who held it comes first. Of an address that was reserved, who was in conflict over it
// is told beside whom it was kept for. Where neither knows anything of that time
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
		unknown := !slices.ContainsFunc(all, Tenure.Held) && (len(all) == 0 || slices.ContainsFunc(all, Tenure.unknown))
		switch {
		case unknown && q.Lookback > 0:
			sessions, err := whoHadByRadacct(ctx, tx, esc, q)
			if err != nil {
				return err
			}
			all = append(all, news(sessions, all, q.VRF)...)
		case slices.ContainsFunc(all, Tenure.reserved):
			sessions, err := whoWasInConflict(ctx, tx, esc, q)
			if err != nil {
				return err
			}
			all = append(all, others(sessions, all)...)
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
		if a.Held() && a.VRF == b.VRF && (a.Traffic != nil) != (b.Traffic != nil) { // before whom it was kept for
			if a.Traffic != nil {
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

// others are those tenures of sessions in conflict that used what was reserved for somebody else, or for nobody.
func others(sessions, known []Tenure) []Tenure {
	return slices.DeleteFunc(sessions, func(s Tenure) bool {
		return !slices.ContainsFunc(known, func(k Tenure) bool {
			return k.reserved() && (s.VRF == 0 || s.VRF == k.VRF) && (k.User == "" || k.User != s.User)
		})
	})
}

// record is what is on record of an address in a VRF.
type record struct {
	vrf           int32
	address       netip.Prefix
	before, after []AddressChange
	row           *Tenure
}

// records are those of one question, in order.
type records struct {
	at  time.Time
	all []*record
}

func whoHad(ctx context.Context, tx pgx.Tx, q WhoHadQuery) ([]Tenure, error) {
	var frame historyFrame
	if err := frame.read(ctx, tx); err != nil {
		return nil, err
	}
	vrfs, begin, end := frame.vrfs, frame.begin, frame.end
	if q.VRF != 0 {
		vrfs = []int32{q.VRF}
	}
	r := &records{at: q.At}
	for _, vrf := range vrfs {
		asked := netip.PrefixFrom(q.Address, q.Address.BitLen())
		if q.Bits > 0 {
			asked = netip.PrefixFrom(q.Address, q.Bits)
		}
		for _, a := range frame.leasesOf(asked) {
			r.all = append(r.all, &record{vrf: vrf, address: a})
		}
	}
	from, to := q.At.Add(-near), q.At.Add(near)
	if err := r.read(ctx, tx, r.all, r.all, later(begin, from), earlier(end, to)); err != nil {
		return nil, err
	}
	var before, after []*record // that need a farther look
	for _, f := range r.all {
		// what the default partition has is from any time
		if begin.Before(from) && !slices.ContainsFunc(f.before, func(c AddressChange) bool { return c.begins() && !c.At.Before(from) }) {
			before = append(before, f)
		}
		if end.After(to) && !slices.ContainsFunc(f.after, func(c AddressChange) bool { return c.At.Before(to) }) {
			after = append(after, f)
		}
	}
	if err := r.read(ctx, tx, before, after, begin, end); err != nil {
		return nil, err
	}
	var all []Tenure
	for _, f := range r.all {
		if len(f.before)+len(f.after) > 0 || f.row != nil {
			all = append(all, tenureAt(q.At, f.before, f.after, f.row))
		}
	}
	return all, nil
}

// read adds the rows of some records from before the time, of some from after
// it, and what their addresses are now.
func (r *records) read(ctx context.Context, tx pgx.Tx, before, after []*record, begin, end time.Time) error {
	b := &pgx.Batch{}
	if vrfs, addresses := keys(before); len(vrfs) > 0 {
		b.Queue(sqlWhoHadBefore, vrfs, addresses, r.at, begin, nearest).Query(eachChange(func(c AddressChange) {
			f := r.of(c.VRF, c.Address)
			f.before = append(f.before, c)
		}))
		b.Queue(sqlWhoHasNow, vrfs, addresses).Query(func(rows pgx.Rows) error {
			now, err := pgx.CollectRows(rows, scanHeld)
			for _, t := range now {
				r.of(t.VRF, t.Address).row = t
			}
			return err
		})
	}
	if vrfs, addresses := keys(after); len(vrfs) > 0 {
		b.Queue(sqlWhoHadAfter, vrfs, addresses, r.at, end, nearest).Query(eachChange(func(c AddressChange) {
			f := r.of(c.VRF, c.Address)
			f.after = append(f.after, c)
		}))
	}
	if b.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, b).Close()
}

// of returns the record that was asked for; a handful at most are to be looked through.
func (r *records) of(vrf int32, address netip.Prefix) *record {
	for _, f := range r.all {
		if f.vrf == vrf && f.address == address {
			return f
		}
	}
	return &record{} // of nobody's question
}

func keys(all []*record) (vrfs []int32, addresses []netip.Prefix) {
	for _, f := range all {
		vrfs, addresses = append(vrfs, f.vrf), append(addresses, f.address)
	}
	return vrfs, addresses
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
