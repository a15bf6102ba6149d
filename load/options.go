package load

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"radial/nas"
)

// Mode is what a run sends.
type Mode string

// The modes. Start first logs its users in, Interim and Stop also start their
// sessions, unmeasured: a server that leases addresses finds its leases.
const (
	PAP     Mode = "pap"
	CHAP    Mode = "chap"
	Start   Mode = "start"
	Interim Mode = "interim"
	Stop    Mode = "stop"
	// Session is a whole one: Access-Request, Start, three Interims, Stop.
	Session Mode = "session"
)

// Modes lists all modes.
var Modes = []Mode{PAP, CHAP, Start, Interim, Stop, Session}

// Options describe a run.
type Options struct {
	Mode       Mode
	Auth, Acct netip.AddrPort // where the server listens
	Secret     nas.Secret
	Window     int           // requests outstanding over all sockets, 1 to 4096
	Duration   time.Duration // of the measured part
	Count      int           // requests (sessions in mode session) after which it ends; 0: Duration alone
	Users      int           // user names run from 0 to Users-1
	// UserFormat and PasswordFormat take the user's number: "u%06d", "pw%06d".
	UserFormat, PasswordFormat string
	Shuffle                    bool // users in random order instead of in turn
	NASes                      int  // distinct NAS-IP-Address values
	Timeout                    time.Duration
	Tries                      int    // sends of one request before it is given up
	Seed                       uint64 // of user order and session ids
	// KeepSessions keeps what was last acknowledged of each session, for a
	// comparison with the rows (Result.Sessions).
	KeepSessions bool
}

// DefaultOptions fits `make run`'s neighbours: a server on loopback.
func DefaultOptions() Options {
	return Options{
		Mode: PAP, Auth: netip.MustParseAddrPort("127.0.0.1:1812"), Acct: netip.MustParseAddrPort("127.0.0.1:1813"),
		Window: 64, Duration: 10 * time.Second, Users: 1000, UserFormat: "u%06d", PasswordFormat: "pw%06d",
		NASes: 50, Timeout: time.Second, Tries: 3,
	}
}

// Validate returns every problem of the options.
func (o Options) Validate() error {
	var errs []error
	bad := func(name string, value any, want string) {
		errs = append(errs, fmt.Errorf("%s %v: want %s", name, value, want))
	}
	if !slices.Contains(Modes, o.Mode) {
		bad("mode", o.Mode, fmt.Sprintf("one of %v", Modes))
	}
	if o.Window < 1 || o.Window > 4096 {
		bad("window", o.Window, "1 to 4096")
	}
	if o.Users < 1 || o.Users > 10_000_000 {
		bad("users", o.Users, "1 to 10,000,000")
	}
	if o.Duration <= 0 || o.Duration > time.Hour {
		bad("duration", o.Duration, "more than 0, at most an hour")
	}
	if o.NASes < 1 || o.NASes > 65536 {
		bad("nases", o.NASes, "1 to 65536")
	}
	if o.Timeout < time.Millisecond {
		bad("timeout", o.Timeout, "a millisecond or more")
	}
	if o.Tries < 1 {
		bad("tries", o.Tries, "1 or more")
	}
	if o.Count < 0 {
		bad("count", o.Count, "0 or more")
	}
	if o.Secret == "" {
		errs = append(errs, errors.New("secret: want the shared secret that the server has for this machine"))
	}
	for _, f := range []string{o.UserFormat, o.PasswordFormat} {
		if s := fmt.Sprintf(f, 1); len(s) == 0 || len(s) > 128 {
			bad("format", f, "one that makes 1 to 128 characters of a number, such as u%06d")
		}
	}
	return errors.Join(errs...)
}
