package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// Keys of radial.settings about radippool.
const (
	settingMirrorFilled = "radippool_filled"   // how far the mirror is filled: an address, or "yes"
	settingTakenBack    = "radippool_taken_at" // when leases were last taken from radippool
)

const (
	// The mirror's triggers: $1 on or off, $2 pool key, $3 whether text is raw.
	sqlMirrorSet      = `SELECT radial.set_mirror($1::bool, $2::text, $3::bool)`
	sqlMirrorSettings = `SELECT pool_key, raw, zone, radial.database_zone(), to_regclass('radippool') IS NULL FROM radial.mirror_settings()`
	sqlMirrorFill     = `SELECT radial.fill_mirror($1::inet, $2::int)`
	sqlMirrorRefresh  = `SELECT radial.refresh_mirror($1::int)`
	sqlMirrorSweep    = `SELECT radial.sweep_mirror()`
	sqlMirrorSize     = `SELECT count(*) FROM radial.addresses a JOIN radial.pools p ON p.id = a.pool_id WHERE a.vrf_id = 1 AND p.kind = 'ipv4'`
	// Rows of radippool that bear the name of a pool of ours, and how many of them are leased.
	sqlMirrorRows = `
SELECT count(*), count(*) FILTER (WHERE r.expiry_time > now() AT TIME ZONE $1::text)
FROM radippool r WHERE r.pool_name IN (SELECT p.name FROM radial.pools p WHERE p.vrf_id = 1 AND p.kind = 'ipv4')`
	// What the mirror cannot show: pools of other VRFs, and of IPv6.
	sqlMirrorLeftOut = `SELECT p.name FROM radial.pools p WHERE p.vrf_id <> 1 OR p.kind <> 'ipv4' ORDER BY p.name`
)

// mirrorChunk is how many addresses are locked at a time while the mirror is filled.
const mirrorChunk = 4096

// The pool keys that sqlippool may be configured with, as Mirror takes them:
// pool_key = "%{Calling-Station-Id}", "%{User-Name}" or (its default) "%{NAS-Port}".
const (
	PoolKeyStation = "calling-station-id"
	PoolKeyUser    = "user-name"
	PoolKeyPort    = "nas-port"
)

// PoolKeys lists them, the usual one first.
func PoolKeys() []string { return []string{PoolKeyStation, PoolKeyUser, PoolKeyPort} }

// Mirror is how radippool is kept true.
type Mirror struct {
	On      bool     `json:"on"`
	PoolKey string   `json:"pool_key,omitempty"`
	Raw     bool     `json:"raw"`                 // text is not =HH-escaped
	Zone    string   `json:"time_zone,omitempty"` // that expiry_time is reckoned in
	ZoneNow string   `json:"zone_now,omitempty"`  // the database's now: another one shifts every lease
	Lost    bool     `json:"lost"`                // the table is gone
	Filled  bool     `json:"filled"`              // all addresses are in it
	Total   int64    `json:"addresses"`           // of ours that it is about
	Rows    int64    `json:"rows"`                // of radippool in pools of ours
	Leased  int64    `json:"leased"`              // of these, with an expiry_time to come
	LeftOut []string `json:"not_mirrored"`        // pools that sqlippool cannot hold: other VRFs, IPv6
	Removed int64    `json:"removed,omitempty"`   // rows that were deleted, since no address of ours stands behind them
}

// MirrorState tells whether the mirror is on, and how it stands.
func (db *DB) MirrorState(ctx context.Context) (Mirror, error) {
	m, err := db.mirrorSettings(ctx)
	if err != nil {
		return m, wrapErr("radippool", err)
	}
	rows, err := db.pool.Query(ctx, sqlMirrorLeftOut)
	if err != nil {
		return m, wrapErr("radippool", err)
	}
	if m.LeftOut, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return m, wrapErr("radippool", err)
	}
	if !m.On || m.Lost {
		return m, nil
	}
	if err := db.pool.QueryRow(ctx, sqlMirrorSize).Scan(&m.Total); err != nil {
		return m, wrapErr("radippool", err)
	}
	err = db.pool.QueryRow(ctx, sqlMirrorRows, m.Zone).Scan(&m.Rows, &m.Leased)
	return m, wrapErr("radippool", err)
}

// mirrorSettings is MirrorState without its counts.
func (db *DB) mirrorSettings(ctx context.Context) (Mirror, error) {
	m := Mirror{LeftOut: []string{}}
	err := db.pool.QueryRow(ctx, sqlMirrorSettings).Scan(&m.PoolKey, &m.Raw, &m.Zone, &m.ZoneNow, &m.Lost)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	m.On = true
	filled, err := db.Setting(ctx, settingMirrorFilled)
	if err != nil && !errors.Is(err, aaa.ErrNotFound) {
		return m, err
	}
	m.Filled = filled == "yes" && !m.Lost
	return m, nil
}

// MirrorOn turns the mirror on, or changes its pool key: the table is made if it
// is lacking, the triggers are set, and then the rows of all addresses are
// written, chunk by chunk, while logins go on. progress (may be nil) hears how
// many are done; the same call again goes on where one was cut short.
//
// Leases in radippool that are not ours would be lost: then nothing is done and
// the error is aaa.ErrConflict, unless overwrite says that ours are right.
// Errors: aaa.ErrInvalid for another pool key, or a connection with a time zone
// of its own.
func (db *DB) MirrorOn(ctx context.Context, c Change, poolKey string, overwrite bool, progress func(done uint64)) (Mirror, error) {
	if !slices.Contains(PoolKeys(), poolKey) {
		return Mirror{}, fmt.Errorf("pool key %q: %w: want one of %s", poolKey, aaa.ErrInvalid, strings.Join(PoolKeys(), ", "))
	}
	esc, err := db.Escaper(ctx)
	if err != nil {
		return Mirror{}, wrapErr("mirror radippool", err)
	}
	was, err := db.mirrorSettings(ctx)
	if err != nil {
		return Mirror{}, wrapErr("mirror radippool", err)
	}
	if !overwrite && !was.On {
		if err := db.foreignLeases(ctx); err != nil {
			return Mirror{}, err
		}
	}
	raw := esc.Mode() == EscapingRaw
	same := was.On && !was.Lost && was.PoolKey == poolKey && was.Raw == raw && was.Zone == was.ZoneNow
	if !same {
		err = db.change(ctx, c, "radippool", func(tx pgx.Tx) (written, error) {
			if _, err := tx.Exec(ctx, sqlMirrorSet, true, poolKey, raw); err != nil {
				return written{}, err
			}
			for key, value := range map[string]string{settingMirrorFilled: "", settingTakenBack: db.now().UTC().Format(time.RFC3339)} {
				if _, err := tx.Exec(ctx, sqlSettingSet, key, value); err != nil {
					return written{}, err
				}
			}
			return written{audit: aaa.Audit{"pool_key": poolKey, "overwrite": overwrite}}, nil
		})
		if err != nil {
			return Mirror{}, err
		}
	}
	removed, err := db.fillMirror(ctx, progress)
	if err != nil {
		return Mirror{}, wrapErr("mirror radippool", err)
	}
	m, err := db.MirrorState(ctx)
	m.Removed = removed
	return m, err
}

// fillMirror writes what is not yet written.
func (db *DB) fillMirror(ctx context.Context, progress func(done uint64)) (removed int64, err error) {
	var after *netip.Addr
	if text, err := db.Setting(ctx, settingMirrorFilled); err == nil && text != "" && text != "yes" {
		if a, err := netip.ParseAddr(text); err == nil {
			after = &a
		}
	}
	for done := uint64(0); ; {
		var last *netip.Addr
		err := db.inTx(ctx, func(tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, sqlMirrorFill, after, mirrorChunk).Scan(&last); err != nil || last == nil {
				return err
			}
			_, err := tx.Exec(ctx, sqlSettingSet, settingMirrorFilled, last.String())
			return err
		})
		if err != nil {
			return 0, err
		}
		if last == nil {
			break
		}
		after = last
		if done += mirrorChunk; progress != nil {
			progress(done)
		}
	}
	if err := db.pool.QueryRow(ctx, sqlMirrorSweep).Scan(&removed); err != nil {
		return 0, err
	}
	return removed, db.SetSetting(ctx, settingMirrorFilled, "yes")
}

// MirrorOff drops the triggers. The table stays as it is at that moment, and
// becomes untrue with the next lease.
func (db *DB) MirrorOff(ctx context.Context, c Change) error {
	return db.change(ctx, c, "radippool", func(tx pgx.Tx) (written, error) {
		rows, err := tx.Query(ctx, sqlMirrorSettings)
		if err != nil {
			return written{}, err
		}
		var was Mirror
		if _, err := pgx.ForEachRow(rows, []any{&was.PoolKey, &was.Raw, &was.Zone, &was.ZoneNow, &was.Lost}, func() error { was.On = true; return nil }); err != nil || !was.On {
			return written{}, err
		}
		if _, err := tx.Exec(ctx, sqlMirrorSet, false, "", false); err != nil {
			return written{}, err
		}
		return written{audit: aaa.Audit{"pool_key": was.PoolKey}}, nil
	})
}

// RefreshMirror writes again the rows of bound addresses that would soon expire in
// radippool, at most limit of them, and says how many: those of sessions that
// send no interims. Nothing while the mirror is off.
func (db *DB) RefreshMirror(ctx context.Context, limit int) (n int, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error { return tx.QueryRow(ctx, sqlMirrorRefresh, limit).Scan(&n) })
	return n, wrapErr("refresh radippool", err)
}
