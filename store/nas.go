package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/nas"
)

// All rows of nas with their settings. Some versions of FreeRADIUS and some
// panels have columns require_ma and limit_proxy_state; they count where our
// settings say auto.
const sqlNASRows = `
SELECT n.id::bigint, n.nasname::text, coalesce(n.shortname::text, ''), coalesce(n.type::text, 'other'), n.ports::int,
    n.secret::text, coalesce(n.server::text, ''), coalesce(n.community::text, ''), coalesce(n.description::text, ''),
    coalesce(nullif(s.require_message_authenticator, 'auto'), to_jsonb(n) ->> 'require_ma', 'auto'),
    coalesce(nullif(s.limit_proxy_state, 'auto'), to_jsonb(n) ->> 'limit_proxy_state', 'auto'),
    coalesce(s.coa_port, 3799), coalesce(s.vrf_id, 1), coalesce(s.swap_octets, false), s.reject_delay_ms, coalesce(s.pool, '')
FROM nas n LEFT JOIN radial.nas_settings s ON s.nas_id = n.id
WHERE n.nasname IS NOT NULL AND n.secret IS NOT NULL
ORDER BY n.id`

// NASRows returns all devices as nas.Directory takes them, by id: FreeRADIUS
// takes the first of two rows for the same address.
func (db *DB) NASRows(ctx context.Context) ([]nas.Row, error) {
	rows, err := db.pool.Query(ctx, sqlNASRows)
	if err != nil {
		return nil, wrapErr("nas", err)
	}
	all, err := pgx.CollectRows(rows, scanNAS)
	return all, wrapErr("nas", err)
}

func scanNAS(row pgx.CollectableRow) (nas.Row, error) {
	var r nas.Row
	var secret, community, require, limit string
	var port int32
	var delay *int32
	err := row.Scan(&r.ID, &r.Name, &r.ShortName, &r.Type, &r.Ports, &secret, &r.Server, &community, &r.Description,
		&require, &limit, &port, &r.Settings.VRF, &r.Settings.SwapOctets, &delay, &r.Settings.Pool)
	if err != nil {
		return r, err
	}
	r.Secret, r.Community = nas.Secret(secret), nas.Secret(community)
	r.Settings.CoAPort = uint16(port)
	r.Settings.RequireMessageAuthenticator = policyOf(require)
	r.Settings.LimitProxyState = policyOf(limit)
	if delay != nil {
		d := time.Duration(*delay) * time.Millisecond
		r.Settings.RejectDelay = &d
	}
	return r, nil
}

// policyOf reads a policy as FreeRADIUS does, in any of the ways that a column
// of a foreign type may print it. What nobody can read is auto.
func policyOf(s string) nas.Policy {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "yes", "true", "t", "1", "on":
		return nas.Yes
	case "no", "false", "f", "0", "off":
		return nas.No
	default:
		return nas.Auto
	}
}

// Learnt is what a server has learnt from the packets of a device.
type Learnt struct {
	NASID                       int64
	RequireMessageAuthenticator nas.Policy // Auto: not yet
	LimitProxyState             nas.Policy
	LastPacket                  time.Time // zero: none
}

const (
	sqlLearntSave = `
INSERT INTO radial.nas_state (server_id, nas_id, require_message_authenticator, limit_proxy_state, last_packet_at)
SELECT $1::uuid, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::timestamptz[])
ON CONFLICT (server_id, nas_id) DO UPDATE SET require_message_authenticator = excluded.require_message_authenticator,
    limit_proxy_state = excluded.limit_proxy_state, last_packet_at = excluded.last_packet_at, updated_at = now()`
	sqlLearntRead = `
SELECT nas_id, require_message_authenticator, limit_proxy_state, last_packet_at FROM radial.nas_state WHERE server_id = $1::uuid ORDER BY nas_id`
)

// learntText is how radial.nas_state spells a policy.
func learntText(p nas.Policy) string {
	switch p {
	case nas.Yes:
		return "yes"
	case nas.No:
		return "no"
	default:
		return "unknown"
	}
}

// SaveLearnt writes what the server has learnt of these devices.
func (db *DB) SaveLearnt(ctx context.Context, server string, all []Learnt) error {
	if len(all) == 0 {
		return nil
	}
	ids := make([]int64, len(all))
	require, limit := make([]string, len(all)), make([]string, len(all))
	last := make([]*time.Time, len(all))
	for i, l := range all {
		ids[i], require[i], limit[i], last[i] = l.NASID, learntText(l.RequireMessageAuthenticator), learntText(l.LimitProxyState), nullTime(l.LastPacket)
	}
	_, err := db.pool.Exec(ctx, sqlLearntSave, server, ids, require, limit, last)
	return wrapErr(fmt.Sprintf("state of %d devices", len(all)), err)
}

// ReadLearnt returns what the server had learnt before it was restarted.
func (db *DB) ReadLearnt(ctx context.Context, server string) ([]Learnt, error) {
	rows, err := db.pool.Query(ctx, sqlLearntRead, server)
	if err != nil {
		return nil, wrapErr("state of devices", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Learnt, error) {
		var l Learnt
		var require, limit string
		var last *time.Time
		err := row.Scan(&l.NASID, &require, &limit, &last)
		l.RequireMessageAuthenticator, l.LimitProxyState, l.LastPacket = policyOf(require), policyOf(limit), timeOf(last)
		return l, err
	})
	return all, wrapErr("state of devices", err)
}
