package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// Keys of radial.settings that this package sets.
const (
	settingEscaping = "escaping"
	settingTimeZone = "timezone"
)

const (
	sqlSettingGet = `SELECT value FROM radial.settings WHERE key = $1::text`
	sqlSettingSet = `
INSERT INTO radial.settings (key, value) VALUES ($1::text, $2::text)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now()`
	sqlSettingKeep = `
INSERT INTO radial.settings (key, value) VALUES ($1::text, $2::text) ON CONFLICT (key) DO NOTHING`
	sqlSettingsAll = `SELECT key, value FROM radial.settings ORDER BY key`

	// What the newest accounting rows say about escaping: how many hold =HH,
	// how many hold what safe-characters would have escaped. PostgreSQL's
	// regular expressions see UTF-8 letters as such; they are never escaped.
	sqlDetectEscaping = `
SELECT count(*) FILTER (WHERE t ~ '=[0-9A-F]{2}'),
       count(*) FILTER (WHERE replace(regexp_replace(t, '=[0-9A-F]{2}', '', 'g'), ' ', '') ~ '[^-@a-zA-Z0-9._:/\u0080-\U0010FFFF]')
FROM (SELECT username, nasportid, calledstationid, connectinfo_start FROM radacct ORDER BY radacctid DESC LIMIT 100000) r,
     unnest(ARRAY[r.username::text, r.nasportid::text, r.calledstationid::text, r.connectinfo_start::text]) t`
)

// Setting returns the value of radial.settings, or aaa.ErrNotFound.
func (db *DB) Setting(ctx context.Context, key string) (string, error) {
	var v string
	err := db.pool.QueryRow(ctx, sqlSettingGet, key).Scan(&v)
	return v, wrapErr("setting "+key, err)
}

// SetSetting writes a value of radial.settings.
func (db *DB) SetSetting(ctx context.Context, key, value string) error {
	_, err := db.pool.Exec(ctx, sqlSettingSet, key, value)
	return wrapErr("setting "+key, err)
}

// SettingOnce writes the value unless the key has one, and returns the one
// that stands: what all servers agree on, such as the fingerprint of the key.
func (db *DB) SettingOnce(ctx context.Context, key, value string) (string, error) {
	if _, err := db.pool.Exec(ctx, sqlSettingKeep, key, value); err != nil {
		return "", wrapErr("setting "+key, err)
	}
	return db.Setting(ctx, key)
}

// Settings returns all of radial.settings.
func (db *DB) Settings(ctx context.Context) (map[string]string, error) {
	rows, err := db.pool.Query(ctx, sqlSettingsAll)
	if err != nil {
		return nil, wrapErr("settings", err)
	}
	all := map[string]string{}
	var k, v string
	_, err = pgx.ForEachRow(rows, []any{&k, &v}, func() error { all[k] = v; return nil })
	return all, wrapErr("settings", err)
}

// TimeZone returns the zone that the first migrate stored: days and months of
// all servers are counted in it. It is passed to PostgreSQL as a parameter
// (AT TIME ZONE).
func (db *DB) TimeZone(ctx context.Context) (string, error) { return db.Setting(ctx, settingTimeZone) }

// firstSettings stores what is decided once, at the first migrate.
func (db *DB) firstSettings(ctx context.Context, conn *pgx.Conn) (escaping, zone string, err error) {
	get := func(key string, decide func() (string, error)) (string, error) {
		var v string
		err := conn.QueryRow(ctx, sqlSettingGet, key).Scan(&v)
		if !errors.Is(err, pgx.ErrNoRows) {
			return v, wrapErr("setting "+key, err)
		}
		if v, err = decide(); err != nil {
			return "", err
		}
		_, err = conn.Exec(ctx, sqlSettingKeep, key, v)
		return v, wrapErr("setting "+key, err)
	}
	escaping, err = get(settingEscaping, func() (string, error) {
		mode, err := detectEscaping(ctx, conn)
		return mode.String(), err
	})
	if err != nil {
		return "", "", err
	}
	zone, err = get(settingTimeZone, func() (string, error) {
		if db.opts.TimeZone != "" {
			return db.opts.TimeZone, nil
		}
		return systemZone(), nil
	})
	return escaping, zone, err
}

// detectEscaping judges by the rows that FreeRADIUS itself wrote; an empty
// database, or one where nothing ever needed escaping, gets FreeRADIUS's default.
func detectEscaping(ctx context.Context, q querier) (Escaping, error) {
	var escaped, bare int
	if err := q.QueryRow(ctx, sqlDetectEscaping).Scan(&escaped, &bare); err != nil {
		return EscapingAuto, wrapErr("detect escaping", err)
	}
	if bare > escaped {
		return EscapingRaw, nil
	}
	return EscapingSafe, nil
}

// Escaper returns how text is escaped in this database: by Options.Escaping,
// or as stored at the first migrate (which is read once).
func (db *DB) Escaper(ctx context.Context) (Escaper, error) {
	if e := db.escape.Load(); e != nil {
		return *e, nil
	}
	mode, err := parseEscaping(db.opts.Escaping)
	if err != nil {
		return Escaper{}, fmt.Errorf("%w: %w", aaa.ErrInvalid, err)
	}
	if mode == EscapingAuto {
		v, err := db.Setting(ctx, settingEscaping)
		if err != nil {
			return Escaper{}, err
		}
		if mode, err = parseEscaping(v); err != nil || mode == EscapingAuto {
			return Escaper{}, fmt.Errorf("%w: radial.settings: escaping %q: want safe-characters or raw", aaa.ErrInvalid, v)
		}
	}
	e := NewEscaper(mode)
	db.escape.Store(&e)
	return e, nil
}

// systemZone returns the IANA name of the system's time zone, or UTC.
func systemZone() string {
	if name := time.Local.String(); name != "Local" {
		return zoneOr(name)
	}
	if b, err := os.ReadFile("/etc/timezone"); err == nil {
		return zoneOr(strings.TrimSpace(string(b)))
	}
	if link, err := filepath.EvalSymlinks("/etc/localtime"); err == nil {
		if _, name, ok := strings.Cut(link, "/zoneinfo/"); ok {
			return zoneOr(name)
		}
	}
	return "UTC"
}

func zoneOr(name string) string {
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return "UTC"
	}
	return name
}
