package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

const (
	// The leases that an address stands for, in each VRF whose pools have it: itself,
	// or of a pool of prefixes the one that it lies in. $1 address, $2 VRF or 0.
	sqlAddressPlaces = `
SELECT r.vrf_id, v.name, r.address, r.pool_id, p.name, r.subnet_id, n.network, r.kind
FROM radial.static_rows(ARRAY[$1::inet]) r JOIN radial.vrfs v ON v.id = r.vrf_id JOIN radial.pools p ON p.id = r.pool_id
JOIN radial.subnets n ON n.id = r.subnet_id
WHERE $2::int = 0 OR r.vrf_id = $2 ORDER BY r.vrf_id`
	// The networks of pools that an address has to do with. $1 address, $2 VRF or 0.
	sqlAddressNetworks = `
SELECT n.network, p.name, p.prefix_length FROM radial.subnets n JOIN radial.pools p ON p.id = n.pool_id
WHERE n.network && $1::inet AND ($2::int = 0 OR n.vrf_id = $2) ORDER BY n.vrf_id, n.network LIMIT 1`

	sqlAddressLock = `
SELECT ` + addressColumns + `, coalesce(a.until <= now(), false), EXISTS (SELECT FROM radial.static_addresses t WHERE t.address BETWEEN a.address AND radial.last_of(a.address))
FROM radial.addresses a` + addressTables + `
WHERE a.vrf_id = $1::int AND a.address = $2::inet FOR UPDATE OF a`
	sqlAddressMake = `
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id) VALUES ($1::int, $2::inet, $3::bigint, $4::bigint)
ON CONFLICT (vrf_id, address) DO NOTHING`
	sqlAddressReserve = `
UPDATE radial.addresses SET state = 'reserved', reason = nullif($3::text, ''), username = nullif($4::text, ''), mac = nullif($5::text, ''),
    nas = NULL, port = NULL, session_id = NULL, radacctid = NULL, until = NULL, since = clock_timestamp()
WHERE vrf_id = $1::int AND address = $2::inet`
	// The last holder stays, as after any release.
	sqlAddressFree = `
UPDATE radial.addresses SET state = 'free', reason = NULL, session_id = NULL, radacctid = NULL, until = NULL, since = clock_timestamp()
WHERE vrf_id = $1::int AND address = $2::inet`
	// A reservation that is over, of an address that its user is online with: the session goes on with it.
	sqlAddressGoesOn = `
UPDATE radial.addresses a SET state = 'bound', username = $3::text, radacctid = o.radacctid, nas = o.nas, session_id = o.session_id, until = now() + (SELECT p.lease_time FROM radial.pools p WHERE p.id = a.pool_id)
FROM radial.open_session_of($1::int, $2::inet, $3::text) o
WHERE a.vrf_id = $1::int AND a.address = $2::inet
RETURNING o.radacctid, o.nas, o.session_id`
)

// Reservation is an address to be kept out of its pool.
type Reservation struct {
	VRF     int32 // 0: the only one whose pools have the address
	Address netip.Prefix
	User    string // for whom, or ""
	MAC     string // likewise
	Reason  string // the operator's words
}

// place is where an address lies.
type place struct {
	key          leaseKey
	vrf          string
	pool, subnet int64
	poolName     string
	network      netip.Prefix // of the subnet
	kind         ipam.Kind
}

// ReserveAddress takes an address out of its pool: one that is free, cooling,
// or the user's own lease. It returns the row as it is then; changed is false
// where it was so before. An address that somebody else has is
// aaa.ErrConflict, one in no pool aaa.ErrNotFound.
func (db *DB) ReserveAddress(ctx context.Context, c Change, r Reservation) (now Address, changed bool, err error) {
	if strings.EqualFold(strings.TrimSpace(r.Reason), staticReason) {
		return now, false, fmt.Errorf("reason %q stands for static addresses of users: radial user set NAME --ip %s makes one: %w", r.Reason, addressText(r.Address), aaa.ErrInvalid)
	}
	r.User, r.MAC, r.Reason = storableText(r.User), storableText(r.MAC), storableText(r.Reason)
	err = db.changeAddress(ctx, c, r.VRF, r.Address, func(tx pgx.Tx, row *lockedAddress) (aaa.Audit, []historyRow, error) {
		same, err := row.reservable(r)
		if err != nil || same {
			return nil, nil, err
		}
		if _, err := tx.Exec(ctx, sqlAddressReserve, row.VRF, row.Address.Address, r.Reason, r.User, r.MAC); err != nil {
			return nil, nil, err
		}
		h := historyRow{action: "reserved", reason: r.Reason, holding: ipam.Holding{Caller: ipam.Caller{User: r.User, MAC: r.MAC}}}
		return aaa.Audit{"pool": row.Pool, "was": row.State, "for": r.User, "reason": r.Reason}, []historyRow{h}, nil
	}, &now, &changed)
	return now, changed, err
}

// ReleaseAddress gives an address back to its pool: a reserved or cooling one,
// and with force one that is offered or bound, whose session may be alive. A
// reserved one that its user is online with is bound to that session then,
// unless forced. A user's static address is aaa.ErrConflict: it goes with what
// makes it one.
func (db *DB) ReleaseAddress(ctx context.Context, c Change, vrf int32, address netip.Prefix, reason string, force bool) (now Address, changed bool, err error) {
	reason = storableText(reason)
	err = db.changeAddress(ctx, c, vrf, address, func(tx pgx.Tx, row *lockedAddress) (aaa.Audit, []historyRow, error) {
		if row.State == "free" {
			return nil, nil, nil
		}
		if err := row.releasable(force); err != nil {
			return nil, nil, err
		}
		if _, err := tx.Exec(ctx, sqlAddressFree, row.VRF, row.Address.Address); err != nil {
			return nil, nil, err
		}
		audit := aaa.Audit{"pool": row.Pool, "was": row.State, "of": row.User, "reason": reason}
		switch row.State {
		case "reserved":
			h := []historyRow{{action: "unreserved", reason: reason, holding: row.holding()}}
			if force {
				return audit, h, nil
			}
			on, err := goesOn(ctx, tx, leaseKey{row.VRF, row.Address.Address}, row.User)
			return audit, append(h, on...), err
		case "cooling": // its holder has left before
			return audit, nil, nil
		}
		return audit, []historyRow{{action: "released", reason: orWord(reason, "released by hand"), holding: row.holding()}}, nil
	}, &now, &changed)
	return now, changed, err
}

// goesOn binds an address that was reserved to the session that its user is
// online with, if there is one: the pool must not give it to another yet.
func goesOn(ctx context.Context, tx pgx.Tx, key leaseKey, user string) ([]historyRow, error) {
	if user == "" {
		return nil, nil
	}
	on := ipam.Holding{Caller: ipam.Caller{User: user}}
	err := tx.QueryRow(ctx, sqlAddressGoesOn, key.vrf, key.address, user).Scan(&on.RadacctID, &on.Caller.NAS, &on.SessionID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return []historyRow{{action: "bound", reason: "its session goes on", holding: on}}, err
}

// changeAddress runs one change of an address: f sees the locked row and writes
// what is new.
func (db *DB) changeAddress(ctx context.Context, c Change, vrf int32, address netip.Prefix,
	f func(pgx.Tx, *lockedAddress) (aaa.Audit, []historyRow, error), now *Address, changed *bool) error {
	return db.change(ctx, c, addressText(address), func(tx pgx.Tx) (written, error) {
		at, err := placeOf(ctx, tx, vrf, address)
		if err != nil {
			return written{}, err
		}
		row, err := lockAddress(ctx, tx, at)
		if err != nil {
			return written{}, err
		}
		*now = row.Address
		audit, h, err := f(tx, row)
		if *changed = audit != nil; err != nil || audit == nil {
			return written{}, err
		}
		audit["vrf"] = at.vrf
		if len(h) > 0 {
			for i := range h {
				h[i].at, h[i].key, h[i].pool, h[i].actor = db.now(), at.key, at.pool, c.Actor
			}
			var b pgx.Batch
			queueHistory(&b, h)
			if err := tx.SendBatch(ctx, &b).Close(); err != nil {
				return written{}, err
			}
		}
		row, err = lockAddress(ctx, tx, at)
		if err == nil {
			*now = row.Address
		}
		return written{audit: audit}, err
	})
}

// placeOf finds the one lease that an address stands for.
func placeOf(ctx context.Context, q querier, vrf int32, address netip.Prefix) (place, error) {
	text := addressText(address)
	rows, err := q.Query(ctx, sqlAddressPlaces, address, vrf)
	if err != nil {
		return place{}, wrapErr("address "+text, err)
	}
	places, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p place, err error) {
		var kind string
		err = row.Scan(&p.key.vrf, &p.vrf, &p.key.address, &p.pool, &p.poolName, &p.subnet, &p.network, &kind)
		p.kind, _ = ipam.ParseKind(kind)
		return p, err
	})
	switch {
	case err != nil:
		return place{}, wrapErr("address "+text, err)
	case len(places) == 1:
		return places[0], nil
	case len(places) > 1:
		names := make([]string, len(places))
		for i, p := range places {
			names[i] = p.vrf
		}
		return place{}, fmt.Errorf("address %s is in pools of the VRFs %s: say which by --vrf: %w", text, strings.Join(names, ", "), aaa.ErrInvalid)
	}
	var network netip.Prefix
	var pool string
	var length int
	err = q.QueryRow(ctx, sqlAddressNetworks, address, vrf).Scan(&network, &pool, &length)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return place{}, fmt.Errorf("address %s is in no pool: radial pool list shows their networks: %w", text, aaa.ErrNotFound)
	case err != nil:
		return place{}, wrapErr("address "+text, err)
	case address.Bits() < length:
		return place{}, fmt.Errorf("%s holds many leases of pool %q: want one /%d, or exclude it from subnet %s: %w", text, pool, length, network, aaa.ErrInvalid)
	}
	return place{}, neverGiven(text, pool)
}

func neverGiven(text, pool string) error {
	return fmt.Errorf("address %s is none that pool %q gives: out of its range, excluded, a gateway, or the network's own: %w", text, pool, aaa.ErrNotFound)
}

// lockedAddress is a row as a change finds it.
type lockedAddress struct {
	Address
	ranOut bool // the end of its offer, or of its cooling, is past
	static bool // it is somebody's static address
}

// lockAddress locks the row of an address; a pool of IPv6 gets it made.
func lockAddress(ctx context.Context, tx pgx.Tx, at place) (*lockedAddress, error) {
	op := "address " + addressText(at.key.address)
	for range 2 {
		rows, err := tx.Query(ctx, sqlAddressLock, at.key.vrf, at.key.address)
		if err != nil {
			return nil, wrapErr(op, err)
		}
		row, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (*lockedAddress, error) {
			var l lockedAddress
			var err error
			l.Address, err = scanAddressAnd(row, &l.ranOut, &l.static)
			return &l, err
		})
		if !errors.Is(err, pgx.ErrNoRows) {
			return row, wrapErr(op, err)
		}
		if !at.kind.Sparse() {
			return nil, neverGiven(addressText(at.key.address), at.poolName)
		}
		if _, err := tx.Exec(ctx, sqlSparseHold, []int64{at.pool}); err != nil { // who changes the subnet comes before or after
			return nil, wrapErr(op, err)
		}
		if _, err := tx.Exec(ctx, sqlAddressMake, at.key.vrf, at.key.address, at.pool, at.subnet); err != nil {
			return nil, wrapErr(op, err)
		}
	}
	return nil, fmt.Errorf("%s: %w", op, errRaced) // it was there, and its pool has gone
}

// reservable tells whether a reservation can be made of the row; same, that it
// is there already.
func (l *lockedAddress) reservable(r Reservation) (same bool, err error) {
	switch {
	case l.State == "free", l.State == "cooling", l.State == "offered" && l.ranOut:
		return false, nil
	case l.State != "reserved" && r.User != "" && l.User == r.User:
		return false, nil
	case l.State == "reserved" && l.Reason != staticReason && l.User == r.User && l.MAC == r.MAC:
		return l.Reason == r.Reason, nil
	}
	return false, heldError(l.Address.Address, l.State, l.User, l.Reason)
}

// releasable tells whether the row can be given back.
func (l *lockedAddress) releasable(force bool) error {
	text := addressText(l.Address.Address)
	switch {
	case l.State == "reserved" && l.Reason == staticReason && l.static:
		return fmt.Errorf("address %[1]s is user %[2]q's static address: radial user set %[2]s --no-ip takes it away (or delete the row of radreply that a panel wrote): %[3]w", text, l.User, aaa.ErrConflict)
	case (l.State == "offered" && !l.ranOut || l.State == "bound") && !force:
		who := fmt.Sprintf("user %q", l.User)
		if l.Session != "" {
			who += ", session " + l.Session
		}
		return fmt.Errorf("address %s is %s for %s: its session may be alive, and would go on with an address that somebody else gets; end it at its NAS first, or say --force: %w", text, l.State, who, aaa.ErrConflict)
	}
	return nil
}

// holding is who has the row, for its history.
func (l *lockedAddress) holding() ipam.Holding {
	return ipam.Holding{Caller: ipam.Caller{User: l.User, MAC: l.MAC, NAS: l.NAS, Port: l.Port}, SessionID: l.Session, RadacctID: l.RadacctID}
}

// AddressAt returns the row of the lease that an address stands for, itself or
// the prefix that it lies in; a lease of an IPv6 pool that has no row yet is
// free. VRF 0 is the only one whose pools have it. aaa.ErrNotFound: none has.
func (db *DB) AddressAt(ctx context.Context, vrf int32, address netip.Prefix) (Address, error) {
	at, err := placeOf(ctx, db.pool, vrf, address)
	if err != nil {
		return Address{}, err
	}
	found, err := db.Addresses(ctx, AddressFilter{VRF: at.key.vrf, Within: at.key.address}, AddressKey{}, 1)
	if err != nil {
		return Address{}, err
	}
	if len(found) == 1 && found[0].Address == at.key.address {
		return found[0], nil
	}
	if !at.kind.Sparse() {
		return Address{}, neverGiven(addressText(address), at.poolName)
	}
	return Address{VRF: at.key.vrf, Address: at.key.address, Pool: at.poolName, Subnet: at.network, State: "free"}, nil
}
