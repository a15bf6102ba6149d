package store

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"radial/ipam"
)

// A session that reports an address which another one holds, once for each
// session and address: $1 VRFs, $2 addresses, $3 radacctids, $4 first and $5 last
// time, $6 how often, $7 user names, $8 MACs, $9 NAS, $10 session ids of those who
// report; $11 states of the rows, $12 to $16 the same of the holders, and their radacctids.
const sqlConflictNote = `
INSERT INTO radial.address_conflicts AS c (vrf_id, address, radacctid, first_at, last_at, times, username, mac, nas, session_id,
    state, holder_username, holder_mac, holder_nas, holder_session_id, holder_radacctid)
SELECT e.vrf_id, e.address, e.radacctid, e.first_at, e.last_at, e.times, e.username, e.mac, e.nas, e.session_id,
    e.state, e.holder_username, e.holder_mac, e.holder_nas, e.holder_session_id, nullif(e.holder_radacctid, 0)
FROM unnest($1::int[], $2::inet[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::text[], $8::text[], $9::inet[], $10::text[],
            $11::text[], $12::text[], $13::text[], $14::inet[], $15::text[], $16::bigint[])
    AS e (vrf_id, address, radacctid, first_at, last_at, times, username, mac, nas, session_id,
          state, holder_username, holder_mac, holder_nas, holder_session_id, holder_radacctid)
ON CONFLICT (vrf_id, address, radacctid) DO UPDATE
SET last_at = greatest(c.last_at, excluded.last_at), first_at = least(c.first_at, excluded.first_at), times = c.times + excluded.times,
    state = excluded.state, holder_username = excluded.holder_username, holder_mac = excluded.holder_mac, holder_nas = excluded.holder_nas,
    holder_session_id = excluded.holder_session_id, holder_radacctid = excluded.holder_radacctid`

// conflictKey is the primary key of address_conflicts.
type conflictKey struct {
	leaseKey
	radacctid int64
}

// conflict is what a batch has seen of a session at another one's address.
type conflict struct {
	conflictKey
	first, last time.Time
	times       int64
	reporter    ipam.Caller
	sessionID   string
	holder      ipam.Holding
}

// conflict notes that an event's session reports a row that is another's.
func (s *settlement) conflict(r *leaseRow, ev *leaseEvent) {
	key := conflictKey{r.leaseKey, ev.radacctid}
	c := s.conflicts[key]
	if c == nil {
		if s.conflicts == nil {
			s.conflicts = map[conflictKey]*conflict{}
		}
		c = &conflict{conflictKey: key, first: ev.at}
		s.conflicts[key] = c
	}
	c.times++
	c.last, c.reporter, c.sessionID, c.holder = ev.at, ev.caller, ev.sessionID, r.Holding
}

// queueConflicts adds the upsert of all conflicts, in order of their keys, in
// which all servers lock them.
func queueConflicts(b *pgx.Batch, conflicts map[conflictKey]*conflict) {
	if len(conflicts) == 0 {
		return
	}
	all := inOrder(conflicts)
	b.Queue(sqlConflictNote,
		column(all, func(c *conflict) int32 { return c.vrf }),
		column(all, func(c *conflict) netip.Prefix { return c.address }),
		column(all, func(c *conflict) int64 { return c.radacctid }),
		column(all, func(c *conflict) time.Time { return c.first }),
		column(all, func(c *conflict) time.Time { return c.last }),
		column(all, func(c *conflict) int64 { return c.times }),
		column(all, func(c *conflict) string { return c.reporter.User }),
		column(all, func(c *conflict) string { return c.reporter.MAC }),
		column(all, func(c *conflict) *netip.Addr { return orNull(c.reporter.NAS) }),
		column(all, func(c *conflict) string { return c.sessionID }),
		column(all, func(c *conflict) string { return c.holder.State.String() }),
		column(all, func(c *conflict) string { return c.holder.Caller.User }),
		column(all, func(c *conflict) string { return c.holder.Caller.MAC }),
		column(all, func(c *conflict) *netip.Addr { return orNull(c.holder.Caller.NAS) }),
		column(all, func(c *conflict) string { return c.holder.SessionID }),
		column(all, func(c *conflict) int64 { return c.holder.RadacctID }))
}

func inOrder(conflicts map[conflictKey]*conflict) []*conflict {
	all := make([]*conflict, 0, len(conflicts))
	for _, c := range conflicts {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *conflict) int {
		return cmp.Or(cmp.Compare(a.vrf, b.vrf), a.address.Addr().Compare(b.address.Addr()),
			cmp.Compare(a.address.Bits(), b.address.Bits()), cmp.Compare(a.radacctid, b.radacctid))
	})
	return all
}

// conflictPause is how long the log is silent about conflicts after a line.
const conflictPause = time.Minute

// conflictLog tells of conflicts by one line in a minute at most.
type conflictLog struct {
	mu     sync.Mutex
	last   time.Time
	untold int
}

// tell writes a line with an example, if it is time for one.
func (t *conflictLog) tell(conflicts map[conflictKey]*conflict, now time.Time, log *zap.Logger) {
	if len(conflicts) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.untold += len(conflicts)
	if now.Sub(t.last) < conflictPause {
		return
	}
	c := inOrder(conflicts)[0]
	log.Warn("session reports an address that another holds: radial ip conflicts",
		zap.Stringer("address", c.address), zap.Int32("vrf", c.vrf),
		zap.String("user", c.reporter.User), zap.Stringer("nas", c.reporter.NAS), zap.String("session", c.sessionID),
		zap.String("holder", c.holder.Caller.User), zap.Stringer("holder_nas", c.holder.Caller.NAS), zap.String("holder_session", c.holder.SessionID),
		zap.Stringer("state", c.holder.State), zap.Int("since_last_line", t.untold))
	t.last, t.untold = now, 0
}

// settled counts what a committed batch did to addresses, and tells of
// conflicts.
func (l *Ledger) settled(s *settlement) {
	l.metrics.settled(s)
	l.conflicts.tell(s.conflicts, l.now(), l.log)
}
