package store

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	// Keeps a pool and its subnets as they are read, until the change commits: who
	// makes rows of addresses comes before or after.
	sqlPoolHold    = `SELECT p.id FROM radial.pools p WHERE p.id = $1::bigint FOR UPDATE`
	sqlSubnetsHold = `SELECT s.id FROM radial.subnets s WHERE s.pool_id = $1::bigint ORDER BY s.id FOR UPDATE`

	sqlPoolSet = `
UPDATE radial.pools
SET name = $2::text, description = $3::text, status = $4::text, type = $5::text, dns = $6::inet[], vlan = nullif($7::int, 0), sticky = $8::text,
    interface_id = $9::text, offer_time = $10::interval, lease_time = $11::interval, cooling_time = $12::interval, fallback = $13::text[],
    updated_at = clock_timestamp()
WHERE id = $1::bigint`

	sqlPoolDelete = `DELETE FROM radial.pools WHERE id = $1::bigint`

	// Who names a pool: logins of theirs would be refused without it. $1 the
	// pool's name, $2 its id, $3 its VRF: where another VRF has a pool of that
	// name, only those who are of this one are asked.
	sqlPoolNamedBy = `
SELECT who FROM (
  SELECT who FROM (
    SELECT 'package ' || p.name AS who FROM radial.packages p
          WHERE $1::text IN (p.pool, p.ipv6_prefix_pool, p.delegated_prefix_pool, p.ipv6_address_pool)
    UNION SELECT 'group ' || c.groupname FROM radgroupcheck c
          WHERE lower(c.attribute) IN ('pool-name', 'framed-ipv6-pool', 'delegated-ipv6-prefix-pool', 'stateful-ipv6-address-pool')
            AND c.value = $1::text AND c.groupname NOT IN (SELECT name FROM radial.packages)
    UNION SELECT 'user ' || c.username FROM radcheck c
          WHERE lower(c.attribute) IN ('pool-name', 'framed-ipv6-pool', 'delegated-ipv6-prefix-pool', 'stateful-ipv6-address-pool')
            AND c.value = $1::text) any_vrf
  WHERE NOT EXISTS (SELECT FROM radial.pools o WHERE o.name = $1::text AND o.id <> $2::bigint)
  UNION SELECT 'nas ' || d.nasname FROM radial.nas_settings s JOIN nas d ON d.id = s.nas_id WHERE s.pool = $1::text AND s.vrf_id = $3::int
  UNION SELECT 'the fallback list of pool ' || o.name FROM radial.pools o
        WHERE o.vrf_id = $3::int AND o.id <> $2::bigint AND $1::text = ANY (o.fallback)) n
ORDER BY who LIMIT 4`
)

// PoolChange is what is to be changed of a pool; nil is left as it is. Zero
// takes a value away, or sets its default.
type PoolChange struct {
	Name        *string
	Description *string
	Status      *string
	Type        *string
	DNS         *[]netip.Addr
	VLAN        *int32
	Sticky      *string
	InterfaceID *string
	OfferTime   *time.Duration
	LeaseTime   *time.Duration
	CoolingTime *time.Duration
	Fallback    *[]string
}

func (c PoolChange) apply(p *PoolSettings) {
	put(&p.Description, c.Description)
	put(&p.Status, c.Status)
	put(&p.Type, c.Type)
	put(&p.DNS, c.DNS)
	put(&p.VLAN, c.VLAN)
	put(&p.Sticky, c.Sticky)
	put(&p.InterfaceID, c.InterfaceID)
	put(&p.OfferTime, c.OfferTime)
	put(&p.LeaseTime, c.LeaseTime)
	put(&p.CoolingTime, c.CoolingTime)
	put(&p.Fallback, c.Fallback)
}

// Settings are those of a new pool of which that much is said.
func (c PoolChange) Settings() PoolSettings {
	var p PoolSettings
	c.apply(&p)
	return p
}

// put sets a field where a change says something of it.
func put[T any](field, change *T) {
	if change != nil {
		*field = *change
	}
}

// fields are the settings by the names that audit and JSON have for them.
func (p PoolSettings) fields() map[string]any {
	return map[string]any{
		"description": p.Description, "status": p.Status, "type": p.Type, "dns": joinTexts(p.DNS), "vlan": p.VLAN, "sticky": p.Sticky,
		"interface_id": p.InterfaceID, "offer_time": p.OfferTime.String(), "lease_time": p.LeaseTime.String(),
		"cooling_time": p.CoolingTime.String(), "fallback": strings.Join(p.Fallback, ", "), "prefix_length": p.PrefixLength,
	}
}

// changedFields lists what differs, as [old, new]; of something new all that
// says something.
func changedFields(before, after map[string]any) aaa.Audit {
	changes := aaa.Audit{}
	for name, v := range after {
		switch {
		case before == nil && (v == "" || v == int32(0)):
		case before == nil:
			changes[name] = v
		case before[name] != v:
			changes[name] = []any{before[name], v}
		}
	}
	return changes
}

// SetPool changes a pool. VRF 0 is for the only pool of the name. A pool that
// is named in a package, a group, a user, a device or a fallback list keeps its
// name (aaa.ErrConflict). Kind and prefix length never change.
func (db *DB) SetPool(ctx context.Context, c Change, vrf int32, name string, pc PoolChange) (Made, error) {
	var made Made
	err := db.change(ctx, c, name, func(tx pgx.Tx) (written, error) {
		p, err := holdPool(ctx, tx, vrf, name)
		if err != nil {
			return written{}, err
		}
		before := p.fields()
		before["name"] = p.Name
		pc.apply(&p.PoolSettings)
		put(&p.Name, pc.Name)
		err = checkPoolName(p.Name)
		if err == nil && p.Name != name {
			err = checkNewPoolName(p.Name)
		}
		if err != nil {
			return written{}, fmt.Errorf("name %q: %w: %w", p.Name, aaa.ErrInvalid, err)
		}
		if p.PoolSettings, err = p.PoolSettings.checked(p.Name, p.Kind); err != nil {
			return written{}, fmt.Errorf("%w: %w", aaa.ErrInvalid, err)
		}
		after := p.fields()
		after["name"] = p.Name
		if made.Audit = changedFields(before, after); len(made.Audit) == 0 {
			made.Audit = nil
			return written{}, nil
		}
		if p.Name != name {
			if err := freeOfNames(ctx, tx, p.ID, p.VRF, name); err != nil {
				return written{}, err
			}
		}
		if made.Missing, err = missingFallback(ctx, tx, p.VRF, p.Kind, p.Fallback); err != nil {
			return written{}, err
		}
		_, err = tx.Exec(ctx, sqlPoolSet, p.ID, p.Name, p.Description, p.Status, p.Type, p.DNS, p.VLAN, p.Sticky, p.InterfaceID,
			p.OfferTime, p.LeaseTime, p.CoolingTime, p.Fallback)
		if isUnique(err) {
			err = fmt.Errorf("there is a pool %q already: %w", p.Name, aaa.ErrConflict)
		}
		return written{audit: made.Audit}, err
	})
	if err != nil {
		return Made{}, wrapErr(fmt.Sprintf("change pool %q", name), err)
	}
	return made, nil
}

// DeletePool removes a pool with its subnets and rows; the history stays. A pool
// with addresses that are offered, bound or reserved is aaa.ErrConflict, and so
// is one that a package, a group, a user, a device or a fallback list names.
func (db *DB) DeletePool(ctx context.Context, c Change, vrf int32, name string) error {
	err := db.change(ctx, c, name, func(tx pgx.Tx) (written, error) {
		p, err := holdPool(ctx, tx, vrf, name)
		if err != nil {
			return written{}, err
		}
		if err := freeOfNames(ctx, tx, p.ID, p.VRF, name); err != nil {
			return written{}, err
		}
		for _, s := range p.Subnets {
			if err := takeRows(ctx, tx, s, nil); err != nil {
				return written{}, err
			}
		}
		_, err = tx.Exec(ctx, sqlPoolDelete, p.ID)
		return written{audit: aaa.Audit{"networks": p.networks()}}, err
	})
	return wrapErr(fmt.Sprintf("delete pool %q", name), err)
}

// holdPool reads a pool and keeps it and its subnets so until the change commits.
func holdPool(ctx context.Context, tx pgx.Tx, vrf int32, name string) (Pool, error) {
	p, err := findPool(ctx, tx, vrf, name)
	if err != nil {
		return p, err
	}
	for _, hold := range []string{sqlPoolHold, sqlSubnetsHold} {
		if _, err := tx.Exec(ctx, hold, p.ID); err != nil {
			return p, err
		}
	}
	return findPool(ctx, tx, p.VRF, name)
}

// freeOfNames is aaa.ErrConflict as long as somebody names the pool.
func freeOfNames(ctx context.Context, tx pgx.Tx, id int64, vrf int32, name string) error {
	rows, err := tx.Query(ctx, sqlPoolNamedBy, name, id, vrf)
	if err != nil {
		return err
	}
	users, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(users) == 0 {
		return err
	}
	if len(users) > 3 {
		users[3] = "others"
	}
	return fmt.Errorf("%w: still named by %s: their logins would be refused; give them another pool first", aaa.ErrConflict, strings.Join(users, ", "))
}
