package nas

import "testing"

func TestLimitVolume(t *testing.T) {
	d := loadDictionary(t)
	for name, c := range map[string]struct {
		have string
		v    Volume
		want string
	}{
		"set":          {"", Volume{Total: 5}, "Mikrotik-Total-Limit = 5\n"},
		"large":        {"", Volume{Up: 3<<32 + 7}, "Mikrotik-Recv-Limit = 7\nMikrotik-Recv-Limit-Gigawords = 3\n"},
		"4 GiB":        {"", Volume{Down: 1 << 32}, "Mikrotik-Xmit-Limit = 4294967295\n"},
		"lowered":      {"Mikrotik-Total-Limit = 7\nMikrotik-Total-Limit-Gigawords = 3\n", Volume{Total: 5}, "Mikrotik-Total-Limit = 5\n"},
		"never raised": {"Mikrotik-Total-Limit = 7\n", Volume{Total: 1 << 40}, "Mikrotik-Total-Limit = 7\n"},
		"0 is none":    {"Mikrotik-Total-Limit = 0\n", Volume{Total: 9}, "Mikrotik-Total-Limit = 9\n"},
		"without":      {"Mikrotik-Total-Limit = 7\n", Volume{}, "Mikrotik-Total-Limit = 7\n"},
	} {
		if got := show(LimitVolume(pairs(t, d, c.have), c.v, d)); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, c.want)
		}
	}
}

func TestReplaceRate(t *testing.T) {
	d := loadDictionary(t)
	have := "Mikrotik-Rate-Limit = 20M/100M\nWISPr-Bandwidth-Max-Up = 5\nHuawei-Input-Average-Rate = 9\nCisco-Account-Info = QU;1;2;D;3;4\n" +
		"Cisco-Account-Info = AService\nFilter-Id = x\n"
	want := "Cisco-Account-Info = AService\nFilter-Id = x\nMikrotik-Rate-Limit = 2M/10M\n"
	if got := show(ReplaceRate(pairs(t, d, have), RateLimit{Up: Rates{Rate: 2e6}, Down: Rates{Rate: 10e6}}, d)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
