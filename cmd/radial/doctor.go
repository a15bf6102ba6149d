package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"radial/config"
	"radial/dictionaries"
	"radial/nas"
	"radial/store"
)

func newDoctorCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything that a server needs; tell what is missing and how to mend it",
		Long: `Looks at configuration, data_dir, database, schema, clock, time zone, ports, dictionaries and devices, and changes nothing.
Exit code 1 when there is a problem; advice alone is 0.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := a.examine(cmd.Context())
			problems := 0
			for _, f := range findings {
				if f.Severity == store.Problem {
					problems++
				}
			}
			if err := a.print(findings, func() string { return doctorText(findings) }); err != nil {
				return err
			}
			if problems > 0 {
				return fmt.Errorf("doctor: problems found: %d", problems)
			}
			return nil
		},
	}
}

func doctorText(findings []store.Finding) string {
	g := grid{titles: []string{"", "what", "found"}}
	for _, f := range findings {
		g.add(string(f.Severity), f.Name, oneLine(f.Value))
		if f.Mend != "" {
			for line := range strings.Lines(f.Mend) {
				g.add("", "", "-> "+strings.TrimRight(line, "\n"))
			}
		}
	}
	return g.String()
}

func ok(name, value string) store.Finding {
	return store.Finding{Name: name, Severity: store.Good, Value: value}
}

func problem(name string, err error, mend string) store.Finding {
	return store.Finding{Name: name, Severity: store.Problem, Value: err.Error(), Mend: mend}
}

// examine goes from what needs nothing to what needs all.
func (a *app) examine(ctx context.Context) []store.Finding {
	c, err := a.readConfig()
	if err != nil {
		return []store.Finding{problem("configuration", err, "mend these, then try again: radial check-config")}
	}
	from := "environment and defaults"
	if c.File != "" {
		from = c.File
	}
	findings := []store.Finding{ok("configuration", from), examineDataDir(c.DataDir)}
	dict, err := dictionaries.Load(c.Dictionaries...)
	if err != nil {
		findings = append(findings, problem("dictionaries", err, "mend the file, or take its folder out of the setting dictionaries"))
	} else {
		n := 0
		for range dict.All() {
			n++
		}
		findings = append(findings, ok("dictionaries", fmt.Sprintf("%d attributes of %d vendors", n, len(dict.Vendors()))))
	}
	running := serveHolds(c.DataDir)
	for _, l := range []struct {
		key       string
		addresses []string
	}{{"radius.auth_listen", c.Radius.AuthListen}, {"radius.acct_listen", c.Radius.AcctListen}} {
		for _, address := range l.addresses {
			findings = append(findings, examinePort(l.key, address, running))
		}
	}
	return append(findings, examineDatabase(ctx, c)...)
}

func examineDataDir(dir string) store.Finding {
	st, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return store.Finding{Name: "data_dir", Severity: store.Advice, Value: dir + " is not there yet", Mend: "radial serve makes it"}
	}
	if err != nil {
		return problem("data_dir", err, "choose a folder that this user may enter")
	}
	if !st.IsDir() || unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
		return problem("data_dir", fmt.Errorf("%s is no folder that this user may write in", dir), "chown it, or choose another")
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil {
		free := fs.Bavail * uint64(fs.Bsize) >> 20
		f := ok("data_dir", fmt.Sprintf("%s, %d MiB free", dir, free))
		if free < 1024 {
			f.Severity, f.Mend = store.Problem, "make room: a full disk stops accounting"
		}
		return f
	}
	return ok("data_dir", dir)
}

// serveHolds tells whether a server runs on the folder.
func serveHolds(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "serve.lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}

func examinePort(key, address string, running bool) store.Finding {
	name := key + " " + address
	conn, err := net.ListenPacket("udp", address)
	switch {
	case err == nil:
		f := ok(name, "free")
		if running {
			f = store.Finding{Name: name, Severity: store.Advice, Value: "free, though a server runs on this data_dir", Mend: "is it running with other settings?"}
		}
		if err := conn.Close(); err != nil {
			return problem(name, err, "")
		}
		return f
	case errors.Is(err, syscall.EADDRINUSE) && running:
		return ok(name, "taken, by the server that runs on this data_dir")
	case errors.Is(err, syscall.EADDRINUSE):
		return problem(name, errors.New("taken by another program"), "find it with `ss -lunp`; a FreeRADIUS on this machine? stop it, or choose another port")
	case errors.Is(err, syscall.EACCES):
		return problem(name, err, "a port below 1024 needs root or CAP_NET_BIND_SERVICE")
	default:
		return problem(name, err, "is the address one of this machine's?")
	}
}

func examineDatabase(ctx context.Context, c *config.Config) (findings []store.Finding) {
	d, err := openDatabase(ctx, c, zap.NewNop())
	if err != nil {
		return append(findings, problem("database", err, "see the error; without database.url a private PostgreSQL is used"))
	}
	defer func() {
		if err := d.close(ctx); err != nil {
			findings = append(findings, problem("database", err, ""))
		}
	}()
	where := "database.url"
	if d.embedded() {
		where = "embedded in " + c.DataDir
	}
	if err := d.Ping(ctx); err != nil {
		return append(findings, problem("database", err, "is PostgreSQL running, and does database.url lead to it?"))
	}
	findings = append(findings, ok("database", where))
	more, err := d.Examine(ctx)
	findings = append(findings, more...)
	if err != nil {
		return append(findings, problem("database", err, ""))
	}
	if d.CheckSchema(ctx) != nil {
		return findings // Examine has told; there are no devices to look at
	}
	findings = append(findings, examineDevices(ctx, d.DB)...)
	return append(findings, examineRouters(ctx, c, d.DB)...)
}

func examineDevices(ctx context.Context, db *store.DB) []store.Finding {
	rows, err := db.NASRows(ctx)
	if err != nil {
		return []store.Finding{problem("devices", err, "")}
	}
	if len(rows) == 0 {
		return []store.Finding{{Name: "devices", Severity: store.Problem, Value: "none is known: every packet is ignored", Mend: "radial nas add ADDRESS --secret SECRET"}}
	}
	directory := nas.NewDirectory(nas.DirectoryOptions{Resolver: net.DefaultResolver})
	report, err := directory.Load(ctx, rows)
	if err != nil {
		return []store.Finding{problem("devices", err, "")}
	}
	findings := []store.Finding{ok("devices", fmt.Sprintf("%d rows, %d prefixes", report.Rows, report.Devices))}
	for _, p := range report.Problems {
		severity := store.Problem
		if p.Served {
			severity = store.Advice
		}
		findings = append(findings, store.Finding{Name: "device " + p.Name, Severity: severity, Value: p.Err.Error(), Mend: "radial nas set " + p.Name + " …, or radial nas del " + p.Name})
	}
	for _, r := range rows {
		if why, weak := nas.WeakSecret(r.Secret); weak {
			findings = append(findings, store.Finding{Name: "device " + r.Name, Severity: store.Advice, Value: "weak secret: " + why, Mend: "radial nas set " + r.Name + " --secret … (and on the device)"})
		}
	}
	return findings
}
