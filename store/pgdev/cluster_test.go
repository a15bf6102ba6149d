package pgdev_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"radial/store/pgdev"
)

// TestMain is also the child process of TestSurvivesKillOfParent.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "child" {
		if _, err := pgdev.Start(context.Background(), pgdev.Options{Dir: os.Args[2]}); err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString("up\n")
		select {}
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, opts pgdev.Options) *pgdev.Cluster {
	t.Helper()
	c, err := pgdev.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stop(t *testing.T, c *pgdev.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func ask(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var s string
	if err := conn.QueryRow(t.Context(), sql).Scan(&s); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return s
}

// fill makes table t with x = 42.
func fill(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "CREATE TABLE t AS SELECT 42 x"); err != nil {
		t.Fatal(err)
	}
}

func postmaster(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// alive tells whether the process runs; a zombie does not.
func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(end) {
			t.Fatal("in 20 s not: ", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// The cluster's life: made, data kept over a stop, shared by two users of whom
// the last one stops it, durable and closed to TCP.
func TestLife(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "postgres")
	a := start(t, pgdev.Options{Dir: dir})
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": "",
		"data_checksums": "on", "server_encoding": "UTF8", "unix_socket_permissions": "0700",
	} {
		if got := ask(t, a.URL(""), "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	fill(t, a.URL(""))
	pid := postmaster(t, dir)
	b := start(t, pgdev.Options{Dir: dir})
	if got := postmaster(t, dir); got != pid {
		t.Fatalf("the second user runs its own server: %d, not %d", got, pid)
	}
	stop(t, a) // the one who started it goes first
	if !alive(pid) {
		t.Fatal("stopped under its second user")
	}
	if got := ask(t, b.URL(""), "SELECT x::text FROM t"); got != "42" {
		t.Errorf("x = %s", got)
	}
	stop(t, b)
	if alive(pid) {
		t.Error("still runs after its last user has gone")
	}
	c := start(t, pgdev.Options{Dir: dir})
	defer stop(t, c)
	if got := ask(t, c.URL(""), "SELECT x::text FROM t"); got != "42" {
		t.Errorf("after a restart: x = %s", got)
	}
	st, err := os.Stat(filepath.Join(dir, "data"))
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("data: %v %v", st.Mode(), err)
	}
}

func TestTwoAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "postgres")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c, err := pgdev.Start(t.Context(), pgdev.Options{Dir: dir, NoSync: true})
			if err != nil {
				t.Error(err)
				return
			}
			ask(t, c.URL(""), "SELECT 'here'")
			stop(t, c)
		})
	}
	wg.Wait()
	if pid := postmaster(t, dir); pid != 0 {
		t.Errorf("server %d is left running", pid)
	}
}

// A parent that is killed leaves the server running; the next Start picks it up
// and, as its only user, stops it in the end.
func TestSurvivesKillOfParent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "postgres")
	child := exec.Command(os.Args[0], "child", dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "up\n" {
		t.Fatal(line, err)
	}
	pid := postmaster(t, dir)
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil {
		t.Fatal("child was not killed")
	}
	if !alive(pid) {
		t.Fatal("the server died with its parent")
	}
	c := start(t, pgdev.Options{Dir: dir})
	if got := postmaster(t, dir); got != pid {
		t.Errorf("server %d was not picked up: %d", pid, got)
	}
	stop(t, c)
	if alive(pid) {
		t.Error("still runs")
	}
}

// The server itself killed, with all that was committed kept, and with its
// process number given to another program meanwhile.
func TestSurvivesKillOfServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "postgres")
	a := start(t, pgdev.Options{Dir: dir})
	fill(t, a.URL(""))
	for _, reused := range []bool{false, true} {
		pid := postmaster(t, dir)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the server is dead", func() bool { return !alive(pid) })
		if reused {
			file := filepath.Join(dir, "data", "postmaster.pid")
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(string(b), "\n")
			if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())+"\n"+rest), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b := start(t, pgdev.Options{Dir: dir})
		if got := ask(t, b.URL(""), "SELECT x::text FROM t"); got != "42" {
			t.Errorf("x = %s", got)
		}
		stop(t, b) // a still has its share
	}
	stop(t, a)
}

// A folder whose path is too long for a socket, and one below a folder that is
// closed to the user whom root runs PostgreSQL as.
func TestAwkwardFolders(t *testing.T) {
	closed, err := os.MkdirTemp("", "radial-closed") // mode 0700
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(closed) })
	for name, dir := range map[string]string{
		"long":        filepath.Join(t.TempDir(), strings.Repeat("long", 20), "postgres"),
		"closed":      filepath.Join(closed, "postgres"),
		"with spaces": filepath.Join(t.TempDir(), "it's a dir", "postgres"),
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, pgdev.Options{Dir: dir, NoSync: true})
			defer stop(t, c)
			if got := ask(t, c.URL(""), "SELECT 'here'"); got != "here" {
				t.Error(got)
			}
			other := start(t, pgdev.Options{Dir: dir, NoSync: true})
			ask(t, other.URL("postgres"), "SELECT 'here'")
			stop(t, other)
			if left, err := filepath.Glob("/run/radial-*"); name == "long" && os.Geteuid() == 0 && (err != nil || len(left) == 0) {
				t.Error("the short folder is not where it is looked for")
			}
		})
	}
}

func TestErrors(t *testing.T) {
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pgdev.Start(t.Context(), pgdev.Options{Dir: foreign}); err == nil || !strings.Contains(err.Error(), "thesis.tex") {
		t.Errorf("a folder of someone else's: %v", err)
	}

	t.Setenv("PATH", t.TempDir())
	other := filepath.Join(t.TempDir(), "postgres")
	if err := os.MkdirAll(filepath.Join(other, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other, "data", "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(filepath.Join(other, "data"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	_, err := pgdev.Start(t.Context(), pgdev.Options{Dir: other})
	if !errors.Is(err, pgdev.ErrNoPostgres) || !strings.Contains(err.Error(), "postgresql-9") {
		t.Errorf("a cluster of another version: %v", err)
	}
}
