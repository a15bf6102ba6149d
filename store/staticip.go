package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	// Who has a static address already: a reply row, or a subscriber whose row is
	// gone. $1 address or prefix, $2 for whom it is to be.
	sqlStaticHolder = `
SELECT username FROM radial.static_addresses WHERE address && $1::inet AND username <> $2::text
UNION ALL
SELECT username FROM radial.subscribers WHERE static_ip <<= $1::inet AND username <> $2::text
LIMIT 1`

	// The address of a row of radreply, or NULL: $1 attribute, $2 op, $3 value.
	sqlStaticAddress = `SELECT radial.static_address($1::text, $2::text, $3::text)`

	// The rows that stand for a static address: whose they are not, first. $1
	// address, $2 user.
	sqlStaticRows = `
SELECT a.address, a.state, coalesce(a.username, ''), coalesce(a.reason, '')
FROM radial.static_rows(ARRAY[$1::inet]) r JOIN radial.addresses a ON a.vrf_id = r.vrf_id AND a.address = r.address
ORDER BY a.state = 'reserved' AND a.username IS NOT DISTINCT FROM $2::text, a.vrf_id, a.address`

	// The rows that stand for a static address, with their VRFs: $1 address, $2 for whom it is. Of each whether it is somebody
	// else's now, and so not his.
	sqlStaticHeld = `
SELECT v.name, a.state, coalesce(a.username, ''), coalesce(a.session_id, ''),
       a.username IS DISTINCT FROM $2::text AND (a.state IN ('bound', 'reserved') OR a.state = 'offered' AND a.until > now())
FROM radial.static_rows(ARRAY[$1::inet]) r JOIN radial.addresses a ON a.vrf_id = r.vrf_id AND a.address = r.address
JOIN radial.vrfs v ON v.id = a.vrf_id ORDER BY v.id, a.address`

	sqlStaticSettle = `SELECT reserved, unreserved FROM radial.settle_static($1::inet[])`

	// Which static addresses rows of pools do not agree with: free though static, or
	// reserved as static without being it any more. OFFSET 0 keeps it look-ups.
	sqlStaticUnsettled = `
SELECT DISTINCT s.address
FROM radial.static_addresses s CROSS JOIN radial.vrfs v
CROSS JOIN LATERAL (SELECT a.state, a.until, a.username FROM radial.addresses a WHERE a.vrf_id = v.id AND a.address = s.address OFFSET 0) a
WHERE family(s.address) = 4 AND (a.state IN ('free', 'cooling') OR a.state = 'offered' AND a.until <= now() OR a.state IN ('offered', 'bound') AND a.username = s.username)
UNION
SELECT DISTINCT s.address
FROM (SELECT DISTINCT address FROM radial.static_addresses WHERE family(address) = 6) s
CROSS JOIN LATERAL (SELECT r.vrf_id, r.address FROM radial.static_rows(ARRAY[s.address]) r OFFSET 0) r
LEFT JOIN LATERAL (SELECT a.state, a.until FROM radial.addresses a WHERE a.vrf_id = r.vrf_id AND a.address = r.address OFFSET 0) a ON true
WHERE a.state IS NULL OR a.state IN ('free', 'cooling') OR a.state = 'offered' AND a.until <= now()
UNION
SELECT a.address FROM radial.addresses a
WHERE a.state = 'reserved' AND a.reason = 'static'
  AND NOT EXISTS (SELECT FROM radial.static_addresses s WHERE s.address BETWEEN a.address AND radial.last_of(a.address))`

	// Reads the list of static addresses anew, as far as radreply says something
	// else (its triggers were off: a restore, a replica), and tells what is new and
	// what is gone.
	sqlStaticRefresh = `
WITH have AS MATERIALIZED (
    SELECT r.id, radial.raw_name(r.username::text) AS username, v.address
    FROM radreply r CROSS JOIN LATERAL (SELECT radial.static_address(r.attribute::text, r.op::text, r.value::text) AS address OFFSET 0) v
    WHERE radial.is_static(r.attribute::text) AND v.address IS NOT NULL AND r.username::text <> ''
), gone AS (
    DELETE FROM radial.static_addresses s
    WHERE NOT EXISTS (SELECT FROM have h WHERE h.id = s.reply_id AND h.address = s.address) RETURNING s.address
), come AS (
    INSERT INTO radial.static_addresses AS s (reply_id, username, address) SELECT h.id, h.username, h.address FROM have h
    WHERE NOT EXISTS (SELECT FROM radial.static_addresses o WHERE o.reply_id = h.id AND o.username = h.username AND o.address = h.address)
    ON CONFLICT (reply_id) DO UPDATE SET username = excluded.username, address = excluded.address RETURNING s.address
)
SELECT address FROM gone UNION SELECT address FROM come`
)

// statics are the static addresses that a change of a subscriber is about.
type statics struct {
	alone        bool // nobody else changes subscribers meanwhile
	user         string
	before, come []netip.Prefix // of his rows as they were; of those that are written
}

// staticsOf finds the static addresses of a change. One that nothing can be
// made of (an expansion, another's words) is none.
func staticsOf(ctx context.Context, tx pgx.Tx, acc aaa.Account, d *aaa.AccountDelta) (statics, error) {
	s := statics{user: acc.Name}
	note := func(list *[]netip.Prefix, r aaa.ProjectedRow) error {
		if r.Table != aaa.TableReply {
			return nil
		}
		var address *netip.Prefix
		if err := tx.QueryRow(ctx, sqlStaticAddress, r.Attribute, r.Op, r.Value).Scan(&address); err != nil {
			return wrapErr("static addresses of "+acc.Name, err)
		}
		if address != nil {
			*list = append(*list, *address)
		}
		return nil
	}
	var errs []error
	for _, r := range acc.Rows {
		errs = append(errs, note(&s.before, r.ProjectedRow))
	}
	for _, r := range d.Rows.Insert {
		errs = append(errs, note(&s.come, r))
	}
	for _, u := range d.Rows.Update {
		errs = append(errs, note(&s.come, u.To))
	}
	return s, errors.Join(errs...)
}

// check refuses, before anything is written, what is somebody else's static
// address already: aaa.ErrConflict. Two changes that want the same address come
// one after the other.
func (s statics) check(ctx context.Context, tx pgx.Tx) error {
	for _, p := range slices.SortedFunc(slices.Values(s.come), netip.Prefix.Compare) { // all lock them in order
		op := "static address " + addressText(p)
		if s.alone {
			// no lock for each of thousands of addresses
		} else if _, err := tx.Exec(ctx, sqlLockKey, "ip:"+addressText(p)); err != nil {
			return wrapErr(op, err)
		}
		var holder string
		err := tx.QueryRow(ctx, sqlStaticHolder, p, s.user).Scan(&holder)
		if err == nil {
			return fmt.Errorf("address %s is user %q's already: %w", addressText(p), holder, aaa.ErrConflict)
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return wrapErr(op, err)
		}
	}
	return nil
}

// settle reserves what was written and gives back what was taken away: the
// triggers on radreply have done it, as far as they got. It comes last, since
// rows of addresses are locked after all others. An address that is in pools,
// and in each of them somebody else's, is aaa.ErrConflict.
func (s statics) settle(ctx context.Context, tx pgx.Tx) error {
	if err := settleAll(ctx, tx, s); err != nil {
		return err
	}
	return s.held(ctx, tx)
}

// settleAll does so for the addresses of many changes at once, and does not ask
// who has them.
func settleAll(ctx context.Context, tx pgx.Tx, all ...statics) error {
	var addresses []netip.Prefix
	for _, s := range all {
		addresses = append(append(addresses, s.before...), s.come...)
	}
	if len(addresses) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, sqlStaticSettle, addresses)
	return wrapErr("static addresses", err)
}

// held tells whether each address is his, after it was settled.
func (s statics) held(ctx context.Context, tx pgx.Tx) error {
	for _, p := range s.come {
		rows, err := tx.Query(ctx, sqlStaticRows, p, s.user)
		if err != nil {
			return wrapErr("static address "+addressText(p), err)
		}
		var first error
		reserved := false
		var address netip.Prefix
		var state, holder, reason string
		_, err = pgx.ForEachRow(rows, []any{&address, &state, &holder, &reason}, func() error {
			if state == "reserved" && holder == s.user {
				reserved = true
			} else if first == nil {
				first = heldError(address, state, holder, reason)
			}
			return nil
		})
		if err != nil {
			return wrapErr("static address "+addressText(p), err)
		}
		if first != nil && !reserved {
			return first
		}
	}
	return nil
}

// StaticPlace is a row that stands for a user's static address.
type StaticPlace struct {
	VRF     string // its name
	State   string
	User    string // who has it
	Session string // his Acct-Session-Id, or ""
	Held    bool   // by somebody else: it becomes the user's when that one gives it back
}

// StaticPlaces says where a user's static address is kept for him, and where somebody else has it: the pools
// of several VRFs may have the address. Nothing: no pool has it.
func (db *DB) StaticPlaces(ctx context.Context, user string, address netip.Addr) ([]StaticPlace, error) {
	rows, err := db.pool.Query(ctx, sqlStaticHeld, hostPrefix(address), user)
	if err != nil {
		return nil, wrapErr("static address "+address.String(), err)
	}
	places, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p StaticPlace, err error) {
		err = row.Scan(&p.VRF, &p.State, &p.User, &p.Session, &p.Held)
		return p, err
	})
	return places, wrapErr("static address "+address.String(), err)
}

// heldError says who has an address, and what can be done.
func heldError(address netip.Prefix, state, holder, reason string) error {
	text := addressText(address)
	switch {
	case state == "reserved" && reason == staticReason:
		return fmt.Errorf("address %s is user %q's static address: %w", text, holder, aaa.ErrConflict)
	case state == "reserved" && holder == "":
		return fmt.Errorf("address %s is reserved (%s); radial ip release %s first: %w", text, orWord(reason, "no reason given"), text, aaa.ErrConflict)
	case state == "reserved":
		return fmt.Errorf("address %s is reserved for %q (%s); radial ip release %s first: %w", text, holder, orWord(reason, "no reason given"), text, aaa.ErrConflict)
	}
	return fmt.Errorf("address %s is %s for user %q now; end that session first: %w", text, state, holder, aaa.ErrConflict)
}

// staticReason is the reason of a row that is reserved since it is somebody's
// static address.
const staticReason = "static"

func orWord(s, word string) string {
	if strings.TrimSpace(s) == "" {
		return word
	}
	return s
}

// addressText is an address without its length, or a prefix with it.
func addressText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// ReserveStaticIPs makes the rows of pools agree with the static addresses that
// radreply gives users, where triggers could not: an address that somebody else
// had and gave back since, a pool that was made over it. It says how many rows
// it changed. Rows that somebody holds wait for the next time.
func (db *DB) ReserveStaticIPs(ctx context.Context) (int64, error) {
	rows, err := db.pool.Query(ctx, sqlStaticUnsettled)
	if err != nil {
		return 0, wrapErr("reserve static addresses", err)
	}
	addresses, err := pgx.CollectRows(rows, pgx.RowTo[netip.Prefix])
	if err != nil {
		return 0, wrapErr("reserve static addresses", err)
	}
	return db.settleStatics(ctx, addresses)
}

func (db *DB) settleStatics(ctx context.Context, addresses []netip.Prefix) (n int64, err error) {
	const batch = 1000 // rows are locked until its end
	for len(addresses) > 0 {
		part := addresses[:min(batch, len(addresses))]
		addresses = addresses[len(part):]
		err = db.inTx(ctx, func(tx pgx.Tx) error {
			var reserved, unreserved int64
			err := tx.QueryRow(ctx, sqlStaticSettle, part).Scan(&reserved, &unreserved)
			n += reserved + unreserved
			return err
		})
		if err != nil {
			return n, wrapErr("reserve static addresses", err)
		}
	}
	return n, nil
}

// RefreshStaticIPs reads all of radreply for static addresses that its triggers
// have not told of (they were off while a dump was restored) and then does what
// ReserveStaticIPs does.
func (db *DB) RefreshStaticIPs(ctx context.Context) (int64, error) {
	rows, err := db.pool.Query(ctx, sqlStaticRefresh)
	if err != nil {
		return 0, wrapErr("refresh static addresses", err)
	}
	changed, err := pgx.CollectRows(rows, pgx.RowTo[netip.Prefix])
	if err != nil {
		return 0, wrapErr("refresh static addresses", err)
	}
	n, err := db.settleStatics(ctx, changed)
	if err != nil {
		return n, err
	}
	more, err := db.ReserveStaticIPs(ctx)
	return n + more, err
}
