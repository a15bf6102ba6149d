package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

// usageView is what a user used in a period, in JSON.
type usageView struct {
	User     *string `json:"username,omitempty"`
	From     string  `json:"from"`  // first day
	Until    string  `json:"until"` // the day after the last
	Seconds  int64   `json:"seconds"`
	Input    uint64  `json:"input_octets"`  // from the subscriber: upload
	Output   uint64  `json:"output_octets"` // to the subscriber: download
	Sessions int64   `json:"sessions"`      // that began
	sum      bool    // of days of long ago
}

// usageBy are the values of --by.
var usageBy = []string{"day", "week", "month", "billing-month"}

// usageFlags are the flags of usage.
type usageFlags struct {
	by, since, until, order string
	top                     int
}

func newUsageCmd(a *app) *cobra.Command {
	var f usageFlags
	cmd := &cobra.Command{
		Use:   "usage [NAME]",
		Short: "What a user has used, by day, week, month or billing month; without a name, who used the most",
		Long: `Prints what a user has used, by civil days of the database's time zone: the time of his sessions, upload and download, and how many
sessions began. Open sessions count as far as they have reported. A session that runs over midnight is split there: its time by the
clock, its octets as the time between the two reports. Weeks begin as counters.week_begins says, and a billing-month on the user's billing day (else
on counters.month_day), as those of his quotas do. Days of long ago may be one sum (sessions.usage_retention), which is shown where all of its
days are asked for.

Without a name: the users who used the most, and what all used together; this month, where neither --since nor --until say otherwise.`,
		Example: "  radial usage alice --by month\n  radial usage alice --since 2026-11-01 --until 2026-12-01 -o json\n  radial usage --top 50 --since 2026-11-01",
		Args:    atMostNamed("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if cmd.Flags().Changed("top") || cmd.Flags().Changed("order") {
					return usagef("--top and --order are for usage without a name")
				}
				return usageOf(cmd.Context(), a, args[0], f)
			}
			if cmd.Flags().Changed("by") {
				return usagef("--by is for the usage of a user, whose billing day may differ from others': name one")
			}
			return usageTop(cmd.Context(), a, f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.by, "by", "day", strings.Join(usageBy, ", "))
	choices(cmd, "by", usageBy...)
	fl.StringVar(&f.since, "since", "", "from the day of that `time` on: a date, or 720h ago; with a name the last 31 days, 12 weeks or 12 months, or all that is asked for")
	fl.StringVar(&f.until, "until", "", "before that `time`")
	fl.IntVar(&f.top, "top", 20, "how many users")
	fl.StringVar(&f.order, "order", "total", "by what users are in order: total, up, down or time")
	choices(cmd, "order", "total", "up", "down", "time")
	return cmd
}

// days reads --since and --until as days.
func (f usageFlags) days(zone *time.Location, now time.Time) (span aaa.Span, err error) {
	from, to, err := period(f.since, f.until, zone, now)
	if err != nil {
		return span, err
	}
	if !from.IsZero() {
		span.From = aaa.DayOf(from, zone)
	}
	if !to.IsZero() {
		span.To = aaa.DayOf(to.Add(-time.Nanosecond), zone) + 1
	}
	return span, nil
}

// reckoner cuts days into periods, weeks and billing months where quotas begin
// again.
type reckoner struct {
	by       string
	counters aaa.CounterOptions
	billing  int // day of the user's months; 0: none of his own
}

// around is the period that a day is in.
func (r *reckoner) around(day aaa.Day) aaa.Span {
	switch r.by {
	case "week":
		return r.counters.Span(aaa.PeriodWeek, 0, day)
	case "month":
		return r.counters.Span(aaa.PeriodMonth, 1, day)
	case "billing-month":
		return r.counters.Span(aaa.PeriodMonth, r.billing, day)
	default:
		return r.counters.Span(aaa.PeriodDay, 0, day)
	}
}

// lately is what is shown where nothing is asked for.
func (r *reckoner) lately(today aaa.Day) aaa.Span {
	span, before := r.around(today), 11
	if r.by == "day" {
		before = 30
	}
	for range before {
		span = r.around(span.From - 1)
	}
	return aaa.Span{From: span.From}
}

// open opens the database, and says which days are asked for; a zero span where
// the flags name none. Whoever asked calls done.
func (f usageFlags) open(ctx context.Context, a *app) (db *store.DB, span aaa.Span, today aaa.Day, done func(), err error) {
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return nil, span, 0, nil, err
	}
	if span, err = f.days(zone, a.now()); err != nil {
		done()
		return nil, span, 0, nil, err
	}
	return db, span, aaa.DayOf(a.now(), zone), done, nil
}

func usageOf(ctx context.Context, a *app, user string, f usageFlags) error {
	if !slices.Contains(usageBy, f.by) {
		return usagef("--by %q: want %s", f.by, strings.Join(usageBy, ", "))
	}
	c, err := a.config()
	if err != nil {
		return err
	}
	db, span, today, done, err := f.open(ctx, a)
	if err != nil {
		return err
	}
	defer done()
	r := reckoner{by: f.by, counters: c.Policy.Counters}
	if f.by == "billing-month" {
		acc, err := db.Account(ctx, user)
		if err != nil {
			return err
		}
		if acc.Subscriber != nil {
			r.billing = acc.Subscriber.BillingDay
		}
	}
	if span == (aaa.Span{}) {
		span = r.lately(today)
	}
	days, err := db.UsageDays(ctx, user, span)
	if err == nil && len(days) == 0 {
		err = db.CheckUser(ctx, user)
	}
	if err != nil {
		return err
	}
	views := r.views(days)
	if err := noteBackfill(ctx, a, db); err != nil {
		return err
	}
	return a.print(views, func() string { return usageTable(views, f.by) })
}

// views adds days up to periods.
func (r *reckoner) views(days []store.UsageDay) []usageView {
	views := []usageView{}
	for _, d := range days {
		around := r.around(d.Day)
		first, past := around.From, around.To
		sum := d.Past > past
		if sum {
			first, past = d.Day, d.Past
		}
		if n := len(views); n == 0 || views[n-1].From != first.String() || views[n-1].sum {
			views = append(views, usageView{From: first.String(), Until: past.String(), sum: sum})
		}
		v := &views[len(views)-1]
		v.Seconds, v.Input, v.Output, v.Sessions = v.Seconds+int64(d.Time/time.Second), v.Input+d.Input, v.Output+d.Output, v.Sessions+d.Sessions
	}
	return views
}

func usageTable(views []usageView, by string) string {
	g := grid{titles: []string{by, "time", "up", "down", "total", "sessions"}}
	var sum usageView
	for _, v := range views {
		name := v.From
		switch {
		case v.sum:
			name = v.From + " until " + v.Until
		case by == "month":
			name = v.From[:len("2026-11")]
		}
		g.add(v.row(name)...)
		sum.Seconds, sum.Input, sum.Output, sum.Sessions = sum.Seconds+v.Seconds, sum.Input+v.Input, sum.Output+v.Output, sum.Sessions+v.Sessions
	}
	g.add(sum.row("all")...)
	return g.String()
}

func (v usageView) row(name string) []string {
	used := time.Duration(v.Seconds) * time.Second
	return []string{name, used.String(), octets(int64(v.Input)), octets(int64(v.Output)), octets(int64(v.Input + v.Output)), strconv.FormatInt(v.Sessions, 10)}
}

func usageTop(ctx context.Context, a *app, f usageFlags) error {
	rank, ok := map[string]func(aaa.Usage) uint64{
		"total": aaa.Usage.Total,
		"up":    func(u aaa.Usage) uint64 { return u.Input },
		"down":  func(u aaa.Usage) uint64 { return u.Output },
		"time":  func(u aaa.Usage) uint64 { return uint64(u.Time) },
	}[f.order]
	if !ok {
		return usagef("--order %q: want total, up, down or time", f.order)
	}
	if f.top < 1 {
		return usagef("--top %d: want 1 or more", f.top)
	}
	db, span, today, done, err := f.open(ctx, a)
	if err != nil {
		return err
	}
	defer done()
	if span == (aaa.Span{}) {
		month := reckoner{by: "month"}
		span = month.around(today)
	}
	top, all, users, err := db.UsageTop(ctx, span, f.top, rank)
	if err != nil {
		return err
	}
	if err := noteBackfill(ctx, a, db); err != nil {
		return err
	}
	views := make([]usageView, len(top))
	for i, u := range top {
		views[i] = usageView{
			User: &u.User, From: dayOrEmpty(span.From), Until: dayOrEmpty(span.To),
			Seconds: int64(u.Time / time.Second), Input: u.Input, Output: u.Output, Sessions: u.Sessions,
		}
	}
	return a.print(views, func() string {
		g := grid{titles: []string{"user", "time", "up", "down", "total", "sessions"}}
		for _, v := range views {
			g.add(v.row(*v.User)...)
		}
		sum := usageView{Seconds: int64(all.Time / time.Second), Input: all.Input, Output: all.Output, Sessions: all.Sessions}
		g.add(sum.row("all " + strconv.Itoa(users))...)
		return g.String()
	})
}

func dayOrEmpty(d aaa.Day) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// noteBackfill tells that sessions of an adopted radacct are still missing.
func noteBackfill(ctx context.Context, a *app, db *store.DB) error {
	b, err := db.UsageBackfill(ctx)
	if err == nil && b.Upto > 0 {
		a.note("sessions from before the ledger of usage are still being added, the newest first: %d %% are", 100-100*b.Upto/max(b.Bound, 1))
	}
	return err
}
