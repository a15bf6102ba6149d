package interop

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"radial/store/storetest"
)

// Where FreeRADIUS 3.2.1 and Radial do not write the same number of rows, or
// the row's key: what each of them holds, by intention.
func TestAccountingOfReusedIDs(t *testing.T) {
	theirs, ours := storetest.New(t), storetest.New(t)
	peer := StartFreeRADIUS(t, Config{SQLDSN: theirs.URL(), Secret: secret})
	radial := startRadial(t, ours, nil)
	const sqlSessions = `
SELECT concat_ws(' ', to_char(acctstarttime AT TIME ZONE 'UTC', 'HH24:MI'), coalesce(to_char(acctstoptime AT TIME ZONE 'UTC', 'HH24:MI'), 'open'),
       acctsessiontime, acctinputoctets, acctterminatecause)
FROM radacct ORDER BY acctstarttime, radacctid`
	start := func(when string) string { return base("Acct-Status-Type = Start", at(when)) }
	interim := func(when, session, octets string) string {
		return base("Acct-Status-Type = Interim-Update", at(when), "Acct-Session-Time = "+session, "Acct-Input-Octets = "+octets)
	}
	stop := func(when, session, octets string) string {
		return base("Acct-Status-Type = Stop", at(when), "Acct-Session-Time = "+session, "Acct-Input-Octets = "+octets, "Acct-Terminate-Cause = User-Request")
	}
	for _, tc := range []struct {
		name         string
		packets      []string
		theirs, ours []string
	}{
		{"a session id comes back after its Stop", []string{start(t0), stop(t60, "60", "7"), start(t120), interim(t180, "60", "1")},
			[]string{"10:02 10:01 60 7 User-Request"},
			[]string{"10:00 10:01 60 7 User-Request", "10:02 open 60 1"}},
		{"a session id comes back, its Stop was lost", []string{start(t0), interim(t60, "60", "7"), start(t120), interim(t180, "60", "1")},
			[]string{"10:02 open 60 1"},
			[]string{"10:00 10:01 60 7 NAS-Reboot", "10:02 open 60 1"}},
		{"a session id comes back, its Start was lost", []string{start(t0), stop(t60, "60", "7"), interim(t180, "60", "1")},
			[]string{"10:00 10:01 60 7 User-Request"},
			[]string{"10:00 10:01 60 7 User-Request", "10:02 open 60 1"}},
		{"a session id comes back, its Start and the Stop before it were lost", []string{start(t0), interim(t60, "60", "7"), interim(t180, "30", "1")},
			[]string{"10:00 open 30 1"},
			[]string{"10:00 10:01 60 7 NAS-Reboot", "10:02 open 30 1"}},
		{"a late Stop of the session before", []string{start(t0), interim(t60, "60", "7"), start(t180), stop(t120, "120", "9")},
			[]string{"10:03 10:02 120 9 User-Request"},
			[]string{"10:00 10:02 120 9 User-Request", "10:03 open 0 0"}},
		{"a NAS goes down, its session was seen long afterwards", []string{start(t0), interim(t180, "180", "7"),
			attrs(`Acct-Status-Type = Accounting-Off`, `NAS-IP-Address = 10.0.0.9`, at(t60))},
			[]string{"10:00 10:01 60 7 NAS-Reboot"},
			[]string{"10:00 open 180 7"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, side := range []struct {
				name string
				db   *storetest.DB
				addr string
				want []string
			}{{"FreeRADIUS", theirs, peer.AcctAddr, tc.theirs}, {"Radial", ours, radial.Acct, tc.ours}} {
				side.db.Exec("TRUNCATE radacct")
				sendAcct(t, side.addr, tc.packets...)
				var got []string
				for _, r := range side.db.Rows(sqlSessions) {
					got = append(got, strings.TrimSpace(r[0]))
				}
				if d := cmp.Diff(side.want, got); d != "" {
					t.Errorf("%s (-want +got):\n%s", side.name, d)
				}
				// the live session has the hash that FreeRADIUS computes
				if n := side.db.Rows(`SELECT count(*) FROM radacct WHERE acctuniqueid = '674b249b95cac1666a274e053e769c4a'`)[0][0]; n != "1" {
					t.Errorf("%s: %s rows with the plain acctuniqueid, want 1", side.name, n)
				}
			}
		})
	}
	t.Run("a user name that begins with &", func(t *testing.T) {
		packet := strings.ReplaceAll(start(t0), `"bob"`, `"&bob"`)
		for _, side := range []struct {
			db         *storetest.DB
			addr, want string
		}{{theirs, peer.AcctAddr, ""}, {ours, radial.Acct, "6adc1c0a769980090be87255b227a2c8"}} {
			side.db.Exec("TRUNCATE radacct")
			sendAcct(t, side.addr, packet)
			if got := side.db.Rows(`SELECT acctuniqueid FROM radacct`); len(got) != 1 || got[0][0] != side.want {
				t.Errorf("acctuniqueid %v, want %q", got, side.want)
			}
		}
	})
}
