package test

import (
	"testing"

	"radial/test/harness"
)

func historyEffects() effectGroup {
	return effectGroup{
		name: "history",
		set:  map[string]string{"ipam.history_retention": "20000h", "ipam.conflict_retention": "20000h"},
		effects: map[string]func(*testing.T, *world){
			"ipam.history_retention": func(t *testing.T, w *world) {
				w.db.Exec(`INSERT INTO radial.address_history (at, vrf_id, address, action, username)
					VALUES (now() - interval '20001 hours', 1, '192.0.2.1', 'bound', 'old'), (now() - interval '19999 hours', 1, '192.0.2.1', 'bound', 'kept')`)
				w.db.Exec(`INSERT INTO radial.river_job (kind, args, max_attempts) VALUES ('tend_history', '{"batch": 10}', 1)`) // not only in an hour
				harness.Eventually(t, patience, "the old row is forgotten", func() bool {
					rows := w.db.Rows(`SELECT username FROM radial.address_history`)
					return len(rows) == 1 && rows[0][0] == "kept"
				})
			},
			"ipam.conflict_retention": func(t *testing.T, w *world) {
				w.db.Exec(`INSERT INTO radial.address_conflicts (vrf_id, address, radacctid, first_at, last_at, state)
					SELECT 1, '192.0.2.1', id, now() - interval '30000 hours', now() - make_interval(hours => h), 'bound' FROM (VALUES (1, 20001), (2, 19999)) AS v (id, h)`)
				w.db.Exec(`INSERT INTO radial.river_job (kind, args, max_attempts) VALUES ('drop_conflicts', '{"batch": 10}', 1)`)
				harness.Eventually(t, patience, "the old conflict is forgotten", func() bool {
					rows := w.db.Rows(`SELECT radacctid FROM radial.address_conflicts`)
					return len(rows) == 1 && rows[0][0] == "2"
				})
			},
		},
	}
}
