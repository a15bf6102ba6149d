package pgdev

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// owner is whom the cluster belongs to, and how to run a program as him.
type owner struct {
	uid, gid int
	name     string
	drop     bool // we are root and must become him
	// reach: some folder above the cluster is closed to him (a folder of
	// mode 0700 that is root's, say). He keeps the one capability to pass
	// through folders; PostgreSQL needs nothing else of root.
	reach bool
}

// chooseOwner decides whom the cluster in dir belongs to: the owner of its
// data, if there is any; else whoever we are; for root, postgres or nobody.
func chooseOwner(dir string) (owner, error) {
	me := os.Geteuid()
	data := filepath.Join(dir, dataDir)
	if st, err := os.Stat(data); err == nil {
		uid, gid := ownerOf(st)
		if uid != me && me != 0 {
			return owner{}, fmt.Errorf("the cluster belongs to user %s: run as that user, or as root", userName(uid))
		}
		if uid != 0 {
			return owner{uid: uid, gid: gid, name: userName(uid), drop: me == 0, reach: me == 0 && !reachable(data, uid, gid)}, nil
		}
		return owner{}, fmt.Errorf("%s belongs to root, and PostgreSQL does not run as root: chown -R it to an unprivileged user", data)
	}
	if me != 0 {
		return owner{uid: me, gid: os.Getegid(), name: userName(me)}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 != nil || err2 != nil || uid == 0 {
			continue
		}
		return owner{uid: uid, gid: gid, name: name, drop: true, reach: !reachable(dir, uid, gid)}, nil
	}
	return owner{}, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

func ownerOf(st fs.FileInfo) (uid, gid int) {
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return -1, -1
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "#" + strconv.Itoa(uid)
}

// reachable tells whether uid can pass through all folders down to dir.
func reachable(dir string, uid, gid int) bool {
	for {
		st, err := os.Stat(dir)
		if err != nil {
			return false
		}
		u, g := ownerOf(st)
		bit := fs.FileMode(0o001)
		switch {
		case u == uid:
			bit = 0o100
		case g == gid:
			bit = 0o010
		}
		if st.Mode().Perm()&bit == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
		dir = filepath.Dir(dir)
	}
}

// checkReach explains what to do when the owner cannot get to the cluster and
// we have no capability to give him.
func (o owner) checkReach(dir string) error {
	if !o.reach || hasCapability(unix.CAP_DAC_READ_SEARCH) {
		return nil
	}
	return fmt.Errorf("user %s, whom PostgreSQL runs as, cannot get into %s: open the folders above it (chmod o+x), or choose another data_dir", o.name, dir)
}

func hasCapability(bit uint) bool {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			caps, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			return err == nil && caps&(1<<bit) != 0
		}
	}
	return false
}

// command makes a command that runs as the owner, apart from our terminal.
func (o owner) command(ctx context.Context, b binaries, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, program), args...)
	cmd.Dir = "/"
	cmd.Env = b.env()
	cmd.SysProcAttr = o.attributes()
	return cmd
}

func (o owner) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if o.drop {
		attr.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
		if o.reach {
			attr.AmbientCaps = []uintptr{unix.CAP_DAC_READ_SEARCH}
		}
	}
	return attr
}

// mkdir makes a folder that is the owner's and closed to others; one that is
// there must be his.
func (o owner) mkdir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil && o.drop {
		err = os.Chown(dir, o.uid, o.gid)
	}
	if err == nil || !os.IsExist(err) {
		return err
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if uid, _ := ownerOf(st); !st.IsDir() || uid != o.uid {
		return fmt.Errorf("%s is not a folder of user %s", dir, o.name)
	}
	return os.Chmod(dir, 0o700)
}
