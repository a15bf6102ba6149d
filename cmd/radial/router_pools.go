package main

import (
	"context"
	"fmt"
	"strings"

	"radial/aaa"
	"radial/ipam"
	"radial/nas/routeros"
)

// Pools of addresses on routers, held against Radial's own.

// rangesOK tells whether a text is ranges as a configured pool has them: with
// commas, each from one address to another, or one address.
func rangesOK(text string) bool {
	for part := range strings.SplitSeq(text, ",") {
		if _, err := ipam.ParseRange(part); err != nil || strings.ContainsAny(part, "/ ") {
			return false
		}
	}
	return true
}

// freeOfPools refuses ranges of a pool on a router that our own pools give, in
// the VRF of its device: the router would give the same addresses a second time.
func (d *routerDesk) freeOfPools(ctx context.Context, device *aaa.Device, pool string, ranges []string) error {
	vrf := "default"
	if device != nil {
		vrf = device.VRF
	}
	names, err := d.db.VRFNames(ctx)
	if err != nil {
		return err
	}
	subnets, err := d.db.Subnets(ctx, 0)
	if err != nil {
		return err
	}
	for _, text := range ranges {
		r, err := ipam.ParseRange(text)
		if err != nil {
			return usagef("pool %s: range %q: want IPv4 addresses, as in 10.0.0.2-10.0.0.254", pool, text)
		}
		for _, s := range subnets {
			if names[s.VRF] == vrf && r.Overlaps(ipam.RangeOf(s.Network)) {
				return fmt.Errorf("pool %s: %s is in subnet %s of Radial's pool %s, which gives its addresses itself: the router would give them a second time: %w",
					pool, text, s.Network, printable(s.Pool), aaa.ErrInvalid)
			}
		}
	}
	return nil
}

// ipPoolFree is freeOfPools for a pool that is made or changed by itself.
func ipPoolFree(ctx context.Context, d *routerDesk, router string, p routeros.IPPool) error {
	r, err := d.db.Router(ctx, router)
	if err != nil {
		return err
	}
	if _, err := p.Row(); err != nil {
		return onRouter(router, err) // it is no pool at all
	}
	device, err := d.deviceOf(ctx, r, nil)
	if err != nil {
		return err
	}
	return d.freeOfPools(ctx, device, p.Name, p.Ranges)
}
