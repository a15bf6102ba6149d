package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"radial/aaa"
)

const (
	// The rows of groups in FreeRADIUS's tables, each with the digest of what we
	// wrote there, if we did (of users: sqlRowsMany). $1 names, $2 the owner; the
	// second column is the name's place. Columns that other versions leave NULL or
	// padded are forgiven.
	sqlRowsGroup = `
WITH g AS (SELECT * FROM unnest($1::text[]) WITH ORDINALITY AS n (name, place))
SELECT 1 AS part, g.place::int - 1 AS place, c.id::bigint AS id, c.attribute::text, coalesce(rtrim(c.op), ''), coalesce(c.value::text, ''), coalesce(p.digest, '')
FROM g JOIN radgroupcheck c ON c.groupname = g.name LEFT JOIN radial.projection p ON p.tbl = 'radgroupcheck' AND p.row_id = c.id AND p.owner = $2::text
UNION ALL
SELECT 2, g.place::int - 1, c.id::bigint, c.attribute::text, coalesce(rtrim(c.op), ''), coalesce(c.value::text, ''), coalesce(p.digest, '')
FROM g JOIN radgroupreply c ON c.groupname = g.name LEFT JOIN radial.projection p ON p.tbl = 'radgroupreply' AND p.row_id = c.id AND p.owner = $2
ORDER BY part, place, id`
	sqlProjectionOf = `SELECT owner, tbl, row_id, digest FROM radial.projection WHERE owner = ANY ($1::text[]) ORDER BY owner, tbl, row_id`
)

// Writing. $1 is the name as stored, $2 to $4 the content; an insert takes the
// owner and the digest along.
const (
	sqlAddCheck = `
WITH r AS (INSERT INTO radcheck (username, attribute, op, value) VALUES ($1::text, $2::text, $3::text, $4::text) RETURNING id)
INSERT INTO radial.projection (tbl, row_id, owner, digest) SELECT 'radcheck', id, $5::text, $6::text FROM r`
	sqlAddReply = `
WITH r AS (INSERT INTO radreply (username, attribute, op, value) VALUES ($1::text, $2::text, $3::text, $4::text) RETURNING id)
INSERT INTO radial.projection (tbl, row_id, owner, digest) SELECT 'radreply', id, $5::text, $6::text FROM r`
	sqlAddGroupCheck = `
WITH r AS (INSERT INTO radgroupcheck (groupname, attribute, op, value) VALUES ($1::text, $2::text, $3::text, $4::text) RETURNING id)
INSERT INTO radial.projection (tbl, row_id, owner, digest) SELECT 'radgroupcheck', id, $5::text, $6::text FROM r`
	sqlAddGroupReply = `
WITH r AS (INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ($1::text, $2::text, $3::text, $4::text) RETURNING id)
INSERT INTO radial.projection (tbl, row_id, owner, digest) SELECT 'radgroupreply', id, $5::text, $6::text FROM r`
	sqlAddUserGroup = `
WITH r AS (INSERT INTO radusergroup (username, groupname, priority) VALUES ($1::text, $2::text, $3::int) RETURNING id)
INSERT INTO radial.projection (tbl, row_id, owner, digest) SELECT 'radusergroup', id, $4::text, $5::text FROM r`

	// A row of somebody else's that stands anew.
	sqlKeepReply = `INSERT INTO radreply (username, attribute, op, value) VALUES ($1::text, $2::text, $3::text, $4::text)`

	// A row is written over or removed only while it is what we read: $5 to $7.
	sqlSetCheck = `
UPDATE radcheck SET attribute = $2::text, op = $3::text, value = $4::text
WHERE id = $1::bigint AND attribute = $5::text AND coalesce(rtrim(op), '') = $6::text AND coalesce(value, '') = $7::text`
	sqlSetReply = `
UPDATE radreply SET attribute = $2::text, op = $3::text, value = $4::text
WHERE id = $1::bigint AND attribute = $5::text AND coalesce(rtrim(op), '') = $6::text AND coalesce(value, '') = $7::text`
	sqlSetGroupCheck = `
UPDATE radgroupcheck SET attribute = $2::text, op = $3::text, value = $4::text
WHERE id = $1::bigint AND attribute = $5::text AND coalesce(rtrim(op), '') = $6::text AND coalesce(value, '') = $7::text`
	sqlSetGroupReply = `
UPDATE radgroupreply SET attribute = $2::text, op = $3::text, value = $4::text
WHERE id = $1::bigint AND attribute = $5::text AND coalesce(rtrim(op), '') = $6::text AND coalesce(value, '') = $7::text`
	sqlSetUserGroup = `
UPDATE radusergroup SET groupname = $2::text, priority = $3::int WHERE id = $1::bigint AND groupname = $4::text AND priority = $5::int`

	sqlDelCheck = `
DELETE FROM radcheck WHERE id = $1::bigint AND attribute = $2::text AND coalesce(rtrim(op), '') = $3::text AND coalesce(value, '') = $4::text`
	sqlDelReply = `
DELETE FROM radreply WHERE id = $1::bigint AND attribute = $2::text AND coalesce(rtrim(op), '') = $3::text AND coalesce(value, '') = $4::text`
	sqlDelGroupCheck = `
DELETE FROM radgroupcheck WHERE id = $1::bigint AND attribute = $2::text AND coalesce(rtrim(op), '') = $3::text AND coalesce(value, '') = $4::text`
	sqlDelGroupReply = `
DELETE FROM radgroupreply WHERE id = $1::bigint AND attribute = $2::text AND coalesce(rtrim(op), '') = $3::text AND coalesce(value, '') = $4::text`
	sqlDelUserGroup = `
DELETE FROM radusergroup WHERE id = $1::bigint AND groupname = $2::text AND priority = $3::int`

	sqlProjectionSet = `
INSERT INTO radial.projection (tbl, row_id, owner, digest) VALUES ($1::text, $2::bigint, $3::text, $4::text)
ON CONFLICT (tbl, row_id) DO UPDATE SET owner = excluded.owner, digest = excluded.digest`
	sqlProjectionDel = `DELETE FROM radial.projection WHERE tbl = $1::text AND row_id = $2::bigint`
)

// tableSQL are the statements of one table.
type tableSQL struct{ add, set, del string }

var projectionSQL = map[aaa.Table]tableSQL{
	aaa.TableCheck:      {sqlAddCheck, sqlSetCheck, sqlDelCheck},
	aaa.TableReply:      {sqlAddReply, sqlSetReply, sqlDelReply},
	aaa.TableUserGroup:  {sqlAddUserGroup, sqlSetUserGroup, sqlDelUserGroup},
	aaa.TableGroupCheck: {sqlAddGroupCheck, sqlSetGroupCheck, sqlDelGroupCheck},
	aaa.TableGroupReply: {sqlAddGroupReply, sqlSetGroupReply, sqlDelGroupReply},
}

// owned is whose rows are read or written: the name as it stands in
// FreeRADIUS's tables and raw, and the owner in radial.projection.
type owned struct {
	name, stored, owner string
	also                []string // further groups of the owner's
}

// userRows names a subscriber's rows; names are escaped as FreeRADIUS would
// look them up.
func userRows(esc Escaper, name string) owned {
	return owned{name: name, stored: esc.EscapeUser(name), owner: "user:" + name}
}

// groupRows names a package's rows, and its walled garden's: such names need no
// escaping (aaa holds them to that).
func groupRows(name string) owned {
	return owned{name: name, stored: name, owner: "package:" + name, also: []string{aaa.WalledGroup(name)}}
}

// storedName is how the name of a row stands in FreeRADIUS's tables.
func (o *owned) storedName(name string) string {
	if name == o.name {
		return o.stored
	}
	return name
}

// rowPlace is where a row of FreeRADIUS's tables stands.
type rowPlace struct {
	table aaa.Table
	id    int64
}

// rowsOfGroup reads the rows of a package's groups, and what we wrote that is gone.
func rowsOfGroup(ctx context.Context, q querier, o owned) (all []aaa.StoredRow, lost []aaa.LostRow, err error) {
	names := append([]string{o.name}, o.also...)
	rows, err := q.Query(ctx, sqlRowsGroup, names, o.owner)
	if err != nil {
		return nil, nil, wrapErr("rows of "+o.name, err)
	}
	tables := [...]aaa.Table{1: aaa.TableGroupCheck, 2: aaa.TableGroupReply}
	there := map[rowPlace]bool{}
	var part, i int
	var r aaa.StoredRow
	_, err = pgx.ForEachRow(rows, []any{&part, &i, &r.ID, &r.Attribute, &r.Op, &r.Value, &r.Digest}, func() error {
		r.Table, r.Name = tables[part], names[i]
		all = append(all, r)
		there[rowPlace{r.Table, r.ID}] = true
		return nil
	})
	if err != nil {
		return nil, nil, wrapErr("rows of "+o.name, err)
	}
	err = lostRows(ctx, q, []string{o.owner}, there, func(_ string, l aaa.LostRow) { lost = append(lost, l) })
	return all, lost, err
}

// lostRows hands each what we wrote for owners and is not there any more.
func lostRows(ctx context.Context, q querier, owners []string, there map[rowPlace]bool, each func(owner string, l aaa.LostRow)) error {
	rows, err := q.Query(ctx, sqlProjectionOf, owners)
	if err != nil {
		return wrapErr("projection", err)
	}
	var owner string
	var l aaa.LostRow
	_, err = pgx.ForEachRow(rows, []any{&owner, &l.Table, &l.ID, &l.Digest}, func() error {
		if !there[rowPlace{l.Table, l.ID}] {
			each(owner, l)
		}
		return nil
	})
	return wrapErr("projection", err)
}

// applyRows writes a delta. errRaced says that a row is not any more what it
// was when the delta was decided.
func applyRows(ctx context.Context, tx pgx.Tx, o owned, d *aaa.RowDelta) error {
	var b pgx.Batch
	one := func(q *pgx.QueuedQuery, r aaa.ProjectedRow) {
		q.Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() != 1 {
				return fmt.Errorf("%s of %s: %w", r.Table, r.Name, errRaced)
			}
			return nil
		})
	}
	for _, r := range d.Delete {
		one(b.Queue(projectionSQL[r.Table].del, append([]any{r.ID}, content(r.ProjectedRow)...)...), r.ProjectedRow)
		b.Queue(sqlProjectionDel, string(r.Table), r.ID)
	}
	for _, u := range d.Update {
		args := append([]any{u.From.ID}, append(content(u.To), content(u.From.ProjectedRow)...)...)
		one(b.Queue(projectionSQL[u.To.Table].set, args...), u.To)
		b.Queue(sqlProjectionSet, string(u.To.Table), u.From.ID, o.owner, u.To.Digest())
	}
	for _, l := range d.Forget {
		b.Queue(sqlProjectionDel, string(l.Table), l.ID)
	}
	for _, r := range d.Insert {
		args := append([]any{o.storedName(r.Name)}, append(content(r), o.owner, r.Digest())...)
		one(b.Queue(projectionSQL[r.Table].add, args...), r)
	}
	for _, r := range d.Keep { // of radreply: see aaa.RowDelta
		one(b.Queue(sqlKeepReply, append([]any{o.storedName(r.Name)}, content(r)...)...), r)
	}
	if b.Len() == 0 {
		return nil
	}
	return wrapPlain("write rows of "+o.name, tx.SendBatch(ctx, &b).Close())
}

// content is what of a row stands in its columns beside the name.
func content(r aaa.ProjectedRow) []any {
	if r.Table == aaa.TableUserGroup {
		return []any{r.Group, r.Priority}
	}
	return []any{r.Attribute, r.Op, r.Value}
}
