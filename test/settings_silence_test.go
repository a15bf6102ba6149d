package test

import (
	"fmt"
	"testing"

	"radial/test/harness"
)

// silentSessions are two that have been silent for so many hours: their
// intervals of an hour are known, or not.
func silentSessions(w *world, name, every string, hours ...float64) {
	for _, h := range hours {
		w.db.Exec(`WITH r AS (
				INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime)
				VALUES ($1::text || $2::float8, md5($1 || $2), $1, '192.0.2.99', now() - make_interval(hours => 2000), now() - make_interval(hours => 1000)) RETURNING radacctid, acctupdatetime)
			INSERT INTO radial.session_watch SELECT r.radacctid, r.acctupdatetime, 0, c.up - make_interval(secs => 3600 * $2), nullif($3::text, '')::interval FROM r, radial.session_clock c`, name, h, every)
	}
}

func silenceEffects() effectGroup {
	closes := func(t *testing.T, w *world, name, want string) {
		harness.Eventually(t, patience, "what has been silent for too long is closed", func() bool {
			w.db.Exec(`INSERT INTO radial.river_job (kind, args, max_attempts) SELECT 'close_stale', '{"batch": 10}', 1
				WHERE NOT EXISTS (SELECT FROM radial.river_job WHERE kind = 'close_stale' AND state IN ('available', 'running'))`) // not only in a minute
			return fmt.Sprint(w.db.Rows(`SELECT acctsessionid, acctterminatecause FROM radacct WHERE username = $1 AND acctstoptime IS NOT NULL`, name)) == want
		})
	}
	return effectGroup{
		name: "silence",
		set:  map[string]string{"sessions.stale_after": "20", "sessions.silent_after": "100h", "radius.source_rate": "3"},
		effects: map[string]func(*testing.T, *world){
			"radius.source_rate": func(t *testing.T, w *world) {
				c := dial(t, "127.0.0.77", w.Auth, wireSecret)
				for id := range byte(10) {
					c.send(good(id))
				}
				harness.Eventually(t, patience, "some of ten are dropped", func() bool {
					n := w.Metric(t, "radial_radius_refused_total", `reason="source_rate"`)
					return n > 0 && n <= 7
				})
				dial(t, "127.0.0.78", w.Auth, wireSecret).ask(good(1)) // another device has its own
			},
			"sessions.stale_after": func(t *testing.T, w *world) {
				silentSessions(w, "known", "1 hour", 19.5, 20.5)
				closes(t, w, "known", "[[known20.5 Lost-Carrier]]")
			},
			"sessions.silent_after": func(t *testing.T, w *world) {
				silentSessions(w, "unknown", "", 99.5, 100.5)
				closes(t, w, "unknown", "[[unknown100.5 Lost-Carrier]]")
			},
		},
	}
}
