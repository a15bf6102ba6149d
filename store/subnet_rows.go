package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"radial/aaa"
	"radial/ipam"
)

const (
	// The rows of a subnet in some runs, under locks: claims that are under way are
	// waited for, new ones skip what is locked. How many of them somebody has, and
	// the first few. A user's static address is his without a pool. $1 VRF, $2 subnet, $3 firsts (with the length of a lease), $4 lasts.
	sqlRowsHeld = `
WITH l AS MATERIALIZED (
    SELECT a.address, a.state, a.until, a.username, a.reason
    FROM unnest($3::inet[], $4::inet[]) AS r (first, last)
    JOIN radial.addresses a ON a.vrf_id = $1::int AND a.address >= r.first AND a.address <= r.last AND a.subnet_id = $2::bigint
    ORDER BY a.vrf_id, a.address FOR UPDATE OF a
), held AS MATERIALIZED (SELECT * FROM l WHERE l.state = 'bound' OR l.state = 'reserved' AND l.reason IS DISTINCT FROM 'static'
                                                OR l.state = 'offered' AND l.until > now())
SELECT (SELECT count(*) FROM held), array(
    SELECT CASE WHEN masklen(h.address) IN (32, 128) THEN host(h.address) ELSE h.address::text END || ' ' || h.state
           || coalesce(' for "' || nullif(h.username, '') || '"', ' (' || h.reason || ')', '')
    FROM held h ORDER BY h.address LIMIT 3)`

	sqlRowsDelete = `
DELETE FROM radial.addresses a USING unnest($3::inet[], $4::inet[]) AS r (first, last)
WHERE a.vrf_id = $1::int AND a.address >= r.first AND a.address <= r.last AND a.subnet_id = $2::bigint`
)

// takeRows removes the rows of a subnet in runs that it is not to give any more
// (nil: in all of it), or is aaa.ErrConflict as long as somebody has one of
// them. The caller holds the subnet's row.
func takeRows(ctx context.Context, tx pgx.Tx, s Subnet, runs []ipam.Range) error {
	if runs == nil {
		runs = []ipam.Range{s.Range}
	}
	firsts, lasts := make([]netip.Prefix, len(runs)), make([]netip.Addr, len(runs))
	for i, r := range runs {
		firsts[i], lasts[i] = netip.PrefixFrom(r.First, s.PrefixLength), r.Last
	}
	var held int64
	var who []string
	if err := tx.QueryRow(ctx, sqlRowsHeld, s.VRF, s.ID, firsts, lasts).Scan(&held, &who); err != nil {
		return err
	}
	if held > 0 {
		if held > int64(len(who)) {
			who = append(who, "…")
		}
		return fmt.Errorf("%w: %d of the addresses that would go are leased or reserved: %s; disconnect or release them first, or drain the pool",
			aaa.ErrConflict, held, strings.Join(who, ", "))
	}
	_, err := tx.Exec(ctx, sqlRowsDelete, s.VRF, s.ID, firsts, lasts)
	return err
}

// isUnique tells whether a unique constraint refused a row.
func isUnique(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23505"
}
