package test

import (
	"strings"
	"testing"

	"radial/store/storetest"
	"radial/test/harness"
)

func overlapEffects() effectGroup {
	return effectGroup{
		name: "overlap",
		effects: map[string]func(*testing.T, *world){
			"ipam.allow_overlap": func(t *testing.T, _ *world) {
				db := storetest.New(t)
				env := []string{"RADIAL_DATABASE_URL=" + db.URL()}
				must(t, harness.CLI(t, env, "pool", "add", "first", "--cidr", "10.0.0.0/24"))
				second := []string{"pool", "add", "second", "--cidr", "10.0.0.0/23"}
				if r := harness.CLI(t, env, second...); r.Code == 0 || !strings.Contains(r.Stderr, `overlaps 10.0.0.0/24 of pool "first"`) {
					t.Errorf("by default: %+v", r)
				}
				env = append(env, "RADIAL_IPAM_ALLOW_OVERLAP=on")
				must(t, harness.CLI(t, env, second...))
				rows := db.Rows(`SELECT p.name, count(*) FROM radial.addresses a JOIN radial.pools p ON p.id = a.pool_id GROUP BY 1 ORDER BY 1`)
				if len(rows) != 2 || rows[0][1] != "254" || rows[1][1] != "256" { // of 510 in all
					t.Errorf("rows %v", rows)
				}
			},
		},
	}
}
