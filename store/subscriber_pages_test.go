package store_test

import (
	"fmt"
	"strings"
	"testing"

	"radial/store"
	"radial/store/storetest"
)

// A page of subscribers is read by name, whatever comes before it: the hourly look at all of
// them would read and sort all for each page.
func TestSubscriberPagesAreReadByName(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radial.subscribers (username) SELECT 'u' || lpad(n::text, 5, '0') FROM generate_series(1, 20000) n`)
	db.Exec(`ANALYZE radial.subscribers`)
	db.Exec(`PREPARE page AS ` + store.SQLSubscriberList)
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		db.Exec(`SET plan_cache_mode = ` + mode)
		plan := fmt.Sprint(db.Rows(`EXPLAIN (COSTS OFF) EXECUTE page ('u15000', '', '', '', '', 500)`))
		if !strings.Contains(plan, "Index Scan using subscribers_name_idx") ||
			!strings.Contains(plan, "Index Cond: ((username)::text >") || strings.Contains(plan, "Sort") {
			t.Errorf("%s: %s", mode, strings.ReplaceAll(plan, "] [", "\n"))
		}
	}
}
