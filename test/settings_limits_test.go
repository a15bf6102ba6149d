package test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"radial/store/storetest"
	"radial/test/harness"
)

// port is the port of host:port.
func port(t *testing.T, addr string) int {
	t.Helper()
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func limitEffects() effectGroup {
	return effectGroup{
		name: "limits",
		set: map[string]string{
			"reject_delay": "2s", "radius.max_delayed": "1", "radius.max_attributes": "20", "radius.status_rate": "1",
			"radius.sockets": "3", "radius.share_port": "on", "radius.send_singly": "on", "api.listen": "127.0.0.9:0", "log.format": "json",
		},
		effects: map[string]func(*testing.T, *world){
			"reject_delay": func(t *testing.T, w *world) {
				asked := time.Now()
				w.login(t, "nobody")
				if took := time.Since(asked); took < 2*time.Second {
					t.Errorf("the reject came after %v", took)
				}
			},
			"radius.max_delayed": func(t *testing.T, w *world) {
				c := dial(t, "", w.Auth, wireSecret)
				for id := range byte(3) {
					c.send(pap(wireSecret, id, "nobody", "p"))
				}
				for range 2 {
					if c.receive(patience) == nil {
						t.Fatal("no answer")
					}
				}
				if n := w.Metric(t, "radial_radius_delayed_rejects"); n != 1 {
					t.Errorf("%v rejects are held back while two of three were sent at once", n)
				}
				if c.receive(patience) == nil {
					t.Fatal("no answer")
				}
			},
			"radius.max_attributes": func(t *testing.T, w *world) {
				c := dial(t, "", w.Auth, wireSecret)
				c.send(good(1, slices.Repeat(av(replyMessage, "x"), 19)))
				c.ask(good(2, slices.Repeat(av(replyMessage, "x"), 18)))
				if n := w.Metric(t, "radial_radius_refused_total", `reason="attribute_count"`); n != 1 {
					t.Errorf("%v refused", n)
				}
			},
			"radius.status_rate": func(t *testing.T, w *world) {
				c := dial(t, "", w.Auth, wireSecret)
				for id := range byte(10) {
					c.send(signed(request{code: statusServer, id: id}))
				}
				harness.Eventually(t, patience, "some of ten are refused", func() bool { // the default lets twenty pass
					return w.Metric(t, "radial_radius_refused_total", `reason="status_rate"`) > 0
				})
			},
			"radius.sockets": func(t *testing.T, w *world) {
				table, err := os.ReadFile("/proc/net/udp")
				if err != nil {
					t.Skip("SKIPPED: needs /proc/net/udp of Linux")
				}
				if n := strings.Count(string(table), fmt.Sprintf(" 0100007F:%04X ", port(t, w.Auth))); n != 3 {
					t.Errorf("%d sockets", n)
				}
			},
			"radius.send_singly": func(t *testing.T, w *world) {
				if n := together(t, w.Auth); n != 0 {
					t.Errorf("%d times replies came together", n)
				}
				usual, _ := wireServer(t, nil)
				if together(t, usual.Auth) == 0 {
					t.Error("no replies came together by default")
				}
			},
			"radius.share_port": func(t *testing.T, w *world) {
				second := harness.Start(t, harness.Config{DatabaseURL: w.db.URL(), Set: map[string]string{
					"RADIAL_RADIUS_AUTH_LISTEN": w.Auth, "RADIAL_RADIUS_ACCT_LISTEN": w.Acct, "RADIAL_RADIUS_SHARE_PORT": "on",
				}})
				second.Stop(t)
			},
			"api.listen": func(t *testing.T, w *world) {
				resp, err := http.Get("http://" + w.API + "/healthz")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if !strings.HasPrefix(w.API, "127.0.0.9:") || resp.StatusCode != http.StatusOK {
					t.Errorf("%s answers %d", w.API, resp.StatusCode)
				}
			},
			"log.format": func(t *testing.T, w *world) {
				if !json.Valid([]byte(w.Logs()[0])) {
					t.Errorf("not JSON: %s", w.Logs()[0])
				}
				out := harness.CLI(t, []string{"RADIAL_LOG_FORMAT=console", "RADIAL_DATA_DIR=" + t.TempDir(), "RADIAL_DATABASE_URL=" + w.db.URL(), "RADIAL_API_LISTEN=" + w.API}, "serve")
				if first, _, _ := strings.Cut(out.Stderr, "\n"); json.Valid([]byte(first)) || !strings.Contains(first, "starting") {
					t.Errorf("not for people: %s", first)
				}
			},
		},
	}
}

// together asks 32 times at once, and tells how often several replies came as one
// message: the kernel leaves to a socket with UDP_GRO what was sent so (udp(7)).
func together(t *testing.T, server string) (n int) {
	t.Helper()
	const requests, segment, gro = 32, 103, 104
	dial(t, "", server, wireSecret).ask(good(0)) // the user is known from here on
	conn := dial(t, "", server, wireSecret).Conn.(*net.UDPConn)
	size := len(good(0))
	raw, err := conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			err = errors.Join(syscall.SetsockoptInt(int(fd), syscall.IPPROTO_UDP, segment, size), syscall.SetsockoptInt(int(fd), syscall.IPPROTO_UDP, gro, 1))
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for id := range byte(requests) {
		all = append(all, good(id)...)
	}
	if _, err := conn.Write(all); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	for got := 0; got < requests; {
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		k, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%d of %d replies: %v", got, requests, err)
		}
		one := int(binary.BigEndian.Uint16(buf[2:]))
		if k > one {
			n++
		}
		got += k / one
	}
	return n
}

// flood has n users log in, many at a time.
func (w *world) flood(t *testing.T, n int) {
	t.Helper()
	const window = 64
	for from := 0; from < n; from += window {
		c := dial(t, "", w.Auth, wireSecret)
		for i := range window {
			c.send(pap(wireSecret, byte(i), fmt.Sprintf("u%d", from+i), "p"))
		}
		for range window {
			if c.receive(patience) == nil {
				t.Fatal("no answer")
			}
		}
	}
}

const floodUsers = 2048

// crowd puts in the users of flood, each with a reply of some size.
func (w *world) crowd() {
	w.db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT 'u' || i, 'Cleartext-Password', ':=', 'p' FROM generate_series(0, $1::int - 1) i`, floodUsers)
	w.db.Exec(`INSERT INTO radreply (username, attribute, op, value) SELECT 'u' || i, 'Reply-Message', '+=', repeat('r', 240) FROM generate_series(0, $1::int - 1) i, generate_series(1, 3)`, floodUsers)
}

func evicts(metric string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		if n := w.Metric(t, metric); n == 0 {
			t.Error("nothing was evicted")
		}
	}
}

// memoryEffects: the subtests run in order of their keys; the first one makes
// the crowd.
func memoryEffects() effectGroup {
	return effectGroup{
		name: "memory",
		set:  map[string]string{"policy.cache_entries": "1000", "radius.duplicate_entries": "1024", "postauth.log": "none"},
		effects: map[string]func(*testing.T, *world){
			"policy.cache_entries": func(t *testing.T, w *world) {
				w.crowd()
				w.settled(t)
				w.flood(t, floodUsers)
				evicts("radial_policy_cache_evictions_total")(t, w)
			},
			"radius.duplicate_entries": evicts("radial_radius_replay_evictions_total"),
		},
	}
}

func byteEffects() effectGroup {
	return effectGroup{
		name: "bytes",
		set:  map[string]string{"policy.cache_bytes": "1048576", "radius.duplicate_bytes": "1048576", "postauth.log": "none"},
		effects: map[string]func(*testing.T, *world){
			"policy.cache_bytes": func(t *testing.T, w *world) {
				w.crowd()
				w.settled(t)
				w.flood(t, floodUsers)
				evicts("radial_policy_cache_evictions_total")(t, w)
			},
			"radius.duplicate_bytes": evicts("radial_radius_replay_evictions_total"),
		},
	}
}

// locked holds a table back from everybody while do runs, when the server has
// nothing else to do.
func (w *world) locked(t *testing.T, table string, do func()) {
	t.Helper()
	harness.Eventually(t, patience, "the server is idle", func() bool {
		return w.Metric(t, "radial_radius_in_flight_requests") == 0
	})
	w.db.Exec(`BEGIN`)
	w.db.Exec(`LOCK TABLE ` + table + ` IN ACCESS EXCLUSIVE MODE`)
	defer w.db.Exec(`ROLLBACK`)
	do()
}

// waiting counts the connections that wait to write a table. Jobs, which look at
// it at times, are not among them.
func (w *world) waiting(table string) int {
	return len(w.db.Rows(`SELECT FROM pg_locks WHERE NOT granted AND mode = 'RowExclusiveLock' AND relation = $1::regclass`, table))
}

// starts sends Accounting-Starts of so many sessions and waits until all of
// them are being worked on.
func (w *world) starts(t *testing.T, name string, n int) *conn {
	t.Helper()
	c := dial(t, "", w.Acct, wireSecret)
	for i := range n {
		session := fmt.Sprintf("%s%d", name, i) // and a user of its own: one user's sessions would wait for each other
		attrs := slices.Concat(av(acctStatus, "\x00\x00\x00\x01"), av(userName, session), av(acctSessionID, session))
		c.send(request{code: accountingRequest, id: byte(i), secret: wireSecret, attrs: attrs}.bytes())
	}
	harness.Eventually(t, patience, "all are in flight", func() bool {
		return w.Metric(t, "radial_radius_in_flight_requests") == float64(n)
	})
	return c
}

// never fails when more than most connections come to wait for a table within
// half a second after the least number does.
func (w *world) never(t *testing.T, table string, least, most int) {
	t.Helper()
	polls := 0
	harness.Eventually(t, patience, fmt.Sprintf("%d connections wait", least), func() bool {
		n := w.waiting(table)
		if n > most {
			t.Errorf("%d connections wait, more than %d", n, most)
			return true
		}
		if n >= least {
			polls++
		}
		return polls > 100
	})
}

func ledgerEffects() effectGroup {
	return effectGroup{
		name: "ledger",
		set: map[string]string{
			"accounting.shards": "2", "accounting.batch": "7", "accounting.queue": "100", "accounting.timeout": "5s",
			"radius.request_timeout": "30s", "accounting.patience": "1m",
		},
		effects: map[string]func(*testing.T, *world){
			"accounting.shards": func(t *testing.T, w *world) {
				w.locked(t, "radacct", func() {
					w.starts(t, "shards", 60)
					w.never(t, "radacct", 2, 2)
				})
			},
			"accounting.batch": func(t *testing.T, w *world) {
				var c *conn
				w.locked(t, "radacct", func() { c = w.starts(t, "batch", 60) })
				for range 60 {
					if c.receive(patience) == nil {
						t.Fatal("no answer")
					}
				}
				all, small := w.Metric(t, "radial_accounting_batch_records_count"), w.Metric(t, "radial_accounting_batch_records_bucket", `le="10"`)
				if all == 0 || small != all {
					t.Errorf("%v of %v batches have ten records at most", small, all)
				}
			},
			"accounting.queue": func(t *testing.T, w *world) {
				w.locked(t, "radacct", func() {
					w.starts(t, "queue", 60)
					c := dial(t, "", w.Acct, wireSecret)
					for i := range 200 {
						attrs := slices.Concat(av(acctStatus, "\x00\x00\x00\x01"), av(userName, "bob"), av(acctSessionID, fmt.Sprintf("more%d", i)))
						c.send(request{code: accountingRequest, id: byte(i), secret: wireSecret, attrs: attrs}.bytes())
					}
					harness.Eventually(t, patience, "some are refused", func() bool {
						return w.Metric(t, "radial_accounting_overload_total") > 0
					})
				})
			},
			"accounting.timeout": func(t *testing.T, w *world) {
				w.locked(t, "radacct", func() {
					before := w.Metric(t, "radial_accounting_records_total", `outcome="journalled"`)
					w.starts(t, "timeout", 1)
					harness.Eventually(t, 12*time.Second, "the transaction is given up, before the default of 15 s", func() bool {
						return w.Metric(t, "radial_accounting_records_total", `outcome="journalled"`) > before
					})
				})
			},
		},
	}
}

// poolEffects end with the server's own end.
func poolEffects() effectGroup {
	return effectGroup{
		name: "connections",
		set:  map[string]string{"database.max_conns": "4", "accounting.shards": "16", "radius.drain_timeout": "150ms", "radius.request_timeout": "1s", "accounting.patience": "1m", "ipam.thresholds": "10"},
		effects: map[string]func(*testing.T, *world){
			"database.max_conns": func(t *testing.T, w *world) {
				w.locked(t, "radacct", func() {
					w.starts(t, "conns", 100)
					w.never(t, "radacct", 1, 4)
				})
			},
			"radius.request_timeout": func(t *testing.T, w *world) {
				before := w.Metric(t, "radial_radius_silent_total", `cause="authorize_error"`)
				w.locked(t, "radcheck", func() {
					dial(t, "", w.Auth, wireSecret).send(pap(wireSecret, 1, "slow", "p"))
					harness.Eventually(t, 4*time.Second, "the login is given up, before the default of 5 s", func() bool {
						return w.Metric(t, "radial_radius_silent_total", `cause="authorize_error"`) > before
					})
				})
			},
			"radius.drain_timeout": func(t *testing.T, w *world) {
				last := harness.Start(t, harness.Config{DatabaseURL: w.db.URL(), Set: map[string]string{
					"RADIAL_RADIUS_DRAIN_TIMEOUT": "150ms", "RADIAL_RADIUS_REQUEST_TIMEOUT": "50s",
				}})
				w.locked(t, "radcheck", func() {
					dial(t, "", last.Auth, wireSecret).send(pap(wireSecret, 1, "slow", "p"))
					harness.Eventually(t, patience, "the login is in flight", func() bool {
						return last.Metric(t, "radial_radius_in_flight_requests") == 1
					})
					last.Signal(t, syscall.SIGTERM)
					if err := last.Wait(t, patience); err == nil {
						t.Error("it ended as if nothing had been left unanswered")
					}
				})
				if !logged(last, "unanswered after 150ms") {
					t.Error("the log does not tell")
				}
			},
			"ipam.thresholds": func(t *testing.T, w *world) {
				must(t, w.Radial(t, "pool", "add", "eighth", "--cidr", "198.51.100.0/28"))
				w.db.Exec("UPDATE radial.addresses SET state = 'bound' WHERE address IN ('198.51.100.2', '198.51.100.3')")
				watcher := harness.Start(t, harness.Config{DatabaseURL: w.db.URL(), Set: map[string]string{"RADIAL_IPAM_THRESHOLDS": "10"}})
				harness.Eventually(t, patience, "the log tells of 2 of 14 addresses", func() bool { return logged(watcher, "pool is nearly full") })
				if n := watcher.Metric(t, "radial_ipam_pool_threshold_ratio", `pool="eighth"`); n != 0.1 {
					t.Errorf("the metric says %v", n)
				}
			},
		},
	}
}

// commandEffects are seen at commands.
func commandEffects() effectGroup {
	return effectGroup{
		name: "commands",
		effects: map[string]func(*testing.T, *world){
			"dictionaries": func(t *testing.T, _ *world) {
				dir := writeFile(t, "dictionary.acme", "ATTRIBUTE Acme-Local 3001 ipaddr\n")
				must(t, harness.CLI(t, []string{"RADIAL_DICTIONARIES=" + dir}, "dictionary", "show", "Acme-Local"))
			},
			"database.escaping": func(t *testing.T, _ *world) {
				db := storetest.New(t)
				must(t, harness.CLI(t, []string{"RADIAL_DATABASE_URL=" + db.URL(), "RADIAL_DATABASE_ESCAPING=raw"}, "user", "add", "o'brien", "--password", "p w"))
				if rows := db.Rows(`SELECT username FROM radcheck`); len(rows) != 1 || rows[0][0] != "o'brien" {
					t.Errorf("radcheck has %v", rows)
				}
			},
			"database.time_zone": func(t *testing.T, _ *world) {
				out := must(t, harness.CLI(t, []string{"RADIAL_DATABASE_URL=" + storetest.Empty(t).URL(), "RADIAL_DATABASE_TIME_ZONE=Pacific/Chatham"}, "migrate", "up"))
				if !strings.Contains(out, "Pacific/Chatham") {
					t.Error(out)
				}
			},
			"database.migrate": func(t *testing.T, _ *world) {
				db := storetest.Empty(t)
				out := harness.CLI(t, []string{"RADIAL_DATA_DIR=" + t.TempDir(), "RADIAL_DATABASE_URL=" + db.URL(), "RADIAL_DATABASE_MIGRATE=false"}, "serve")
				if out.Code == 0 || !strings.Contains(out.Stderr, "radial migrate up") || db.Rows(`SELECT to_regclass('radcheck')`)[0][0] != "NULL" {
					t.Errorf("exit code %d\n%s", out.Code, out.Stderr)
				}
			},
			"database.direct_url": func(t *testing.T, _ *world) {
				db := storetest.Empty(t)
				env := []string{"RADIAL_DATABASE_URL=" + db.URL(), "RADIAL_DATABASE_DIRECT_URL=postgres://nobody@127.0.0.1:1/none?sslmode=disable"}
				if out := harness.CLI(t, env, "migrate", "up"); out.Code == 0 || !strings.Contains(out.Stderr, "127.0.0.1:1") {
					t.Errorf("exit code %d\n%s", out.Code, out.Stderr)
				}
			},
			"database.connect_timeout": func(t *testing.T, _ *world) {
				mute, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer mute.Close()
				env := []string{"RADIAL_DATABASE_URL=postgres://nobody@" + mute.Addr().String() + "/none?sslmode=disable", "RADIAL_DATABASE_CONNECT_TIMEOUT=100ms"}
				asked := time.Now()
				out := harness.CLI(t, env, "user", "list")
				if took := time.Since(asked); out.Code == 0 || took > 4*time.Second {
					t.Errorf("exit code %d after %v\n%s", out.Code, took, out.Stderr)
				}
			},
		},
	}
}
