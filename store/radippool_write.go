package store

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
)

// takeWrite is a chunk of judged addresses, column by column.
type takeWrite struct {
	addrs               []netip.Addr
	states, users, macs []string
	nass                []*netip.Addr
	ports, sessions     []string
	ids                 []int64
	since, until        []*time.Time
	wasStates, wasUsers []string
	wasIDs              []int64
	pools               map[netip.Addr]int64
	history             map[netip.Addr][]told
	kinds               []string // bound, kept, released, holders
	applied             map[netip.Addr]bool
	written             int // rows of history
}

func newTakeWrite(batch []*lent, now time.Time) *takeWrite {
	w := &takeWrite{pools: map[netip.Addr]int64{}, history: map[netip.Addr][]told{}}
	for _, l := range batch {
		to, history, changed := l.judge(now)
		if !changed {
			continue
		}
		c := storable(to.caller)
		w.addrs, w.states = append(w.addrs, l.address), append(w.states, to.state)
		w.users, w.macs, w.nass, w.ports = append(w.users, c.User), append(w.macs, c.MAC), append(w.nass, orNull(c.NAS)), append(w.ports, c.Port)
		w.sessions, w.ids = append(w.sessions, storableText(to.session)), append(w.ids, to.radacctid)
		w.since, w.until = append(w.since, to.since), append(w.until, to.until)
		w.wasStates, w.wasUsers, w.wasIDs = append(w.wasStates, l.state), append(w.wasUsers, l.caller.User), append(w.wasIDs, l.radacctid)
		w.pools[l.address], w.history[l.address] = l.pool, history
		w.kinds = append(w.kinds, kindOf(l.state, to.state))
	}
	return w
}

// kindOf is the count of Taken that a change belongs to.
func kindOf(from, to string) string {
	switch {
	case to == "bound":
		return "bound"
	case to != "free":
		return "kept"
	case from == "free":
		return "holders"
	}
	return "released"
}

// apply writes, in one transaction with its history, the rows that are still as
// they were read.
func (w *takeWrite) apply(ctx context.Context, tx pgx.Tx, reason, actor string) error {
	w.applied, w.written = map[netip.Addr]bool{}, 0
	if _, err := tx.Exec(ctx, sqlTakeLock, w.addrs); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, sqlTakeWrite, w.addrs, w.states, w.users, w.macs, w.nass, w.ports, w.sessions, w.ids, w.since, w.until,
		w.wasStates, w.wasUsers, w.wasIDs)
	if err != nil {
		return err
	}
	var a netip.Addr
	if _, err := pgx.ForEachRow(rows, []any{&a}, func() error { w.applied[a] = true; return nil }); err != nil {
		return err
	}
	return w.tell(ctx, tx, reason, actor)
}

func (w *takeWrite) tell(ctx context.Context, tx pgx.Tx, reason, actor string) error {
	var ats []time.Time
	var addrs []netip.Addr
	var pools, ids []int64
	var actions, users, macs, ports, sessions []string
	var nass []*netip.Addr
	for _, a := range w.addrs {
		if !w.applied[a] {
			continue
		}
		for _, h := range w.history[a] {
			c := storable(h.caller)
			ats, addrs, pools, actions = append(ats, h.at), append(addrs, a), append(pools, w.pools[a]), append(actions, h.action)
			users, macs, nass, ports = append(users, c.User), append(macs, c.MAC), append(nass, orNull(c.NAS)), append(ports, c.Port)
			sessions, ids = append(sessions, storableText(h.session)), append(ids, h.id)
		}
	}
	w.written = len(ats)
	if len(ats) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, sqlTakeHistory, ats, addrs, pools, actions, users, macs, nass, ports, sessions, ids, reason, actor)
	return err
}

// count adds what was done; in a dry run, what would be.
func (w *takeWrite) count(t *Taken, dry bool) {
	for i, a := range w.addrs {
		if !dry && !w.applied[a] {
			t.Raced++
			continue
		}
		switch w.kinds[i] {
		case "bound":
			t.Bound++
		case "kept":
			t.Kept++
		case "released":
			t.Released++
		default:
			t.Holders++
		}
		if dry {
			t.History += len(w.history[a])
		}
	}
	t.History += w.written
}

// Sessions that began since a time (clocks differ a little) and are over, of whose address nothing is in
// the history: it held the address, whoever did the accounting. $1 the time.
const sqlMissedSessions = `
SELECT host(r.framedipaddress)::inet, a.pool_id, r.radacctid, r.acctsessionid, coalesce(r.username, ''), coalesce(r.callingstationid, ''),
       host(r.nasipaddress)::inet, coalesce(r.nasportid, ''), r.acctstarttime, r.acctstoptime
FROM radacct r
JOIN radial.addresses a ON a.vrf_id = 1 AND a.address = host(r.framedipaddress)::inet AND a.state <> 'reserved'
WHERE r.acctstarttime >= $1::timestamptz - interval '1 minute' AND r.acctstoptime IS NOT NULL AND family(r.framedipaddress) = 4
  AND 1 = coalesce((SELECT x.vrf_id FROM nas n JOIN radial.nas_settings x ON x.nas_id = n.id
                    WHERE n.nasname = host(r.nasipaddress) ORDER BY n.id LIMIT 1), 1)
  AND NOT EXISTS (SELECT FROM radial.address_history h
                  WHERE h.address = a.address AND h.at >= r.acctstarttime - interval '1 day' AND h.radacctid = r.radacctid)
ORDER BY r.radacctid`

// missedSessions writes the history of sessions that came and went while nobody
// of us was there, and says how many rows it wrote.
func (db *DB) missedSessions(ctx context.Context, since time.Time, actor string) (int, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := db.pool.Query(ctx, sqlMissedSessions, since)
	if err != nil {
		return 0, err
	}
	w := &takeWrite{pools: map[netip.Addr]int64{}, history: map[netip.Addr][]told{}, applied: map[netip.Addr]bool{}}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var l lent
		var user, station, port string
		var nas netip.Addr
		var start, stop time.Time
		if err := row.Scan(&l.address, &l.pool, &l.radacctid, &l.session, &user, &station, &nas, &port, &start, &stop); err != nil {
			return struct{}{}, err
		}
		s := openSession{radacctid: l.radacctid, session: esc.Unescape(l.session), start: start}
		s.caller.User, s.caller.NAS, s.caller.Port = esc.UnescapeUser(user), nas, esc.UnescapeTwice(port)
		s.caller.MAC = normalMAC(esc, station)
		released := s.told("released")
		released.at = stop
		if !w.applied[l.address] {
			w.addrs, w.applied[l.address] = append(w.addrs, l.address), true
		}
		w.pools[l.address] = l.pool
		w.history[l.address] = append(w.history[l.address], s.told("bound"), released)
		return struct{}{}, nil
	})
	if err != nil {
		return 0, err
	}
	if len(w.addrs) == 0 {
		return 0, nil
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error { return w.tell(ctx, tx, "FreeRADIUS, by radacct", actor) })
	return w.written, err
}
