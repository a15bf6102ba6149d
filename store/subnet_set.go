package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

const (
	sqlSubnetHold = `SELECT s.id FROM radial.subnets s WHERE s.id = $1::bigint FOR UPDATE`

	sqlSubnetSet = `
UPDATE radial.subnets
SET first = $2::inet, last = $3::inet, gateway = $4::inet, vlan = nullif($5::int, 0), description = $6::text, status = $7::text, overlap = $8::bool,
    updated_at = clock_timestamp()
WHERE id = $1::bigint`

	sqlSubnetDelete     = `DELETE FROM radial.subnets WHERE id = $1::bigint`
	sqlExclusionsDelete = `DELETE FROM radial.exclusions WHERE subnet_id = $1::bigint`

	// Other subnets where an address lies: whoever makes rows in them begins anew.
	// $1 VRF, $2 the address, $3 but not this subnet.
	sqlSubnetsTouch = `
UPDATE radial.subnets s SET updated_at = clock_timestamp()
WHERE s.id IN (SELECT o.id FROM radial.subnets o
               WHERE o.vrf_id = $1::int AND o.id <> $3::bigint AND $2::inet BETWEEN o.first AND o.last ORDER BY o.id FOR UPDATE)
RETURNING s.id`
)

// SubnetChange is what is to be changed of a subnet; nil is left as it is.
type SubnetChange struct {
	Range       *ipam.Range // none: all of the network
	Gateway     *netip.Addr // invalid: none
	VLAN        *int32      // 0: none
	Description *string
	Status      *string
	Exclude     []Exclusion  // to be added
	Include     []ipam.Range // of the exclusions to be taken away; a part of one is cut out
}

// Spec is the subnet that is made of a network and what is said of it.
func (c SubnetChange) Spec(network netip.Prefix) SubnetSpec {
	s := SubnetSpec{Network: network, Exclusions: c.Exclude}
	put(&s.Range, c.Range)
	put(&s.Gateway, c.Gateway)
	put(&s.VLAN, c.VLAN)
	put(&s.Description, c.Description)
	put(&s.Status, c.Status)
	return s
}

func (c SubnetChange) apply(s *SubnetSpec) error {
	put(&s.Range, c.Range)
	put(&s.Gateway, c.Gateway)
	put(&s.VLAN, c.VLAN)
	put(&s.Description, c.Description)
	put(&s.Status, c.Status)
	for _, in := range c.Include {
		var left []Exclusion
		hit := false
		for _, x := range s.Exclusions {
			hit = hit || x.Range.Overlaps(in)
			for _, rest := range ipam.Subtract([]ipam.Range{x.Range}, []ipam.Range{in}) {
				left = append(left, Exclusion{Range: rest, Reason: x.Reason})
			}
		}
		if !hit {
			return fmt.Errorf("%s is not excluded from subnet %s", in, s.Network)
		}
		s.Exclusions = left
	}
	s.Exclusions = append(slices.Clone(s.Exclusions), c.Exclude...)
	return nil
}

// fields are the subnet's by the names that audit and JSON have for them.
func (s SubnetSpec) fields() map[string]any {
	gateway := ""
	if s.Gateway.IsValid() {
		gateway = s.Gateway.String()
	}
	return map[string]any{
		"network": s.Network.String(), "range": s.Range.String(), "gateway": gateway, "vlan": s.VLAN, "description": s.Description,
		"status": s.Status, "exclusions": s.excluded(),
	}
}

// excluded lists the exclusions with their reasons.
func (s SubnetSpec) excluded() string {
	texts := make([]string, len(s.Exclusions))
	for i, x := range s.Exclusions {
		texts[i] = strings.TrimSpace(x.Range.String() + " " + x.Reason)
	}
	return strings.Join(texts, ", ")
}

// AddSubnet adds a subnet to a pool (VRF 0: the only pool of the name), as
// AddPool makes one.
func (db *DB) AddSubnet(ctx context.Context, c Change, vrf int32, pool string, spec SubnetSpec, m Making) (Made, error) {
	op := "add subnet " + spec.Network.String()
	var made Made
	var id int64
	o, err := db.adopter(ctx)
	if err != nil {
		return made, wrapErr(op, err)
	}
	err = db.change(ctx, c, spec.Network.String(), func(tx pgx.Tx) (written, error) {
		p, err := findPool(ctx, tx, vrf, pool)
		if err != nil {
			return written{}, wrapErr(fmt.Sprintf("pool %q", pool), err)
		}
		vrf = p.VRF
		if spec, err = spec.checked(p.Kind, p.PrefixLength); err != nil {
			return written{}, fmt.Errorf("%w: %w", aaa.ErrInvalid, err)
		}
		if err := ipam.CheckGateway(spec.Network, spec.Gateway); err != nil {
			return written{}, fmt.Errorf("%w: %w", aaa.ErrInvalid, err)
		}
		if made.Addresses = spec.plan().Capacity(p.PrefixLength); made.Addresses == 0 {
			return written{}, fmt.Errorf("%w: subnet %s holds no address that could be given", aaa.ErrInvalid, spec.text())
		}
		if err := m.checkSize(p.Kind, made.Addresses); err != nil {
			return written{}, fmt.Errorf("%w: %w", aaa.ErrInvalid, err)
		}
		for _, s := range p.Subnets { // made before and cut short: the rest is made
			if s.same(spec) {
				id = s.ID
				return written{}, nil
			}
			if s.Range == spec.Range { // nothing would tell them apart, even where they may overlap
				return written{}, fmt.Errorf("%w: pool %q has %s already; radial subnet set changes it", aaa.ErrConflict, p.Name, s.text())
			}
		}
		if id, err = o.insertSubnet(ctx, tx, p, spec, m.AllowOverlap); err != nil {
			return written{}, err
		}
		made.Audit = changedFields(nil, spec.fields())
		made.Audit["pool"] = p.Name
		return written{audit: made.Audit}, nil
	})
	if err != nil {
		return Made{}, wrapErr(op, db.namedOverlap(ctx, err, vrf, []SubnetSpec{spec}, 0))
	}
	if c.DryRun {
		return made, nil
	}
	return db.refill(ctx, op, id, made, m)
}

// refill makes the rows that a subnet lacks.
func (db *DB) refill(ctx context.Context, op string, id int64, made Made, m Making) (Made, error) {
	subnets, err := readSubnets(ctx, db.pool, nil, id)
	if err != nil || len(subnets) == 0 {
		return made, wrapErr(op, err)
	}
	if subnets[0].Kind.Sparse() { // what somebody held meanwhile
		_, err = db.bindSubnets(ctx, subnets)
		return made, wrapErr(op, err)
	}
	made.LeftOut, err = db.fill(ctx, subnets, m.Progress)
	return made, wrapErr(op, err)
}

// SetSubnet changes a subnet. Addresses that it is not to give any more go, and
// as long as one of them is leased or reserved nothing changes
// (aaa.ErrConflict, naming some). Those that it gives from now on come after the
// change's own transaction; the same call again makes what is missing.
func (db *DB) SetSubnet(ctx context.Context, c Change, id int64, sc SubnetChange, m Making) (Made, error) {
	var made Made
	var s Subnet
	var given []ipam.Range // a gateway that lies in other subnets no more
	key, err := db.subnetKey(ctx, id)
	if err != nil {
		return made, err
	}
	op := "change subnet " + key
	o, err := db.adopter(ctx)
	if err != nil {
		return made, wrapErr(op, err)
	}
	err = db.change(ctx, c, key, func(tx pgx.Tx) (written, error) {
		if s, err = holdSubnet(ctx, tx, id); err != nil {
			return written{}, err
		}
		before, old := s.fields(), s
		if err := sc.apply(&s.SubnetSpec); err != nil {
			return written{}, fmt.Errorf("%w: %w", aaa.ErrInvalid, err)
		}
		if s.SubnetSpec, err = s.SubnetSpec.checked(s.Kind, s.PrefixLength); err != nil {
			return written{}, fmt.Errorf("%w: %w", aaa.ErrInvalid, err)
		}
		if s.Gateway != old.Gateway { // one that is there stays, whatever it is
			if err := ipam.CheckGateway(s.Network, s.Gateway); err != nil {
				return written{}, fmt.Errorf("%w: %w", aaa.ErrInvalid, err)
			}
		}
		made.Addresses = s.plan().Capacity(s.PrefixLength)
		if made.Audit = changedFields(before, s.fields()); len(made.Audit) == 0 {
			made.Audit = nil
			return written{}, nil
		}
		if old.Gateway.IsValid() && old.Gateway != s.Gateway {
			given = []ipam.Range{{First: old.Gateway, Last: old.Gateway}}
		}
		return written{audit: made.Audit}, o.rewriteSubnet(ctx, tx, old, s, m)
	})
	if err != nil {
		return Made{}, wrapErr(op, db.namedOverlap(ctx, err, s.VRF, []SubnetSpec{s.SubnetSpec}, id))
	}
	if c.DryRun {
		return made, nil
	}
	if len(given) > 0 {
		if err := db.giveBack(ctx, s.VRF, id, given[0].First); err != nil {
			return made, wrapErr(op, err)
		}
	}
	return db.refill(ctx, op, id, made, m)
}

// rewriteSubnet stores a changed subnet and takes the rows away that it is not
// to give any more.
func (o adopter) rewriteSubnet(ctx context.Context, tx pgx.Tx, old, s Subnet, m Making) error {
	more := ipam.Subtract(s.runs(), old.runs())
	if err := m.checkSize(s.Kind, leasesIn(more, s.PrefixLength)); err != nil {
		return fmt.Errorf("%w: %w", aaa.ErrInvalid, err)
	}
	if len(s.runs()) == 0 {
		return fmt.Errorf("%w: subnet %s would have no address to give; delete it", aaa.ErrInvalid, s.Network)
	}
	overlap := s.Overlap
	if s.Range != old.Range {
		var err error
		if overlap, err = mayOverlap(ctx, tx, s.VRF, s.Kind, s.SubnetSpec, s.ID, m.AllowOverlap || s.Overlap); err != nil {
			return err
		}
	}
	if less := ipam.Subtract(old.runs(), s.runs()); len(less) > 0 {
		if err := takeRows(ctx, tx, s, less); err != nil {
			return err
		}
	}
	if s.Gateway != old.Gateway {
		if err := clearGateway(ctx, tx, s.VRF, s.ID, s.Gateway); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, sqlSubnetSet, s.ID, s.Range.First, s.Range.Last, orNull(s.Gateway), s.VLAN, s.Description, s.Status, overlap)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, sqlExclusionsDelete, s.ID); err != nil {
		return err
	}
	if err := insertExclusions(ctx, tx, s.ID, s.Exclusions); err != nil || !s.Kind.Sparse() || len(more) == 0 {
		return err
	}
	return o.adopt(ctx, tx, s, s.Range)
}

// DeleteSubnet takes a subnet out of its pool, with its rows. As long as an
// address of it is leased or reserved, or it is the pool's last one, that is
// aaa.ErrConflict.
func (db *DB) DeleteSubnet(ctx context.Context, c Change, id int64) error {
	key, err := db.subnetKey(ctx, id)
	if err != nil {
		return err
	}
	var s Subnet
	err = db.change(ctx, c, key, func(tx pgx.Tx) (written, error) {
		if s, err = holdSubnet(ctx, tx, id); err != nil {
			return written{}, err
		}
		siblings, err := readSubnets(ctx, tx, []int64{s.PoolID}, 0)
		if err != nil {
			return written{}, err
		}
		if len(siblings) == 1 {
			return written{}, fmt.Errorf("%w: it is the last one of pool %q: delete the pool, or drain or disable it", aaa.ErrConflict, s.Pool)
		}
		if err := takeRows(ctx, tx, s, nil); err != nil {
			return written{}, err
		}
		_, err = tx.Exec(ctx, sqlSubnetDelete, id)
		return written{audit: aaa.Audit{"pool": s.Pool, "range": s.Range.String()}}, err
	})
	if err == nil && !c.DryRun && s.Gateway.IsValid() {
		err = db.giveBack(ctx, s.VRF, id, s.Gateway)
	}
	return wrapErr("delete subnet "+key, err)
}

// holdSubnet reads a subnet and keeps it so until the change commits.
func holdSubnet(ctx context.Context, tx pgx.Tx, id int64) (Subnet, error) {
	if _, err := tx.Exec(ctx, sqlSubnetHold, id); err != nil {
		return Subnet{}, err
	}
	found, err := readSubnets(ctx, tx, nil, id)
	if err != nil || len(found) == 0 {
		return Subnet{}, orNotFound(err)
	}
	return found[0], nil
}

// subnetKey is the text of a subnet for locks, audit and errors.
func (db *DB) subnetKey(ctx context.Context, id int64) (string, error) {
	found, err := readSubnets(ctx, db.pool, nil, id)
	if err != nil || len(found) == 0 {
		return "", wrapErr(fmt.Sprintf("subnet %d", id), orNotFound(err))
	}
	return found[0].Network.String(), nil
}

func orNotFound(err error) error {
	if err == nil {
		return aaa.ErrNotFound
	}
	return err
}

// clearGateway takes the row of a gateway out of other subnets: it is never
// given, whoever's address it is.
func clearGateway(ctx context.Context, tx pgx.Tx, vrf int32, subnet int64, gateway netip.Addr) error {
	if !gateway.IsValid() {
		return nil
	}
	rows, err := tx.Query(ctx, sqlSubnetsTouch, vrf, gateway, subnet)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	for _, id := range ids {
		others, err := readSubnets(ctx, tx, nil, id)
		if err != nil {
			return err
		}
		for _, o := range others {
			if err := takeRows(ctx, tx, o, []ipam.Range{o.block(gateway)}); err != nil {
				return fmt.Errorf("gateway %s lies in pool %q: %w", gateway, o.Pool, err)
			}
		}
	}
	return nil
}

// block is the run of the lease that an address lies in.
func (s Subnet) block(a netip.Addr) ipam.Range {
	return ipam.RangeOf(netip.PrefixFrom(a, s.PrefixLength))
}

// giveBack makes the row of an address that was a gateway in the other subnets
// where it lies, if they give it.
func (db *DB) giveBack(ctx context.Context, vrf int32, but int64, gateway netip.Addr) error {
	all, err := readSubnets(ctx, db.pool, nil, 0)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(s Subnet) bool {
		return s.VRF != vrf || s.ID == but || s.Kind.Sparse() || !s.Range.Contains(gateway)
	})
	_, err = db.fill(ctx, all, nil)
	return err
}

func leasesIn(runs []ipam.Range, length int) (n uint64) {
	for _, r := range runs {
		n = ipam.AddLeases(n, r.Leases(length))
	}
	return n
}
