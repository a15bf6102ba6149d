package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// hear returns the payloads that statements cause on a channel.
func hear(t *testing.T, db *storetest.DB, channel string, act func()) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "LISTEN "+channel+"; LISTEN test_end"); err != nil {
		t.Fatal(err)
	}
	act()
	db.Exec("NOTIFY test_end")
	var got []string
	for {
		n, err := conn.WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n.Channel == "test_end" {
			return got
		}
		if len(n.Payload) >= 8000 {
			t.Errorf("payload of %d bytes", len(n.Payload))
		}
		got = append(got, n.Payload)
	}
}

// Every way to change a row of every table tells the name, the old one and the
// new one.
func TestTriggersTellNames(t *testing.T) {
	db := storetest.New(t)
	for table, c := range map[string]struct{ kind, name, columns, values string }{
		"radcheck":      {"u", "username", "attribute, op, value", "'A', ':=', 'v'"},
		"radreply":      {"u", "username", "attribute, op, value", "'A', '=', 'v'"},
		"radusergroup":  {"u", "username", "groupname, priority", "'g', 1"},
		"radgroupcheck": {"g", "groupname", "attribute, op, value", "'A', ':=', 'v'"},
		"radgroupreply": {"g", "groupname", "attribute, op, value", "'A', '=', 'v'"},
	} {
		for _, step := range []struct {
			sql  string
			want []string
		}{
			{fmt.Sprintf("INSERT INTO %s (%s, %s) VALUES ('o''b \"q\" Ž\\', %s)", table, c.name, c.columns, c.values), []string{c.kind + `["o'b \"q\" Ž\\"]`}},
			{fmt.Sprintf("UPDATE %s SET %s = 'new'", table, c.name), []string{c.kind + `["new","o'b \"q\" Ž\\"]`}},
			{fmt.Sprintf("UPDATE %s SET id = id", table), []string{c.kind + `["new"]`}},
			{fmt.Sprintf("UPDATE %s SET id = id WHERE %s = 'nobody'", table, c.name), nil},
			{fmt.Sprintf("DELETE FROM %s", table), []string{c.kind + `["new"]`}},
			{fmt.Sprintf("DELETE FROM %s", table), nil},
			{fmt.Sprintf("TRUNCATE %s", table), []string{"*"}},
			{fmt.Sprintf("INSERT INTO %s (%s, %s) SELECT 'n' || i, %s FROM generate_series(1, 2001) i", table, c.name, c.columns, c.values), []string{"*"}},
			{fmt.Sprintf("UPDATE %s SET id = id", table), []string{"*"}},
			{fmt.Sprintf("DELETE FROM %s", table), []string{"*"}},
			{fmt.Sprintf("INSERT INTO %s (%s, %s) VALUES (repeat('x', 1001), %s)", table, c.name, c.columns, c.values), []string{"*"}},
		} {
			got := hear(t, db, "radial_policy", func() { db.Exec(step.sql) })
			for i, p := range got { // the order of names is the database's
				var names []string
				if p != "*" && json.Unmarshal([]byte(p[1:]), &names) == nil {
					slices.Sort(names)
					b, err := json.Marshal(names)
					if err != nil {
						t.Fatal(err)
					}
					got[i] = p[:1] + string(b)
				}
			}
			if d := cmp.Diff(step.want, got); d != "" {
				t.Errorf("%.80s\n%s", step.sql, d)
			}
		}
	}
}

// Long lists are split below 8000 bytes, and no name is lost on the way.
func TestTriggersSplitLongLists(t *testing.T) {
	db := storetest.New(t)
	got := hear(t, db, "radial_policy", func() {
		db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT 'user-' || i || repeat('"', i % 300) || repeat('Ž', i % 7), 'A', ':=', 'v' FROM generate_series(1, 2000) i`)
	})
	seen := map[string]bool{}
	for _, p := range got {
		var names []string
		if err := json.Unmarshal([]byte(p[1:]), &names); err != nil || p[0] != 'u' {
			t.Fatalf("%.50s: %v", p, err)
		}
		for _, n := range names {
			seen[n] = true
		}
	}
	if len(seen) != 2000 || len(got) < 2 {
		t.Errorf("%d names in %d payloads", len(seen), len(got))
	}
}

func TestTriggersOfDevices(t *testing.T) {
	db := storetest.New(t)
	for _, sql := range []string{
		`INSERT INTO nas (nasname, shortname, secret) VALUES ('10.0.0.1', 'a', 's')`, `UPDATE nas SET secret = 't'`,
		`INSERT INTO radial.nas_settings (nas_id) SELECT id FROM nas`, `DELETE FROM radial.nas_settings`, `DELETE FROM nas`, `TRUNCATE nas`,
	} {
		if got := hear(t, db, "radial_nas", func() { db.Exec(sql) }); !slices.Equal(got, []string{"*"}) {
			t.Errorf("%s: %q", sql, got)
		}
	}
}

// A panel's role that knows nothing of schema radial can still write, and is
// heard.
func TestTriggersWorkForForeignRoles(t *testing.T) {
	db := storetest.New(t)
	role := "panel_" + db.Rows(`SELECT current_database()`)[0][0]
	db.Exec("CREATE ROLE " + role + "; GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON radcheck TO " + role + "; GRANT USAGE ON radcheck_id_seq TO " + role)
	t.Cleanup(func() { db.Exec("RESET ROLE; DROP OWNED BY " + role + "; DROP ROLE " + role) })
	got := hear(t, db, "radial_policy", func() {
		db.Exec("SET ROLE " + role)
		db.Exec(`CREATE TEMP TABLE newrows (username text)`) // must not be mistaken for the transition table
		db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('bob', 'A', ':=', 'v')`)
		db.Exec(`UPDATE radcheck SET value = 'w'`)
		db.Exec(`DELETE FROM radcheck`)
		db.Exec("RESET ROLE")
	})
	if !slices.Equal(got, []string{`u["bob"]`, `u["bob"]`, `u["bob"]`}) {
		t.Errorf("%q", got)
	}
}

// heard records what a listener tells.
type heard struct {
	mu    sync.Mutex
	lines []string
	echo  time.Time
	n     int
}

func (h *heard) add(line string) { h.mu.Lock(); h.lines = append(h.lines, line); h.mu.Unlock() }

func (h *heard) Invalidate(users, groups []string) {
	h.add(fmt.Sprintf("users %q groups %q", users, groups))
}
func (h *heard) InvalidateAll() { h.add("all") }
func (h *heard) Down()          { h.add("down") }
func (h *heard) Echo(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at.Before(h.echo) {
		h.lines = append(h.lines, "echo goes back")
	}
	if len(h.lines) == 0 || h.lines[len(h.lines)-1] != "echo" {
		h.lines = append(h.lines, "echo")
	}
	h.echo = at
	h.n++
}

func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := slices.Clone(h.lines)
	return out
}

func (h *heard) echoes() int { h.mu.Lock(); defer h.mu.Unlock(); return h.n }

// run starts a Run method and stops it with the test.
func run(t *testing.T, f func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error("Run: ", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// A change of a user that has queued its own job says so, after what his rows
// tell; and only then.
func TestOurChangesAreTold(t *testing.T) {
	o := newOffice(t)
	openSession(o.DB, "s1", "o=27br")
	openSession(o.DB, "s2", "carol")
	o.Exec(`INSERT INTO radial.admissions (username, login, port, mac, session_id, replaces, made_at, until) VALUES ('carol', 'carol', '', '', '', '{}', now(), now() + interval '1 minute')`)
	set := func(user, action string, dry bool) func() {
		return func() {
			t.Helper()
			by := store.Change{Actor: "cli:x", Action: action, DryRun: dry}
			_, err := o.ChangeSubscriber(t.Context(), by, user, func(aaa.Account) (aaa.AccountDelta, error) { return aaa.AccountDelta{Audit: aaa.Audit{"x": 1}}, nil })
			o.must(err)
		}
	}
	for _, c := range []struct {
		what string
		do   func()
		want []string
	}{
		{"a user online", set("o'br", "user.set", false), []string{`["o'br"]`}},
		{"a dry run", set("o'br", "user.set", true), nil},
		{"one without a session: no job has been queued", set("nobody", "user.set", false), nil},
		{"one whose next session is on its way", set("carol", "user.set", false), nil},
	} {
		if d := cmp.Diff(c.want, hear(t, o.DB, "radial_followed", c.do)); d != "" {
			t.Errorf("%s:\n%s", c.what, d)
		}
	}

	many := []string{strings.Repeat("x", 3000)} // too long: left out
	for i := range 3000 {
		many = append(many, fmt.Sprint("<user ", i, strings.Repeat("\x01", i%200), ">"))
	}
	got := hear(t, o.DB, "radial_followed", func() { o.must(o.TellFollowed(t.Context(), many)) })
	var told []string
	for _, p := range got {
		var some []string
		if err := json.Unmarshal([]byte(p), &some); err != nil {
			t.Fatal(err)
		}
		told = append(told, some...)
	}
	if d := cmp.Diff(many[1:], told); d != "" {
		t.Error(d)
	}
}

func TestListener(t *testing.T) {
	db := storetest.New(t)
	h, devices := &heard{}, make(chan struct{}, 1)
	m := store.NewMetrics(prometheus.NewRegistry())
	l := store.NewListener(db.DB, h, devices, m, zap.NewNop())
	store.SetEcho(l, 20*time.Millisecond)
	l.TellFollowed(func(users []string) { h.add(fmt.Sprintf("followed %q", users)) })
	stop := run(t, l.Run)
	eventually(t, "the first echo", func() bool { return h.echoes() > 0 })
	<-devices // at the connection

	db.Exec(`SELECT pg_notify('radial_followed', 'rubbish')`)
	db.Exec(`WITH rows AS (INSERT INTO radcheck (username, attribute, op, value) VALUES ('o=27br', 'A', ':=', 'v') RETURNING 1) SELECT * FROM rows;
		SELECT pg_notify('radial_followed', '["o''br"]')`)
	db.Exec(`INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('gold=2B', 'A', ':=', 'v')`)
	db.Exec(`INSERT INTO radial.topups (username, octets, from_day) VALUES ('o=27br', 1, '2026-01-01')`)
	db.Exec(`INSERT INTO radial.quotas (subject, name, period, counts, octets) VALUES ('group', 'gold=2B', 'day', 'up', 1)`)
	db.Exec(`TRUNCATE radreply`)
	db.Exec(`INSERT INTO nas (nasname, shortname, secret) VALUES ('10.0.0.1', 'a', 's')`)
	<-devices
	n := h.echoes()
	eventually(t, "two more echoes", func() bool { return h.echoes() > n+1 })
	want := []string{"all", "echo", `users ["o'br" "o'br\x00"] groups []`, `followed ["o'br"]`, `users [] groups ["gold+"]`, `users ["o=27br" "o=27br\x00"] groups []`, `users [] groups ["gold=2B"]`, "all", "echo"}
	if got := slices.DeleteFunc(h.take(), func(string) bool { return false }); !slices.Equal(compactEchoes(got), want) {
		t.Errorf("heard %q, want %q", got, want)
	}

	// The connection is cut: down, and everything is dropped before the next echo.
	before := len(h.take())
	db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND (query LIKE 'LISTEN%' OR query LIKE '%pg_notify($1%') AND pid <> pg_backend_pid()`)
	eventually(t, "up again", func() bool {
		got := h.take()
		return len(got) >= before+3 && got[len(got)-1] == "echo"
	})
	if got := h.take()[before:]; !slices.Equal(got[:3], []string{"down", "all", "echo"}) {
		t.Errorf("after the cut: %q", got)
	}
	<-devices // once more

	// An echo is ours, not another server's.
	n = h.echoes()
	db.Exec(`SELECT pg_notify('radial_echo', '1 99')`)
	db.Exec(`SELECT pg_notify('radial_policy', 'rubbish')`)
	eventually(t, "rubbish is taken for everything", func() bool { return slices.Contains(h.take()[before+3:], "all") })
	if slices.Contains(h.take(), "echo goes back") {
		t.Error("another's echo was taken for ours")
	}
	stop()
	if got := h.take(); got[len(got)-1] != "down" {
		t.Errorf("at the end: %q", got)
	}
}

// compactEchoes drops echoes between two other lines.
func compactEchoes(lines []string) []string {
	var out []string
	for i, l := range lines {
		if l == "echo" && i > 1 && i < len(lines)-1 {
			continue
		}
		out = append(out, l)
	}
	return out
}

// Without a database the listener waits for it, and goes on when it is there.
func TestListenerWaitsForTheDatabase(t *testing.T) {
	db := storetest.New(t)
	name := db.Rows(`SELECT current_database()`)[0][0]
	admin, err := pgx.Connect(t.Context(), strings.Replace(db.URL(), name, "postgres", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	allow := func(yes bool) {
		if _, err := admin.Exec(t.Context(), fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS %v", name, yes)); err != nil {
			t.Fatal(err)
		}
	}
	allow(false)
	h := &heard{}
	l := store.NewListener(db.DB, h, make(chan struct{}, 1), store.NewMetrics(prometheus.NewRegistry()), zap.NewNop())
	store.SetEcho(l, 20*time.Millisecond)
	run(t, l.Run)
	eventually(t, "it says that it is down", func() bool { return slices.Contains(h.take(), "down") })
	if h.echoes() != 0 {
		t.Error("an echo without a database")
	}
	allow(true)
	eventually(t, "it is up", func() bool { return h.echoes() > 0 })
}
