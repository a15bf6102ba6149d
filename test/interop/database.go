package interop

import (
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// reachable returns dsn in libpq's keywords. A database behind a Unix socket is
// reached through a socket in dir that belongs to freerad and passes all on:
// the private PostgreSQL of tests lets in its owner and root alone.
func reachable(t testing.TB, dsn, dir string, owner ids) string {
	t.Helper()
	k := keywords(t, dsn)
	if !strings.HasPrefix(k["host"], "/") {
		return join(k)
	}
	port := k["port"]
	if port == "" {
		port = "5432"
	}
	name := ".s.PGSQL." + port
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{listener: l, target: filepath.Join(k["host"], name)}
	f.open.Add(1)
	go f.accept()
	t.Cleanup(f.close)
	for _, path := range []string{dir, filepath.Join(dir, name)} {
		if err := os.Chown(path, owner.uid, owner.gid); err != nil {
			t.Fatal(err)
		}
	}
	k["host"] = dir
	return join(k)
}

// keywords reads a DSN as URL or as libpq's keywords (without blanks in
// values).
func keywords(t testing.TB, dsn string) map[string]string {
	t.Helper()
	k := make(map[string]string)
	if !strings.Contains(dsn, "://") {
		for word := range strings.FieldsSeq(dsn) {
			name, value, _ := strings.Cut(word, "=")
			k[name] = strings.Trim(value, "'")
		}
		return k
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("database URL: %v", err)
	}
	for name, value := range map[string]string{
		"host": u.Hostname(), "port": u.Port(), "dbname": strings.TrimPrefix(u.Path, "/"), "user": u.User.Username(),
	} {
		if value != "" {
			k[name] = value
		}
	}
	if p, ok := u.User.Password(); ok {
		k["password"] = p
	}
	for _, name := range []string{"host", "port", "user", "password", "dbname", "sslmode"} {
		if v := u.Query().Get(name); v != "" {
			k[name] = v
		}
	}
	return k
}

func join(k map[string]string) string {
	var words []string
	for _, name := range []string{"host", "port", "dbname", "user", "password", "sslmode"} {
		if v := k[name]; v != "" {
			words = append(words, name+"="+v)
		}
	}
	return strings.Join(words, " ")
}

// forwarder passes connections on to another Unix socket.
type forwarder struct {
	listener net.Listener
	target   string
	open     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func (f *forwarder) accept() {
	defer f.open.Done()
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", f.target)
		if err != nil {
			_ = client.Close() // FreeRADIUS is told by the lost connection
			continue
		}
		f.mu.Lock()
		f.conns = append(f.conns, client, server)
		f.mu.Unlock()
		f.open.Add(2)
		go f.pass(client, server)
		go f.pass(server, client)
	}
}

func (f *forwarder) pass(to, from net.Conn) {
	defer f.open.Done()
	_, _ = io.Copy(to, from) // an end of either side ends both, whatever the cause
	_, _ = to.Close(), from.Close()
}

func (f *forwarder) close() {
	_ = f.listener.Close() // at a test's end a second close is no matter
	f.mu.Lock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.open.Wait()
}
