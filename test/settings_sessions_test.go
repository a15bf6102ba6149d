package test

import (
	"testing"

	"radial/test/harness"
)

func sessionEffects() effectGroup {
	return effectGroup{
		name: "sessions",
		set:  map[string]string{"simultaneous_use.replace": "never", "simultaneous_use.start_within": "1s"},
		effects: map[string]func(*testing.T, *world){
			"simultaneous_use.replace": func(t *testing.T, w *world) {
				w.user("back", [4]string{"radcheck", "Simultaneous-Use", ":=", "1"})
				w.settled(t)
				mac := av(callingStation, "AA:BB:CC:00:00:01")
				w.account(t, "dead", "back", mac)
				if reply := w.login(t, "back", mac); reply[0] != accessReject {
					t.Errorf("a caller who is back: code %d", reply[0])
				}
			},
			"simultaneous_use.start_within": func(t *testing.T, w *world) {
				w.user("tardy", [4]string{"radcheck", "Simultaneous-Use", ":=", "1"})
				w.settled(t)
				if reply := w.login(t, "tardy", av(callingStation, "AA:BB:CC:00:00:02")); reply[0] != accessAccept {
					t.Errorf("code %d", reply[0])
				}
				harness.Eventually(t, patience, "another is let in", func() bool {
					return w.login(t, "tardy", av(callingStation, "AA:BB:CC:00:00:03"))[0] == accessAccept
				})
			},
		},
	}
}
