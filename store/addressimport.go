package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

const (
	// Where the addresses of lines lie: $1 VRFs, $2 addresses. A line whose address
	// no pool gives in this form is not among them.
	sqlImportPlaces = `
SELECT l.n, s.id, p.id, p.name, p.kind
FROM unnest($1::int[], $2::inet[]) WITH ORDINALITY AS l (vrf_id, address, n)
CROSS JOIN LATERAL (SELECT * FROM radial.subnets s WHERE s.network >>= l.address AND s.vrf_id = l.vrf_id
                    AND host(l.address)::inet BETWEEN s.first AND s.last ORDER BY s.overlap, s.id LIMIT 1) s
JOIN radial.pools p ON p.id = s.pool_id AND p.prefix_length = masklen(l.address)`

	// The rows themselves, read for a check, or locked in the order in which all lock
	// addresses.
	importRows = `
SELECT ` + addressColumns + `, coalesce(a.until <= now(), false), EXISTS (SELECT FROM radial.static_addresses t WHERE t.address BETWEEN a.address AND radial.last_of(a.address))
FROM unnest($1::int[], $2::inet[]) AS l (vrf_id, address)
JOIN radial.addresses a ON a.vrf_id = l.vrf_id AND a.address = l.address` + addressTables + `
ORDER BY a.vrf_id, a.address`
	sqlImportLook = importRows
	sqlImportLock = importRows + ` FOR UPDATE OF a`

	// Rows of IPv6 pools, made when they are first needed: $1 VRFs, $2 addresses,
	// $3 pools, $4 subnets.
	sqlImportMake = `
INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id)
SELECT l.vrf_id, l.address, l.pool_id, l.subnet_id FROM unnest($1::int[], $2::inet[], $3::bigint[], $4::bigint[]) AS l (vrf_id, address, pool_id, subnet_id)
ORDER BY l.vrf_id, l.address ON CONFLICT (vrf_id, address) DO NOTHING`

	// $1 VRFs, $2 addresses, $3 states, $4 users, $5 MACs, $6 NAS, $7 ports, $8
	// session ids, $9 since, $10 until, $11 reasons.
	sqlImportWrite = `
UPDATE radial.addresses a
SET state = e.state, username = nullif(e.username, ''), mac = nullif(e.mac, ''), nas = e.nas, port = nullif(e.port, ''), session_id = nullif(e.session_id, ''),
    radacctid = NULL, reason = nullif(e.reason, ''), since = coalesce(e.since, now()),
    until = CASE e.state WHEN 'bound' THEN coalesce(e.until, now() + p.lease_time) WHEN 'offered' THEN coalesce(e.until, now() + p.offer_time)
                         WHEN 'cooling' THEN coalesce(e.until, now() + p.cooling_time) END
FROM unnest($1::int[], $2::inet[], $3::text[], $4::text[], $5::text[], $6::inet[], $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::text[])
         AS e (vrf_id, address, state, username, mac, nas, port, session_id, since, until, reason), radial.pools p
WHERE a.vrf_id = e.vrf_id AND a.address = e.address AND p.id = a.pool_id`
)

// ImportBatch is how many lines one transaction takes at most: its rows are
// locked until it ends.
const ImportBatch = 5000

// AddressLine is an address as a file wants it.
type AddressLine struct {
	Line int // in the file
	Address
}

// LineError is what is wrong with a line.
type LineError struct {
	Line int
	Err  error
}

// Error names the line.
func (e LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong.
func (e LineError) Unwrap() error { return e.Err }

// Imported counts what becomes of lines.
type Imported struct {
	Reserved  int `json:"reserved"`  // kept out of their pools
	Released  int `json:"released"`  // no longer so
	Leased    int `json:"leased"`    // given to a holder, as another system had it
	Noted     int `json:"noted"`     // free, with a last holder
	Unchanged int `json:"unchanged"` // as the file has them
	Left      int `json:"left"`      // in use by sessions here: these go before a file
}

// Changed is how many lines say something new.
func (n Imported) Changed() int { return n.Reserved + n.Released + n.Leased + n.Noted }

// Plus adds two counts.
func (n Imported) Plus(o Imported) Imported {
	return Imported{n.Reserved + o.Reserved, n.Released + o.Released, n.Leased + o.Leased, n.Noted + o.Noted, n.Unchanged + o.Unchanged, n.Left + o.Left}
}

// CheckAddresses says what ImportAddresses would do with lines, and what is
// wrong with them.
func (db *DB) CheckAddresses(ctx context.Context, lines []AddressLine) (Imported, []LineError, error) {
	im := newImport(lines)
	if err := im.look(ctx, db.pool, sqlImportLook); err != nil {
		return Imported{}, nil, wrapErr("import addresses", err)
	}
	im.judge(db.now())
	return im.count, im.wrong, nil
}

// ImportAddresses makes rows what the lines say, in one transaction with
// history and audit: all of them, or none when there is something wrong with
// one. Import again, and nothing changes. At most ImportBatch lines are one call.
func (db *DB) ImportAddresses(ctx context.Context, c Change, key string, lines []AddressLine) (Imported, []LineError, error) {
	var im *addressImport
	err := db.change(ctx, c, key, func(tx pgx.Tx) (written, error) {
		im = newImport(lines)
		if err := im.look(ctx, tx, sqlImportLock); err != nil {
			return written{}, err
		}
		if err := im.make(ctx, tx); err != nil {
			return written{}, err
		}
		if im.judge(db.now()); len(im.wrong) > 0 || im.count.Changed() == 0 {
			return written{}, nil
		}
		if err := im.write(ctx, tx, c.Actor); err != nil {
			return written{}, err
		}
		return written{audit: aaa.Audit{"lines": fmt.Sprintf("%d-%d", lines[0].Line, lines[len(lines)-1].Line), "counts": im.count}}, nil
	})
	if err != nil {
		return Imported{}, nil, wrapErr("import addresses", err)
	}
	return im.count, im.wrong, nil
}

// addressImport is a batch of lines being applied to its rows.
type addressImport struct {
	lines   []AddressLine
	places  []*importPlace // of each line, or nil
	rows    map[leaseKey]*lockedAddress
	writes  []AddressLine
	history []historyRow
	count   Imported
	wrong   []LineError
}

type importPlace struct {
	subnet, pool int64
	name         string
	kind         ipam.Kind
}

func newImport(lines []AddressLine) *addressImport {
	im := &addressImport{lines: make([]AddressLine, len(lines)), places: make([]*importPlace, len(lines)), rows: make(map[leaseKey]*lockedAddress, len(lines))}
	for i, l := range lines {
		for _, text := range []*string{&l.User, &l.MAC, &l.Port, &l.Session, &l.Reason} {
			*text = storableText(*text)
		}
		im.lines[i] = l
	}
	return im
}

func (im *addressImport) keys() (vrfs []int32, addresses []netip.Prefix) {
	vrfs, addresses = make([]int32, len(im.lines)), make([]netip.Prefix, len(im.lines))
	for i, l := range im.lines {
		vrfs[i], addresses[i] = l.VRF, l.Address.Address
	}
	return vrfs, addresses
}

// look reads where the addresses lie, and their rows.
func (im *addressImport) look(ctx context.Context, q querier, sqlRows string) error {
	vrfs, addresses := im.keys()
	rows, err := q.Query(ctx, sqlImportPlaces, vrfs, addresses)
	if err != nil {
		return err
	}
	var n int
	var kind string
	var p importPlace
	_, err = pgx.ForEachRow(rows, []any{&n, &p.subnet, &p.pool, &p.name, &kind}, func() error {
		at := p
		at.kind, _ = ipam.ParseKind(kind)
		im.places[n-1] = &at
		return nil
	})
	if err != nil {
		return err
	}
	if sqlRows == sqlImportLock {
		held, err := q.Query(ctx, sqlSparseHold, im.sparsePools())
		if err != nil {
			return err
		}
		if held.Close(); held.Err() != nil {
			return held.Err()
		}
	}
	if rows, err = q.Query(ctx, sqlRows, vrfs, addresses); err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*lockedAddress, error) {
		var l lockedAddress
		var err error
		l.Address, err = scanAddressAnd(row, &l.ranOut, &l.static)
		return &l, err
	})
	for _, r := range found {
		im.rows[leaseKey{r.VRF, r.Address.Address}] = r
	}
	return err
}

// sparsePools are the pools of the lines that may need new rows.
func (im *addressImport) sparsePools() []int64 {
	var pools []int64
	for _, p := range im.places {
		if p != nil && p.kind.Sparse() {
			pools = append(pools, p.pool)
		}
	}
	slices.Sort(pools)
	return slices.Compact(pools)
}

// make makes rows of IPv6 pools that are not there yet.
func (im *addressImport) make(ctx context.Context, tx pgx.Tx) error {
	var vrfs []int32
	var addresses []netip.Prefix
	var pools, subnets []int64
	for i, l := range im.lines {
		if p := im.places[i]; p != nil && p.kind.Sparse() && im.rows[leaseKey{l.VRF, l.Address.Address}] == nil {
			vrfs, addresses, pools, subnets = append(vrfs, l.VRF), append(addresses, l.Address.Address), append(pools, p.pool), append(subnets, p.subnet)
		}
	}
	if len(vrfs) == 0 {
		return nil
	}
	tag, err := tx.Exec(ctx, sqlImportMake, vrfs, addresses, pools, subnets)
	if err == nil && tag.RowsAffected() < int64(len(vrfs)) {
		return errRaced // a login has made one of them meanwhile, and it is not locked
	}
	return err
}

// judge decides what becomes of each line.
func (im *addressImport) judge(now time.Time) {
	for i, l := range im.lines {
		p, row := im.places[i], im.rows[leaseKey{l.VRF, l.Address.Address}]
		text := addressText(l.Address.Address)
		switch {
		case p == nil:
			im.fail(l, fmt.Errorf("address %s is in no pool whose leases are of that length: %w", text, aaa.ErrNotFound))
			continue
		case l.Pool != "" && l.Pool != p.name:
			im.fail(l, fmt.Errorf("address %s is of pool %q, not %q: %w", text, p.name, l.Pool, aaa.ErrConflict))
			continue
		case row == nil && !p.kind.Sparse():
			im.fail(l, neverGiven(text, p.name))
			continue
		case row == nil:
			row = &lockedAddress{Address: Address{VRF: l.VRF, Address: l.Address.Address, Pool: p.name, State: "free"}}
		}
		if l.State == "bound" && l.Until != nil && !l.Until.After(now) || l.State == "offered" && l.Until != nil && !l.Until.After(now) {
			l.State, l.Until, l.Session = "free", nil, "" // he had it
		}
		im.one(l, row, p.pool, now)
	}
}

func (im *addressImport) fail(l AddressLine, err error) {
	im.wrong = append(im.wrong, LineError{Line: l.Line, Err: err})
}

// one decides on a line and its row.
func (im *addressImport) one(l AddressLine, row *lockedAddress, pool int64, now time.Time) {
	live := row.State == "bound" || row.State == "offered" && !row.ranOut
	switch {
	case l.State == "reserved":
		im.reserve(l, row, pool, now)
	case live && row.sameHolder(l):
		im.count.Unchanged++
	case live:
		im.count.Left++
	case row.State == "reserved" && l.State == "free":
		if err := row.releasable(false); err != nil {
			im.fail(l, err)
			return
		}
		im.set(l, pool, "unreserved", now, ipam.Caller{User: row.User, MAC: row.MAC})
		im.count.Released++
	case row.State == "reserved":
		im.fail(l, heldError(row.Address.Address, row.State, row.User, row.Reason))
	case l.State == "free" && row.State == "free" && (row.sameHolder(l) || l.User == "" && l.MAC == ""), l.State == "cooling" && row.State == "cooling" && row.sameHolder(l):
		im.count.Unchanged++
	case l.State == "free", l.State == "cooling":
		im.set(l, pool, "", now, ipam.Caller{})
		im.count.Noted++
	default:
		action := "bound"
		if l.State == "offered" {
			action = "" // of offers there is no history
		}
		im.set(l, pool, action, now, ipam.Caller{User: l.User, MAC: l.MAC, NAS: l.NAS, Port: l.Port})
		im.count.Leased++
	}
}

// reserve decides on a line of an address that is to be kept back.
func (im *addressImport) reserve(l AddressLine, row *lockedAddress, pool int64, now time.Time) {
	if strings.EqualFold(l.Reason, staticReason) || row.State == "reserved" && row.Reason == staticReason {
		if row.State == "reserved" && row.Reason == staticReason && strings.EqualFold(l.Reason, staticReason) && row.User == l.User {
			im.count.Unchanged++
			return
		}
		if row.State == "reserved" {
			im.fail(l, heldError(row.Address.Address, row.State, row.User, row.Reason))
			return
		}
		im.fail(l, fmt.Errorf("a static address comes with its user: radial user set %s --ip %s (or another reason than static): %w", orWord(l.User, "NAME"), addressText(l.Address.Address), aaa.ErrInvalid))
		return
	}
	same, err := row.reservable(Reservation{User: l.User, MAC: l.MAC, Reason: l.Reason})
	switch {
	case err != nil:
		im.fail(l, err)
	case same:
		im.count.Unchanged++
	default:
		im.set(l, pool, "reserved", now, ipam.Caller{User: l.User, MAC: l.MAC})
		im.count.Reserved++
	}
}

// sameHolder tells whether a row's holder, or last one, is the line's.
func (l *lockedAddress) sameHolder(o AddressLine) bool {
	return l.User == o.User && l.MAC == o.MAC && (l.State == "free" || l.NAS == o.NAS && l.Port == o.Port)
}

// set writes the line over its row, with a row of history for a change of
// holder ("": none).
func (im *addressImport) set(l AddressLine, pool int64, action string, now time.Time, who ipam.Caller) {
	im.writes = append(im.writes, l)
	if action == "" {
		return
	}
	at := now
	if action == "bound" && l.Since != nil && l.Since.Before(now) {
		at = *l.Since
	}
	im.history = append(im.history, historyRow{
		at: at, key: leaseKey{l.VRF, l.Address.Address}, pool: pool, action: action, reason: orWord(l.Reason, "import"),
		holding: ipam.Holding{Caller: who, SessionID: l.Session},
	})
}

func (im *addressImport) write(ctx context.Context, tx pgx.Tx, actor string) error {
	n := len(im.writes)
	vrfs, addresses, states := make([]int32, n), make([]netip.Prefix, n), make([]string, n)
	users, macs, ports, sessions, reasons := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	nass, since, until := make([]*netip.Addr, n), make([]*time.Time, n), make([]*time.Time, n)
	for i, l := range im.writes {
		vrfs[i], addresses[i], states[i] = l.VRF, l.Address.Address, l.State
		users[i], macs[i], nass[i], since[i] = l.User, l.MAC, orNull(l.NAS), l.Since
		switch l.State {
		case "reserved":
			nass[i], reasons[i] = nil, l.Reason
		case "free":
			ports[i] = l.Port
		default:
			ports[i], sessions[i], until[i] = l.Port, l.Session, l.Until
		}
	}
	var b pgx.Batch
	b.Queue(sqlImportWrite, vrfs, addresses, states, users, macs, nass, ports, sessions, since, until, reasons)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	all := slices.Clone(im.history)
	for _, h := range im.history {
		if h.action != "unreserved" {
			continue
		}
		on, err := goesOn(ctx, tx, h.key, h.holding.Caller.User)
		if err != nil {
			return err
		}
		for _, o := range on {
			o.at, o.key, o.pool = h.at, h.key, h.pool
			all = append(all, o)
		}
	}
	for i := range all {
		all[i].actor = actor
	}
	var told pgx.Batch
	queueHistory(&told, all)
	return tx.SendBatch(ctx, &told).Close()
}
