package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
)

// noteItems tells of items that are right and do not do what was probably
// meant.
func (d *desk) noteItems(ctx context.Context, checks, replies []aaa.Item) error {
	for _, it := range checks {
		if kind, ok := aaa.PoolChosenBy(it.Attribute); ok {
			if err := d.notePool(ctx, d.db, "", kind, strings.Trim(it.Value, `"'`)); err != nil {
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

// noteStaticIP tells of a static address that is a router's: whoever has it
// takes the others' way out.
func (d *desk) noteStaticIP(ctx context.Context, ip *netip.Addr) error {
	if ip == nil || !ip.IsValid() {
		return nil
	}
	pool, network, err := d.db.GatewayAt(ctx, *ip)
	switch {
	case errors.Is(err, aaa.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	d.remark("address %s is the gateway of subnet %s of pool %q: with two hosts of that address nobody there gets through", ip, network, pool)
	return nil
}

// noteHeld tells of a static address that somebody else has in one of the address spaces whose pools have it: it is kept for
// its user in the others alone. Where he has it in all of them, the change is refused.
func (d *desk) noteHeld(ctx context.Context, user string, ip *netip.Addr) error {
	if ip == nil || !ip.IsValid() {
		return nil
	}
	places, err := d.db.StaticPlaces(ctx, user, *ip)
	if err != nil {
		return err
	}
	var kept []string
	for _, p := range places {
		if !p.Held {
			kept = append(kept, p.VRF)
		}
	}
	for _, p := range places {
		if !p.Held {
			continue
		}
		by := "for nobody by name"
		if p.User != "" {
			by = "by " + printable(p.User)
		}
		if p.Session != "" {
			by += fmt.Sprintf(" (session %s)", printable(p.Session))
		}
		d.remark("address %s is %s in VRF %s %s: reserved in VRF %s alone; a login of %s by a NAS of VRF %s is given it all the same, until it is given back: radial ip conflicts",
			ip, p.State, p.VRF, by, strings.Join(kept, ", "), printable(user), p.VRF)
	}
	return nil
}

// notePools tells of the pools of a package that logins cannot use.
func (d *desk) notePools(ctx context.Context, p aaa.PackagePools) error {
	return errors.Join(
		d.notePool(ctx, d.db, "", ipam.IPv4, p.Pool),
		d.notePool(ctx, d.db, "", ipam.IPv6Prefix, p.IPv6PrefixPool),
		d.notePool(ctx, d.db, "", ipam.DelegatedPrefix, p.DelegatedPool),
		d.notePool(ctx, d.db, "", ipam.IPv6Address, p.IPv6AddressPool))
}

// notePool tells of a pool that logins cannot use: it may be made or mended
// later, but until then they are refused. vrf is the name of the VRF where they
// look for it, "" for whichever has it.
func (a *app) notePool(ctx context.Context, db *store.DB, vrf string, kind ipam.Kind, pool string) error {
	if pool == "" {
		return nil
	}
	var id int32
	if vrf != "" {
		names, err := db.VRFNames(ctx)
		if err != nil {
			return err
		}
		for n, name := range names {
			if name == vrf {
				id = n
			}
		}
	}
	s, err := db.PoolOffer(ctx, id, pool)
	where, flag := "", ""
	if vrf != "" && vrf != "default" {
		where, flag = fmt.Sprintf(" in VRF %q", vrf), " --vrf "+vrf
	}
	switch {
	case errors.Is(err, ipam.ErrPoolUnknown):
		a.note("there is no pool %q%s yet: logins are refused (pool_unknown) until radial pool add %s --cidr NETWORK%s", pool, where, pool, flag)
	case err != nil:
		return err
	case s.Kind != kind:
		a.note("pool %q is one of %s, not of %s: logins are refused (pool_unknown)", pool, aaa.LeasesOf(s.Kind), aaa.LeasesOf(kind))
	case s.Status != ipam.Active:
		a.note("pool %q is draining or inactive: new logins are refused (pool_inactive), unless another pool is named behind it", pool)
	}
	return nil
}
