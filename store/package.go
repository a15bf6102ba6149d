package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

const (
	packageColumns = `
id, name, description, coalesce(rate_down, 0), coalesce(rate_up, 0), coalesce(pool, ''), coalesce(framed_pool, ''),
coalesce(ipv6_prefix_pool, ''), coalesce(delegated_prefix_pool, ''), coalesce(ipv6_address_pool, ''),
coalesce(session_timeout, 0)::bigint, coalesce(idle_timeout, 0)::bigint, coalesce(interim_interval, 0)::bigint, simultaneous_use::bigint,
coalesce(price::text, ''), billing_cycle, coalesce(validity_days, 0)::bigint, status, checks, replies,` + quotaFields + `'group' AND q.name = packages.name), '[]'),
created_at, updated_at,
coalesce(burst_down, 0), coalesce(burst_up, 0), coalesce(threshold_down, 0), coalesce(threshold_up, 0), coalesce(burst_time, 0)::bigint,
coalesce(min_down, 0), coalesce(min_up, 0), coalesce(priority, 0)::bigint, coalesce(address_list, ''), coalesce(filter, ''), dns,
coalesce(vlan, 0)::bigint, coalesce(currency, ''), walled
FROM radial.packages`

	sqlPackageGet  = `SELECT` + packageColumns + ` WHERE name = $1::text`
	sqlPackageList = `SELECT` + packageColumns + ` ORDER BY name COLLATE "C"`
	sqlPackageSave = `
INSERT INTO radial.packages (name, description, rate_down, rate_up, pool, session_timeout, idle_timeout, interim_interval, simultaneous_use,
    price, billing_cycle, validity_days, status, checks, replies, framed_pool, ipv6_prefix_pool, delegated_prefix_pool, ipv6_address_pool,
    burst_down, burst_up, threshold_down, threshold_up, burst_time, min_down, min_up, priority, address_list, filter, dns, vlan, currency, walled)
VALUES ($1::text, $2::text, nullif($3::bigint, 0), nullif($4::bigint, 0), nullif($5::text, ''), nullif($6::int, 0), nullif($7::int, 0),
    nullif($8::int, 0), $9::int, nullif($10::text, '')::numeric, $11::text, nullif($12::int, 0), $13::text, $14::jsonb, $15::jsonb,
    nullif($16::text, ''), nullif($17::text, ''), nullif($18::text, ''), nullif($19::text, ''),
    nullif($20::bigint, 0), nullif($21::bigint, 0), nullif($22::bigint, 0), nullif($23::bigint, 0), nullif($24::int, 0),
    nullif($25::bigint, 0), nullif($26::bigint, 0), nullif($27::smallint, 0), nullif($28::text, ''), nullif($29::text, ''), $30::inet[],
    nullif($31::smallint, 0), nullif($32::text, ''), $33::jsonb)
ON CONFLICT (name) DO UPDATE SET description = excluded.description, rate_down = excluded.rate_down, rate_up = excluded.rate_up,
    pool = excluded.pool, session_timeout = excluded.session_timeout, idle_timeout = excluded.idle_timeout,
    interim_interval = excluded.interim_interval, simultaneous_use = excluded.simultaneous_use, price = excluded.price,
    billing_cycle = excluded.billing_cycle, validity_days = excluded.validity_days, status = excluded.status,
    checks = excluded.checks, replies = excluded.replies, framed_pool = excluded.framed_pool, ipv6_prefix_pool = excluded.ipv6_prefix_pool,
    delegated_prefix_pool = excluded.delegated_prefix_pool, ipv6_address_pool = excluded.ipv6_address_pool,
    burst_down = excluded.burst_down, burst_up = excluded.burst_up, threshold_down = excluded.threshold_down, threshold_up = excluded.threshold_up,
    burst_time = excluded.burst_time, min_down = excluded.min_down, min_up = excluded.min_up, priority = excluded.priority,
    address_list = excluded.address_list, filter = excluded.filter, dns = excluded.dns, vlan = excluded.vlan, currency = excluded.currency,
    walled = excluded.walled, updated_at = now()`
	sqlPackageDelete      = `DELETE FROM radial.packages WHERE name = $1::text`
	sqlPackageSubscribers = `
SELECT count(*)::int FROM radial.subscribers s JOIN radial.packages p ON p.id = s.package_id WHERE p.name = $1::text`
	sqlPackageMembers = `
SELECT count(*)::int FROM radusergroup g
WHERE g.groupname IN ($1::text, $2::text) AND NOT EXISTS
    (SELECT FROM radial.projection p WHERE p.tbl = 'radusergroup' AND p.row_id = g.id AND p.owner LIKE 'user:%')`
	sqlPackageInGarden = `SELECT count(*)::int FROM radusergroup WHERE groupname = $1::text`
)

// ChangePackage runs one change of a package, as ChangeSubscriber does one of
// a subscriber.
func (db *DB) ChangePackage(ctx context.Context, c Change, name string, f func(aaa.PackageState) (aaa.PackageDelta, error)) (aaa.PackageDelta, error) {
	var d aaa.PackageDelta
	err := db.change(ctx, c, name, func(tx pgx.Tx) (written, error) {
		state, err := packageState(ctx, tx, name)
		if err != nil {
			return written{}, err
		}
		if d, err = f(state); err != nil || d.Audit == nil {
			return written{}, err
		}
		if err := writePackage(ctx, tx, state, &d); err != nil {
			return written{}, wrapErr("package "+name, err)
		}
		return written{audit: d.Audit, paper: onPaper(&d)}, applyRows(ctx, tx, groupRows(name), &d.Rows)
	})
	if err != nil {
		return aaa.PackageDelta{}, err
	}
	return d, nil
}

// paperFields are those of a package, as audits name them, that no login is granted
// anything by.
var paperFields = []string{"description", "price", "currency", "billing_cycle", "validity_days", "status"}

// onPaper tells whether a change of a package leaves all sessions as they should be.
func onPaper(d *aaa.PackageDelta) bool {
	for field := range d.Audit {
		if !slices.Contains(paperFields, field) {
			return false
		}
	}
	return d.Rows.Empty()
}

// writePackage writes or removes the row itself.
func writePackage(ctx context.Context, tx pgx.Tx, state aaa.PackageState, d *aaa.PackageDelta) error {
	if d.Remove {
		if _, err := tx.Exec(ctx, sqlPackageDelete, state.Name); err != nil {
			return err
		}
		return writeQuotas(ctx, tx, "group", state.Name, state.Package.Quotas, nil)
	}
	if d.Save == nil {
		return nil
	}
	p, s := d.Save, &d.Save.PackageShaping
	_, err := tx.Exec(ctx, sqlPackageSave, p.Name, p.Description, p.RateDown, p.RateUp, p.Pool, p.SessionTimeout, p.IdleTimeout,
		p.InterimInterval, p.SimultaneousUse, p.Price, string(p.BillingCycle), p.ValidityDays, string(p.Status),
		orEmpty(p.Checks), orEmpty(p.Replies), p.FramedPool, p.IPv6PrefixPool, p.DelegatedPool, p.IPv6AddressPool,
		s.BurstDown, s.BurstUp, s.ThresholdDown, s.ThresholdUp, s.BurstTime, s.MinDown, s.MinUp, s.Priority,
		p.AddressList, p.Filter, orEmpty(p.DNS), p.VLAN, p.Currency, p.Walled)
	if err != nil {
		return err
	}
	var have []aaa.Quota
	if state.Package != nil {
		have = state.Package.Quotas
	}
	return writeQuotas(ctx, tx, "group", state.Name, have, p.Quotas)
}

// PackageState returns all that the database holds of a package and of the
// group of its name; one that is nowhere is no error.
func (db *DB) PackageState(ctx context.Context, name string) (aaa.PackageState, error) {
	return packageState(ctx, db.pool, name)
}

func packageState(ctx context.Context, q querier, name string) (aaa.PackageState, error) {
	s := aaa.PackageState{Name: name}
	op := "package " + name
	rows, err := q.Query(ctx, sqlPackageGet, name)
	if err != nil {
		return s, wrapErr(op, err)
	}
	all, err := pgx.CollectRows(rows, scanPackage)
	if err != nil {
		return s, wrapErr(op, err)
	}
	if len(all) > 0 {
		s.Package = &all[0]
	}
	if s.Rows, s.Lost, err = rowsOfGroup(ctx, q, groupRows(name)); err != nil {
		return s, err
	}
	if err := q.QueryRow(ctx, sqlPackageSubscribers, name).Scan(&s.Subscribers); err != nil {
		return s, wrapErr(op, err)
	}
	if err := q.QueryRow(ctx, sqlPackageInGarden, aaa.WalledGroup(name)).Scan(&s.InGarden); err != nil {
		return s, wrapErr(op, err)
	}
	return s, wrapErr(op, q.QueryRow(ctx, sqlPackageMembers, name, aaa.WalledGroup(name)).Scan(&s.Members))
}

// Package returns the package of a name, or aaa.ErrNotFound.
func (db *DB) Package(ctx context.Context, name string) (aaa.Package, error) {
	return packageOf(ctx, db.pool, name)
}

func packageOf(ctx context.Context, q querier, name string) (aaa.Package, error) {
	rows, err := q.Query(ctx, sqlPackageGet, name)
	if err != nil {
		return aaa.Package{}, wrapErr("package "+name, err)
	}
	all, err := pgx.CollectRows(rows, scanPackage)
	if err != nil {
		return aaa.Package{}, wrapErr("package "+name, err)
	}
	if len(all) == 0 {
		return aaa.Package{}, fmt.Errorf("package %q: %w", name, aaa.ErrNotFound)
	}
	return all[0], nil
}

// Packages lists all packages by name.
func (db *DB) Packages(ctx context.Context) ([]aaa.Package, error) {
	rows, err := db.pool.Query(ctx, sqlPackageList)
	if err != nil {
		return nil, wrapErr("packages", err)
	}
	all, err := pgx.CollectRows(rows, scanPackage)
	return all, wrapErr("packages", err)
}

func scanPackage(row pgx.CollectableRow) (aaa.Package, error) {
	var p aaa.Package
	s := &p.PackageShaping
	err := row.Scan(&p.ID, &p.Name, &p.Description, &p.RateDown, &p.RateUp, &p.Pool, &p.FramedPool, &p.IPv6PrefixPool,
		&p.DelegatedPool, &p.IPv6AddressPool, &p.SessionTimeout, &p.IdleTimeout, &p.InterimInterval,
		&p.SimultaneousUse, &p.Price, &p.BillingCycle, &p.ValidityDays, &p.Status, &p.Checks, &p.Replies, &p.Quotas, &p.Created, &p.Updated,
		&s.BurstDown, &s.BurstUp, &s.ThresholdDown, &s.ThresholdUp, &s.BurstTime, &s.MinDown, &s.MinUp, &s.Priority,
		&p.AddressList, &p.Filter, &p.DNS, &p.VLAN, &p.Currency, &p.Walled)
	return p, err
}

// containsFold tells whether part stands in text, in any case.
func containsFold(text, part string) bool {
	return part == "" || strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
