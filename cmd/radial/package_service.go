package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas"
)

// serviceFlags are the flags of what a package grants beyond rates and pools.
type serviceFlags struct {
	burstDown, burstUp, thresholdDown, thresholdUp string
	minDown, minUp, burstTime                      string
	priority, vlan                                 int64
	addressList, filter, dns, currency             string
}

func (f *serviceFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.burstDown, "burst-down", "", "`rate` to the subscriber for a while, while his average is below the threshold; with --burst-up")
	fl.StringVar(&f.burstUp, "burst-up", "", "the same from the subscriber")
	fl.StringVar(&f.thresholdDown, "threshold-down", "", "`rate` of the average below which there is a burst (default: the rate)")
	fl.StringVar(&f.thresholdUp, "threshold-up", "", "the same from the subscriber")
	fl.StringVar(&f.burstTime, "burst-time", "", "`seconds` over which the average is taken (default 1)")
	fl.StringVar(&f.minDown, "min-down", "", "`rate` to the subscriber that is guaranteed")
	fl.StringVar(&f.minUp, "min-up", "", "the same from the subscriber")
	fl.Int64Var(&f.priority, "priority", 0, "`number` from 1 (served first) to 8, where rates compete")
	fl.StringVar(&f.addressList, "address-list", "", "`name` of an address list of the device's firewall (Mikrotik-Address-List)")
	fl.StringVar(&f.filter, "filter", "", "`name` of a filter on the device (Filter-Id)")
	fl.StringVar(&f.dns, "dns", "", "`addresses` of name servers, with commas between; in place of the pool's")
	fl.Int64Var(&f.vlan, "vlan", 0, "`number` of the VLAN, 1 to 4094 (RFC 3580: Tunnel-Private-Group-Id)")
	fl.StringVar(&f.currency, "currency", "", "`code` of the price's currency, as EUR")
}

// change reads the flags that were given.
func (f *serviceFlags) change(cmd *cobra.Command, c *aaa.PackageChange) (err error) {
	for _, rate := range []struct {
		flag, text string
		to         **int64
	}{
		{"burst-down", f.burstDown, &c.Burst.BurstDown}, {"burst-up", f.burstUp, &c.Burst.BurstUp},
		{"threshold-down", f.thresholdDown, &c.Burst.ThresholdDown}, {"threshold-up", f.thresholdUp, &c.Burst.ThresholdUp},
		{"min-down", f.minDown, &c.Burst.MinDown}, {"min-up", f.minUp, &c.Burst.MinUp},
	} {
		if *rate.to, err = givenRate(cmd, rate.flag, rate.text); err != nil {
			return err
		}
	}
	if c.Burst.BurstTime, err = givenSeconds(cmd, "burst-time", f.burstTime); err != nil {
		return err
	}
	c.Burst.Priority, c.VLAN = given(cmd, "priority", f.priority), given(cmd, "vlan", f.vlan)
	c.AddressList, c.Filter = given(cmd, "address-list", f.addressList), given(cmd, "filter", f.filter)
	c.Currency = given(cmd, "currency", strings.ToUpper(f.currency))
	if cmd.Flags().Changed("dns") {
		c.DNS, err = nameServers(f.dns)
	}
	return err
}

// rateFlag reads a rate; 0 takes it away.
func rateFlag(flag, text string) (int64, error) {
	bits, err := nas.ParseRate(text)
	switch {
	case text == "":
		return 0, nil
	case err != nil:
		return 0, usagef("--%s %q: want bits per second with k, M or G, as in 20M", flag, text)
	case bits > 0 && bits < 1000:
		return 0, usagef("--%s %q: that is %d bits per second; say %sM for megabits", flag, text, bits, text)
	}
	return bits, nil
}

// givenRate is given for a rate.
func givenRate(cmd *cobra.Command, flag, text string) (*int64, error) {
	if !cmd.Flags().Changed(flag) {
		return nil, nil
	}
	bits, err := rateFlag(flag, text)
	return &bits, err
}

// walledFlags are the flags of a package's walled garden.
type walledFlags struct {
	states                     []string
	down, up, sessionTimeout   string
	list, filter, pool, framed string
	replies                    []string
	none                       bool
}

func (f *walledFlags) register(cmd *cobra.Command, set bool) {
	fl := cmd.Flags()
	fl.StringSliceVar(&f.states, "walled", nil, "`states` in which subscribers get a walled garden instead of a refusal, with commas between: suspended, expired, exhausted (quota or time used up)")
	fl.StringVar(&f.down, "walled-down", "", "`rate` within the walled garden; with --walled-up")
	fl.StringVar(&f.up, "walled-up", "", "the same from the subscriber")
	fl.StringVar(&f.list, "walled-address-list", "", "`name` of the address list that keeps them inside (Mikrotik-Address-List)")
	fl.StringVar(&f.filter, "walled-filter", "", "`name` of the filter that does (Filter-Id)")
	fl.StringVar(&f.pool, "walled-pool", "", "`name` of the pool of ours that they get addresses from, also in place of a static one; none takes it away")
	fl.StringVar(&f.framed, "walled-framed-pool", "", "`name` of a pool on the device, likewise")
	fl.StringVar(&f.sessionTimeout, "walled-session-timeout", "", "longest session in it, `seconds` or 30m")
	fl.StringArrayVar(&f.replies, "walled-reply", nil, "further reply item in it, `'Attr op value'`; may be repeated, in place of all before")
	choices(cmd, "walled", wordsOf(aaa.WallStates)...)
	if set {
		fl.BoolVar(&f.none, "no-walled", false, "take the walled garden away: who is in it is refused from now on")
		cmd.MarkFlagsMutuallyExclusive("walled", "no-walled")
	}
}

// change reads the flags that were given.
func (f *walledFlags) change(cmd *cobra.Command) (c aaa.WalledChange, err error) {
	c.Remove = f.none
	for _, text := range f.states {
		state := aaa.WallState(text)
		if !slices.Contains(aaa.WallStates, state) {
			return c, usagef("--walled %q: want one or more of %s, with commas between", text, strings.Join(wordsOf(aaa.WallStates), ", "))
		}
		c.For = append(c.For, state)
	}
	for _, rate := range []struct {
		flag, text string
		to         **int64
	}{{"walled-down", f.down, &c.RateDown}, {"walled-up", f.up, &c.RateUp}} {
		if *rate.to, err = givenRate(cmd, rate.flag, rate.text); err != nil {
			return c, err
		}
	}
	c.AddressList, c.Filter = given(cmd, "walled-address-list", f.list), given(cmd, "walled-filter", f.filter)
	noneIsEmpty(&f.pool, &f.framed)
	c.Pool, c.FramedPool = given(cmd, "walled-pool", f.pool), given(cmd, "walled-framed-pool", f.framed)
	if c.SessionTimeout, err = givenSeconds(cmd, "walled-session-timeout", f.sessionTimeout); err != nil {
		return c, err
	}
	if cmd.Flags().Changed("walled-reply") {
		c.Replies, err = items("walled-reply", f.replies)
	}
	return c, err
}

// tendGardens brings those who are kept out to where a walled garden that was
// changed says, at once; a job would do it within minutes.
func (d *desk) tendGardens(ctx context.Context) error {
	n, err := d.db.TendGardens(ctx, 500, d.rules.SyncSubscriber(false), d.rules.SyncPackage(false))
	if n > 0 {
		d.note("%d subscribers who are kept out follow", n)
	}
	return err
}
