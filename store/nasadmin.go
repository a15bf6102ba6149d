package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/nas"
)

const (
	sqlDeviceList = `
SELECT n.id::bigint, coalesce(n.nasname::text, ''), coalesce(n.shortname::text, ''), coalesce(n.type::text, 'other'), coalesce(n.secret::text, ''), coalesce(n.description::text, ''),
    coalesce(s.require_message_authenticator, 'auto'), coalesce(s.limit_proxy_state, 'auto'), coalesce(s.coa_port, 3799),
    coalesce(v.name, 'default'), coalesce(s.swap_octets, false), s.reject_delay_ms, coalesce(s.pool, '')
FROM nas n LEFT JOIN radial.nas_settings s ON s.nas_id = n.id LEFT JOIN radial.vrfs v ON v.id = s.vrf_id
ORDER BY n.id`
	sqlDeviceInsert = `
INSERT INTO nas (nasname, shortname, type, secret, description) VALUES ($1::text, $2::text, $3::text, $4::text, nullif($5::text, ''))
RETURNING id::bigint`
	sqlDeviceUpdate = `
UPDATE nas SET nasname = $2::text, shortname = $3::text, type = $4::text, secret = $5::text, description = nullif($6::text, '')
WHERE id = $1::bigint`
	sqlDeviceDelete = `DELETE FROM nas WHERE id = $1::bigint`

	sqlDeviceSettingsSave = `
INSERT INTO radial.nas_settings (nas_id, require_message_authenticator, limit_proxy_state, coa_port, vrf_id, swap_octets, reject_delay_ms, pool)
SELECT $1::bigint, $2::text, $3::text, $4::int, v.id, $6::bool, $7::int, nullif($8::text, '') FROM radial.vrfs v WHERE v.name = $5::text
ON CONFLICT (nas_id) DO UPDATE SET require_message_authenticator = excluded.require_message_authenticator,
    limit_proxy_state = excluded.limit_proxy_state, coa_port = excluded.coa_port, vrf_id = excluded.vrf_id,
    swap_octets = excluded.swap_octets, reject_delay_ms = excluded.reject_delay_ms, pool = excluded.pool, updated_at = now()`
	sqlDeviceSettingsDelete = `DELETE FROM radial.nas_settings WHERE nas_id = $1::bigint`
	sqlDeviceStateDelete    = `DELETE FROM radial.nas_state WHERE nas_id = $1::bigint`

	sqlDeviceState = `
SELECT v.name, s.require_message_authenticator, s.limit_proxy_state, s.last_packet_at, s.updated_at
FROM radial.nas_state s JOIN radial.servers v ON v.id = s.server_id WHERE s.nas_id = $1::bigint ORDER BY v.name`
)

// DeviceState is what one server has learnt from a device's packets.
type DeviceState struct {
	Server                      string     `json:"server"`
	RequireMessageAuthenticator string     `json:"require_message_authenticator"` // unknown, yes or no
	LimitProxyState             string     `json:"limit_proxy_state"`
	LastPacket                  *time.Time `json:"last_packet_at"`
	Updated                     time.Time  `json:"updated_at"`
}

// Devices lists all rows of nas with their settings, by id.
func (db *DB) Devices(ctx context.Context) ([]aaa.Device, error) { return devices(ctx, db.pool) }

func devices(ctx context.Context, q querier) ([]aaa.Device, error) {
	rows, err := q.Query(ctx, sqlDeviceList)
	if err != nil {
		return nil, wrapErr("nas", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (aaa.Device, error) {
		var d aaa.Device
		var secret, require, limit string
		var port int32
		var delay *int32
		err := row.Scan(&d.ID, &d.Name, &d.ShortName, &d.Type, &secret, &d.Description, &require, &limit, &port, &d.VRF, &d.SwapOctets, &delay, &d.Pool)
		if err != nil {
			return d, err
		}
		d.Secret, d.CoAPort = nas.Secret(secret), uint16(port)
		if delay != nil {
			t := time.Duration(*delay) * time.Millisecond
			d.RejectDelay = &t
		}
		if d.RequireMessageAuthenticator, err = aaa.ParsePolicy(require); err != nil {
			return d, err
		}
		d.LimitProxyState, err = aaa.ParsePolicy(limit)
		return d, err
	})
	return all, wrapErr("nas", err)
}

// DevicesNamed returns the rows under a name: id:N, a nasname in any spelling,
// or else a shortname.
func (db *DB) DevicesNamed(ctx context.Context, name string) ([]aaa.Device, error) {
	all, err := db.Devices(ctx)
	return devicesNamed(all, name), err
}

func devicesNamed(all []aaa.Device, name string) []aaa.Device {
	match := func(is func(aaa.Device) bool) (found []aaa.Device) {
		for _, d := range all {
			if is(d) {
				found = append(found, d)
			}
		}
		return found
	}
	if text, ok := strings.CutPrefix(name, "id:"); ok {
		if id, err := strconv.ParseInt(text, 10, 64); err == nil {
			return match(func(d aaa.Device) bool { return d.ID == id })
		}
	}
	want := canonicalName(name)
	if found := match(func(d aaa.Device) bool { return canonicalName(d.Name) == want }); len(found) > 0 {
		return found
	}
	return match(func(d aaa.Device) bool { return d.ShortName == name })
}

// canonicalName makes spellings of one nasname equal; what cannot be read is
// itself.
func canonicalName(name string) string {
	if n, err := nas.ParseName(name); err == nil {
		return n.String()
	}
	return name
}

// ChangeDevice runs one change of a device: f gets the rows under its name.
// All changes of devices take one lock, since names overlap.
func (db *DB) ChangeDevice(ctx context.Context, c Change, name string, f func(name string, found []aaa.Device) (aaa.DeviceDelta, error)) (aaa.DeviceDelta, error) {
	var d aaa.DeviceDelta
	err := db.change(ctx, c, canonicalName(name), func(tx pgx.Tx) (written, error) {
		if _, err := tx.Exec(ctx, sqlLockKey, "nas"); err != nil {
			return written{}, wrapErr("nas "+name, err)
		}
		all, err := devices(ctx, tx)
		if err != nil {
			return written{}, err
		}
		if d, err = f(name, devicesNamed(all, name)); err != nil || d.Audit == nil {
			return written{}, err
		}
		if d.Remove {
			err = deleteDevice(ctx, tx, d.Save.ID)
		} else {
			err = saveDevice(ctx, tx, d.Save)
		}
		if err != nil {
			return written{}, wrapErr("nas "+name, err)
		}
		return written{audit: d.Audit}, nil
	})
	if err != nil {
		return aaa.DeviceDelta{}, err
	}
	return d, nil
}

func deleteDevice(ctx context.Context, tx pgx.Tx, id int64) error {
	for _, sql := range []string{sqlDeviceDelete, sqlDeviceSettingsDelete, sqlDeviceStateDelete} {
		if _, err := tx.Exec(ctx, sql, id); err != nil {
			return err
		}
	}
	return nil
}

// saveDevice inserts or updates the row and its settings; d gets its id.
func saveDevice(ctx context.Context, tx pgx.Tx, d *aaa.Device) error {
	if d.ID == 0 {
		err := tx.QueryRow(ctx, sqlDeviceInsert, d.Name, d.ShortName, d.Type, d.Secret.Reveal(), d.Description).Scan(&d.ID)
		if err != nil {
			return err
		}
	} else if _, err := tx.Exec(ctx, sqlDeviceUpdate, d.ID, d.Name, d.ShortName, d.Type, d.Secret.Reveal(), d.Description); err != nil {
		return err
	}
	var delay *int64
	if d.RejectDelay != nil {
		ms := d.RejectDelay.Milliseconds()
		delay = &ms
	}
	tag, err := tx.Exec(ctx, sqlDeviceSettingsSave, d.ID, aaa.PolicyName(d.RequireMessageAuthenticator), aaa.PolicyName(d.LimitProxyState),
		int32(d.CoAPort), d.VRF, d.SwapOctets, delay, d.Pool)
	if err == nil && tag.RowsAffected() == 0 {
		return fmt.Errorf("vrf %q: %w; the first pool in it makes it: radial pool add NAME --cidr NETWORK --vrf %s", d.VRF, aaa.ErrNotFound, d.VRF)
	}
	return err
}

// DeviceStates returns what each server has learnt from a device.
func (db *DB) DeviceStates(ctx context.Context, id int64) ([]DeviceState, error) {
	rows, err := db.pool.Query(ctx, sqlDeviceState, id)
	if err != nil {
		return nil, wrapErr("nas state", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[DeviceState])
	return all, wrapErr("nas state", err)
}
