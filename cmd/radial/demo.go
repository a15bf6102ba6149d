package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
	"radial/store"
)

// demo is what a newcomer finds: one subscriber of one package with a pool, and
// his own machine as the device.
const (
	demoUser     = "alice"
	demoPassword = "wonderland"
	demoPackage  = "gold"
	demoPool     = "demo"
	demoNetwork  = "100.64.0.0/16"
	demoSecret   = "testing123"
)

// makeDemo makes the demo data; what is there already is left as it is, so
// that it can be run at every start.
func makeDemo(ctx context.Context, db *store.DB, dict *dictionaries.Dictionary, zone *time.Location) error {
	rules := &aaa.Provisioner{Rows: aaa.NewCompiler(dict, zone), Zone: zone, Now: time.Now}
	by := func(action string) store.Change { return store.Change{Actor: "demo", Action: action} }

	err := db.CreatePool(ctx, store.PoolSpec{Name: demoPool, PoolSettings: store.PoolSettings{Description: "demo"}, CIDRs: []netip.Prefix{netip.MustParsePrefix(demoNetwork)}})
	if err := unlessThere(err); err != nil {
		return err
	}
	down, up, pool := int64(100_000_000), int64(20_000_000), demoPool
	_, err = db.ChangePackage(ctx, by("package.add"), demoPackage, rules.AddPackage(aaa.PackageChange{RateDown: &down, RateUp: &up, Pool: &pool}, false))
	if err := unlessThere(err); err != nil {
		return err
	}
	password, err := aaa.PasswordItem("cleartext", demoPassword)
	if err != nil {
		return fmt.Errorf("demo data: %w", err)
	}
	name := demoPackage
	c := aaa.SubscriberChange{Password: password, PasswordType: "cleartext", Package: &name}
	_, err = db.ChangeSubscriber(ctx, by("user.add"), demoUser, rules.AddSubscriber(c, nil))
	if err := unlessThere(err); err != nil {
		return err
	}
	secret, kind := nas.Secret(demoSecret), "mikrotik"
	device := aaa.DeviceChange{Secret: &secret, AllowWeakSecret: true, Type: &kind}
	for address, short := range map[string]string{"127.0.0.0/8": "localhost", "::1": "localhost6"} {
		device.ShortName = &short
		_, err := db.ChangeDevice(ctx, by("nas.add"), address, device.AddDevice)
		if err := unlessThere(err); err != nil {
			return err
		}
	}
	return nil
}

// unlessThere lets pass what an earlier start has made.
func unlessThere(err error) error {
	if err == nil || errors.Is(err, aaa.ErrConflict) {
		return nil
	}
	return fmt.Errorf("demo data: %w", err)
}
