package interop

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
	"radial/store/storetest"
	"radial/test/harness"
)

// A NAS that we did not write: 802.1X on a wire, hostapd between FreeRADIUS,
// which knows EAP-MD5, and our accounting. What Radial has of the session is
// enough to end it there by `radial session disconnect`, and the Stop that follows
// closes its row, long before Radial would (control.close_after).
func TestHostapd(t *testing.T) {
	const port = 3799
	w := NewWired(t)
	db := storetest.New(t)
	db.Exec(`INSERT INTO nas (nasname, shortname, type, secret) VALUES ($1, 'switch', 'other', $2)`, w.NAS, secret)
	radial := harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: map[string]string{
		"RADIAL_RADIUS_ACCT_LISTEN": net.JoinHostPort(w.Server, freePort(t)), "RADIAL_CONTROL_TIMEOUT": "300ms", "RADIAL_CONTROL_TRIES": "2",
	}})
	peer := StartFreeRADIUS(t, Config{
		Secret: secret, Address: w.Server, Client: w.NAS, EAPMD5: true,
		Users: `alice Cleartext-Password := "wonder land"`,
	})
	hostapd := w.StartNAS(t, NAS{AuthAddr: peer.AuthAddr, AcctAddr: radial.Acct, Secret: secret, DASPort: port})
	supplicant := w.Plug(t, "alice", "wonder land")
	harness.Eventually(t, 20*time.Second, "the login by EAP-MD5", func() bool { return supplicant.Said("CTRL-EVENT-EAP-SUCCESS") })

	open := func() [][]string {
		return db.Rows(`SELECT acctsessionid, username, host(nasipaddress), callingstationid FROM radacct WHERE acctstoptime IS NULL`)
	}
	harness.Eventually(t, 10*time.Second, "the Start", func() bool { return len(open()) == 1 })
	row := open()[0]
	if row[1] != "alice" || row[2] != w.NAS || row[3] != w.MAC(t) {
		t.Errorf("the row is %q; want alice's at %s, of %s", row, w.NAS, w.MAC(t))
	}

	way, d := control(t)
	deed := aaa.Deed{
		Do: aaa.VerbDisconnect, Session: aaa.LiveSession{SessionID: row[0], Login: aaa.OpenLogin{User: row[1]}, NAS: netip.MustParseAddr(row[2])},
		Device: &nas.Device{
			Row:    nas.Row{Name: w.NAS, Type: "other", Secret: secret, Settings: nas.Settings{CoAPort: port}},
			Prefix: netip.MustParsePrefix(w.NAS + "/32"),
		},
	}
	stranger := deed
	stranger.Session.SessionID = "0123456789abcdef"
	if e, err := way.Do(t.Context(), stranger); err != nil || e.Result != aaa.ResultGone {
		t.Errorf("a session that hostapd has not: %+v, %v", e, err)
	}
	change := deed
	change.Do = aaa.VerbChange
	filter, err := d.Pair("Filter-Id", "gold")
	if err != nil {
		t.Fatal(err)
	}
	change.Reply = dictionaries.Pairs{filter}
	if e, err := way.Do(t.Context(), change); err != nil || e.Result != aaa.ResultUnsupported {
		t.Errorf("a change, which hostapd does not do: %+v, %v", e, err)
	}
	forged := deed
	device := *deed.Device
	device.Secret = "another secret"
	forged.Device = &device
	if e, err := way.Do(t.Context(), forged); err != nil || e.Result != aaa.ResultUnknown {
		t.Errorf("with another secret, to which hostapd says nothing: %+v, %v", e, err)
	}
	if len(open()) != 1 {
		t.Fatal("what hostapd has refused has ended the session")
	}

	out := radial.Radial(t, "session", "disconnect", "--user", "alice", "--yes")
	if out.Code != 0 || !strings.Contains(out.Stdout, "1 session of user alice, 1 done") {
		t.Fatalf("session disconnect: exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	harness.Eventually(t, 10*time.Second, "the Stop", func() bool { return len(open()) == 0 })
	if !hostapd.Said("RADIUS DAS: Found a matching session") {
		t.Error("hostapd says nothing of the session that it ended")
	}

	// A NAS that hangs: what it does is not known, the session stays open, and the
	// job asks again until it is.
	supplicant.Stop()
	w.Plug(t, "alice", "wonder land")
	harness.Eventually(t, 20*time.Second, "the second Start", func() bool { return len(open()) == 1 })
	hostapd.Signal(t, syscall.SIGSTOP)
	defer hostapd.Signal(t, syscall.SIGCONT) // or it would not end
	if out := radial.Radial(t, "session", "disconnect", "--user", "alice", "--no-wait"); out.Code != 0 {
		t.Fatalf("session disconnect: exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	harness.Eventually(t, 20*time.Second, "it is told that there was no answer", func() bool {
		return len(db.Rows(`SELECT 1 FROM radial.enforcements WHERE result = 'unknown' AND detail LIKE 'no answer from %'`)) == 1
	})
	if len(open()) != 1 {
		t.Fatal("a session of which nobody knows whether it goes on was closed")
	}
	hostapd.Signal(t, syscall.SIGCONT)
	harness.Eventually(t, 30*time.Second, "the second Stop", func() bool { return len(open()) == 0 })
}
