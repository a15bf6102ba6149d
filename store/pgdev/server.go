package pgdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

// configFile holds our settings; postgresql.conf includes it, so that what an
// operator puts below the include wins.
const configFile = "radial.conf"

// configure writes our settings and includes them.
func (c *Cluster) configure(ctx context.Context) error {
	var b strings.Builder
	for _, s := range c.settings(ctx) {
		fmt.Fprintf(&b, "%s = %s\n", s[0], s[1])
	}
	path := c.path(filepath.Join(dataDir, configFile))
	if err := c.write(path, os.O_TRUNC, b.String()); err != nil {
		return err
	}
	main := c.path(dataDir + "/postgresql.conf")
	have, err := os.ReadFile(main)
	if err != nil {
		return err
	}
	include := "include_if_exists = '" + configFile + "'"
	if strings.Contains(string(have), include) {
		return nil
	}
	return c.write(main, os.O_APPEND, "\n"+include+" # Radial's settings; yours go below this line\n")
}

func (c *Cluster) write(path string, flag int, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if c.owner.drop {
		err = errors.Join(err, f.Chown(c.owner.uid, c.owner.gid))
	}
	return errors.Join(err, f.Close())
}

func (c *Cluster) settings(ctx context.Context) [][2]string {
	all := [][2]string{
		{"listen_addresses", "''"},
		{"port", fmt.Sprint(port)},
		{"unix_socket_directories", quote(c.socket)},
		{"unix_socket_permissions", "0700"},
		{"cluster_name", "radial"},
		{"max_connections", "100"},
		{"log_min_messages", "warning"},
		{"log_line_prefix", "'%m [%p] %q%a '"},
		{"lc_messages", "'C'"},
		{"jit", "off"},
	}
	if c.opts.NoSync {
		return append(all, [][2]string{
			{"max_connections", "300"},
			{"shared_buffers", "'128MB'"},
			{"fsync", "off"}, {"synchronous_commit", "off"}, {"full_page_writes", "off"},
			{"wal_level", "minimal"}, {"max_wal_senders", "0"},
			{"autovacuum", "off"},
		}...)
	}
	return append(all, [][2]string{
		{"shared_buffers", fmt.Sprintf("'%dMB'", sharedBuffers()>>20)},
		{"fsync", "on"}, {"synchronous_commit", "on"}, {"full_page_writes", "on"},
		{"wal_compression", c.compression(ctx)},
		{"max_wal_size", "'2GB'"},
		{"checkpoint_timeout", "'15min'"},
		{"random_page_cost", "1.1"},
	}...)
}

// compression is how whole pages in the write-ahead log are compressed: a
// database that writes here and there spends much on it after each checkpoint.
// lz4 takes a tenth of the time of PostgreSQL's own way, which every build has.
func (c *Cluster) compression(ctx context.Context) string {
	err := c.owner.command(ctx, c.bin, "postgres", "-D", c.path(dataDir), "-c", "wal_compression=lz4", "-C", "wal_compression").Run()
	if err != nil {
		return "on" // before PostgreSQL 15, or built without
	}
	return "lz4"
}

// quote writes a string of postgresql.conf.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// sharedBuffers is an eighth of the memory, 128 MB to 2 GB.
func sharedBuffers() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 128 << 20
	}
	return min(max(info.Totalram*uint64(info.Unit)/8, 128<<20), 2<<30)
}

// launch starts the server and waits until it takes connections. After a
// kill -9 of the old one, its last children may hold the memory for a moment:
// PostgreSQL says so and we try again.
func (c *Cluster) launch(ctx context.Context) error {
	logPath := c.path(logFile)
	if err := c.freshLog(logPath); err != nil {
		return err
	}
	deadline := time.Now().Add(15 * time.Second)
	for {
		_, err := c.owner.command(ctx, c.bin, "pg_ctl", "start", "-D", c.path(dataDir), "-l", logPath, "-w", "-t", seconds(ctx)).Output()
		if err == nil {
			break
		}
		text, readErr := os.ReadFile(logPath)
		if readErr == nil && strings.Contains(string(text), "shared memory block") && time.Now().Before(deadline) {
			if err := wait(ctx, 200*time.Millisecond); err != nil {
				return err
			}
			if err := os.Truncate(logPath, 0); err != nil {
				return err
			}
			continue
		}
		return fmt.Errorf("pg_ctl start: %w: %s (see %s)", err, lastLines(string(text), 3), logPath)
	}
	if c.opts.Linger {
		return c.watch()
	}
	return nil
}

// freshLog keeps one older log, so that it does not grow without end.
func (c *Cluster) freshLog(path string) error {
	if err := os.Rename(path, path+".old"); err != nil && !os.IsNotExist(err) {
		return err
	}
	return c.write(path, os.O_TRUNC, "")
}

// watch starts the process that ends a lingering cluster: it tries for the
// exclusive lock on users every few seconds, gets it when the last user is
// gone, and stops the server under it.
func (c *Cluster) watch() error {
	const script = `while sleep 3; do if flock -n -x "$1" "$2" stop -D "$3" -m fast -w >/dev/null 2>&1; then exit; fi; test -e "$3/postmaster.pid" || exit; done`
	cmd := exec.Command("/bin/sh", "-c", script, "radial-pgdev", c.path(usersFile), filepath.Join(c.bin.dir, "pg_ctl"), c.path(dataDir))
	cmd.Dir = "/"
	cmd.Env = c.bin.env()
	cmd.SysProcAttr = c.owner.attributes()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("watcher: %w", err)
	}
	return cmd.Process.Release()
}

// wait is a sleep that ends with ctx.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// await waits until the server takes connections, and sees to it that Radial's
// database is there.
func (c *Cluster) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return errors.Join(ensureDatabase(ctx, conn, SuperUser), conn.Close(ctx))
		}
		if _, ok := c.running(); !ok {
			return fmt.Errorf("the running server went away: %w", err)
		}
		if werr := wait(ctx, 50*time.Millisecond); werr != nil {
			return fmt.Errorf("the running server does not answer: %w", err)
		}
	}
}

const sqlDatabaseThere = `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1::text)`

func ensureDatabase(ctx context.Context, conn *pgx.Conn, name string) error {
	var there bool
	if err := conn.QueryRow(ctx, sqlDatabaseThere, name).Scan(&there); err != nil || there {
		return err
	}
	_, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	return err
}
