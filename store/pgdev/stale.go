package pgdev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// running reads postmaster.pid: the socket's folder, if that process lives and
// is this cluster's server.
func (c *Cluster) running() (socket string, ok bool) {
	pid, lines := c.pidFile()
	if pid == 0 || len(lines) < 5 || !c.isServer(pid) {
		return "", false
	}
	return strings.TrimSpace(lines[4]), true
}

func (c *Cluster) pidFile() (pid int, lines []string) {
	b, err := os.ReadFile(c.path(dataDir + "/postmaster.pid"))
	if err != nil {
		return 0, nil
	}
	lines = strings.Split(string(b), "\n")
	pid, err = strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil {
		return 0, nil
	}
	return pid, lines
}

// isServer tells whether the process is this cluster's server: not one that
// died and was never waited for, and not some other program, or another
// cluster's server, that got its number.
func (c *Cluster) isServer(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) // no /proc: believe the file
	}
	return slices.Contains(strings.Split(string(args), "\x00"), c.path(dataDir))
}

// clearStale removes a postmaster.pid that PostgreSQL itself would believe
// although its server is dead: the number is some other program's now, or that
// of a process that nobody has waited for. One whose process is gone it clears
// itself. With the file goes PostgreSQL's own guard against children of the old
// server that still write, so they are waited for.
func (c *Cluster) clearStale(ctx context.Context) error {
	if err := c.clearSocketLock(); err != nil {
		return err
	}
	pid, lines := c.pidFile()
	if pid == 0 || c.isServer(pid) || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return nil
	}
	for deadline := time.Now().Add(15 * time.Second); attached(lines); {
		if time.Now().After(deadline) {
			return fmt.Errorf("the server that had process number %d is dead, but children of it live on: end them first", pid)
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return os.Remove(c.path(dataDir + "/postmaster.pid"))
}

// clearSocketLock does the same for the lock file beside the socket, whose
// folder is the cluster's alone.
func (c *Cluster) clearSocketLock() error {
	path := c.socket + socketName() + ".lock"
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(b), "\n")
	if pid, err := strconv.Atoi(strings.TrimSpace(first)); err == nil && c.isServer(pid) {
		return nil
	}
	return os.Remove(path)
}

// attached tells whether anyone still holds the shared memory that
// postmaster.pid names in its seventh line: key and id.
func attached(lines []string) bool {
	if len(lines) < 7 {
		return false
	}
	key := strings.Fields(lines[6])
	table, err := os.ReadFile("/proc/sysvipc/shm") // key shmid perms size cpid lpid nattch …
	if err != nil || len(key) != 2 {
		return false
	}
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 6 && f[1] == key[1] && f[6] != "0" {
			return true
		}
	}
	return false
}
