package test

import (
	"fmt"
	"testing"

	"radial/test/harness"
)

func archiveEffects() effectGroup {
	work := func(w *world) {
		w.db.Exec(`INSERT INTO radial.river_job (kind, args, max_attempts) SELECT 'archive_sessions', '{"batch": 10}', 1
			WHERE NOT EXISTS (SELECT FROM radial.river_job WHERE kind = 'archive_sessions' AND state IN ('available', 'running'))`) // not only in an hour
	}
	session := func(w *world, name string, hours int) {
		w.db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctstoptime)
			SELECT $1 || $2::int, md5($1 || $2::int), $1, '192.0.2.99', at, at FROM (SELECT now() - make_interval(hours => $2::int)) v (at)`, name, hours)
	}
	return effectGroup{
		name: "archive",
		set:  map[string]string{"sessions.archive_after": "1000h", "sessions.archive_retention": "9000h", "sessions.usage_retention": "3000h"},
		effects: map[string]func(*testing.T, *world){
			"sessions.usage_retention": func(t *testing.T, w *world) {
				for _, ago := range []int{127, 126, 124, 123} { // days; 3000 hours are 125
					w.db.Exec(`INSERT INTO radial.usage_daily (username, day, seconds, input, output, sessions) VALUES ('merged', current_date - $1::int, 10, 0, 0, 1)`, ago)
				}
				harness.Eventually(t, patience, "the older two are one", func() bool {
					w.db.Exec(`INSERT INTO radial.river_job (kind, args, max_attempts) SELECT 'merge_usage', '{"batch": 10}', 1
						WHERE NOT EXISTS (SELECT FROM radial.river_job WHERE kind = 'merge_usage' AND state IN ('available', 'running'))`)
					return fmt.Sprint(w.db.Rows(`SELECT seconds, upto - day FROM radial.usage_daily WHERE username = 'merged' ORDER BY day`)) == "[[20 1] [10 NULL] [10 NULL]]"
				})
			},
			"sessions.archive_after": func(t *testing.T, w *world) {
				session(w, "aged", 1001)
				session(w, "aged", 999)
				harness.Eventually(t, patience, "the older one is in the archive", func() bool {
					work(w)
					return fmt.Sprint(w.db.Rows(`SELECT acctsessionid FROM radial.radacct_archive WHERE username = 'aged'`)) == "[[aged1001]]" &&
						fmt.Sprint(w.db.Rows(`SELECT acctsessionid FROM radacct WHERE username = 'aged'`)) == "[[aged999]]"
				})
			},
			"sessions.archive_retention": func(t *testing.T, w *world) {
				session(w, "gone", 9000+31*24)
				session(w, "kept", 8999)
				harness.Eventually(t, patience, "the month of the oldest is gone", func() bool {
					work(w)
					return len(w.db.Rows(`SELECT FROM radial.radacct_all WHERE username = 'gone'`)) == 0
				})
				if got := fmt.Sprint(w.db.Rows(`SELECT username FROM radial.radacct_all WHERE username = 'kept'`)); got != "[[kept]]" {
					t.Error("left:", got)
				}
			},
		},
	}
}
