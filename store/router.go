package store

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/nas"
	"radial/nas/routeros"
)

const (
	routerColumns = `
SELECT r.id, r.name, r.address, r.api_port, r.tls, coalesce(r.pin, ''), r.username, r.password, coalesce(r.nas_id, 0), coalesce(n.nasname::text, ''),
    r.description, r.status, r.created_at, r.updated_at, r.checked_at, r.problem, r.identity, r.version, r.board, r.uptime, r.latency
FROM radial.routers r LEFT JOIN nas n ON n.id = r.nas_id`
	sqlRouters     = routerColumns + ` WHERE $1::text = '' OR r.name = $1::text ORDER BY r.name`
	sqlRouterOfNAS = `SELECT name FROM radial.routers WHERE nas_id = $1::bigint AND status <> 'inactive' ORDER BY id LIMIT 1`

	sqlRouterInsert = `
INSERT INTO radial.routers (name, address, api_port, tls, pin, username, password, nas_id, description, status)
VALUES ($1::text, $2::text, $3::int, $4::bool, nullif($5::text, ''), $6::text, $7::bytea, nullif($8::bigint, 0), $9::text, $10::text) RETURNING id`
	sqlRouterUpdate = `
UPDATE radial.routers SET name = $2::text, address = $3::text, api_port = $4::int, tls = $5::bool, pin = nullif($6::text, ''), username = $7::text,
    password = $8::bytea, nas_id = nullif($9::bigint, 0), description = $10::text, status = $11::text, updated_at = now() WHERE id = $1::bigint`
	sqlRouterDelete = `DELETE FROM radial.routers WHERE id = $1::bigint`
	// A look that failed says nothing of what the router is; what was known stays.
	sqlRouterHealth = `
UPDATE radial.routers SET checked_at = $2::timestamptz, problem = $3::text,
    status = CASE WHEN status = 'inactive' THEN status WHEN $3::text = '' THEN 'active' ELSE 'error' END,
    identity = CASE WHEN $3::text = '' THEN $4::text ELSE identity END, version = CASE WHEN $3::text = '' THEN $5::text ELSE version END,
    board = CASE WHEN $3::text = '' THEN $6::text ELSE board END, uptime = CASE WHEN $3::text = '' THEN $7::bigint ELSE uptime END,
    latency = CASE WHEN $3::text = '' THEN $8::int ELSE latency END WHERE id = $1::bigint`
)

// Routers lists all routers by name.
func (db *DB) Routers(ctx context.Context) ([]aaa.Router, error) { return routers(ctx, db.pool, "") }

// Router returns the router of that name, or aaa.ErrNotFound.
func (db *DB) Router(ctx context.Context, name string) (aaa.Router, error) {
	if name == "" {
		return aaa.Router{}, fmt.Errorf("router %q: %w", name, aaa.ErrNotFound)
	}
	found, err := routers(ctx, db.pool, storableText(name))
	if err != nil {
		return aaa.Router{}, err
	}
	if len(found) == 0 {
		return aaa.Router{}, fmt.Errorf("router %q: %w", name, aaa.ErrNotFound)
	}
	return found[0], nil
}

func routers(ctx context.Context, q querier, name string) ([]aaa.Router, error) {
	rows, err := q.Query(ctx, sqlRouters, name)
	if err != nil {
		return nil, wrapErr("routers", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (aaa.Router, error) {
		var r aaa.Router
		var port, latency int32
		var uptime int64
		err := row.Scan(&r.ID, &r.Name, &r.Address, &port, &r.TLS, &r.Pin, &r.Username, &r.Password, &r.NASID, &r.NAS,
			&r.Description, &r.Status, &r.Created, &r.Updated, &r.Checked, &r.Problem, &r.Identity, &r.Version, &r.Board, &uptime, &latency)
		r.Port, r.Uptime, r.Latency = uint16(port), time.Duration(uptime)*time.Second, time.Duration(latency)*time.Millisecond
		return r, err
	})
	return all, wrapErr("routers", err)
}

// ChangeRouter runs one change of a router: f gets the router of that name, nil
// where there is none, and the devices under the name that it is to be linked
// to ("": none are looked for).
func (db *DB) ChangeRouter(ctx context.Context, c Change, name string, device func(before *aaa.Router) string,
	f func(name string, before *aaa.Router, found []aaa.Device) (aaa.RouterDelta, error),
) (aaa.RouterDelta, error) {
	var d aaa.RouterDelta
	err := db.change(ctx, c, name, func(tx pgx.Tx) (written, error) {
		found, err := routers(ctx, tx, storableText(name))
		if err != nil {
			return written{}, err
		}
		var before *aaa.Router
		if len(found) == 1 && name != "" {
			before = &found[0]
		}
		var named []aaa.Device
		if wanted := device(before); wanted != "" {
			all, err := devices(ctx, tx)
			if err != nil {
				return written{}, err
			}
			named = devicesNamed(all, wanted)
		}
		if d, err = f(name, before, named); err != nil || d.Audit == nil {
			return written{}, err
		}
		if before != nil && d.Save.Name != name {
			if err := renameRouter(ctx, tx, c, &d); err != nil {
				return written{}, err
			}
		}
		if err := saveRouter(ctx, tx, &d); err != nil {
			return written{}, wrapErr("router "+name, err)
		}
		return written{audit: d.Audit}, nil
	})
	if err != nil {
		return aaa.RouterDelta{}, err
	}
	return d, nil
}

// renameRouter sees that the new name is free, and begins the router's story
// under it. All else refers to it by its id.
func renameRouter(ctx context.Context, tx pgx.Tx, c Change, d *aaa.RouterDelta) error {
	taken, err := routers(ctx, tx, d.Save.Name)
	if err != nil {
		return err
	}
	if len(taken) > 0 {
		return fmt.Errorf("router %q exists already: %w", d.Save.Name, aaa.ErrConflict)
	}
	return writeAudit(ctx, tx, c, d.Save.Name, d.Audit)
}

func saveRouter(ctx context.Context, tx pgx.Tx, d *aaa.RouterDelta) error {
	r := d.Save
	switch {
	case d.Remove:
		_, err := tx.Exec(ctx, sqlRouterDelete, r.ID)
		return err
	case r.ID == 0:
		return tx.QueryRow(ctx, sqlRouterInsert, r.Name, r.Address, int32(r.Port), r.TLS, r.Pin, r.Username, r.Password, r.NASID, r.Description, string(r.Status)).Scan(&r.ID)
	}
	_, err := tx.Exec(ctx, sqlRouterUpdate, r.ID, r.Name, r.Address, int32(r.Port), r.TLS, r.Pin, r.Username, r.Password, r.NASID, r.Description, string(r.Status))
	return err
}

// SaveRouterHealth keeps what a look at a router found. Its status follows,
// unless an operator has made it inactive.
func (db *DB) SaveRouterHealth(ctx context.Context, id int64, h aaa.RouterHealth) error {
	_, err := db.pool.Exec(ctx, sqlRouterHealth, id, h.Checked, storableText(h.Problem), storableText(h.Identity), storableText(h.Version), storableText(h.Board),
		int64(h.Uptime/time.Second), int32(h.Latency.Milliseconds()))
	return wrapErr("health of a router", err)
}

// RouterBook says how routers are reached, with their passwords opened
// (routeros.Book).
type RouterBook struct {
	DB      *DB
	Sealer  *nas.Sealer
	Timeout time.Duration // for connecting, and for each command; 0 is the API client's own
}

// Login is how the router of that name is reached. aaa.ErrNotFound where there
// is none, aaa.ErrInvalid where an operator has made it inactive.
func (b *RouterBook) Login(ctx context.Context, name string) (routeros.Login, error) {
	r, err := b.DB.Router(ctx, name)
	if err != nil {
		return routeros.Login{}, err
	}
	if r.Status == aaa.RouterInactive {
		return routeros.Login{}, fmt.Errorf("router %q is inactive: radial router set %s --status active lets it be talked to: %w", name, name, aaa.ErrInvalid)
	}
	return b.LoginOf(r)
}

// LoginOf is how a router is reached, whatever its status.
func (b *RouterBook) LoginOf(r aaa.Router) (routeros.Login, error) {
	password, err := b.Sealer.Open(aaa.RouterPasswordUse, r.Password)
	if err != nil {
		return routeros.Login{}, fmt.Errorf("router %q: %w", r.Name, err)
	}
	l := routeros.Login{Address: net.JoinHostPort(r.Address, strconv.Itoa(int(r.Port))), User: r.Username, Password: password, Timeout: b.Timeout}
	if r.TLS {
		l.TLS = &routeros.TLSPolicy{Pin: r.Pin}
	}
	return l, nil
}

// OfNAS is the name of the router that is linked to a device (nas.id), or
// aaa.ErrNotFound.
func (b *RouterBook) OfNAS(ctx context.Context, nasID int64) (string, error) {
	var name string
	err := b.DB.pool.QueryRow(ctx, sqlRouterOfNAS, nasID).Scan(&name)
	return name, wrapErr(fmt.Sprintf("router of nas id:%d", nasID), err)
}
