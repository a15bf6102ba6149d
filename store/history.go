package store

import (
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/ipam"
)

const sqlHistoryInsert = `
INSERT INTO radial.address_history (at, vrf_id, address, pool_id, action, username, mac, nas, port, session_id, radacctid, reason, actor)
SELECT h.at, h.vrf_id, h.address, nullif(h.pool_id, 0), h.action, h.username, h.mac, h.nas, h.port, h.session_id, nullif(h.radacctid, 0),
       nullif(h.reason, ''), nullif(h.actor, '')
FROM unnest($1::timestamptz[], $2::int[], $3::inet[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::inet[], $9::text[], $10::text[],
            $11::bigint[], $12::text[], $13::text[])
    AS h (at, vrf_id, address, pool_id, action, username, mac, nas, port, session_id, radacctid, reason, actor)`

// historyRow is a row of address_history to be written: a change of holder.
type historyRow struct {
	at      time.Time
	key     leaseKey
	pool    int64
	action  string // bound, released, expired, taken_over, reserved or unreserved
	holding ipam.Holding
	reason  string
	actor   string // of what no session did: cli:root, job:name
}

// queueHistory adds the insert of all rows to a batch.
func queueHistory(b *pgx.Batch, rows []historyRow) {
	if len(rows) == 0 {
		return
	}
	n := len(rows)
	ats, vrfs, addrs, pools := make([]time.Time, n), make([]int32, n), make([]netip.Prefix, n), make([]int64, n)
	actions, users, macs, nass := make([]string, n), make([]string, n), make([]string, n), make([]*netip.Addr, n)
	ports, sessions, ids := make([]string, n), make([]string, n), make([]int64, n)
	reasons, actors := make([]string, n), make([]string, n)
	for i, h := range rows {
		ats[i], vrfs[i], addrs[i], pools[i], actions[i] = h.at, h.key.vrf, h.key.address, h.pool, h.action
		c := h.holding.Caller
		users[i], macs[i], nass[i], ports[i] = c.User, c.MAC, orNull(c.NAS), c.Port
		sessions[i], ids[i], reasons[i] = h.holding.SessionID, h.holding.RadacctID, h.reason
		actors[i] = h.actor
	}
	b.Queue(sqlHistoryInsert, ats, vrfs, prefixes(addrs), pools, texts(actions), texts(users), texts(macs), hosts(nass), texts(ports), texts(sessions), ids,
		texts(reasons), texts(actors))
}

// queueRows adds the update of all changed rows to a batch.
func queueRows(b *pgx.Batch, rows []*leaseRow) {
	var vrfs []int32
	var addrs []netip.Prefix
	var states, users, macs, ports, sessions []string
	var nass []*netip.Addr
	var ids []int64
	var since []*time.Time
	for _, r := range rows {
		if !r.changed {
			continue
		}
		vrfs, addrs, states = append(vrfs, r.vrf), append(addrs, r.address), append(states, r.State.String())
		users, macs = append(users, r.Caller.User), append(macs, r.Caller.MAC)
		nass, ports = append(nass, orNull(r.Caller.NAS)), append(ports, r.Caller.Port)
		sessions, ids, since = append(sessions, r.SessionID), append(ids, r.RadacctID), append(since, r.since)
	}
	if len(vrfs) > 0 {
		b.Queue(sqlSettleWrite, vrfs, prefixes(addrs), texts(states), texts(users), texts(macs), hosts(nass), texts(ports), texts(sessions), ids, times(since))
	}
}

// orNull gives NULL for the zero address.
func orNull(a netip.Addr) *netip.Addr {
	if !a.IsValid() {
		return nil
	}
	a = a.Unmap().WithZone("")
	return &a
}

// hostPrefix is an address as the rows have it: /32 or /128, and invalid where
// it is.
func hostPrefix(a netip.Addr) netip.Prefix {
	if !a.IsValid() {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}

// storable is a caller whose texts PostgreSQL can hold: NUL and bytes that are
// no UTF-8 are written as =HH. Callers are compared in this form.
func storable(c ipam.Caller) ipam.Caller {
	return ipam.Caller{User: storableText(c.User), MAC: storableText(c.MAC), NAS: c.NAS.Unmap().WithZone(""), Port: storableText(c.Port)}
}

func storableText(s string) string { return NewEscaper(EscapingRaw).Escape(s) }
