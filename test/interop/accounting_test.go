package interop

import (
	"strings"
	"testing"

	"radial/store/storetest"
	"radial/test/harness"
)

// at is an Event-Timestamp, some seconds after 2026-11-03 10:00:00 UTC.
func at(seconds string) string { return "Event-Timestamp = " + seconds }

// The clock of the packets, as radclient reads a date in UTC.
const (
	t0   = `"Nov  3 2026 10:00:00 UTC"`
	t60  = `"Nov  3 2026 10:01:00 UTC"`
	t120 = `"Nov  3 2026 10:02:00 UTC"`
	t180 = `"Nov  3 2026 10:03:00 UTC"`
	t240 = `"Nov  3 2026 10:04:00 UTC"`
)

// accountingCases are packets sent to FreeRADIUS 3.2.1 and to Radial, each
// with a database of its own. What both store must be equal, but for the
// differences that are intended (3.2.11's behaviour, and the improvements that
// docs/adopting.md lists).
var accountingCases = []struct {
	name    string
	packets []string
	differ  map[string]difference
}{
	{"start, interim with gigawords, stop", []string{
		base("Acct-Status-Type = Start", at(t0), "Framed-IP-Address = 100.64.0.7", `Connect-Info = "50000/10000 (x=y)"`),
		base("Acct-Status-Type = Interim-Update", at(t60), "Framed-IP-Address = 100.64.0.7", "Acct-Session-Time = 60", "Acct-Input-Octets = 5", "Acct-Input-Gigawords = 2", "Acct-Output-Octets = 7", "Acct-Output-Gigawords = 1"),
		base("Acct-Status-Type = Stop", at(t120), "Framed-IP-Address = 100.64.0.7", "Acct-Session-Time = 120", "Acct-Input-Octets = 9", "Acct-Input-Gigawords = 2", "Acct-Output-Octets = 8", "Acct-Output-Gigawords = 1", "Acct-Terminate-Cause = User-Request", `Connect-Info = "bye"`),
	}, nil},
	{"start alone", []string{base("Acct-Status-Type = Start", at(t0))}, nil},
	{"stop without cause, octets or time", []string{
		base("Acct-Status-Type = Start", at(t0)),
		base("Acct-Status-Type = Stop", at(t60)),
	}, nil},
	{"stop first", []string{base("Acct-Status-Type = Stop", at(t120), "Acct-Session-Time = 60", "Acct-Input-Octets = 1", "Acct-Output-Octets = 2", "Acct-Terminate-Cause = Lost-Carrier", `Connect-Info = "x"`)}, nil},
	{"interim first", []string{
		base("Acct-Status-Type = Interim-Update", at(t120), "Acct-Session-Time = 60", "Acct-Input-Octets = 1", "Acct-Output-Octets = 2"),
	}, map[string]difference{ // 3.2.11 and we: event time less session time
		"0.acctstarttime": {"2026-11-03 10:02:00.000000", "2026-11-03 10:01:00.000000"},
	}},
	{"addresses of IPv6", []string{
		base("Acct-Status-Type = Start", at(t0), "Framed-IPv6-Prefix = 2001:db8:1::/64", "Delegated-IPv6-Prefix = 2001:db8:2::/56", "Framed-Interface-Id = 1:2:3:4", "Framed-IPv6-Address = 2001:db8:1::7"),
	}, nil},
	{"an interim without addresses keeps them", []string{
		base("Acct-Status-Type = Start", at(t0), "Framed-IP-Address = 100.64.0.7"),
		base("Acct-Status-Type = Interim-Update", at(t60), "Acct-Session-Time = 60", "Acct-Input-Octets = 1", "Acct-Output-Octets = 2"),
	}, map[string]difference{"0.framedipaddress": {"<null>", "100.64.0.7/32"}}},
	{"an older interim changes nothing", []string{
		base("Acct-Status-Type = Start", at(t0)),
		base("Acct-Status-Type = Interim-Update", at(t120), "Acct-Session-Time = 120", "Acct-Input-Octets = 200", "Acct-Output-Octets = 300"),
		base("Acct-Status-Type = Interim-Update", at(t60), "Acct-Session-Time = 60", "Acct-Input-Octets = 100", "Acct-Output-Octets = 150"),
	}, map[string]difference{
		"0.acctupdatetime":   {"2026-11-03 10:01:00.000000", "2026-11-03 10:02:00.000000"},
		"0.acctinterval":     {"-60", "120"},
		"0.acctsessiontime":  {"60", "120"},
		"0.acctinputoctets":  {"100", "200"},
		"0.acctoutputoctets": {"150", "300"},
	}},
	{"a second stop without counters changes nothing", []string{
		base("Acct-Status-Type = Start", at(t0)),
		base("Acct-Status-Type = Stop", at(t60), "Acct-Session-Time = 60", "Acct-Input-Octets = 5", "Acct-Output-Octets = 6", "Acct-Terminate-Cause = User-Request"),
		base("Acct-Status-Type = Stop", at(t60), "Acct-Session-Time = 60"),
	}, map[string]difference{
		"0.acctinputoctets":    {"0", "5"},
		"0.acctoutputoctets":   {"0", "6"},
		"0.acctterminatecause": {"", "User-Request"},
	}},
	{"interim after stop", []string{
		base("Acct-Status-Type = Start", at(t0)),
		base("Acct-Status-Type = Stop", at(t60), "Acct-Session-Time = 60", "Acct-Input-Octets = 5", "Acct-Output-Octets = 6"),
		base("Acct-Status-Type = Interim-Update", at(t120), "Acct-Session-Time = 110", "Acct-Input-Octets = 4", "Acct-Output-Octets = 4"),
	}, nil},
	{"reboot: Accounting-On closes what is open", []string{
		base("Acct-Status-Type = Start", at(t0)),
		base("Acct-Status-Type = Interim-Update", at(t60), "Acct-Session-Time = 60", "Acct-Input-Octets = 5", "Acct-Output-Octets = 6"),
		attrs(`Acct-Status-Type = Accounting-On`, `NAS-IP-Address = 10.0.0.9`, `NAS-Identifier = "mt1"`, at(t120)),
	}, nil},
	{"Accounting-Off with a cause, and another NAS left alone", []string{
		base("Acct-Status-Type = Start", at(t0)),
		strings.ReplaceAll(base("Acct-Status-Type = Start", at(t60)), "10.0.0.9", "10.0.0.10"),
		attrs(`Acct-Status-Type = Accounting-Off`, `NAS-IP-Address = 10.0.0.9`, `Acct-Terminate-Cause = Admin-Reboot`, at(t120)),
	}, nil},
	{"odd characters are escaped alike", []string{
		attrs(`Acct-Status-Type = Start`, `User-Name = "o'br+ien<x>"`, `Acct-Session-Id = "V4#1"`, `NAS-IP-Address = 10.0.0.9`, `NAS-Port-Id = "<pppoe-x>"`, `Called-Station-Id = "h=1;z"`, `Connect-Info = "50000/10000 (x=y)"`, at(t0)),
		attrs(`Acct-Status-Type = Start`, `User-Name = "a\\b"`, `Acct-Session-Id = "E1"`, `NAS-IP-Address = 10.0.0.9`, at(t60)),
		attrs(`Acct-Status-Type = Start`, `User-Name = "Žofia"`, `Acct-Session-Id = "E2"`, `NAS-IP-Address = 10.0.0.9`, `NAS-Port = 7`, at(t120)),
	}, nil},
	{"without a user name, a session id or a NAS address", []string{
		attrs(`Acct-Status-Type = Start`, `Acct-Session-Id = "E9"`, at(t0)),
		attrs(`Acct-Status-Type = Start`, `User-Name = "nosession"`, at(t60)),
	}, nil},
	{"IPv6 NAS, unknown service, numbers without names", []string{
		attrs(`Acct-Status-Type = Start`, `User-Name = "six"`, `Acct-Session-Id = "V6"`, `NAS-IPv6-Address = 2001:db8::1`, `Service-Type = 99`, `NAS-Port = 7`, at(t0)),
	}, nil},
	{"a start again, later", []string{
		base("Acct-Status-Type = Start", at(t0), "Framed-IP-Address = 100.64.0.7", `Connect-Info = "a"`),
		base("Acct-Status-Type = Start", at(t60), "Framed-IP-Address = 100.64.0.7", `Connect-Info = "b"`),
	}, nil},
	{"start after an interim", []string{
		base("Acct-Status-Type = Interim-Update", at(t120), "Acct-Session-Time = 60", "Acct-Input-Octets = 5", "Acct-Output-Octets = 6"),
		base("Acct-Status-Type = Start", at(t60), `Connect-Info = "late"`),
	}, map[string]difference{"0.acctupdatetime": {"2026-11-03 10:01:00.000000", "2026-11-03 10:02:00.000000"}}},
	{"an old start after an interim", []string{
		base("Acct-Status-Type = Interim-Update", at(t180), "Acct-Session-Time = 60", "Acct-Input-Octets = 5", "Acct-Output-Octets = 6"),
		base("Acct-Status-Type = Start", at(t0), `Connect-Info = "old"`),
	}, map[string]difference{
		"0.acctstarttime":     {"2026-11-03 10:00:00.000000", "2026-11-03 10:02:00.000000"},
		"0.acctupdatetime":    {"2026-11-03 10:00:00.000000", "2026-11-03 10:03:00.000000"},
		"0.connectinfo_start": {"old", ""},
	}},
	{"another status type", []string{attrs(`Acct-Status-Type = Tunnel-Start`, `User-Name = "t"`, `Acct-Session-Id = "T"`, `NAS-IP-Address = 10.0.0.9`, at(t0))}, nil},
}

// sendAcct sends packets by radclient, in order, and wants an answer to each.
func sendAcct(t *testing.T, address string, packets ...string) {
	t.Helper()
	for _, p := range packets {
		if out := harness.Tool(t, p, "radclient", "-x", "-r", "1", "-t", "5", address, "acct", secret); out.Code != 0 || !strings.Contains(out.Stdout, "Accounting-Response") {
			t.Fatalf("radclient %s: exit code %d\n%s%s\npacket:\n%s", address, out.Code, out.Stdout, out.Stderr, p)
		}
	}
}

// startRadial runs our server on db with this machine as a known NAS.
func startRadial(t *testing.T, db *storetest.DB, set map[string]string) *harness.Server {
	t.Helper()
	db.Exec(`INSERT INTO nas (nasname, shortname, type, secret) VALUES ('127.0.0.0/8', 'local', 'other', '` + secret + `')`)
	return harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: set})
}

func TestAccountingAsFreeRADIUS(t *testing.T) {
	theirs, ours := storetest.New(t), storetest.New(t)
	peer := StartFreeRADIUS(t, Config{SQLDSN: theirs.URL(), Secret: secret})
	radial := startRadial(t, ours, nil)
	for _, tc := range accountingCases {
		t.Run(tc.name, func(t *testing.T) {
			theirs.Exec("TRUNCATE radacct")
			ours.Exec("TRUNCATE radacct")
			sendAcct(t, peer.AcctAddr, tc.packets...)
			sendAcct(t, radial.Acct, tc.packets...)
			compareRows(t, acctRows(theirs), acctRows(ours), tc.differ)
		})
	}
}

// TestSessionMovesBetweenServers: a session begun under one server is closed
// in the same row by the other, both ways.
func TestSessionMovesBetweenServers(t *testing.T) {
	db := storetest.New(t)
	peer := StartFreeRADIUS(t, Config{SQLDSN: db.URL(), Secret: secret})
	radial := startRadial(t, db, nil)
	start := base("Acct-Status-Type = Start", at(t0), "Framed-IP-Address = 100.64.0.7")
	interim := base("Acct-Status-Type = Interim-Update", at(t60), "Framed-IP-Address = 100.64.0.7", "Acct-Session-Time = 60", "Acct-Input-Octets = 5", "Acct-Output-Octets = 6")
	stop := base("Acct-Status-Type = Stop", at(t120), "Framed-IP-Address = 100.64.0.7", "Acct-Session-Time = 120", "Acct-Input-Octets = 50", "Acct-Output-Octets = 60", "Acct-Terminate-Cause = User-Request")
	for name, hops := range map[string][3]string{
		"begun by FreeRADIUS": {peer.AcctAddr, radial.Acct, radial.Acct},
		"begun by Radial":     {radial.Acct, peer.AcctAddr, peer.AcctAddr},
		"back and forth":      {peer.AcctAddr, radial.Acct, peer.AcctAddr},
	} {
		t.Run(name, func(t *testing.T) {
			db.Exec("TRUNCATE radacct")
			for i, packet := range []string{start, interim, stop} {
				sendAcct(t, hops[i], packet)
			}
			rows := acctRows(db)
			if len(rows) != 1 {
				t.Fatalf("%d rows: %v", len(rows), rows)
			}
			for column, want := range map[string]string{
				"acctuniqueid": "674b249b95cac1666a274e053e769c4a", "acctstarttime": "2026-11-03 10:00:00.000000", "acctstoptime": "2026-11-03 10:02:00.000000",
				"acctsessiontime": "120", "acctinputoctets": "50", "acctoutputoctets": "60", "acctterminatecause": "User-Request", "framedipaddress": "100.64.0.7/32",
			} {
				if rows[0][column] != want {
					t.Errorf("%s = %q, want %q", column, rows[0][column], want)
				}
			}
		})
	}
}
