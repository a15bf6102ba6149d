package store_test

import (
	"context"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// usageWorld is a database whose days are Berlin's, and two servers on it.
type usageWorld struct {
	*storetest.DB
	ledgers [2]*store.Ledger
	meter   *store.Meter
	days    []aaa.Day
	begins  []time.Time // of days, by PostgreSQL's clock; one more
	conn    *pgx.Conn
	runs    int
}

// usageFrom is five days before the night in which Berlin's clocks are put back
// and then the month ends.
const usageFrom = "2026-10-20"

func newUsageWorld(t *testing.T) *usageWorld {
	t.Helper()
	w := &usageWorld{DB: storetest.New(t)}
	w.Exec(`UPDATE radial.settings SET value = 'Europe/Berlin' WHERE key = 'timezone'`)
	for i := range w.ledgers {
		l, err := store.NewLedger(w.DB.DB, store.LedgerOptions{}, store.NewLedgerMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		w.ledgers[i] = l
	}
	w.meter = store.NewMeter(w.DB.DB)
	conn, err := pgx.Connect(t.Context(), w.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	w.conn = conn
	rows, err := conn.Query(t.Context(), `SELECT d - 'epoch'::date, d::timestamp AT TIME ZONE 'Europe/Berlin' FROM (SELECT $1::date + g AS d FROM generate_series(-1, 40) g) s ORDER BY 1`, usageFrom)
	if err != nil {
		t.Fatal(err)
	}
	var day int32
	var begin time.Time
	if _, err := pgx.ForEachRow(rows, []any{&day, &begin}, func() error {
		w.days, w.begins = append(w.days, aaa.Day(day)), append(w.begins, begin)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.days = w.days[:len(w.days)-1]
	return w
}

// seenRow is a row of radacct as a look at it found it.
type seenRow struct {
	user          string
	start, end    time.Time // when it was last heard of
	closed        bool
	seconds       int64
	input, output int64
}

// model is usage as simple as it can be told: every state of every row that
// anybody has seen, in order.
type model struct {
	of map[int64][]seenRow
}

func (w *usageWorld) look(t *rapid.T, m *model, users []string) {
	rows, err := w.conn.Query(context.Background(), `
SELECT radacctid, username, acctstarttime, coalesce(acctstoptime, acctupdatetime), acctstoptime IS NOT NULL, coalesce(acctsessiontime, 0), acctinputoctets, acctoutputoctets
FROM radacct WHERE username = ANY ($1)`, users)
	if err != nil {
		t.Fatal(err)
	}
	var id int64
	var r seenRow
	_, err = pgx.ForEachRow(rows, []any{&id, &r.user, &r.start, &r.end, &r.closed, &r.seconds, &r.input, &r.output}, func() error {
		all := m.of[id]
		if n := len(all); n == 1 && all[0].seconds == 0 && all[0].input == 0 && all[0].output == 0 && all[0].start.Before(r.start) {
			all = nil // a Start alone, and another: it is the session that begins then
		}
		if len(all) == 0 || all[len(all)-1] != r {
			m.of[id] = append(all, r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// used is what the model says of a user's days: time by the clock, octets spread
// evenly between two looks.
func (m *model) used(w *usageWorld, user string) []aaa.Usage {
	all := make([]aaa.Usage, len(w.days))
	for _, states := range m.of {
		if states[0].user != user {
			continue
		}
		last := states[len(states)-1]
		for i := range w.days {
			from, to := w.begins[i], w.begins[i+1]
			end := last.start.Add(time.Duration(last.seconds) * time.Second)
			if i == len(w.days)-1 {
				to = end.AddDate(1, 0, 0)
			}
			if lived := minTime(end, to).Sub(maxTime(last.start, from)); lived > 0 {
				all[i].Time += lived
			}
			in0, out0 := stateAt(states, from)
			in1, out1 := stateAt(states, to)
			all[i].Input += uint64(in1 - in0)
			all[i].Output += uint64(out1 - out0)
		}
	}
	return all
}

// stateAt is where the counters stood at a time. Nothing was used before the
// session began, as its row has it now: a Start may have come once more with a
// later time, and the report after it in the same batch, between two looks.
func stateAt(states []seenRow, t time.Time) (in, out int64) {
	start := states[len(states)-1].start
	before := seenRow{end: start}
	for _, s := range states {
		s.end = maxTime(s.end, start)
		if !s.end.After(t) {
			before = s
			continue
		}
		if before.end.Before(t) {
			grown := func(a, b int64) int64 {
				n := new(big.Int).Mul(big.NewInt(b-a), big.NewInt(int64(t.Sub(before.end))))
				return a + n.Quo(n, big.NewInt(int64(s.end.Sub(before.end)))).Int64()
			}
			before.input, before.output = grown(before.input, s.input), grown(before.output, s.output)
		}
		break
	}
	return before.input, before.output
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// check compares what the Meter says of every day, and of all, with the model.
func (w *usageWorld) check(t *rapid.T, m *model, users []string) {
	w.look(t, m, users)
	spans := []aaa.Span{{}}
	for _, d := range w.days {
		spans = append(spans, aaa.Span{From: d, To: d + 1})
	}
	for _, user := range users {
		want := m.used(w, user)
		var all aaa.Usage
		for _, u := range want {
			all.Time, all.Input, all.Output = all.Time+u.Time, all.Input+u.Input, all.Output+u.Output
		}
		got, err := w.meter.Used(context.Background(), user, spans)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(append([]aaa.Usage{all}, want...), got); d != "" {
			t.Fatalf("usage of %s, all and by day from %s (-model +meter):\n%s\n%v", user, w.days[0], d, m.of)
		}
	}
}

// draw makes the events of a few sessions, in the order of their times.
func (w *usageWorld) draw(t *rapid.T, users []string, reuse bool) []*aaa.Record {
	from, err := time.Parse(time.DateOnly, usageFrom)
	if err != nil {
		t.Fatal(err)
	}
	var all []*aaa.Record
	for i := range rapid.IntRange(1, 3).Draw(t, "sessions") {
		user := rapid.SampledFrom(users).Draw(t, "user")
		at := from.Add(time.Duration(rapid.IntRange(0, 9*86400).Draw(t, "start")) * time.Second)
		record := func(st aaa.Status) *aaa.Record {
			id := fmt.Sprintf("%032s", fmt.Sprintf("%s-%d", users[0], i)) // as long as those that the ledger remembers
			r := &aaa.Record{Status: st, UniqueID: id, SessionID: id, User: user, Login: user, NAS: netip.MustParseAddr("10.0.0.9"), VRF: 1, At: at, Received: at}
			all = append(all, r)
			return r
		}
		for again := true; again; again = reuse && rapid.IntRange(0, 2).Draw(t, "again") == 0 { // the same id once more
			start := at
			lost := rapid.IntRange(0, 4).Draw(t, "start lost") == 0
			if !lost {
				record(aaa.StatusStart)
			}
			var in, out int64
			n := rapid.IntRange(0, 6).Draw(t, "reports")
			stops := rapid.IntRange(0, 4).Draw(t, "stops") > 0
			for k := range n + 1 {
				at = at.Add(time.Duration(rapid.SampledFrom([]int{60, 300, 3600, 5 * 3600, 20 * 3600, 60 * 3600}).Draw(t, "after")+rapid.IntRange(0, 59).Draw(t, "and")) * time.Second)
				in, out = in+rapid.Int64Range(0, 1<<33).Draw(t, "in"), out+rapid.Int64Range(0, 1<<40).Draw(t, "out")
				if rapid.IntRange(0, 9).Draw(t, "reset") == 0 {
					in, out = in%(1<<32), out%(1<<32) // 32 bits, or counters that began anew
				}
				st := aaa.StatusInterim
				if k == n && stops {
					st = aaa.StatusStop
				}
				r := record(st)
				r.Input, r.Output = ptrTo(in), ptrTo(out)
				if lost || rapid.IntRange(0, 9).Draw(t, "no session time") > 0 {
					r.SessionTime = ptrTo(int64(at.Sub(start) / time.Second))
				}
				if st == aaa.StatusStop {
					r.TerminateCause = "User-Request"
				}
			}
			at = at.Add(time.Hour)
		}
	}
	slices.SortStableFunc(all, func(a, b *aaa.Record) int { return a.At.Compare(b.At) })
	return all
}

// disturb delivers some of it late, and some twice. A Start is never late: a row
// that was made without it would have begun at another time than was guessed.
func disturb(t *rapid.T, all []*aaa.Record) []*aaa.Record {
	type delivery struct {
		place float64
		*aaa.Record
	}
	var out []delivery
	for i, r := range all {
		place := float64(i)
		if r.Status != aaa.StatusStart && rapid.IntRange(0, 5).Draw(t, "late") == 0 {
			place += float64(rapid.IntRange(1, 4).Draw(t, "by")) + 0.5
		}
		out = append(out, delivery{place, r})
		if rapid.IntRange(0, 5).Draw(t, "twice") == 0 {
			after := rapid.IntRange(0, 9).Draw(t, "after")
			out = append(out, delivery{place + float64(after), r})
		}
	}
	slices.SortStableFunc(out, func(a, b delivery) int {
		switch {
		case a.place < b.place:
			return -1
		case a.place > b.place:
			return 1
		}
		return 0
	})
	records := make([]*aaa.Record, len(out))
	for i, d := range out {
		records[i] = d.Record
	}
	return records
}

func (w *usageWorld) users() []string {
	w.runs++
	return []string{fmt.Sprintf("u%da", w.runs), fmt.Sprintf("u%db", w.runs)}
}

func (w *usageWorld) apply(t *rapid.T, records []*aaa.Record) {
	l := rapid.SampledFrom(w.ledgers[:]).Draw(t, "server")
	for _, err := range l.Apply(context.Background(), records...) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Sessions over midnights, the end of summer time and of a month, with records
// twice, late and lost, counters that begin anew, ids that are used again, rows
// that a hand closes, and two servers: at every moment each day has what the
// rows of radacct came to on it. What comes once more, all of it, changes nothing.
func TestUsageIsTheModels(t *testing.T) {
	w := newUsageWorld(t)
	rapid.Check(t, func(t *rapid.T) {
		users := w.users()
		m := &model{of: map[int64][]seenRow{}}
		reuse := rapid.Bool().Draw(t, "ids are used again")
		events := w.draw(t, users, reuse)
		queue := disturb(t, events)
		for len(queue) > 0 {
			n := min(rapid.IntRange(1, 4).Draw(t, "batch"), len(queue))
			w.apply(t, queue[:n])
			queue = queue[n:]
			w.check(t, m, users)
			switch rapid.IntRange(0, 7).Draw(t, "besides") {
			case 0:
				w.Exec(`UPDATE radacct SET acctstoptime = acctupdatetime, acctterminatecause = 'Lost-Carrier' WHERE radacctid = (SELECT min(radacctid) FROM radacct WHERE username = ANY ($1) AND acctstoptime IS NULL)`, users)
			case 1:
				w.fold(t)
			}
			w.check(t, m, users)
		}
		w.fold(t)
		w.apply(t, events) // a journal that is drained once more
		for _, r := range events {
			w.apply(t, []*aaa.Record{r})
		}
		w.check(t, m, users)
		w.fold(t)
		w.Exec(`UPDATE radacct SET acctstoptime = acctupdatetime WHERE username = ANY ($1) AND acctstoptime IS NULL`, users)
		w.fold(t)
		w.check(t, m, users)
		if left := w.Rows(`SELECT * FROM radial.usage_session`); len(left) > 0 {
			t.Fatalf("all sessions are folded, and usage_session has %v", left)
		}
	})
}

func (w *usageWorld) fold(t *rapid.T) {
	if _, err := w.FoldUsage(context.Background(), 1000); err != nil {
		t.Fatal(err)
	}
}

// A Start that comes once more with a later time moves the session: what it
// uses is spread from there on, however the records come together.
func TestUsageOfAStartThatMoves(t *testing.T) {
	w := newUsageWorld(t)
	for name, batches := range map[string][]int{"apart": {1, 1, 1, 1}, "with the interim": {1, 2, 1}, "pairs": {2, 2}, "with the Stop": {1, 3}, "at once": {4}} {
		record := func(st aaa.Status, at string, lived, in, out int64) *aaa.Record {
			when, err := time.Parse("2006-01-02 15Z", "2026-10-"+at)
			if err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprintf("%032s", name)
			return &aaa.Record{Status: st, UniqueID: id, SessionID: id, User: name, Login: name, NAS: netip.MustParseAddr("10.0.0.9"), VRF: 1, At: when, Received: when,
				SessionTime: ptrTo(lived), Input: ptrTo(in), Output: ptrTo(out)}
		}
		queue := []*aaa.Record{ // midnight is at 22Z
			record(aaa.StatusStart, "20 16Z", 0, 0, 0), record(aaa.StatusStart, "20 20Z", 0, 0, 0),
			record(aaa.StatusInterim, "21 02Z", 6*3600, 600, 6<<40), record(aaa.StatusStop, "21 03Z", 7*3600, 700, 7<<40),
		}
		for _, n := range batches {
			for _, err := range w.ledgers[0].Apply(t.Context(), queue[:n]...) {
				if err != nil {
					t.Fatal(err)
				}
			}
			queue = queue[n:]
		}
		got, err := w.meter.Used(t.Context(), name, []aaa.Span{{}, {From: w.days[1], To: w.days[2]}, {From: w.days[2], To: w.days[3]}})
		if err != nil {
			t.Fatal(err)
		}
		want := []aaa.Usage{
			{Time: 7 * time.Hour, Input: 700, Output: 7 << 40},
			{Time: 2 * time.Hour, Input: 200, Output: 2 << 40},
			{Time: 5 * time.Hour, Input: 500, Output: 5 << 40},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s, all and the two days (-want +got):\n%s", name, d)
		}
	}
}
