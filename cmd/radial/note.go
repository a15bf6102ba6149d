package main

import (
	"context"
	"errors"
	"strings"

	"radial/aaa"
	"radial/store"
)

// noteItems tells of items that are right and do not do what was probably
// meant.
func (d *desk) noteItems(ctx context.Context, checks, replies []aaa.Item) error {
	for _, it := range checks {
		if aaa.ChoosesPool(it.Attribute) {
			if err := d.notePool(ctx, d.db, it.Value); err != nil {
				return err
			}
			continue
		}
		attr, _, err := d.dict.Ref(it.Attribute)
		if err != nil || attr.Internal || aaa.SoundsSecret(it.Attribute) || it.Op != ":=" && it.Op != "+=" {
			continue
		}
		d.note("check \"%s\" refuses nobody: %s sets; == compares with what the device sends (or was --reply meant?)", it, it.Op)
	}
	for _, it := range replies {
		attr, _, err := d.dict.Ref(it.Attribute)
		if err == nil && attr.Internal && !strings.EqualFold(it.Attribute, "Fall-Through") {
			d.note("reply \"%s\" is never sent: the attribute is one of the server's own (was --check meant?)", it)
		}
	}
	return nil
}

// notePools tells of the pools of a package that are not there.
func (d *desk) notePools(ctx context.Context, p aaa.PackagePools) error {
	for _, name := range []string{p.Pool, p.IPv6PrefixPool, p.DelegatedPool, p.IPv6AddressPool} {
		if err := d.notePool(ctx, d.db, name); err != nil {
			return err
		}
	}
	return nil
}

// notePool tells that a pool is not there: it may be made later, but until
// then logins are refused.
func (a *app) notePool(ctx context.Context, db *store.DB, pool string) error {
	if pool == "" {
		return nil
	}
	_, err := db.PoolByName(ctx, pool)
	if errors.Is(err, aaa.ErrNotFound) {
		a.note("there is no pool %q yet: logins are refused (pool_unknown) until radial pool add %s --cidr NETWORK", pool, pool)
		return nil
	}
	return err
}
