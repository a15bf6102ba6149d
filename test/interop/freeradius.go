package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Config says what a FreeRADIUS is to do. The zero value refuses everybody.
type Config struct {
	// Users is the users file (mods-config/files/authorize): for instance
	// `bob Cleartext-Password := "pw"`.
	Users string
	// SQLDSN is a PostgreSQL database with FreeRADIUS's tables, as URL or as
	// libpq's keywords; then sql is in authorize, accounting, session and
	// post-auth with the stock queries. A Unix socket is reached through a
	// socket of ours, so it may be one that only root may use.
	SQLDSN string
	// IPPool puts sqlippool into accounting and post-auth, before sql: IPPoolQueries
	// or IPPoolProcedure. PoolKey is its pool_key; default %{Calling-Station-Id}.
	IPPool, PoolKey string
	// ProxyTo is a server, host:port, that all Access-Requests are forwarded to
	// instead; ProxyAcctTo the same for accounting. ProxySecret is shared with
	// it; empty means Secret.
	ProxyTo, ProxyAcctTo, ProxySecret string
	// Secret is shared with clients. Default "testing123".
	Secret string
	// Address is where it listens; default 127.0.0.1. Client is a further address
	// that may ask, beside loopback.
	Address, Client string
	// EAPMD5 takes EAP-MD5 (RFC 3748 §5.4).
	EAPMD5 bool
	// CoA, in unlang, is what it does with CoA and Disconnect requests (the section
	// recv-coa of a listener of type coa). Empty: there is no such listener.
	CoA string
	// FilterUsername puts filter_username first, as the stock site has it.
	FilterUsername bool
	// Debug runs it with -xx; Log then tells every decision.
	Debug bool
}

// The two ways that sqlippool is shipped with: its plain queries, and its stored
// procedure (of ippool/postgresql/procedure.sql, which the database must have).
const (
	IPPoolQueries   = "queries"
	IPPoolProcedure = "procedure"
)

// FreeRADIUS is a running FreeRADIUS.
type FreeRADIUS struct {
	AuthAddr, AcctAddr string // host:port
	CoAAddr            string // host:port, where Config.CoA is set
	Secret             string
	dir                string
	cmd                *exec.Cmd
	exited             chan struct{}

	mu  sync.Mutex
	log []string
}

// readyLine is what FreeRADIUS prints when it serves.
const readyLine = "Ready to process requests"

// StartFreeRADIUS runs a FreeRADIUS until the test ends. It skips the test
// where that is not possible, and fails it instead where INTEROP_ALL is set.
func StartFreeRADIUS(t testing.TB, c Config) *FreeRADIUS {
	t.Helper()
	binary, owner := needs(t, c)
	if c.Secret == "" {
		c.Secret = "testing123"
	}
	f := &FreeRADIUS{Secret: c.Secret, dir: privateFolder(t, owner)}
	if c.Address == "" {
		c.Address = "127.0.0.1"
	}
	if c.SQLDSN != "" {
		c.SQLDSN = reachable(t, c.SQLDSN, filepath.Join(f.dir, "pg"), owner)
	}
	const attempts = 3 // a free port may be taken before FreeRADIUS has it
	for i := 1; ; i++ {
		auth, acct, das := freePort(t), freePort(t), freePort(t)
		f.AuthAddr, f.AcctAddr, f.CoAAddr = net.JoinHostPort(c.Address, auth), net.JoinHostPort(c.Address, acct), net.JoinHostPort(c.Address, das)
		if err := writeConfig(f.dir, c, auth, acct, das, owner); err != nil {
			t.Fatal(err)
		}
		err := f.start(binary, c.Debug)
		if err == nil {
			break
		}
		if i == attempts || !strings.Contains(f.Log(), "Address already in use") {
			t.Fatalf("freeradius: %v\n%s", err, f.Log())
		}
	}
	t.Cleanup(func() {
		f.stop(t)
		if t.Failed() {
			t.Logf("freeradius said:\n%s", f.Log())
		}
	})
	return f
}

// Log returns what FreeRADIUS has printed so far.
func (f *FreeRADIUS) Log() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.log, "\n")
}

// ids are the user and group that FreeRADIUS runs as.
type ids struct{ uid, gid int }

// needs tells whether a FreeRADIUS that does what c says can be run here.
func needs(t testing.TB, c Config) (binary string, owner ids) {
	t.Helper()
	lacks := func(what string) {
		t.Helper()
		if os.Getenv("INTEROP_ALL") != "" {
			t.Fatalf("%s: INTEROP_ALL forbids to skip", what)
		}
		t.Skipf("SKIPPED: %s", what)
	}
	if os.Getuid() != 0 {
		lacks("needs root, to run FreeRADIUS as its own user")
	}
	binary, err := exec.LookPath("freeradius")
	if err != nil {
		lacks("needs the freeradius package: apt-get install freeradius freeradius-postgresql")
	}
	if _, err := os.Stat(stockConfig); err != nil {
		lacks("needs FreeRADIUS's configuration in " + stockConfig)
	}
	if _, err := os.Stat(sqlDriver); err != nil && c.SQLDSN != "" {
		lacks("needs the freeradius-postgresql package (" + sqlDriver + ")")
	}
	u, err := user.Lookup("freerad")
	if err != nil {
		lacks("needs the user freerad")
	}
	if owner.uid, err = strconv.Atoi(u.Uid); err != nil {
		t.Fatal(err)
	}
	if owner.gid, err = strconv.Atoi(u.Gid); err != nil {
		t.Fatal(err)
	}
	return binary, owner
}

// privateFolder makes a folder that freerad can enter; t.TempDir it cannot.
func privateFolder(t testing.TB, owner ids) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "radial-freeradius")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove FreeRADIUS's folder: %v", err)
		}
	})
	if err := os.Chown(dir, owner.uid, owner.gid); err != nil {
		t.Fatal(err)
	}
	return dir
}

func freePort(t testing.TB) string {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := c.LocalAddr().(*net.UDPAddr).Port
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

// start runs the daemon and waits until it serves.
func (f *FreeRADIUS) start(binary string, debug bool) error {
	f.cmd = exec.Command(binary, "-f", "-l", "stdout", "-d", filepath.Join(f.dir, "raddb"))
	if debug {
		f.cmd.Args = append(f.cmd.Args, "-xx")
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	f.cmd.Stderr = f.cmd.Stdout
	if err := f.cmd.Start(); err != nil {
		return err
	}
	ready, exited := make(chan struct{}), make(chan struct{})
	f.exited = exited
	go func() {
		f.follow(out, ready)
		_ = f.cmd.Wait() // how it ended is in its log
		close(exited)
	}()
	const patience = 30 * time.Second
	select {
	case <-ready:
		return nil
	case <-exited:
		return fmt.Errorf("it ended at once")
	case <-time.After(patience):
		_ = f.cmd.Process.Kill() // it may have ended by itself
		<-exited
		return fmt.Errorf("it is not ready after %v", patience)
	}
}

// follow keeps what the daemon prints and tells when it is ready.
func (f *FreeRADIUS) follow(out io.Reader, ready chan<- struct{}) {
	told := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		f.mu.Lock()
		f.log = append(f.log, lines.Text())
		f.mu.Unlock()
		if !told && strings.Contains(lines.Text(), readyLine) {
			told = true
			close(ready)
		}
	}
}

func (f *FreeRADIUS) stop(t testing.TB) {
	t.Helper()
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("freeradius ended before the test did: %v", err)
		return
	}
	select {
	case <-f.exited:
	case <-time.After(10 * time.Second):
		t.Error("freeradius does not end on SIGTERM")
		_ = f.cmd.Process.Kill() // it may have ended by itself
		<-f.exited
	}
}
