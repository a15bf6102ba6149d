package test

import (
	"fmt"
	"net"
	"testing"

	"radial/test/fakes/routeros"
	"radial/test/harness"
)

// router plays a router that the server knows, linked to its own device, with a
// session of one hour that came by RADIUS.
func (w *world) router(t *testing.T, address, user string) {
	t.Helper()
	r, api := routeros.Play(t, routeros.Config{Password: "geheim"}, nil)
	if _, err := r.Put("/ppp/active", map[string]string{"name": user, "service": "pppoe", "address": "10.77.0.1", "radius": "true", "uptime": "1h"}); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(api)
	if err != nil {
		t.Fatal(err)
	}
	must(t, w.Radial(t, "nas", "add", address, "--secret", "secret of "+address, "--type", "mikrotik"))
	must(t, w.Radial(t, "router", "add", user, "127.0.0.1", "--port", port, "--username", "admin", "--password", "geheim", "--nas", address))
}

// reconcileEffects are of the settings by which routers are asked for sessions.
func reconcileEffects() effectGroup {
	ends := func(t *testing.T, w *world, job, user, want string) {
		harness.Eventually(t, patience, user+" is closed", func() bool {
			w.db.Exec(`INSERT INTO radial.river_job (kind, args, max_attempts) SELECT $1::text, '{"batch": 10}', 1
				WHERE NOT EXISTS (SELECT FROM radial.river_job WHERE kind = $1 AND state IN ('available', 'running'))`, job) // not only in a quarter of an hour
			return fmt.Sprint(w.db.Rows(`SELECT acctsessionid FROM radacct WHERE username = $1 AND acctstoptime IS NOT NULL`, user)) == want
		})
	}
	return effectGroup{
		name: "reconcile",
		set:  map[string]string{"sessions.ask_routers": "false", "sessions.probe": "true", "sessions.reconcile": "true", "sessions.stale_after": "20"},
		effects: map[string]func(*testing.T, *world){
			// the router has it, and is not asked
			"sessions.ask_routers": func(t *testing.T, w *world) {
				w.router(t, "192.0.2.71", "asked")
				silentSessions(w, "asked", "1 hour", 20.5)
				w.db.Exec(`UPDATE radacct SET nasipaddress = '192.0.2.71', framedipaddress = '10.77.0.1' WHERE username = 'asked'`)
				ends(t, w, "close_stale", "asked", "[[asked20.5]]")
			},
			// the device acknowledges a CoA for one, and not for the other
			"sessions.probe": func(t *testing.T, w *world) {
				d := w.device(t, "127.0.0.41", func() func(byte) byte {
					n := byte(1)
					return func(code byte) byte { n++; return code + n%2 + 1 } // ACK, NAK, …
				}())
				must(t, w.Radial(t, "package", "add", "probed", "--down", "10M", "--up", "1M"))
				must(t, w.Radial(t, "user", "add", "probed", "--password", "x", "--package", "probed"))
				silentSessions(w, "probed", "1 hour", 20.5, 21.5)
				w.db.Exec(`UPDATE radacct SET nasipaddress = '127.0.0.41' WHERE username = 'probed'`)
				ends(t, w, "close_stale", "probed", "[[probed21.5]]")
				if n := len(d.times()); n < 2 {
					t.Errorf("%d requests came", n)
				}
			},
			// the router does not have one of the two
			"sessions.reconcile": func(t *testing.T, w *world) {
				w.router(t, "192.0.2.72", "compared")
				w.db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, acctstarttime, acctupdatetime)
					SELECT id, md5(id), 'compared', '192.0.2.72', address::inet, now() - interval '1 hour', now() FROM (VALUES ('there', '10.77.0.1'), ('lost', '10.77.0.2')) v (id, address)`)
				ends(t, w, "reconcile_routers", "compared", "[[lost]]")
			},
		},
	}
}
