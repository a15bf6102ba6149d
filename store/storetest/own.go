package storetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/store/pgdev"
)

// Own is a database in a PostgreSQL of its own, which syncs to disk and which
// the test may kill, stop, halt and start again.
type Own struct {
	*DB
	dir     string
	cluster *pgdev.Cluster
}

// NewOwn returns a migrated database in a PostgreSQL of the test's own.
func NewOwn(t testing.TB, options ...Option) *Own {
	t.Helper()
	o := &Own{dir: filepath.Join(t.TempDir(), "postgres")}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgdev.Start(ctx, pgdev.Options{Dir: o.dir})
	if err != nil {
		t.Fatal("storetest: ", err)
	}
	o.cluster = c
	t.Cleanup(func() {
		o.each(syscall.SIGCONT)
		if err := o.cluster.Stop(context.Background()); err != nil {
			t.Error("storetest: ", err)
		}
	})
	o.DB = openIn(t, c, options)
	return o
}

// Kill ends every process of the server with SIGKILL, and returns when they are
// gone.
func (o *Own) Kill() {
	o.t.Helper()
	gone := o.each(syscall.SIGKILL)
	if len(gone) == 0 {
		o.t.Fatal("storetest: no server to kill")
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		left := 0
		for _, pid := range gone {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") {
				left++
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("storetest: %d processes of %v live after SIGKILL", left, gone)
		}
	}
}

// Start starts the server after Kill; the database is what it was.
func (o *Own) Start() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgdev.Start(ctx, pgdev.Options{Dir: o.dir})
	if err != nil {
		o.t.Fatal("storetest: ", err)
	}
	old := o.cluster
	o.cluster = c
	if err := old.Stop(ctx); err != nil { // gives its share back
		o.t.Fatal("storetest: ", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.conn.Close(ctx) // it died with the server
	if o.conn, err = pgx.Connect(ctx, o.url); err != nil {
		o.t.Fatal("storetest: ", err)
	}
}

// Pause halts every process of the server (SIGSTOP): it does not answer, and
// nobody is told. Resume lets it go on.
func (o *Own) Pause() { o.each(syscall.SIGSTOP) }

// Resume ends Pause.
func (o *Own) Resume() { o.each(syscall.SIGCONT) }

// each sends a signal to the postmaster and its children.
func (o *Own) each(sig syscall.Signal) (pids []int) {
	b, err := os.ReadFile(filepath.Join(o.dir, "data", "postmaster.pid"))
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(string(b), "\n")
	master, err := strconv.Atoi(first)
	if err != nil {
		return nil
	}
	pids = []int{master}
	if sig != syscall.SIGCONT {
		// Nobody is forked while we look: one whom the signal misses would work on, and keep
		// the shared memory, without which no other server starts.
		_ = syscall.Kill(master, syscall.SIGSTOP)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		_, after, _ := strings.Cut(string(b), ") ")
		fields := strings.Fields(after)
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && len(fields) > 1 && fields[1] == first {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig) // one that has ended meanwhile is no matter
	}
	return pids
}
