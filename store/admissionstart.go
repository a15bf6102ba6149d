package store

import (
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Start takes the place of the login that was let in for it, by the
// Acct-Session-Id that the login had, else by the caller; the end of a session
// whose Start was lost by the Acct-Session-Id alone. $1 names at the NAS, $2 NAS,
// $3 ports, $4 MACs, $5 session ids, $6 whether it is a beginning. Rows that
// are being renewed are left to the clock.
const sqlAdmissionStart = `
DELETE FROM radial.admissions a
USING (
    SELECT e.n, l.id
    FROM unnest($1::text[], $2::inet[], $3::text[], $4::text[], $5::text[], $6::bool[]) WITH ORDINALITY AS e (login, nas, port, mac, session_id, begins, n)
    CROSS JOIN LATERAL (
        SELECT w.id FROM radial.admissions w
        WHERE w.login = e.login AND w.nas IS NOT DISTINCT FROM e.nas
          AND (w.session_id <> '' AND w.session_id = e.session_id OR e.begins AND w.port = e.port AND w.mac = e.mac)
        ORDER BY w.session_id = e.session_id DESC, w.made_at
        LIMIT 1 FOR UPDATE SKIP LOCKED) l) s
WHERE a.id = s.id
RETURNING s.n, a.replaces`

// starting is the admissions that a batch's records consume.
type starting struct {
	events   []leaseEvent
	replaced []replaced // sessions whose own callers have begun others
}

// queue adds the look for admissions, which goes after the rows of
// addresses are locked: who logs in locks them in that order too.
func (s *starting) queue(b *pgx.Batch, events []leaseEvent, now time.Time) {
	var logins, ports, macs, sessions []string
	var nass []*netip.Addr
	var begins []bool
	for _, ev := range events {
		if ev.kind == leaseRenew {
			continue
		}
		c := storable(ev.caller)
		s.events = append(s.events, ev)
		logins, nass, ports, macs = append(logins, c.User), append(nass, orNull(c.NAS)), append(ports, c.Port), append(macs, c.MAC)
		sessions, begins = append(sessions, storableText(ev.sessionID)), append(begins, ev.kind == leaseBind)
	}
	if len(logins) == 0 {
		return
	}
	b.Queue(sqlAdmissionStart, logins, nass, ports, macs, sessions, begins).Query(func(rows pgx.Rows) error {
		var n int
		var ids []int64
		_, err := pgx.ForEachRow(rows, []any{&n, &ids}, func() error {
			s.consume(&s.events[n-1], ids, now)
			return nil
		})
		return err
	})
}

// consume ends the sessions that the event's login was let in for.
func (s *starting) consume(ev *leaseEvent, ids []int64, now time.Time) {
	at := ev.at
	if at.IsZero() || at.After(now) {
		at = now
	}
	ids = slices.DeleteFunc(ids, func(id int64) bool { return id == ev.radacctid })
	for _, id := range ids {
		s.replaced = append(s.replaced, replaced{radacctid: id, at: at})
	}
}
