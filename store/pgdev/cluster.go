package pgdev

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The layout of a cluster's folder.
const (
	dataDir   = "data"
	newDir    = "data.new" // an initdb that is not done
	runDir    = "run"
	logFile   = "postgres.log"
	lockFile  = "lock"
	usersFile = "users"
)

// port is the number in the socket's name; there is no TCP port.
const port = 5432

// maxSocketPath is what the kernel takes for a unix socket's path, without the
// closing NUL (sun_path).
const maxSocketPath = 107

// SuperUser is the database role that owns everything in a cluster.
const SuperUser = "radial"

// Options says where a cluster is and how it is run.
type Options struct {
	// Dir is the cluster's folder; made when it is not there.
	Dir string
	// BinDirs are further folders to look for PostgreSQL's programs in, before
	// PATH and the usual places.
	BinDirs []string
	// NoSync gives up durability for speed: for tests alone.
	NoSync bool
	// Linger leaves stopping to a watcher of its own, which ends the cluster some
	// seconds after its last user is gone: for tests, whose processes come and go.
	Linger bool
}

// Cluster is a running PostgreSQL that we are a user of.
type Cluster struct {
	opts   Options
	bin    binaries
	owner  owner
	socket string   // folder of the socket
	users  *os.File // our shared lock
}

// Start makes sure that the cluster in opts.Dir is there and runs, and returns
// it with a share in it: Stop gives the share back.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	c, err := start(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("embedded PostgreSQL in %s: %w", opts.Dir, err)
	}
	return c, nil
}

func start(ctx context.Context, opts Options) (*Cluster, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	// one spelling for all, since it is part of the server's command line
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	opts.Dir = dir
	if err := checkOurs(dir); err != nil {
		return nil, err
	}
	c := &Cluster{opts: opts}
	if c.owner, err = chooseOwner(dir); err != nil {
		return nil, err
	}
	if err := c.owner.checkReach(dir); err != nil {
		return nil, err
	}
	lock, err := lockExclusive(ctx, c.path(lockFile))
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if c.users, err = lockShared(ctx, c.path(usersFile)); err != nil {
		return nil, err
	}
	if err := c.run(ctx); err != nil {
		return nil, errors.Join(err, c.users.Close())
	}
	return c, nil
}

func (c *Cluster) path(name string) string { return filepath.Join(c.opts.Dir, name) }

// checkOurs refuses a folder that holds something else.
func checkOurs(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, dataDir, "PG_VERSION")); err == nil {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch e.Name() {
		case newDir, runDir, logFile, logFile + ".old", lockFile, usersFile:
		default:
			return fmt.Errorf("the folder is not ours: it holds %s, and no cluster: choose another data_dir", e.Name())
		}
	}
	return nil
}

// run brings the server up unless it is up. The lock is held.
func (c *Cluster) run(ctx context.Context) error {
	want, err := c.madeBy()
	if err != nil {
		return err
	}
	if c.bin, err = find(c.opts.BinDirs, want); err != nil {
		return err
	}
	if want != 0 {
		if socket, ok := c.running(); ok {
			c.socket = socket
			return c.await(ctx)
		}
	} else if err := c.initdb(ctx); err != nil {
		return err
	}
	if c.socket, err = c.socketDir(); err != nil {
		return err
	}
	if err := c.clearStale(ctx); err != nil {
		return err
	}
	if err := c.configure(ctx); err != nil {
		return err
	}
	if err := c.launch(ctx); err != nil {
		return err
	}
	return c.await(ctx)
}

// madeBy returns the major version that made the cluster, 0 when there is none.
func (c *Cluster) madeBy() (int, error) {
	b, err := os.ReadFile(c.path(dataDir + "/PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("PG_VERSION: %w", err)
	}
	return v, nil
}

// initdb makes the cluster under another name first, so that one that was
// interrupted is never taken for whole.
func (c *Cluster) initdb(ctx context.Context) error {
	if err := os.RemoveAll(c.path(newDir)); err != nil {
		return err
	}
	if err := c.owner.mkdir(c.path(newDir)); err != nil {
		return err
	}
	args := []string{"-D", c.path(newDir), "-U", SuperUser, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"}
	if c.opts.NoSync {
		args = append(args, "--no-sync")
	} else {
		args = append(args, "--data-checksums")
	}
	out, err := c.owner.command(ctx, c.bin, "initdb", args...).CombinedOutput()
	if err != nil && strings.Contains(string(out), "locale") {
		args[9] = "--locale=C"
		if err := errors.Join(os.RemoveAll(c.path(newDir)), c.owner.mkdir(c.path(newDir))); err != nil {
			return err
		}
		out, err = c.owner.command(ctx, c.bin, "initdb", args...).CombinedOutput()
	}
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(string(out), 5))
	}
	return os.Rename(c.path(newDir), c.path(dataDir))
}

// socketDir returns the folder for the socket: run in the cluster's, or, where
// that is too long for a socket, one derived from its name.
func (c *Cluster) socketDir() (string, error) {
	dir := c.path(runDir)
	if len(dir)+len(socketName()) > maxSocketPath {
		sum := sha256.Sum256([]byte(c.opts.Dir))
		dir = filepath.Join(shortRoot(), fmt.Sprintf("radial-%d-%x", c.owner.uid, sum[:8]))
	}
	return dir, c.owner.mkdir(dir)
}

// shortRoot is where short socket folders stand: the same for every process,
// whatever its environment.
func shortRoot() string {
	if os.Geteuid() == 0 {
		if st, err := os.Stat("/run"); err == nil && st.IsDir() {
			return "/run"
		}
	}
	return "/tmp"
}

func socketName() string { return "/.s.PGSQL." + strconv.Itoa(port) }

// URL returns the DSN of a database in the cluster, for the cluster's owner
// and root. With "" it is Radial's own.
func (c *Cluster) URL(db string) string {
	if db == "" {
		db = SuperUser
	}
	q := url.Values{"host": {c.socket}, "port": {strconv.Itoa(port)}, "user": {SuperUser}}
	// libpq and pgx take + for itself
	return "postgres:///" + url.PathEscape(db) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}

// Dir returns the cluster's folder.
func (c *Cluster) Dir() string { return c.opts.Dir }

// Stop gives up our share, and stops the server when nobody else has one:
// connections that are still open are cut, what is committed is on disk.
// Stop may be called once.
func (c *Cluster) Stop(ctx context.Context) error {
	err := c.stop(ctx)
	if err != nil {
		return fmt.Errorf("embedded PostgreSQL in %s: stop: %w", c.opts.Dir, err)
	}
	return nil
}

func (c *Cluster) stop(ctx context.Context) error {
	if c.opts.Linger {
		return c.users.Close() // the watcher does it
	}
	lock, err := lockExclusive(ctx, c.path(lockFile))
	if err != nil {
		return errors.Join(err, c.users.Close())
	}
	defer lock.Close()
	last, err := upgrade(c.users)
	if err != nil || !last {
		return errors.Join(err, c.users.Close())
	}
	defer c.users.Close()
	if _, ok := c.running(); !ok {
		return nil
	}
	out, err := c.owner.command(ctx, c.bin, "pg_ctl", "stop", "-D", c.path(dataDir), "-m", "fast", "-w", "-t", seconds(ctx)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pg_ctl: %w: %s", err, lastLines(string(out), 3))
	}
	if c.socket != c.path(runDir) {
		return os.Remove(c.socket) // a short folder elsewhere; PostgreSQL has emptied it
	}
	return nil
}

// seconds is how long pg_ctl may wait: until ctx ends, a minute at most.
func seconds(ctx context.Context) string {
	wait := time.Minute
	if until, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(until))
	}
	return strconv.Itoa(max(1, int(wait.Seconds())))
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
