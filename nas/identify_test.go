package nas

import (
	"net/netip"
	"testing"
)

func TestIdentify(t *testing.T) {
	d := loadDictionary(t)
	full := Live{User: "alice", SessionID: "81a00001", CallingStation: "AA:BB:CC:00:11:22", Address: netip.MustParseAddr("100.64.0.7")}
	bare := full
	bare.SessionID = ""
	for _, c := range []struct {
		kind string
		live Live
		want string
	}{
		{"mikrotik", full, "User-Name = alice\nAcct-Session-Id = 81a00001\nFramed-IP-Address = 100.64.0.7\n"},
		{"other", full, "User-Name = alice\nAcct-Session-Id = 81a00001\n"},
		{"other", bare, "User-Name = alice\nFramed-IP-Address = 100.64.0.7\nCalling-Station-Id = AA:BB:CC:00:11:22\n"},
		{"cisco", full, "Acct-Session-Id = 81a00001\n"},
		{"nokia", full, "Acct-Session-Id = 81a00001\n"},
		{"juniper", full, "Acct-Session-Id = 81a00001\n"},
		{"juniper", bare, "User-Name = alice\nFramed-IP-Address = 100.64.0.7\nCalling-Station-Id = AA:BB:CC:00:11:22\n"},
		{"chillispot", full, "User-Name = alice\nAcct-Session-Id = 81a00001\n"},
		{"accel-ppp+mikrotik", full, "User-Name = alice\nAcct-Session-Id = 81a00001\n"},
		{"mikrotik", Live{User: "alice", Address: netip.MustParseAddr("0.0.0.0")}, "User-Name = alice\n"},
		{"mikrotik", Live{}, ""},
	} {
		if got := show(Identify(deviceOf(c.kind), c.live, d)); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.kind, got, c.want)
		}
	}
}
