package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// TestMergeUsage: days of long ago become one row of a user's first day, with their sum;
// what counts for ever, from the first session on, and since days that are kept is as it was.
func TestMergeUsage(t *testing.T) {
	db := storetest.New(t)
	meter := store.NewMeter(db.DB)
	zone, err := meter.Zone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	today := aaa.DayOf(now, zone)
	day := func(ago int) string { return (today - aaa.Day(ago)).String() }
	for _, user := range []string{"ann", "ben", "cyd", "dan"} {
		for _, ago := range []int{500, 400, 300, 200, 150, 100, 0} {
			db.Exec("INSERT INTO radial.usage_daily (username, day, seconds, input, output, sessions) VALUES ($1, $2::text::date, $3, 1, 10, 1)", user, day(ago), ago+1)
		}
	}
	db.Exec("INSERT INTO radial.usage_daily (username, day, seconds, input, output, sessions) VALUES ('one', $1::text::date, 1, 1, 1, 1)", day(600))
	db.Exec("INSERT INTO radial.topups (username, octets, from_day) VALUES ('ben', 1, $1::text::date), ('cyd', 1, $2::text::date)", day(210), day(900))
	ever, lately := aaa.Span{}, aaa.Span{From: today - 190}
	known := func() (all []string) {
		for _, user := range []string{"ann", "ben", "cyd", "dan", "one", "nobody"} {
			used, err := meter.Used(t.Context(), user, []aaa.Span{ever, lately})
			if err != nil {
				t.Fatal(err)
			}
			first, err := meter.FirstSession(t.Context(), user)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprint(user, used, first.Format(time.DateOnly)))
		}
		return all
	}
	before := known()
	merge := func() (days int) {
		t.Helper()
		err := db.MergeUsage(t.Context(), now.AddDate(0, 0, -190), 2, func(n int) error { days += n; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return days
	}
	if n := merge(); n != 11 {
		t.Errorf("the rows of %d days have gone", n)
	}
	if diff := cmp.Diff(before, known()); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	want := [][]string{
		{"ann", day(500), day(200), "1404", "4", "4"}, {"ann", day(150), "", "151", "1", "1"},
		{"ben", day(500), day(300), "1203", "3", "3"}, {"ben", day(200), "", "201", "1", "1"}, {"ben", day(150), "", "151", "1", "1"},
		{"cyd", day(500), day(200), "1404", "4", "4"}, {"cyd", day(150), "", "151", "1", "1"},
		{"one", day(600), "", "1", "1", "1"},
	}
	const rows = "SELECT username, day::text, coalesce(upto::text, ''), seconds, input, sessions FROM radial.usage_daily WHERE username <> 'dan' AND day < current_date - 110 ORDER BY 1, 2"
	if diff := cmp.Diff(want, db.Rows(rows)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if n := merge(); n != 0 {
		t.Errorf("again: the rows of %d days have gone", n)
	}

	// What comes late is added, and a quota for ever wants the days since any top-up.
	db.Exec("INSERT INTO radial.usage_daily (username, day, seconds, input, output, sessions) VALUES ('ann', $1::text::date, 1000, 0, 0, 0), ('cyd', $1::text::date, 0, 0, 0, 0), ('dan', $2::text::date, 0, 0, 0, 0)", day(450), day(700))
	db.Exec("INSERT INTO radial.quotas (subject, name, period, counts, octets) VALUES ('group', 'any', 'ever', 'total', 5)")
	before = known()
	if n := merge(); n != 2 {
		t.Errorf("late: the rows of %d days have gone", n)
	}
	if diff := cmp.Diff(before, known()); diff != "" {
		t.Errorf("late (-before +after):\n%s", diff)
	}

	// People see the sum where all of it is asked for.
	seen := func(span aaa.Span) (all []string) {
		days, err := db.UsageDays(t.Context(), "ann", span)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range days {
			all = append(all, fmt.Sprint(int(today-d.Day), int(today-d.Past)+1, int(d.Time.Seconds())))
		}
		return all
	}
	if diff := cmp.Diff([]string{"500 200 2404", "150 150 151", "100 100 101", "0 0 1"}, seen(aaa.Span{})); diff != "" {
		t.Errorf("days (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string(nil), seen(aaa.Span{To: today - 250})); diff != "" {
		t.Errorf("days of a part (-want +got):\n%s", diff)
	}
	_, all, _, err := db.UsageTop(t.Context(), aaa.Span{To: today - 250}, 5, aaa.Usage.Total)
	if err != nil || all.Time != 1204*time.Second { // ben's sum, and one's day
		t.Errorf("all users before: %v, %v", all, err)
	}
}

// While days are added up, the ledger writes: nothing is lost.
func TestMergeUsageBesideTheLedger(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radial.usage_daily (username, day, seconds, input, output, sessions)
		SELECT 'u' || u, current_date - 200 - d, 1, 1, 1, 1 FROM generate_series(1, 20) u, generate_series(1, 10) d`)
	var g errgroup.Group
	for range 2 {
		g.Go(func() error {
			for range 5 {
				if err := db.MergeUsage(t.Context(), time.Now().AddDate(0, 0, -100), 3, func(int) error { return nil }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for w := range 2 {
		g.Go(func() error {
			for i := range 50 {
				_, err := db.Pool().Exec(t.Context(), `INSERT INTO radial.usage_daily AS d (username, day, seconds, input, output, sessions)
					SELECT 'u' || u, current_date - 200 - $1::int, 1, 1, 1, 1 FROM generate_series(1, 20) u ORDER BY 1
					ON CONFLICT (username, day) DO UPDATE SET seconds = d.seconds + excluded.seconds`, (i+w)%10+1)
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := db.Rows("SELECT sum(seconds) FROM radial.usage_daily")[0][0]; got != "2200" {
		t.Errorf("%s seconds of 2200", got)
	}
}
