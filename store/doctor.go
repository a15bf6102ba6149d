package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// Severity of a Finding.
type Severity string

// The severities.
const (
	Good    Severity = "ok"
	Advice  Severity = "advice"  // works, could be better
	Problem Severity = "problem" // does not work, or not safely
)

// Finding is one fact about the database that `radial doctor` shows.
type Finding struct {
	Name     string   `json:"name"`
	Severity Severity `json:"severity"`
	Value    string   `json:"value"`          // what is
	Mend     string   `json:"mend,omitempty"` // what to do, where it is not ok
}

const (
	sqlDoctorSettings = `
SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'server_version_num', 'server_encoding', 'fsync',
    'synchronous_commit', 'full_page_writes', 'max_connections', 'TimeZone', 'standard_conforming_strings', 'in_hot_standby')`
	sqlDoctorClock = `SELECT clock_timestamp()`
	// Fillfactor and size of radacct.
	sqlDoctorRadacct = `
SELECT coalesce((SELECT split_part(o, '=', 2)::int FROM unnest(c.reloptions) o WHERE o LIKE 'fillfactor=%'), 100), greatest(c.reltuples, 0)::bigint,
       (SELECT coalesce(sum(greatest(m.reltuples, 0)), 0)::bigint FROM pg_inherits i JOIN pg_class m ON m.oid = i.inhrelid WHERE i.inhparent = 'radial.radacct_archive'::regclass)
FROM pg_class c WHERE c.oid = 'radacct'::regclass`
	// Indexes that the hot path needs, by their leading columns, and columns too narrow for what is written there.
	sqlDoctorIndexes = `
SELECT w.what, EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = w.tbl::regclass AND i.indisvalid AND i.indexprs IS NULL
      AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) IS NOT DISTINCT FROM w.pred)
      AND w.cols = (SELECT array_agg(a.attname::text ORDER BY k.ord) FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, ord)
                    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.ord <= cardinality(w.cols)))
FROM (VALUES
    ('radcheck (username)', 'radcheck', '{username}'::text[], NULL::text),
    ('radreply (username)', 'radreply', '{username}', NULL),
    ('radusergroup (username)', 'radusergroup', '{username}', NULL),
    ('radgroupcheck (groupname)', 'radgroupcheck', '{groupname}', NULL),
    ('radgroupreply (groupname)', 'radgroupreply', '{groupname}', NULL),
    ('radacct (acctuniqueid)', 'radacct', '{acctuniqueid}', NULL),
    ('radacct (username) WHERE acctstoptime IS NULL', 'radacct', '{username}', '(acctstoptime IS NULL)'),
    ('radacct (nasipaddress, acctstarttime) WHERE acctstoptime IS NULL', 'radacct', '{nasipaddress,acctstarttime}', '(acctstoptime IS NULL)')
) w(what, tbl, cols, pred)`
	// Indexes of radacct that cost every record and find nothing that others do not.
	sqlDoctorNeedless = `
SELECT format('%s (%s)', i.indexrelid::regclass, CASE WHEN a.uniqueid THEN 'the unique one on acctuniqueid finds the same rows' ELSE 'its columns change with each interim' END)
FROM pg_index i
CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY k.ord) = '{acctuniqueid}' AND NOT i.indisunique AND EXISTS (
               SELECT FROM pg_index u WHERE u.indrelid = i.indrelid AND u.indisunique AND u.indisvalid AND u.indpred IS NULL AND u.indkey::text = i.indkey::text) AS uniqueid,
           bool_or(a.attname IN ('acctupdatetime', 'acctinterval', 'acctsessiontime', 'acctinputoctets', 'acctoutputoctets')) AS changes
    FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, ord) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum) a
WHERE i.indrelid = 'radacct'::regclass AND (a.uniqueid OR a.changes) ORDER BY 1`
	sqlDoctorNarrow = `
SELECT format('%s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.oid IN ('radacct'::regclass, 'radpostauth'::regclass) AND a.atttypid = 'varchar'::regtype AND a.atttypmod BETWEEN 5 AND 256
  AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1`
	sqlDoctorTriggers = `
SELECT format('%s on %s', w.tg, w.tbl)
FROM (SELECT t AS tbl, g AS tg FROM unnest(ARRAY['radcheck','radreply','radusergroup','radgroupcheck','radgroupreply']) t,
          unnest(ARRAY['radial_insert','radial_update','radial_delete','radial_truncate']) g
      UNION ALL SELECT 'nas', 'radial_changed'
      UNION ALL SELECT 'radacct', unnest(ARRAY['radial_usage_change','radial_usage_delete'])
      UNION ALL SELECT 'radreply', unnest(ARRAY['radial_static_insert','radial_static_update','radial_static_delete','radial_static_truncate'])) w
WHERE NOT EXISTS (SELECT FROM pg_trigger p WHERE p.tgrelid = w.tbl::regclass AND p.tgname = w.tg AND p.tgenabled IN ('O', 'A'))
ORDER BY 1`
	// What the role may not do at run time.
	sqlDoctorRights = `
SELECT format('GRANT %s ON %s TO %I;', string_agg(p.priv, ', ' ORDER BY p.priv), c.oid::regclass, current_user)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p(priv)
WHERE ((c.oid IN (SELECT to_regclass(t) FROM unnest(ARRAY['radacct','radcheck','radreply','radgroupcheck','radgroupreply','radusergroup','radpostauth','nas','nasreload']) t))
       OR (n.nspname = 'radial' AND c.relkind IN ('r', 'p') AND (NOT c.relispartition OR c.relname = 'address_history_default'))) -- a month by its table's
  AND NOT has_table_privilege(c.oid, p.priv)
GROUP BY c.oid
UNION ALL
SELECT format('GRANT USAGE ON SEQUENCE %s TO %I;', c.oid::regclass, current_user)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
WHERE CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'USAGE') ELSE false END
  AND (n.nspname = 'radial' OR d.refobjid IN (SELECT to_regclass(t) FROM unnest(ARRAY['radacct','radcheck','radreply','radgroupcheck','radgroupreply','radusergroup','radpostauth','nas','nasreload']) t))
ORDER BY 1`
)

// Examine returns the facts about the database that doctor shows, the ones that
// matter most first. The error says that nothing could be found out.
func (db *DB) Examine(ctx context.Context) ([]Finding, error) {
	settings, err := db.serverSettings(ctx)
	if err != nil {
		return nil, err
	}
	found := examineServer(settings, db.opts.MaxConns)
	clock, err := db.examineClock(ctx)
	if err != nil {
		return nil, err
	}
	found = append(found, clock)
	schema := Finding{Name: "schema", Severity: Good, Value: "up to date"}
	if err := db.CheckSchema(ctx); err != nil {
		schema = Finding{Name: "schema", Severity: Problem, Value: err.Error()}
		if errors.Is(err, aaa.ErrInvalid) {
			schema.Mend = "radial migrate up"
		}
		return append(found, schema), nil
	}
	rights, err := db.examineRights(ctx, settings)
	if err != nil {
		return nil, wrapErr("doctor", err)
	}
	found = append(found, schema, rights)
	if rights.Severity == Problem {
		return found, nil // what follows reads the tables
	}
	for _, look := range []func(context.Context, map[string]string) (Finding, error){
		db.examineEscaping, db.examineZone, db.examineRadacct, db.examineIndexes, db.examineTriggers, db.examineNarrow, db.examineAwaited,
	} {
		f, err := look(ctx, settings)
		if err != nil {
			return nil, wrapErr("doctor", err)
		}
		found = append(found, f)
	}
	return found, nil
}

func (db *DB) serverSettings(ctx context.Context) (map[string]string, error) {
	rows, err := db.pool.Query(ctx, sqlDoctorSettings)
	if err != nil {
		return nil, wrapErr("doctor", err)
	}
	all := map[string]string{}
	var k, v string
	_, err = pgx.ForEachRow(rows, []any{&k, &v}, func() error { all[k] = v; return nil })
	return all, wrapErr("doctor", err)
}

func examineServer(s map[string]string, conns int32) []Finding {
	var version, slots int
	if _, err := fmt.Sscan(s["server_version_num"], &version); err != nil {
		version = 0 // then it is too old
	}
	if _, err := fmt.Sscan(s["max_connections"], &slots); err != nil {
		slots = 0
	}
	check := func(name, value string, ok bool, otherwise Severity, mend string) Finding {
		if ok {
			return Finding{Name: name, Severity: Good, Value: value}
		}
		return Finding{Name: name, Severity: otherwise, Value: value, Mend: mend}
	}
	return []Finding{
		check("version", s["server_version"], version/10000 >= MinVersion, Problem, fmt.Sprintf("PostgreSQL %d or newer is needed", MinVersion)),
		check("encoding", s["server_encoding"], s["server_encoding"] == "UTF8", Problem, "make the database with ENCODING 'UTF8'"),
		check("primary", "in_hot_standby "+s["in_hot_standby"], s["in_hot_standby"] != "on", Problem,
			"database.url leads to a standby: name all hosts in it, with target_session_attrs=read-write"),
		check("durability", fmt.Sprintf("fsync %s, synchronous_commit %s, full_page_writes %s", s["fsync"], s["synchronous_commit"], s["full_page_writes"]),
			s["fsync"] == "on" && s["synchronous_commit"] != "off" && s["full_page_writes"] == "on", Problem,
			"an acknowledged record may be lost with the power: switch them on in postgresql.conf"),
		check("connections", fmt.Sprintf("max_connections %d, ours %d", slots, conns), slots >= 2*int(conns), Advice,
			"raise max_connections: each server takes database.max_conns and a few more"),
	}
}

// examineClock compares the clocks, taking half of the trip into account.
func (db *DB) examineClock(ctx context.Context) (Finding, error) {
	before := db.now()
	var there time.Time
	if err := db.pool.QueryRow(ctx, sqlDoctorClock).Scan(&there); err != nil {
		return Finding{}, wrapErr("doctor", err)
	}
	after := db.now()
	off := there.Sub(before.Add(after.Sub(before) / 2)).Round(time.Millisecond)
	f := Finding{Name: "clock", Severity: Good, Value: fmt.Sprintf("the database's is %v off ours", off)}
	if off.Abs() > 2*time.Second {
		f.Severity, f.Mend = Problem, "run a time service (chrony) on both machines"
	}
	return f, nil
}

func (db *DB) examineEscaping(ctx context.Context, _ map[string]string) (Finding, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Name: "escaping", Severity: Good, Value: esc.Mode().String()}
	seen, err := detectEscaping(ctx, db.pool)
	if err == nil && seen != esc.Mode() && seen == EscapingRaw {
		f.Severity, f.Mend = Advice, "rows in radacct look like raw text: if FreeRADIUS runs with auto_escape, set database.escaping: raw"
	}
	return f, err
}

func (db *DB) examineZone(ctx context.Context, s map[string]string) (Finding, error) {
	zone, err := db.TimeZone(ctx)
	f := Finding{Name: "time zone", Severity: Good, Value: fmt.Sprintf("%s; this host %s, database %s", zone, systemZone(), s["TimeZone"])}
	if here := systemZone(); here != zone {
		f.Severity, f.Mend = Advice, "days are counted in "+zone+" on all servers; set this host's zone to it, or the setting timezone in radial.settings"
	}
	return f, err
}

// manyRows are so many rows of radacct that it is worth the while to archive some.
const manyRows = 20_000_000

func (db *DB) examineRadacct(ctx context.Context, _ map[string]string) (Finding, error) {
	var fill int
	var rows, archived int64
	err := db.pool.QueryRow(ctx, sqlDoctorRadacct).Scan(&fill, &rows, &archived)
	f := Finding{Name: "radacct", Severity: Good, Value: fmt.Sprintf("fillfactor %d, about %d rows", fill, rows)}
	if archived > 0 {
		f.Value += fmt.Sprintf(", %d more in the archive", archived)
	}
	if rows > manyRows {
		f.Severity, f.Mend = Advice, "backups, VACUUM and panels suffer from so many: sessions.archive_after, or radial session archive, moves those of long ago out of it"
	}
	if fill > 60 {
		f.Severity, f.Mend = Advice, "interim updates cost a third when rows have room for their next versions: ALTER TABLE radacct SET (fillfactor = 50); for old rows also VACUUM FULL, at night"
	}
	return f, err
}

func (db *DB) examineIndexes(ctx context.Context, _ map[string]string) (Finding, error) {
	rows, err := db.pool.Query(ctx, sqlDoctorIndexes)
	if err != nil {
		return Finding{}, err
	}
	var missing []string
	var what string
	var there bool
	_, err = pgx.ForEachRow(rows, []any{&what, &there}, func() error {
		if !there {
			missing = append(missing, what)
		}
		return nil
	})
	if err != nil || len(missing) > 0 {
		return listing("indexes", "", missing, Problem, "CREATE INDEX CONCURRENTLY … ON each of these"), err
	}
	needless, err := db.lines(ctx, sqlDoctorNeedless)
	return listing("indexes", "all there", needless, Advice, "each costs accounting some per cent: unless a report needs it, DROP INDEX CONCURRENTLY …"), err
}

func (db *DB) examineTriggers(ctx context.Context, _ map[string]string) (Finding, error) {
	missing, err := db.lines(ctx, sqlDoctorTriggers)
	return listing("triggers", "all there", missing, Problem,
		"changes made by others are not seen at once: ALTER TABLE … ENABLE TRIGGER, or restore it from the migrations"), err
}

func (db *DB) examineNarrow(ctx context.Context, _ map[string]string) (Finding, error) {
	narrow, err := db.lines(ctx, sqlDoctorNarrow)
	return listing("columns", "wide enough", narrow, Advice, "longer values are cut: ALTER TABLE … ALTER COLUMN … TYPE text (no rewrite, a short lock)"), err
}

func (db *DB) examineRights(ctx context.Context, _ map[string]string) (Finding, error) {
	missing, err := db.lines(ctx, sqlDoctorRights)
	if err != nil || len(missing) == 0 {
		return Finding{Name: "rights", Severity: Good, Value: "all there"}, err
	}
	return Finding{
		Name: "rights", Severity: Problem, Value: fmt.Sprintf("%d are missing", len(missing)),
		Mend: "the tables' owner runs\n" + strings.Join(missing, "\n"),
	}, nil
}

func (db *DB) lines(ctx context.Context, sql string) ([]string, error) {
	rows, err := db.pool.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func listing(name, good string, bad []string, otherwise Severity, mend string) Finding {
	if len(bad) == 0 {
		return Finding{Name: name, Severity: Good, Value: good}
	}
	return Finding{Name: name, Severity: otherwise, Value: strings.Join(bad, "; "), Mend: mend}
}
