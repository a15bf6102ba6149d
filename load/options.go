package load

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"radial/nas"
)

// Mode is what a run sends.
type Mode string

// The modes. Start first logs its users in, Interim and Stop also start their
// sessions, unmeasured: a server that leases addresses finds its leases.
const (
	PAP      Mode = "pap"
	CHAP     Mode = "chap"
	MSCHAPv2 Mode = "mschapv2"
	Start    Mode = "start"
	Interim  Mode = "interim"
	Stop     Mode = "stop"
	// Acct is the accounting of whole sessions without their logins: Start,
	// three Interims, Stop, of many sessions mixed.
	Acct Mode = "acct"
	// Session is a whole one: Access-Request, Start, three Interims, Stop.
	Session Mode = "session"
	// Storm is what follows a power cut: all users dial at once, each until it
	// is in.
	Storm Mode = "storm"
)

// Modes lists all modes, Methods those that are a way to log in.
var (
	Modes   = []Mode{PAP, CHAP, MSCHAPv2, Start, Interim, Stop, Acct, Session, Storm}
	Methods = []Mode{PAP, CHAP, MSCHAPv2}
)

// Options describe a run.
type Options struct {
	Mode       Mode
	Login      Mode           // of Methods: how users of the other modes log in
	Auth, Acct netip.AddrPort // where the server listens
	Secret     nas.Secret
	Window     int           // requests outstanding over all sockets in a closed loop, 1 to 4096
	Rate       float64       // requests a second of an open loop; 0: a closed loop
	Duration   time.Duration // of the measured part; of a storm the most
	Count      int           // requests (sessions in modes session and acct) after which it ends; 0: Duration alone
	Users      int           // user names run from 0 to Users-1
	// UserFormat and PasswordFormat take the user's number: "u%06d", "pw%06d"; a
	// password, or the name of one user alone, may do without.
	UserFormat, PasswordFormat string
	Shuffle                    bool         // users in random order instead of in turn
	WrongPasswords             float64      // share of logins with a wrong password, 0 to 1
	NASes                      int          // distinct NAS-IP-Address values
	Source                     netip.Prefix // addresses of this machine that the sockets are bound to in turn; none: the system's choice
	Sockets                    int          // source ports; 0: as many as the mode needs
	Timeout                    time.Duration
	Tries                      int // sends of one request before it is given up
	// RenewAcct sends an Accounting-Request again with a new identifier and the
	// Acct-Delay-Time of then (RFC 2866 §5.2) instead of the same bytes.
	RenewAcct bool
	Redial    time.Duration // in a storm: from giving up to the next dial, give or take half
	Seed      uint64        // of user order, arrivals and session ids
	// KeepSessions keeps what was sent and acknowledged of each session, for a
	// comparison with the rows (Result.Sessions).
	KeepSessions bool
}

// DefaultOptions fits `make run`'s neighbours: a server on loopback; and
// RouterOS's patience.
func DefaultOptions() Options {
	return Options{
		Mode: PAP, Login: PAP, Auth: netip.MustParseAddrPort("127.0.0.1:1812"), Acct: netip.MustParseAddrPort("127.0.0.1:1813"),
		Window: 64, Duration: 10 * time.Second, Users: 1000, UserFormat: "u%06d", PasswordFormat: "pw%06d",
		NASes: 50, Timeout: 300 * time.Millisecond, Tries: 3, Redial: 5 * time.Second,
	}
}

// limit is the range of a number.
type limit struct {
	name     string
	value    any
	ok       bool
	wantText string
}

// Validate returns every problem of the options.
func (o Options) Validate() error {
	var errs []error
	for _, l := range []limit{
		{"mode", o.Mode, slices.Contains(Modes, o.Mode), fmt.Sprintf("one of %v", Modes)},
		{"login", o.Login, slices.Contains(Methods, o.Login), fmt.Sprintf("one of %v", Methods)},
		{"acct", o.Acct, o.Acct.Addr().Is4() == o.Auth.Addr().Is4(), "an address of the same family as auth"},
		{"window", o.Window, o.Window >= 1 && o.Window <= 4096, "1 to 4096"},
		{"rate", o.Rate, o.Rate >= 0 && o.Rate <= 1e6, "0 (a closed loop) to 1,000,000 a second"},
		{"duration", o.Duration, o.Duration > 0 && o.Duration <= 24*time.Hour, "more than 0, at most a day"},
		{"count", o.Count, o.Count >= 0, "0 or more"},
		{"users", o.Users, o.Users >= 1 && o.Users <= 10_000_000, "1 to 10,000,000"},
		{"wrong-passwords", o.WrongPasswords, o.WrongPasswords >= 0 && o.WrongPasswords <= 1, "0 to 1 (0% to 100%)"},
		{"nases", o.NASes, o.NASes >= 1 && o.NASes <= 65536, "1 to 65536"},
		{"source", o.Source, !o.Source.IsValid() || o.Source.Addr().Is4() == o.Auth.Addr().Is4(), "addresses of the same family as the server's"},
		{"sockets", o.Sockets, o.Sockets >= 0 && o.Sockets <= maxSockets, fmt.Sprintf("0 (as many as needed) to %d", maxSockets)},
		{"timeout", o.Timeout, o.Timeout >= time.Millisecond, "a millisecond or more"},
		{"tries", o.Tries, o.Tries >= 1, "1 or more"},
		{"redial", o.Redial, o.Redial > 0, "more than 0"},
	} {
		if !l.ok {
			errs = append(errs, fmt.Errorf("%s %v: want %s", l.name, l.value, l.wantText))
		}
	}
	if least := (o.Window + slotsPerLane - 1) / slotsPerLane; o.Sockets > 0 && o.Sockets < least && o.Rate == 0 {
		errs = append(errs, fmt.Errorf("sockets %d: want at least %d for a window of %d, since a socket has at most %d requests outstanding", o.Sockets, least, o.Window, slotsPerLane))
	}
	if o.Mode == Storm && o.Rate > 0 {
		errs = append(errs, fmt.Errorf("rate %v: want none in mode storm, where all users dial at once", o.Rate))
	}
	if o.Secret == "" {
		errs = append(errs, errors.New("secret: want the shared secret that the server has for this machine"))
	}
	for _, f := range []struct {
		name, format, example string
		one                   bool // that all users may have the same
	}{{"user-format", o.UserFormat, "u%06d", o.Users == 1}, {"password-format", o.PasswordFormat, "pw%06d", true}} {
		made := textOf(f.format, 1)
		// what fmt cannot do it writes as %!
		if made == "" || len(made) > 128 || strings.Contains(made, "%!") || !f.one && made == textOf(f.format, 0) {
			errs = append(errs, fmt.Errorf("%s %q: want one that makes 1 to 128 characters of each user's number, such as %s", f.name, f.format, f.example))
		}
	}
	return errors.Join(errs...)
}

// textOf is what a format makes of a user's number; one without a % is the text
// of all users.
func textOf(format string, number int) string {
	if !strings.Contains(format, "%") {
		return format
	}
	return fmt.Sprintf(format, number)
}

const (
	// slotsPerLane is how many requests a socket may have outstanding; the rest
	// of its 256 identifiers lie idle for a while, for late answers.
	slotsPerLane = 192
	// closedPerLane is what a closed loop gives a socket unless told.
	closedPerLane = 64
	maxSockets    = 1024
)

// sockets is how many there are.
func (o Options) sockets() int {
	need := func(outstanding float64) int { return int(outstanding)/slotsPerLane + 1 }
	n := (o.Window + closedPerLane - 1) / closedPerLane
	switch {
	case o.Sockets > 0:
		return o.Sockets
	case o.Mode == Storm:
		n = need(float64(o.Users))
	case o.Rate > 0: // all that a dead server leaves outstanding
		n = max(n, need(o.Rate*o.Timeout.Seconds()*float64(o.Tries)))
	}
	return min(n, 512)
}

// method is how users log in.
func (o Options) method() Mode {
	if slices.Contains(Methods, o.Mode) {
		return o.Mode
	}
	return o.Login
}
