package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"radial/aaa"
)

// What anybody but the ledger does to users' rows. $1 the users.
var byOthers = map[string]string{
	"freeradius interim": `UPDATE radacct SET acctupdatetime = acctupdatetime + interval '7 hours', acctsessiontime = coalesce(acctsessiontime, 0) + 25200, acctinputoctets = acctinputoctets + 1000, acctoutputoctets = acctoutputoctets + 7 WHERE username = ANY ($1)`,
	"freeradius stop":    `UPDATE radacct SET acctstoptime = acctupdatetime + interval '30 hours', acctsessiontime = coalesce(acctsessiontime, 0) + 108000, acctinputoctets = acctinputoctets + 5000, acctterminatecause = 'User-Request' WHERE radacctid = (SELECT max(radacctid) FROM radacct WHERE username = ANY ($1))`,
	"closed by hand":     `UPDATE radacct SET acctstoptime = acctupdatetime, acctterminatecause = 'Lost-Carrier' WHERE username = ANY ($1) AND acctstoptime IS NULL`,
	"counters lowered":   `UPDATE radacct SET acctinputoctets = acctinputoctets / 2, acctsessiontime = acctsessiontime / 3 WHERE radacctid = (SELECT min(radacctid) FROM radacct WHERE username = ANY ($1))`,
	"opened again":       `UPDATE radacct SET acctstoptime = NULL WHERE radacctid = (SELECT min(radacctid) FROM radacct WHERE username = ANY ($1) AND acctstoptime IS NOT NULL)`,
	"deleted":            `WITH gone AS (DELETE FROM radacct WHERE radacctid = (SELECT min(radacctid) FROM radacct WHERE username = ANY ($1)) RETURNING *) INSERT INTO gone SELECT * FROM gone`,
	"inserted closed":    `INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, acctstoptime, acctsessiontime, acctinputoctets, acctoutputoctets) SELECT 'x', md5(random()::text), ($1::text[])[1], '10.0.0.8', '2026-10-22 20:00Z', '2026-10-23 20:00Z', '2026-10-23 20:00Z', 86400, 123456789, 1`,
}

// sums is what users' rows came to, those that have been deleted too.
func (w *usageWorld) sums(users []string) [][]string {
	return w.Rows(`
SELECT username, sum(coalesce(acctsessiontime, 0)), sum(coalesce(acctinputoctets, 0)), sum(coalesce(acctoutputoctets, 0)), count(*)
FROM (SELECT username, acctsessiontime, acctinputoctets, acctoutputoctets FROM radacct UNION ALL SELECT username, acctsessiontime, acctinputoctets, acctoutputoctets FROM gone) r
WHERE username = ANY ($1) GROUP BY 1 ORDER BY 1`, users)
}

// ledgered is what the ledger has of them.
func (w *usageWorld) ledgered(users []string) [][]string {
	return w.Rows(`SELECT username, sum(seconds), sum(input), sum(output), sum(sessions) FROM radial.usage_daily WHERE username = ANY ($1) GROUP BY 1 ORDER BY 1`, users)
}

// Whatever others do to the rows of radacct besides the ledgers of two servers,
// and while the sessions of the time before are being folded: in the end the
// days come to what the rows came to, and each session is counted once.
func TestUsageWithOthers(t *testing.T) {
	w := newUsageWorld(t)
	w.Exec(`CREATE TABLE gone (LIKE radacct)`)
	rapid.Check(t, func(t *rapid.T) {
		users := w.users()
		events := w.draw(t, users, false)
		if rapid.Bool().Draw(t, "adopted") { // the ledger is made only now
			w.Exec(`ALTER TABLE radacct DISABLE TRIGGER USER`)
			for _, user := range users {
				for i := range rapid.IntRange(1, 4).Draw(t, "old") {
					w.Exec(`
INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime, acctstoptime, acctsessiontime, acctinputoctets, acctoutputoctets)
SELECT 'old', md5($1 || $2), $1, '10.0.0.7', s, s + l, CASE WHEN $3 THEN s + l END, 864000, 1000000, 3 FROM (SELECT timestamptz '2026-10-01 12:00Z' + $4 * interval '1 hour' AS s, interval '10 days' AS l) x`,
						user, fmt.Sprint(i), rapid.IntRange(0, 2).Draw(t, "open") > 0, rapid.IntRange(0, 99).Draw(t, "hours"))
				}
			}
			w.Exec(`ALTER TABLE radacct ENABLE TRIGGER USER`)
			w.Exec(`UPDATE radial.usage_backfill SET bound = m, upto = m FROM (SELECT max(radacctid) AS m FROM radacct) r`)
			w.Exec(`DELETE FROM radial.usage_daily`)
			w.Exec(`DELETE FROM radacct WHERE username <> ALL ($1)`, users)
			w.Exec(`DELETE FROM radial.usage_session`)
			w.Forget()
		}
		names := []string{"freeradius interim", "freeradius stop", "closed by hand", "counters lowered", "opened again", "deleted", "inserted closed"}
		for queue := disturb(t, events); len(queue) > 0; {
			n := min(rapid.IntRange(1, 4).Draw(t, "batch"), len(queue))
			w.apply(t, queue[:n])
			queue = queue[n:]
			for range rapid.IntRange(0, 1).Draw(t, "others") {
				switch what := rapid.IntRange(0, len(names)+4).Draw(t, "what"); what - len(names) {
				case 0:
					w.fold(t)
				case 1:
					if _, err := w.RollUsage(context.Background(), 0, 1000); err != nil {
						t.Fatal(err)
					}
				case 2:
					down := &aaa.Record{Status: aaa.StatusOn, NAS: events[0].NAS, At: rapid.SampledFrom(events).Draw(t, "when").At}
					if err := w.ledgers[0].Down(context.Background(), down); err != nil {
						t.Fatal(err)
					}
				case 3, 4:
					if _, err := w.BackfillUsage(context.Background(), 2); err != nil {
						t.Fatal(err)
					}
				default:
					w.Exec(byOthers[names[what]], users)
				}
			}
		}
		w.Exec(byOthers["closed by hand"], users)
		w.fold(t)
		for left := true; left; {
			var err error
			if left, err = w.BackfillUsage(context.Background(), 3); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(w.sums(users), w.ledgered(users)); d != "" {
			t.Fatalf("-radacct +usage_daily:\n%s", d)
		}
		if left := w.Rows(`SELECT * FROM radial.usage_session`); len(left) > 0 {
			t.Fatalf("all sessions are folded, and usage_session has %v", left)
		}
	})
}
