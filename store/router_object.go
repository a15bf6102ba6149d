package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/nas"
	"radial/nas/routeros"
)

const (
	objectColumns = `
SELECT o.id, o.kind, o.name, o.scope, o.ros_id, o.fields, o.wanted, o.place, o.note, o.hidden, o.state, o.problem, o.seen_at, o.gone_at, o.updated_at
FROM radial.router_objects o WHERE o.router_id = $1::bigint`
	sqlObjects     = objectColumns + ` AND ($2::text = '' OR o.kind = $2) ORDER BY o.kind, o.name, o.scope`
	sqlObjectNamed = objectColumns + ` AND o.kind = $2::text AND o.name = $3::text AND ($4::text = '' OR o.scope = $4) ORDER BY o.scope FOR UPDATE`

	sqlObjectWant = `
INSERT INTO radial.router_objects AS o (router_id, kind, name, scope, wanted, place, note, hidden, state)
VALUES ($1::bigint, $2::text, $3::text, $4::text, $5::jsonb, $6::text, $7::text, $8::bytea, 'pending')
ON CONFLICT (router_id, kind, name, scope) DO UPDATE SET wanted = excluded.wanted, place = excluded.place,
    note = coalesce(nullif(excluded.note, ''), CASE WHEN o.wanted IS NOT NULL THEN o.note END, ''),
    hidden = coalesce(excluded.hidden, o.hidden), state = 'pending', problem = '', gone_at = NULL, updated_at = now()
RETURNING o.id`
	sqlObjectDoom = `
INSERT INTO radial.router_objects AS o (router_id, kind, name, scope, state) VALUES ($1::bigint, $2::text, $3::text, $4::text, 'removing')
ON CONFLICT (router_id, kind, name, scope) DO UPDATE SET state = 'removing', problem = '', updated_at = now()
RETURNING o.id`
	sqlObjectSynced = `
UPDATE radial.router_objects SET ros_id = coalesce(nullif($2::text, ''), ros_id), fields = fields || coalesce(wanted, '{}'), state = 'synced', problem = '',
    seen_at = $3::timestamptz, gone_at = NULL, updated_at = now() WHERE id = $1::bigint`
	sqlObjectProblem = `UPDATE radial.router_objects SET problem = $2::text, updated_at = now() WHERE id = $1::bigint`
	sqlObjectDelete  = `DELETE FROM radial.router_objects WHERE id = $1::bigint`
	sqlObjectRestore = `
UPDATE radial.router_objects SET wanted = $2::jsonb, place = $3::text, note = $4::text, hidden = $5::bytea, state = $6::text, problem = $7::text,
    gone_at = $8::timestamptz, updated_at = now() WHERE id = $1::bigint`

	// What a look saw of one kind: $1 router, $2 kind, then a list for each column,
	// $10 when.
	sqlObjectSeen = `
INSERT INTO radial.router_objects AS o (router_id, kind, name, scope, ros_id, fields, note, hidden, state, seen_at)
SELECT $1::bigint, $2::text, s.name, s.scope, s.ros_id, s.fields, s.note, s.hidden, s.state, $10::timestamptz
FROM unnest($3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::bytea[], $9::text[]) AS s (name, scope, ros_id, fields, note, hidden, state)
ON CONFLICT (router_id, kind, name, scope) DO UPDATE SET ros_id = excluded.ros_id, fields = excluded.fields,
    note = CASE WHEN o.wanted IS NULL THEN excluded.note ELSE o.note END,
    hidden = CASE WHEN o.wanted IS NULL THEN coalesce(excluded.hidden, o.hidden) ELSE coalesce(o.hidden, excluded.hidden) END,
    state = excluded.state, seen_at = excluded.seen_at, gone_at = NULL,
    updated_at = CASE WHEN o.fields <> excluded.fields OR o.state <> excluded.state THEN now() ELSE o.updated_at END`
	// Those that it did not see: $3 their ids.
	sqlObjectGone = `
UPDATE radial.router_objects SET state = CASE WHEN state IN ('pending', 'removing') THEN state ELSE 'gone' END, gone_at = coalesce(gone_at, $2::timestamptz), updated_at = now()
WHERE id = ANY ($1::bigint[])`
)

// The states of a thing in the record of a router.
const (
	ObjectSynced   = "synced"   // on the router, and as wanted where it is ours
	ObjectDiffers  = "differs"  // on the router, and not as wanted
	ObjectPending  = "pending"  // wanted; that it is on the router has not been seen
	ObjectRemoving = "removing" // to be removed; that it is away has not been seen
	ObjectGone     = "gone"     // was on the router and is not any more
)

// ObjectPasswordUse is what passwords of things on routers are sealed for
// (nas.Sealer).
const ObjectPasswordUse = "password on a router"

// RouterObject is a thing on a router, in our record.
type RouterObject struct {
	routeros.Item
	ObjectID int64        `json:"-"`
	Wanted   routeros.Row `json:"wanted"` // nil: not ours
	Place    string       `json:"place,omitempty"`
	Sealed   []byte       `json:"-"` // its password
	State    string       `json:"state"`
	Problem  string       `json:"problem"`
	Seen     *time.Time   `json:"seen_at"`
	Gone     *time.Time   `json:"gone_at"`
	Updated  time.Time    `json:"updated_at"`
}

// RouterObjects are the things of a kind ("": of all kinds) on a router, as our
// record has them.
func (db *DB) RouterObjects(ctx context.Context, router int64, kind routeros.Kind) ([]RouterObject, error) {
	return objects(ctx, db.pool, sqlObjects, router, string(kind))
}

func objects(ctx context.Context, q querier, sql string, args ...any) ([]RouterObject, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, wrapErr("things on a router", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (RouterObject, error) {
		var o RouterObject
		var kind string
		err := row.Scan(&o.ObjectID, &kind, &o.Name, &o.Scope, &o.ID, &o.Fields, &o.Wanted, &o.Place, &o.Note, &o.Sealed, &o.State, &o.Problem, &o.Seen, &o.Gone, &o.Updated)
		o.Kind, o.Ours = routeros.Kind(kind), o.Wanted != nil
		return o, err
	})
	return all, wrapErr("things on a router", err)
}

// RouterWish is what an operator wants of a thing on a router. It is written
// before the router is asked, so that a crash between the two is seen, and
// mended by router sync.
type RouterWish struct {
	Item   routeros.Item // as wanted; of one to be removed its kind, name and scope
	Place  string
	Sealed []byte // its password; nil leaves the one that is known
	Remove bool
}

// RouterAsked is a wish that is written: what to settle it by.
type RouterAsked struct {
	id     int64
	before *RouterObject
}

// AskRouter writes a wish with its audit, before the router is told.
func (db *DB) AskRouter(ctx context.Context, c Change, router aaa.Router, w RouterWish) (RouterAsked, error) {
	var asked RouterAsked
	i := w.Item
	err := db.change(ctx, c, router.Name, func(tx pgx.Tx) (written, error) {
		found, err := objects(ctx, tx, sqlObjectNamed, router.ID, string(i.Kind), i.Name, i.Scope)
		if err != nil {
			return written{}, err
		}
		asked = RouterAsked{}
		if len(found) == 1 {
			asked.before = &found[0]
		}
		audit := aaa.Audit{string(i.Kind): i.Name}
		if i.Scope != "" {
			audit["scope"] = i.Scope
		}
		if w.Remove {
			err = tx.QueryRow(ctx, sqlObjectDoom, router.ID, string(i.Kind), i.Name, i.Scope).Scan(&asked.id)
			return written{audit: audit}, err
		}
		fields, err := json.Marshal(i.Fields)
		if err != nil {
			return written{}, err
		}
		err = tx.QueryRow(ctx, sqlObjectWant, router.ID, string(i.Kind), i.Name, i.Scope, string(fields), w.Place, i.Note, w.Sealed).Scan(&asked.id)
		was := routeros.Row{}
		if asked.before != nil {
			was = asked.before.Fields
		}
		for _, f := range routeros.Differs(was, i.Fields) {
			audit[f] = []string{was[f], i.Fields[f]}
		}
		if w.Sealed != nil {
			audit["password"] = "set"
		}
		return written{audit: audit}, err
	})
	return asked, err
}

// SettleRouter keeps what became of a wish: with nil, the router is as wanted
// (id is the thing's .id there). What the router has refused is taken back and
// audited. Of any other error nobody knows what became: the wish stays, with the
// error as its problem.
func (db *DB) SettleRouter(ctx context.Context, c Change, router aaa.Router, w RouterWish, asked RouterAsked, id string, outcome error, refused bool) error {
	op := "router " + router.Name
	return wrapErr(op, db.inTx(ctx, func(tx pgx.Tx) error {
		var err error
		switch {
		case outcome == nil && w.Remove, refused && asked.before == nil:
			_, err = tx.Exec(ctx, sqlObjectDelete, asked.id)
		case outcome == nil:
			_, err = tx.Exec(ctx, sqlObjectSynced, asked.id, id, db.now())
		case refused:
			b := asked.before
			_, err = tx.Exec(ctx, sqlObjectRestore, asked.id, b.Wanted, b.Place, b.Note, b.Sealed, b.State, b.Problem, b.Gone)
		default:
			_, err = tx.Exec(ctx, sqlObjectProblem, asked.id, storableText(outcome.Error()))
		}
		if err != nil || outcome == nil {
			return err
		}
		return writeAudit(ctx, tx, c, router.Name, aaa.Audit{string(w.Item.Kind): w.Item.Name, "failed": storableText(outcome.Error())})
	}))
}

// ImportCount is what an import found of a kind.
type ImportCount struct {
	Kind      routeros.Kind `json:"kind"`
	Total     int           `json:"total"` // on the router now
	New       int           `json:"new"`
	Changed   int           `json:"changed"`
	Gone      int           `json:"gone"`    // that vanished since the last look
	Differing int           `json:"differs"` // ours, and not as wanted
}

// ImportRouter keeps what a look at a router saw of a kind: new things, changed
// ones, and that others have vanished. None at all is no error. Passwords are
// sealed by s; one that the router does not tell leaves the one that is known.
func (db *DB) ImportRouter(ctx context.Context, c Change, router aaa.Router, kind routeros.Kind, seen []routeros.Item, s *nas.Sealer) (ImportCount, error) {
	var n ImportCount
	err := db.change(ctx, c, router.Name, func(tx pgx.Tx) (written, error) {
		known, err := objects(ctx, tx, sqlObjects, router.ID, string(kind))
		if err != nil {
			return written{}, err
		}
		var look look
		if look, n, err = lookOf(kind, seen, known, s); err != nil {
			return written{}, err
		}
		now := db.now()
		if _, err := tx.Exec(ctx, sqlObjectSeen, router.ID, string(kind), look.names, look.scopes, look.ids, look.fields, look.notes, look.hidden, look.states, now); err != nil {
			return written{}, err
		}
		if _, err := tx.Exec(ctx, sqlObjectGone, look.gone, now); err != nil {
			return written{}, err
		}
		return written{audit: aaa.Audit{"kind": kind, "total": n.Total, "new": n.New, "changed": n.Changed, "gone": n.Gone, "differs": n.Differing}}, nil
	})
	return n, err
}

// look is what is written of an import, a list for each column.
type look struct {
	names, scopes, ids, notes, states []string
	fields                            []routeros.Row
	hidden                            [][]byte
	gone                              []int64
}

func lookOf(kind routeros.Kind, seen []routeros.Item, known []RouterObject, s *nas.Sealer) (l look, n ImportCount, err error) {
	type key struct{ name, scope string }
	of := map[key]*RouterObject{}
	for i := range known {
		of[key{known[i].Name, known[i].Scope}] = &known[i]
	}
	n = ImportCount{Kind: kind, Total: len(seen)}
	there := map[key]bool{}
	for _, i := range seen {
		k := key{storableText(i.Name), storableText(i.Scope)}
		if k.name == "" || there[k] { // rules of others have no name
			k.name += i.ID
		}
		there[k] = true
		state, before := ObjectSynced, of[k]
		switch {
		case before == nil:
			n.New++
		default:
			if before.Gone != nil || len(routeros.Differs(before.Fields, i.Fields))+len(routeros.Differs(i.Fields, before.Fields)) > 0 {
				n.Changed++
			}
			if state, err = stateOf(before, i, s); err != nil {
				return l, n, err
			}
		}
		if state == ObjectDiffers {
			n.Differing++
		}
		var hidden []byte
		if shown(i.Hidden) {
			hidden = s.Seal(ObjectPasswordUse, i.Hidden)
		}
		row := routeros.Row{}
		for f, v := range i.Fields {
			row[f] = storableText(v)
		}
		l.names, l.scopes, l.ids = append(l.names, k.name), append(l.scopes, k.scope), append(l.ids, i.ID)
		l.fields, l.notes, l.hidden, l.states = append(l.fields, row), append(l.notes, storableText(i.Note)), append(l.hidden, hidden), append(l.states, state)
	}
	for k, o := range of {
		if !there[k] && o.Gone == nil {
			l.gone = append(l.gone, o.ObjectID)
			n.Gone++
		}
	}
	return l, n, nil
}

// stateOf is the state of a thing that is on the router and in our record.
func stateOf(o *RouterObject, i routeros.Item, s *nas.Sealer) (string, error) {
	switch {
	case o.State == ObjectRemoving:
		return ObjectRemoving, nil
	case o.Wanted == nil:
		return ObjectSynced, nil
	case len(routeros.Differs(i.Fields, o.Wanted)) > 0:
		return ObjectDiffers, nil
	case o.Sealed == nil:
		return ObjectSynced, nil
	case !shown(i.Hidden): // that the router has the password is known only where that was answered
		if o.State == ObjectPending {
			return ObjectDiffers, nil
		}
		return ObjectSynced, nil
	}
	password, err := s.Open(ObjectPasswordUse, o.Sealed)
	if err != nil {
		return "", fmt.Errorf("%s %q: %w", o.Kind, o.Name, err)
	}
	if password != i.Hidden {
		return ObjectDiffers, nil
	}
	return ObjectSynced, nil
}

// shown tells a password from what a router shows to a user without the policy
// sensitive: nothing, or stars.
func shown(s nas.Secret) bool {
	for _, c := range s {
		if c != '*' {
			return true
		}
	}
	return false
}

// Reopened is an object's item as it is wanted, with its password, for the
// router.
func (o RouterObject) Reopened(s *nas.Sealer) (routeros.Item, error) {
	i := o.Item
	i.Fields = o.Wanted
	if o.Sealed == nil {
		return i, nil
	}
	var err error
	if i.Hidden, err = s.Open(ObjectPasswordUse, o.Sealed); err != nil {
		return i, fmt.Errorf("%s %q: %w", o.Kind, o.Name, err)
	}
	return i, nil
}
