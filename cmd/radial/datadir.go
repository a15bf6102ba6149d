package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"radial/config"
)

// lockDataDir makes the folder and takes it for one running server; the lock
// goes with the process, however it ends. The file names who holds it.
func lockDataDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("data_dir %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "serve.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data_dir %s: %w", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 32)
		n, _ := f.Read(holder) // only to name the process
		err = fmt.Errorf("data_dir %s: another radial serve (process %s) runs on it: stop it, or choose another data_dir", dir, strings.TrimSpace(string(holder[:n])))
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintln(os.Getpid()))); err != nil {
		return nil, errors.Join(fmt.Errorf("data_dir %s: %w", dir, err), f.Close())
	}
	return f, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// serverID is the server's identity in radial.servers: a UUID made once and
// kept in the folder.
func serverID(dir string) (string, error) {
	id, err := madeOnce(filepath.Join(dir, "server-id"), 0o644, newUUID)
	if err != nil {
		return "", fmt.Errorf("server id: %w", err)
	}
	return id, nil
}

func newUUID() string {
	var u [16]byte
	rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80 // RFC 9562 §5.4, version 4
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// madeOnce is the line in a file, which is made where it is not there: by root
// for whoever has the folder.
func madeOnce(path string, mode fs.FileMode, fresh func() string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	line := fresh()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(line + "\n")
	err = errors.Join(err, f.Sync(), ownedAsFolder(f, filepath.Dir(path)), f.Close())
	return line, err
}

// ownedAsFolder gives a file that root has made to the owner of its folder: the
// server's user, who must read it.
func ownedAsFolder(f *os.File, dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}

// clusterDir is where the embedded PostgreSQL of a data_dir lives.
func clusterDir(c *config.Config) string { return filepath.Join(c.DataDir, "postgres") }

// journalDir is where accounting waits for the database.
func journalDir(c *config.Config) string { return filepath.Join(c.DataDir, "journal") }

// noCluster tells that there is no embedded database yet, so that a command
// would make one.
func noCluster(c *config.Config) bool {
	_, err := os.Stat(clusterDir(c))
	return c.Database.URL == "" && errors.Is(err, fs.ErrNotExist)
}

// wantServerDir fails where no server has kept anything in data_dir: an empty
// journal there would tell of a mistyped folder that nothing waits.
func wantServerDir(c *config.Config) error {
	wrong := "it is not there"
	_, err := os.Stat(c.DataDir)
	if err == nil {
		wrong = "it has neither a server-id nor a journal"
		for _, kept := range []string{filepath.Join(c.DataDir, "server-id"), journalDir(c)} {
			if _, err = os.Stat(kept); !errors.Is(err, fs.ErrNotExist) {
				break
			}
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no data_dir of a server: %s: %s; name the folder of the server (--data-dir, RADIAL_DATA_DIR)", c.DataDir, wrong)
	}
	return withoutAccess(c, err)
}

// withoutAccess adds to an error of rights what mends it.
func withoutAccess(c *config.Config, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w; this user may not use data_dir %s: run it as the server's user (sudo -u radial …), or choose another folder (--data-dir, RADIAL_DATA_DIR)", err, c.DataDir)
}
