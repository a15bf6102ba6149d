package test

import (
	"testing"
	"time"

	"radial/test/harness"
)

func outageEffects() effectGroup {
	login := func(t *testing.T, w *world, wait time.Duration) []byte {
		c := dial(t, "", w.Auth, wireSecret)
		c.send(pap(wireSecret, 1, "bob", "p"))
		return c.receive(wait)
	}
	// away runs f without the database; the server has bob's rows in memory
	away := func(t *testing.T, w *world, f func()) {
		harness.Eventually(t, patience, "bob is answered from memory", func() bool {
			before := w.Metric(t, "radial_policy_cache_hits_total")
			login(t, w, time.Second)
			return w.Metric(t, "radial_policy_cache_hits_total") > before
		})
		w.db.Away(f)
	}
	return effectGroup{
		name: "outage",
		set:  map[string]string{"policy.outage": "cached", "policy.outage_max_age": "6s"},
		effects: map[string]func(*testing.T, *world){
			"policy.outage": func(t *testing.T, w *world) {
				away(t, w, func() {
					harness.Eventually(t, patience, "a login is accepted from memory", func() bool {
						if reply := login(t, w, 3*time.Second); reply == nil || reply[0] != accessAccept {
							t.Errorf("answer %x", reply)
						}
						return w.Metric(t, "radial_logins_from_memory_total", `answer="accept"`) > 0
					})
				})
			},
			"policy.outage_max_age": func(t *testing.T, w *world) {
				away(t, w, func() {
					harness.Eventually(t, patience, "memory is too old", func() bool { return login(t, w, time.Second) == nil })
				})
			},
		},
	}
}
