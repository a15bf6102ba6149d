package store_test

import (
	"testing"

	"radial/store"
	"radial/store/storetest"
)

// The table of judge, and its corners.
func TestJudgeLent(t *testing.T) {
	const ours = 7 * 24 * 60 // the mirror's own expiry of a bound address, in minutes
	for name, c := range map[string]struct {
		lent store.LentCase
		want string
	}{
		"our session goes on":                         {store.LentCase{State: "bound", Caller: "a", Own: "open", Theirs: "a", Expiry: 60, Open: []string{"a"}}, "stays"},
		"our session goes on, its lease is over":      {store.LentCase{State: "bound", Caller: "a", Own: "open", Theirs: "a", Expiry: -1}, "stays"},
		"our session goes on, another had the lease":  {store.LentCase{State: "bound", Caller: "a", Own: "open", Theirs: "b", Expiry: 60}, "stays"},
		"our session is open, another has it by now":  {store.LentCase{State: "bound", Caller: "a", Own: "open", Theirs: "b", Expiry: 60, Open: []string{"b", "a"}}, "bound b: taken_over b"},
		"our session is over, another has it":         {store.LentCase{State: "bound", Caller: "a", Own: "closed", Theirs: "b", Expiry: 60, Open: []string{"b"}}, "bound b: released a, bound b"},
		"our session is over, the caller is back":     {store.LentCase{State: "bound", Caller: "a", Own: "closed", Theirs: "a", Expiry: 60, Open: []string{"a"}}, "bound a: released a, bound a"},
		"two sessions: the one that radippool names":  {store.LentCase{State: "free", Theirs: "b", Expiry: 60, Open: []string{"a", "b"}}, "bound b: bound b"},
		"two sessions of others: the newest":          {store.LentCase{State: "free", Theirs: "c", Expiry: 60, Open: []string{"a", "b"}}, "bound a: bound a"},
		"our session is over, untouched":              {store.LentCase{State: "bound", Caller: "a", Own: "closed", Theirs: "a", Expiry: ours}, "free a: released a"},
		"our session is over by FreeRADIUS":           {store.LentCase{State: "bound", Caller: "a", Own: "closed", Theirs: "a", Expiry: -1}, "free a: released a"},
		"over, and another came and went":             {store.LentCase{State: "bound", Caller: "a", Own: "closed", Theirs: "b", Expiry: -1}, "free b: released a"},
		"our session is over, the caller logs in":     {store.LentCase{State: "bound", Caller: "a", Own: "closed", Theirs: "a", Expiry: 60}, "cooling a: released a"},
		"the row of our session is gone, untouched":   {store.LentCase{State: "bound", Caller: "a", Theirs: "a", Expiry: ours}, "stays"},
		"the row of our session is gone, expired":     {store.LentCase{State: "bound", Caller: "a", Theirs: "a", Expiry: -1}, "stays"},
		"a lease of a free address":                   {store.LentCase{State: "free", Caller: "a", Theirs: "b", Expiry: 60}, "cooling b: "},
		"a lease of an address that we offered":       {store.LentCase{State: "offered", Caller: "a", Until: 2, Theirs: "b", Expiry: 60}, "cooling b: "},
		"our offer, as it was":                        {store.LentCase{State: "offered", Caller: "a", Until: 2, Theirs: "a", Expiry: 2}, "stays"},
		"our offer, renewed":                          {store.LentCase{State: "offered", Caller: "a", Until: 2, Theirs: "a", Expiry: 60}, "offered a: "},
		"our offer, ended":                            {store.LentCase{State: "offered", Caller: "a", Until: 2, Theirs: "a", Expiry: -1}, "free a: "},
		"our offer, ended, another came and went":     {store.LentCase{State: "offered", Caller: "a", Until: 2, Theirs: "b", Expiry: -1}, "free b: "},
		"a free address with its last holder":         {store.LentCase{State: "free", Caller: "a", Theirs: "a", Expiry: -1}, "stays"},
		"a free address that radippool knows no user": {store.LentCase{State: "free", Caller: "a", Expiry: -1}, "stays"},
		"a free address with another last holder":     {store.LentCase{State: "free", Caller: "a", Theirs: "b", Expiry: -1}, "free b: "},
		"cooling, as it was":                          {store.LentCase{State: "cooling", Caller: "a", Until: 5, Theirs: "a", Expiry: 5}, "stays"},
		"cooling, its caller is back":                 {store.LentCase{State: "cooling", Caller: "a", Until: 5, Theirs: "a", Expiry: 60}, "cooling a: "},
		"cooling, expired":                            {store.LentCase{State: "cooling", Caller: "a", Until: 5, Theirs: "a", Expiry: -1}, "stays"},
	} {
		if got := store.JudgeLent(c.lent); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestOthersAlive(t *testing.T) {
	db := storetest.New(t)
	const me, other = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
	alive := func(want bool) {
		t.Helper()
		if got, err := db.OthersAlive(t.Context(), me); got != want || err != nil {
			t.Errorf("others alive: %t, %v", got, err)
		}
	}
	alive(false)
	db.Exec(`INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at) VALUES ($1, 'me', '1', now(), now())`, me)
	alive(false)
	db.Exec(`INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at) VALUES ($1, 'other', '1', now(), now())`, other)
	alive(true)
	db.Exec(`UPDATE radial.servers SET heartbeat_at = now() - interval '1 minute' WHERE name = 'other'`)
	alive(false)
	db.Exec(`UPDATE radial.servers SET heartbeat_at = now(), stopped_at = now() WHERE name = 'other'`)
	alive(false)
}
