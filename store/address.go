package store

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
)

// The columns of Address, of a row a of radial.addresses, its pool p and its
// subnet s; see scanAddress.
const addressColumns = `a.vrf_id, a.address, p.name, s.network, a.state, coalesce(a.username, ''), coalesce(a.mac, ''), a.nas, coalesce(a.port, ''),
       coalesce(a.session_id, ''), coalesce(a.radacctid, 0), a.until, a.since, coalesce(a.reason, '')`

const addressTables = `
JOIN radial.pools p ON p.id = a.pool_id JOIN radial.subnets s ON s.id = a.subnet_id`

// What a row must be: $1 and $2 the last key of the page before (VRF and
// address), $3 how many at most, $4 VRF or 0, $5 network or NULL, $6 states or
// none, $7 user, $8 MAC, $9 NAS, $10 Acct-Session-Id, $11 reason.
const addressMatches = `
      (a.vrf_id, a.address) > ($1::int, $2::inet) AND ($4::int = 0 OR a.vrf_id = $4)
  AND ($5::inet IS NULL OR a.address <<= $5) AND (cardinality($6::text[]) = 0 OR a.state = ANY ($6))
  AND ($7::text = '' OR a.username = $7) AND ($8::text = '' OR a.mac = $8) AND ($9::inet IS NULL OR host(a.nas) = host($9))
  AND ($10::text = '' OR a.session_id = $10) AND ($11::text = '' OR a.reason = $11)`

const (
	// All rows, along the primary key: each subnet of the pool $12, or without one
	// each VRF, is a look at one run of the index. Of what subnets have in common, a
	// row belongs to one of them, and what is not this one's must not count for its
	// limit. The first prefix of a run is lower than its own first address: set_masklen.
	sqlAddressPage = `
SELECT ` + addressColumns + `
FROM (
    SELECT n.vrf_id, n.id AS subnet_id, set_masklen(n.first, o.prefix_length) AS first, n.last
    FROM radial.pools o JOIN radial.subnets n ON n.pool_id = o.id WHERE $12::text <> '' AND o.name = $12
    UNION ALL
    SELECT v.id, NULL, '0.0.0.0/0', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' FROM radial.vrfs v WHERE $12 = ''
) run
CROSS JOIN LATERAL (
    SELECT * FROM radial.addresses a
    WHERE a.vrf_id = run.vrf_id AND a.address >= greatest(run.first, $5::inet)
      AND a.address <= least(run.last, set_masklen(broadcast($5), CASE family($5) WHEN 4 THEN 32 ELSE 128 END))
      AND (run.subnet_id IS NULL OR a.subnet_id = run.subnet_id) AND` + addressMatches + `
    ORDER BY a.vrf_id, a.address LIMIT $3::int) a` + addressTables + `
ORDER BY a.vrf_id, a.address LIMIT $3`

	// The rows of one user: he has few.
	sqlAddressOfUser = `
WITH a AS MATERIALIZED (SELECT * FROM radial.addresses WHERE username COLLATE "C" = $7::text)
SELECT ` + addressColumns + `
FROM a` + addressTables + `
WHERE` + addressMatches + ` AND ($12::text = '' OR p.name = $12)
ORDER BY a.vrf_id, a.address LIMIT $3::int`
)

// AddressKey is the place of an address in the order in which they are listed:
// its VRF (an id), then the address. The zero value comes before all.
type AddressKey struct {
	VRF     int32
	Address netip.Prefix
}

// AddressFilter says which addresses are meant: those for which all of what is
// set holds.
type AddressFilter struct {
	VRF     int32        // 0: all
	Pool    string       // its name
	Within  netip.Prefix // the network that they lie in
	States  []string     // free, offered, bound, reserved, cooling
	User    string       // the holder, or of a free row the last one
	MAC     string       // as ipam.NormaliseMAC writes it
	NAS     netip.Addr
	Session string // Acct-Session-Id
	Reason  string // of a reserved one
}

// Address is a row of radial.addresses for people.
type Address struct {
	VRF       int32
	Address   netip.Prefix // one address is a /32 or a /128
	Pool      string
	Subnet    netip.Prefix
	State     string // free, offered, bound, reserved or cooling
	User      string // the holder; of a free address the last one
	MAC       string
	NAS       netip.Addr
	Port      string
	Session   string     // Acct-Session-Id
	RadacctID int64      // the open session's row, once bound; else 0
	Until     *time.Time // end of an offer, of cooling; of a binding without news
	Since     *time.Time // when the holder got it
	Reason    string     // of a reserved one: "static", or the operator's words
}

// Key is the address's place in a listing.
func (a Address) Key() AddressKey { return AddressKey{VRF: a.VRF, Address: a.Address} }

// Addresses returns the addresses that match, in the order of their keys: at
// most limit of them, after the given key. A page that is full has a next one,
// after its last key.
func (db *DB) Addresses(ctx context.Context, f AddressFilter, after AddressKey, limit int) ([]Address, error) {
	sql := sqlAddressPage
	if f.User != "" {
		sql = sqlAddressOfUser
	}
	if !after.Address.IsValid() {
		after.Address = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	var within *netip.Prefix
	if f.Within.IsValid() {
		within = &f.Within
	}
	rows, err := db.pool.Query(ctx, sql, after.VRF, after.Address, limit, f.VRF, within, orEmptyTexts(f.States),
		storableText(f.User), storableText(f.MAC), orNull(f.NAS), storableText(f.Session), storableText(f.Reason), storableText(f.Pool))
	if err != nil {
		return nil, wrapErr("addresses", err)
	}
	all, err := pgx.CollectRows(rows, scanAddress)
	return all, wrapErr("addresses", err)
}

// scanAddress reads addressColumns.
func scanAddress(row pgx.CollectableRow) (Address, error) { return scanAddressAnd(row) }

// scanAddressAnd reads addressColumns and what follows them.
func scanAddressAnd(row pgx.CollectableRow, more ...any) (Address, error) {
	var a Address
	var nas *netip.Addr
	err := row.Scan(append([]any{&a.VRF, &a.Address, &a.Pool, &a.Subnet, &a.State, &a.User, &a.MAC, &nas, &a.Port, &a.Session, &a.RadacctID,
		&a.Until, &a.Since, &a.Reason}, more...)...)
	if nas != nil {
		a.NAS = *nas
	}
	return a, err
}

// orEmptyTexts is never nil: NULL would match nothing.
func orEmptyTexts(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}
