package interop

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
	"radial/radius"
	"radial/store/storetest"
	"radial/test/harness"
)

// recvCoA answers as a device would: by the user's name, and only what is
// signed and dated. What the section sees is what FreeRADIUS's own codec has
// read.
const recvCoA = `
	if (!&Event-Timestamp || !&Message-Authenticator) {
		update reply { Error-Cause := Missing-Attribute }
		reject
	}
	elsif (&User-Name == "silent") {
		update control { Response-Packet-Type := Do-Not-Respond }
		handled
	}
	elsif (&User-Name =~ /^nak ([0-9]+)$/) {
		update reply { Error-Cause := "%{1}" }
		reject
	}
	elsif (&User-Name == "nak") {
		reject
	}
	elsif (&Acct-Session-Id != "81a00001") {
		update reply { Error-Cause := Session-Context-Not-Found }
		reject
	}
	elsif ("%{Packet-Type}" == "CoA-Request") {
		if (&Mikrotik-Rate-Limit != "2M/10M 4M/20M" || &Mikrotik-Address-List != "gold" || &Session-Timeout || &Framed-Pool) {
			update reply { Error-Cause := Invalid-Attribute-Value }
			reject
		}
		else {
			ok
		}
	}
	elsif (&Mikrotik-Rate-Limit || &Mikrotik-Address-List) {
		update reply { Error-Cause := Unsupported-Attribute }
		reject
	}
	else {
		ok
	}
`

// control is the way to devices, at work until the test ends.
func control(t *testing.T) (*radius.Control, *dictionaries.Dictionary) {
	t.Helper()
	d, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	dae, err := radius.NewDAE(d, radius.DAEOptions{Timeout: 300 * time.Millisecond, Tries: 3}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { dae.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return radius.NewControl(dae, radius.ControlOptions{}), d
}

// FreeRADIUS's listener of type coa is a device that we did not write: it checks
// our authenticator and Message-Authenticator, and its answers are checked by us.
func TestCoAByFreeRADIUS(t *testing.T) {
	peer := StartFreeRADIUS(t, Config{Secret: secret, CoA: recvCoA})
	way, d := control(t)
	at, err := netip.ParseAddrPort(peer.CoAAddr)
	if err != nil {
		t.Fatal(err)
	}
	var due dictionaries.Pairs
	for _, line := range []string{"Mikrotik-Rate-Limit=2M/10M 4M/20M", "Mikrotik-Address-List=gold", "Framed-Pool=pool", "Session-Timeout=3600"} {
		name, value, _ := strings.Cut(line, "=")
		pair, err := d.Pair(name, value)
		if err != nil {
			t.Fatal(err)
		}
		due = append(due, pair)
	}
	for _, c := range []struct {
		user, session, secret string
		do                    aaa.Verb
		result                aaa.Result
		cause                 uint32
		says                  string
	}{
		{"alice", "81a00001", secret, aaa.VerbChange, aaa.ResultDone, 0, ""},
		{"alice", "81a00001", secret, aaa.VerbDisconnect, aaa.ResultDone, 0, ""},
		{"alice", "81a00002", secret, aaa.VerbDisconnect, aaa.ResultGone, 503, "no such session"},
		{"alice", "81a00002", secret, aaa.VerbChange, aaa.ResultGone, 503, "no such session"},
		{"nak", "81a00001", secret, aaa.VerbDisconnect, aaa.ResultRefused, 0, "does not say why"},
		{"nak 401", "81a00001", secret, aaa.VerbChange, aaa.ResultUnsupported, 401, "Unsupported-Attribute (401)"},
		{"nak 403", "81a00001", secret, aaa.VerbDisconnect, aaa.ResultRefused, 403, "another NAS"},
		{"nak 406", "81a00001", secret, aaa.VerbDisconnect, aaa.ResultUnsupported, 406, "Unsupported-Extension (406)"},
		{"nak 501", "81a00001", secret, aaa.VerbChange, aaa.ResultRefused, 501, "Administratively-Prohibited (501)"},
		{"nak 504", "81a00001", secret, aaa.VerbDisconnect, aaa.ResultRefused, 504, "cannot end"},
		{"nak 508", "81a00001", secret, aaa.VerbChange, aaa.ResultRefused, 508, "more than one session"},
		{"silent", "81a00001", secret, aaa.VerbDisconnect, aaa.ResultUnknown, 0, "no answer"},
		{"alice", "81a00001", "another secret", aaa.VerbDisconnect, aaa.ResultUnknown, 0, "has another secret"},
	} {
		deed := aaa.Deed{
			Do: c.do, Reply: due, Session: aaa.LiveSession{SessionID: c.session, Login: aaa.OpenLogin{User: c.user}, NAS: at.Addr()},
			Device: &nas.Device{
				Row:    nas.Row{Name: "freeradius", Type: "mikrotik", Secret: nas.Secret(c.secret), Settings: nas.Settings{CoAPort: at.Port()}},
				Prefix: netip.PrefixFrom(at.Addr(), 32),
			},
		}
		e, err := way.Do(t.Context(), deed)
		if err != nil || e.Result != c.result || e.Cause != c.cause || !strings.Contains(e.Detail, c.says) {
			t.Errorf("%s of %q: %+v, %v; want %s, cause %d", c.do, c.user, e, err, c.result, c.cause)
		}
	}
}

// A package's rate and a session's end by the command line, at a device that we
// did not write.
func TestSessionCommandsAtFreeRADIUS(t *testing.T) {
	peer := StartFreeRADIUS(t, Config{Secret: secret, CoA: `
	if (&User-Name != "alice" || &Acct-Session-Id != "81a00001" || &Framed-IP-Address != 100.64.0.7 || &NAS-IP-Address) {
		update reply { Error-Cause := Session-Context-Not-Found }
		reject
	}
	elsif ("%{Packet-Type}" == "CoA-Request" && &Mikrotik-Rate-Limit != "4M/20M") {
		update reply { Error-Cause := Invalid-Attribute-Value }
		reject
	}
	else {
		ok
	}
`})
	at, err := netip.ParseAddrPort(peer.CoAAddr)
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.New(t)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('alice', 'Cleartext-Password', ':=', 'p'), ('bob', 'Cleartext-Password', ':=', 'p')`)
	db.Exec(`INSERT INTO nas (nasname, shortname, type, secret) VALUES ('127.0.0.1', 'freeradius', 'mikrotik', $1)`, secret)
	server := harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: map[string]string{"RADIAL_CONTROL_TIMEOUT": "300ms", "RADIAL_CONTROL_CLOSE_AFTER": "1s"}})
	run := func(want int, says string, args ...string) {
		t.Helper()
		if out := server.Radial(t, args...); out.Code != want || !strings.Contains(out.Stdout+out.Stderr, says) {
			t.Errorf("radial %s: exit code %d, want %d and %q\n%s%s", strings.Join(args, " "), out.Code, want, says, out.Stdout, out.Stderr)
		}
	}
	run(0, "", "nas", "set", "127.0.0.1", "--coa-port", fmt.Sprint(at.Port()))
	for n, user := range []string{"alice", "bob"} {
		sendAcct(t, server.Acct, attrs(`Acct-Status-Type = Start`, `User-Name = "`+user+`"`, fmt.Sprintf(`Acct-Session-Id = "81a0000%d"`, n+1),
			`NAS-IP-Address = 127.0.0.1`, `Framed-IP-Address = 100.64.0.7`, `Calling-Station-Id = "00:00:5E:00:53:01"`))
	}
	run(0, "1 session of user alice, 1 done", "session", "change", "--user", "alice", "--down", "20M", "--up", "4M", "--yes")
	run(0, "1 session of user alice, 1 done", "session", "disconnect", "--user", "alice", "--yes")
	run(0, "1 session of user bob, 1 unknown to their device", "session", "disconnect", "--user", "bob", "--yes") // whom the device does not know: 503
	harness.Eventually(t, 20*time.Second, "both sessions are closed, as no Stop comes", func() bool {
		return len(db.Rows(`SELECT 1 FROM radacct WHERE acctstoptime IS NULL`)) == 0
	})
}
