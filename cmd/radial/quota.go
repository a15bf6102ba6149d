package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas"
)

// quotaFlags are the flags of quotas, of users and of packages.
type quotaFlags struct {
	quotas, steps    []string
	period, counts   string
	carry            bool
	noQuota, noSteps bool
}

func (f *quotaFlags) register(cmd *cobra.Command, set bool) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.quotas, "quota", nil, "`VOLUME[:period[:counts]]` that may be transferred, as 100G or 5G:day; unlimited lifts all that groups give, unlimited:day those of that period and count; may be repeated, in place of all before")
	fl.StringArrayVar(&f.steps, "fup", nil, "a step of fair use, `VOLUME[:period[:counts]]=DOWN/UP`: beyond 100G at 10M/2M; may be repeated, in place of all before")
	fl.StringVar(&f.period, "quota-period", string(aaa.PeriodMonth), "day, week, month or ever, where --quota and --fup do not say")
	fl.StringVar(&f.counts, "quota-counts", string(aaa.CountsTotal), "total, up or down, where --quota and --fup do not say")
	fl.BoolVar(&f.carry, "carry-over", false, "what is left of a quota at the end of a period is added to the next one's")
	choices(cmd, "quota-period", wordsOf(aaa.Periods)...)
	choices(cmd, "quota-counts", wordsOf(aaa.AllCounts)...)
	if !set {
		return
	}
	fl.BoolVar(&f.noQuota, "no-quota", false, "take the quotas away")
	fl.BoolVar(&f.noSteps, "no-fup", false, "take the steps of fair use away")
	cmd.MarkFlagsMutuallyExclusive("quota", "no-quota")
	cmd.MarkFlagsMutuallyExclusive("fup", "no-fup")
}

// change reads the flags that were given.
func (f *quotaFlags) change(cmd *cobra.Command) (c aaa.QuotaChange, err error) {
	for _, flag := range []string{"quota-period", "quota-counts", "carry-over"} {
		if cmd.Flags().Changed(flag) && len(f.quotas) == 0 && (flag == "carry-over" || len(f.steps) == 0) {
			return c, usagef("--%s says something of --quota: give that too", flag)
		}
	}
	for _, text := range f.quotas {
		if text == "unlimited" && !cmd.Flags().Changed("quota-period") && !cmd.Flags().Changed("quota-counts") {
			c.Quotas = append(c.Quotas, aaa.LiftAll())
			continue
		}
		q, err := f.parse("quota", text)
		if err != nil {
			return c, err
		}
		q.CarryOver = f.carry && q.Octets != aaa.Unlimited
		c.Quotas = append(c.Quotas, q)
	}
	for _, text := range f.steps {
		volume, rates, ok := strings.Cut(text, "=")
		down, up, both := strings.Cut(rates, "/")
		if !ok || !both {
			return c, usagef("--fup %q: want VOLUME=DOWN/UP, as in 100G=10M/2M", text)
		}
		q, err := f.parse("fup", volume)
		if err != nil {
			return c, err
		}
		for _, rate := range []struct {
			text string
			to   *int64
		}{{down, &q.RateDown}, {up, &q.RateUp}} {
			if *rate.to, err = nas.ParseRate(rate.text); err != nil || *rate.to < 1000 {
				return c, usagef("--fup %q: %q: want bits per second with k, M or G, as in 10M", text, rate.text)
			}
		}
		c.Steps = append(c.Steps, q)
	}
	if f.noQuota {
		c.Quotas = []aaa.Quota{}
	}
	if f.noSteps {
		c.Steps = []aaa.Quota{}
	}
	return c, nil
}

// parse reads VOLUME[:period[:counts]].
func (f *quotaFlags) parse(flag, text string) (q aaa.Quota, err error) {
	volume, rest, _ := strings.Cut(text, ":")
	period, counts, _ := strings.Cut(rest, ":")
	q.Period, q.Counts = aaa.Period(f.period), aaa.Counts(f.counts)
	if period != "" {
		q.Period = aaa.Period(period)
	}
	if counts != "" {
		q.Counts = aaa.Counts(counts)
	}
	switch {
	case !slices.Contains(aaa.Periods, q.Period):
		return q, usagef("--%s %q: period %q: want %s", flag, text, q.Period, strings.Join(wordsOf(aaa.Periods), ", "))
	case !slices.Contains(aaa.AllCounts, q.Counts):
		return q, usagef("--%s %q: counts %q: want %s", flag, text, q.Counts, strings.Join(wordsOf(aaa.AllCounts), ", "))
	case volume == "unlimited" && flag == "quota":
		q.Octets = aaa.Unlimited
		return q, nil
	}
	q.Octets, err = volumeOf("--"+flag, volume)
	return q, err
}

// volumeOf reads a volume that a subscriber may transfer: below a megabyte it is
// a unit that was forgotten.
func volumeOf(flag, text string) (int64, error) {
	n, err := aaa.ParseOctets(text)
	if err != nil || n == 0 {
		return 0, usagef("%s %q: want a volume, as 500M, 100G, 1.5T or 100GiB", flag, text)
	}
	if n < 1e6 {
		return 0, usagef("%s %q: that is %d octets; say %sG for gigabytes", flag, text, n, text)
	}
	return n, nil
}

// quotaText tells quotas in the words of the flags.
func quotaText(all []aaa.Quota, steps bool) string {
	var told []string
	for i := range all {
		q := &all[i]
		if q.Step() != steps {
			continue
		}
		text := aaa.FormatOctets(q.Octets) + ":" + string(q.Period) + ":" + string(q.Counts)
		if *q == aaa.LiftAll() {
			text = "unlimited, whatever groups say"
		}
		if steps {
			text += "=" + nas.FormatRate(q.RateDown) + "/" + nas.FormatRate(q.RateUp)
		}
		if q.CarryOver {
			text += " carried over"
		}
		told = append(told, text)
	}
	return orDash(strings.Join(told, ", "))
}

// noteSteps tells of steps of fair use that are never reached, since a quota ends
// all before.
func (a *app) noteSteps(all []aaa.Quota) {
	for i := range all {
		step := &all[i]
		for k := range all {
			q := &all[k]
			if step.Step() && !q.Step() && q.Octets != aaa.Unlimited && !q.CarryOver && q.Period == step.Period && q.Counts == step.Counts && q.Octets <= step.Octets {
				a.note("the step at %s is never reached: the quota of %s (%s, a %s) ends all before", aaa.FormatOctets(step.Octets), aaa.FormatOctets(q.Octets), q.Counts, q.Period)
			}
		}
	}
}

// userUsage is how a user stands with what he may transfer, in JSON.
type userUsage struct {
	Balances []balanceView `json:"balances"`
	TopUps   []topUpView   `json:"topups"`
	unseen   bool          // his quotas were not looked at
}

// balanceView is a quota, or a step, of a user or of a group of his.
type balanceView struct {
	aaa.Quota
	From    string `json:"from"` // first day of the period; "" for one that never ends
	Until   string `json:"until"`
	Granted int64  `json:"granted"` // with what was carried over and topped up
	Used    int64  `json:"used"`
	Left    int64  `json:"left"`
}

type topUpView struct {
	ID      int64  `json:"id"`
	Octets  int64  `json:"octets"`
	Made    string `json:"made_on"`
	Expires string `json:"expires_on"` // the last day; "" for the end of the quota's period
	Comment string `json:"comment"`
}

// usageOf reads it, by the code that decides logins.
func (d *desk) usageOf(ctx context.Context, user string) (u userUsage, err error) {
	u.Balances, u.TopUps = []balanceView{}, []topUpView{}
	all, err := d.db.TopUps(ctx, user)
	if err != nil {
		return u, err
	}
	for _, t := range all {
		v := topUpView{ID: t.ID, Octets: t.Octets, Made: t.From.String(), Comment: t.Comment}
		if t.Until != 0 {
			v.Expires = (t.Until - 1).String()
		}
		u.TopUps = append(u.TopUps, v)
	}
	engine, err := explainEngine(d)
	if err != nil {
		return u, err
	}
	req, err := (&explainFlags{}).request(ctx, d, user)
	if err != nil {
		return u, err
	}
	s, err := engine.Review(ctx, req)
	if err != nil {
		return u, err
	}
	u.unseen = s.Unknown || s.Reason != aaa.ReasonNone && len(s.Balances) == 0
	for i := range s.Balances {
		b := &s.Balances[i]
		v := balanceView{Quota: b.Quota, Granted: b.Granted, Used: b.Used, Left: b.Left}
		if b.Span.To != 0 {
			v.From, v.Until = b.Span.From.String(), (b.Span.To - 1).String()
		}
		u.Balances = append(u.Balances, v)
	}
	return u, nil
}

// text shows it on a terminal; nothing for a user without quotas.
func (u *userUsage) text() string {
	out := ""
	if len(u.Balances) > 0 {
		g := grid{titles: []string{"quota or step", "counts", "granted", "used", "left", "from", "until", "beyond it"}}
		for _, b := range u.Balances {
			beyond := "nothing"
			if b.Step() {
				beyond = nas.FormatRate(b.RateDown) + "/" + nas.FormatRate(b.RateUp)
			}
			g.add(aaa.FormatOctets(b.Octets), string(b.Counts), aaa.FormatOctets(b.Granted), aaa.FormatOctets(b.Used), aaa.FormatOctets(b.Left),
				orDash(b.From), orDash(b.Until), beyond)
		}
		out += "\n" + g.String()
	}
	if len(u.TopUps) > 0 {
		g := grid{titles: []string{"top-up", "volume", "made on", "expires on", "comment"}}
		for _, t := range u.TopUps {
			g.add(strconv.FormatInt(t.ID, 10), aaa.FormatOctets(t.Octets), t.Made, orDash(t.Expires), t.Comment)
		}
		out += "\n" + g.String()
	}
	return out
}

// wordsOf are the values of a closed list as texts.
func wordsOf[T ~string](all []T) []string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = string(v)
	}
	return out
}
