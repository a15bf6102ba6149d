package store_test

import (
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"radial/store"
	"radial/store/storetest"
)

// A server whose connection ends without a word has died: what runs out does not wait for
// it, if it had said that its journal is empty. One that is cut off keeps its connection,
// one that signs off has ended in good order, and what PostgreSQL closes says nothing.
func TestServersThatDie(t *testing.T) {
	db := storetest.New(t)
	makePool(t, db, "main", "192.0.2.0/24")
	ids := map[string]string{}
	for i, name := range []string{"me", "died", "cut off", "with a journal", "of another start", "back again", "signed off", "dead for long"} {
		ids[name] = "8b7c3f9e-0000-4000-8000-00000000000" + string(rune('0'+i))
	}
	ends := map[string]func(){}
	for name, id := range ids {
		if name == "me" {
			continue
		}
		ends[name] = stand(t, db, id)
		db.Exec(`INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at, present_on) VALUES ($1, $2, '1', now(), now() + interval '1 minute', pg_postmaster_start_time())`, id, name)
	}
	beat := func() {
		t.Helper()
		me := &store.Presence{DB: db.DB, ID: ids["me"], Name: "me", Version: "1", Log: zap.NewNop()}
		db.Exec(`DELETE FROM radial.servers WHERE name = 'me'`)
		stop := run(t, me.Run)
		eventually(t, "a heartbeat", func() bool { return len(db.Rows(`SELECT FROM radial.servers WHERE name = 'me'`)) == 1 })
		stop()
	}
	gone := func() (names []string) {
		t.Helper()
		all, err := db.Servers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.Gone != nil {
				names = append(names, s.Name)
			}
		}
		return names
	}
	if beat(); len(gone()) > 0 {
		t.Errorf("died: %v, while all are there", gone())
	}
	db.Exec(`UPDATE radial.servers SET heartbeat_at = now() WHERE name <> 'me'`)
	db.Exec(`UPDATE radial.servers SET journal_bytes = 7 WHERE name = 'with a journal'`)
	db.Exec(`UPDATE radial.servers SET present_on = present_on - interval '1 hour' WHERE name = 'of another start'`)
	db.Exec(`UPDATE radial.servers SET stopped_at = now() WHERE name = 'signed off'`)
	db.Exec(`UPDATE radial.servers SET heartbeat_at = now() - interval '1 minute' WHERE name = 'dead for long'`)
	for name, end := range ends {
		if name != "cut off" {
			end()
		}
	}
	eventually(t, "PostgreSQL has seen the connections end", func() bool { return standing(db) == 1 })
	ends["back again"] = stand(t, db, ids["back again"])
	beat()
	if want := []string{"died", "with a journal"}; !slices.Equal(gone(), want) {
		t.Errorf("died: %q, want %q", gone(), want)
	}

	db.Exec(`UPDATE radial.servers SET heartbeat_at = now() - interval '1 minute' WHERE name <> 'me'`)
	offer(db, "192.0.2.1", -1)
	expire(t, db, 0)
	all, err := db.Awaited(t.Context())
	var awaited []string
	for _, s := range all {
		awaited = append(awaited, s.Name)
	}
	if want := []string{"back again", "cut off", "dead for long", "of another start", "with a journal"}; err != nil || !slices.Equal(awaited, want) {
		t.Errorf("awaited %q, want %q; %v", awaited, want, err)
	}
	for _, name := range awaited {
		forget(t, db, name)
	}
	expire(t, db, 1) // the one that died is still known
}

// stand holds what a server's listening connection holds, until the function that it returns is called.
func stand(t *testing.T, db *storetest.DB, id string) (end func()) {
	t.Helper()
	l := store.NewListener(db.DB, &heard{}, make(chan struct{}, 1), store.NewMetrics(prometheus.NewRegistry()), zap.NewNop())
	l.Present(id)
	before := standing(db)
	end = run(t, l.Run)
	eventually(t, "the connection", func() bool { return standing(db) == before+1 })
	return end
}

// standing counts the connections that stand for a server.
func standing(db *storetest.DB) int {
	return len(db.Rows(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`))
}
