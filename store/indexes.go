package store

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
)

// indexesVersion counts the changes of the list in sqlIndexesMissing. Making
// them is done once for each version: what an operator drops stays dropped.
const (
	indexesVersion  = "1"
	settingIndexes  = "indexes"
	indexConditions = `
SELECT * FROM (VALUES
    ('radacct', 'radacct_bulk_close', '{nasipaddress,acctstarttime}'::text[], '(acctstoptime IS NULL)'),
    ('radacct', 'radacct_start_user_idx', '{acctstarttime,username}', NULL),
    ('radacct', 'radacct_calss_idx', '{class}', '(class < ''r1:''::text)'),
    ('radcheck', 'radcheck_username', '{username,attribute}', NULL),
    ('radreply', 'radreply_username', '{username,attribute}', NULL),
    ('radgroupcheck', 'radgroupcheck_groupname', '{groupname,attribute}', NULL),
    ('radgroupreply', 'radgroupreply_groupname', '{groupname,attribute}', NULL),
    ('radusergroup', 'radusergroup_username', '{username}', NULL),
    ('radpostauth', 'radpostauth_username_idx', '{username}', NULL),
    ('radpostauth', 'radpostauth_class_idx', '{class}', NULL),
    ('nas', 'nas_nasname', '{nasname}', NULL),
    ('radacct', 'radial_radacct_open_user_idx', '{username}', '(acctstoptime IS NULL)'),
    ('radacct', 'radial_radacct_user_start_idx', '{username,acctstarttime}', NULL)
) v(tbl, idx, cols, pred)`
)

const (
	// FreeRADIUS's indexes by its names, then ours: what its schema is slow at (its
	// issue 5628). Only where no index on the same columns, with the same condition,
	// stands under any name. None has acctupdatetime, octets or session time. Each
	// costs 2 to 5 µs at a Start and again at a Stop: there is no radacct_active_session_idx, since
	// its queries find their row by the unique acctuniqueid, and the index of class
	// has neither rows without one nor those with a mark of ours, which nobody looks for.
	sqlIndexesMissing = `
SELECT format('CREATE INDEX CONCURRENTLY %I ON %I (%s)%s',
    CASE WHEN to_regclass(quote_ident(ix.idx)) IS NULL THEN ix.idx ELSE 'radial_' || ix.idx END, ix.tbl,
    (SELECT string_agg(quote_ident(c), ', ') FROM unnest(ix.cols) c), coalesce(' WHERE ' || ix.pred, ''))
FROM (` + indexConditions + `) ix
WHERE NOT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = ix.tbl::regclass AND i.indisvalid AND i.indexprs IS NULL
      AND (pg_get_expr(i.indpred, i.indrelid) IS NOT DISTINCT FROM ix.pred OR i.indpred IS NULL AND ix.cols = '{class}')
      AND ix.cols = (SELECT array_agg(a.attname::text ORDER BY k.ord)
                     FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, ord)
                     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                     WHERE k.ord <= i.indnkeyatts))`
	// What an interrupted CREATE INDEX CONCURRENTLY has left behind.
	sqlIndexesBroken = `
SELECT format('DROP INDEX CONCURRENTLY %s', i.indexrelid::regclass)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN (` + indexConditions + `) ix
    ON i.indrelid = ix.tbl::regclass AND c.relname IN (ix.idx, 'radial_' || ix.idx)
WHERE NOT i.indisvalid`
)

// makeIndexes makes the indexes that are missing, without keeping others from
// writing meanwhile, and returns their names. It takes its time on a radacct
// of millions of rows, and goes on where it was interrupted.
func makeIndexes(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	var done string
	err := conn.QueryRow(ctx, sqlSettingGet, settingIndexes).Scan(&done)
	if err == nil && done == indexesVersion {
		return nil, nil
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, wrapErr("indexes", err)
	}
	var made []string
	for _, list := range []string{sqlIndexesBroken, sqlIndexesMissing} {
		rows, err := conn.Query(ctx, list)
		if err != nil {
			return made, wrapErr("indexes", err)
		}
		statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return made, wrapErr("indexes", err)
		}
		for _, ddl := range statements {
			if _, err := conn.Exec(ctx, ddl); err != nil {
				return made, wrapErr(ddl, err)
			}
			if name, ok := strings.CutPrefix(ddl, "CREATE INDEX CONCURRENTLY "); ok {
				name, _, _ = strings.Cut(name, " ")
				made = append(made, name)
			}
		}
	}
	_, err = conn.Exec(ctx, sqlSettingSet, settingIndexes, indexesVersion)
	return made, wrapErr("indexes", err)
}
