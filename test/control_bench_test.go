package test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"radial/store/storetest"
	"radial/test/harness"
)

// pacedDisconnects lets subscribers log in at routers, disconnects all at a pace
// by the command line, and tells how that went.
func pacedDisconnects(t *testing.T, routers, sessions, rate int) {
	db := storetest.New(t)
	db.Exec(`UPDATE radial.settings SET value = 'UTC' WHERE key = 'timezone'`)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT 'u' || n, 'Cleartext-Password', ':=', 'p' FROM generate_series(0, $1::int - 1) n`, sessions)
	db.Exec(`INSERT INTO radusergroup (username, groupname) SELECT 'u' || n, 'gold' FROM generate_series(0, $1::int - 1) n`, sessions)
	s := harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: map[string]string{"RADIAL_REJECT_DELAY": "0s"}})
	env := []string{"RADIAL_DATABASE_URL=" + db.URL()}
	var wait sync.WaitGroup
	played := make([]*playedRouter, routers)
	for i := range played {
		played[i] = playRouter(t, s, env, fmt.Sprintf("127.0.1.%d", i+1))
		var names []string
		for n := i; n < sessions; n += routers {
			names = append(names, fmt.Sprintf("u%d", n))
		}
		wait.Go(func() { played[i].dialAll(t, names) })
	}
	wait.Wait()
	harness.Eventually(t, time.Minute, "all are online", func() bool {
		return db.Rows(`SELECT count(*) FROM radacct WHERE acctstoptime IS NULL`)[0][0] == strconv.Itoa(sessions)
	})
	before := processOf(t, s.Pid())
	begin := time.Now()
	var v struct {
		Finished bool
		Results  map[string]int
	}
	out := must(t, s.Radial(t, "session", "disconnect", "--package", "gold", "--rate", strconv.Itoa(rate), "--yes", "-o", "json"))
	took := time.Since(begin)
	if err := json.Unmarshal([]byte(out), &v); err != nil || !v.Finished || v.Results["done"] != sessions {
		t.Errorf("%v: %s", err, out)
	}
	harness.Eventually(t, time.Minute, "all are offline, by their Stops", func() bool {
		return db.Rows(`SELECT count(*) FROM radacct WHERE acctterminatecause = 'Admin-Reset' AND connectinfo_stop IS NOT NULL`)[0][0] == strconv.Itoa(sessions)
	})
	after := processOf(t, s.Pid())
	got := float64(sessions) / took.Seconds()
	t.Logf("%d sessions at %d routers, %d a second asked for: %.1f s, %.0f a second; server: %.0f µs of CPU each (with their Stops), memory %d MB before, at most %d MB",
		sessions, routers, rate, took.Seconds(), got, (after.cpu-before.cpu).Seconds()/float64(sessions)*1e6, before.resident>>10, after.peak>>10)
	if got > 1.1*float64(rate) {
		t.Errorf("%.0f a second, asked for %d", got, rate)
	}
}

// process is what the system says of one: CPU time, kB of memory.
type process struct {
	cpu            time.Duration
	resident, peak int
}

func processOf(t *testing.T, pid int) process {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	var p process
	for _, f := range fields[11:13] { // utime, stime, in hundredths of a second
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		p.cpu += time.Duration(n) * 10 * time.Millisecond
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "VmRSS: %d kB", &p.resident)
		fmt.Sscanf(line, "VmHWM: %d kB", &p.peak)
	}
	return p
}

// TestPacedDisconnects is a thousand sessions at twenty routers. With
// RADIAL_BENCH_DISCONNECTS=10000@500 it is so many, so many a second
// (docs/performance.md).
func TestPacedDisconnects(t *testing.T) {
	sessions, rate := 1000, 400
	if text := os.Getenv("RADIAL_BENCH_DISCONNECTS"); text != "" {
		if _, err := fmt.Sscanf(text, "%d@%d", &sessions, &rate); err != nil {
			t.Fatalf("RADIAL_BENCH_DISCONNECTS=%q: want sessions@rate", text)
		}
	}
	pacedDisconnects(t, 20, sessions, rate)
}
