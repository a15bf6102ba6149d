package aaa

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestProjectInGarden(t *testing.T) {
	sub := Subscriber{
		Name: "bob", Status: SubscriberSuspended, Package: "home", StaticIP: netip.MustParseAddr("100.64.9.7"), MACs: []string{"AA:BB:CC:DD:EE:0F"},
		Expires: new(projectionNow.Add(-time.Hour)), Groups: []GroupItem{{"vip", 200}},
		Checks:  []Item{{"Simultaneous-Use", ":=", "2"}, {"NAS-Port-Type", "==", "Ethernet"}},
		Replies: []Item{{"Mikrotik-Rate-Limit", ":=", "1G/1G"}},
	}
	const inside = `
radcheck bob: Cleartext-Password := p w
radcheck bob: Calling-Station-Id =~ ^(1:)?([Aa][Aa][:.-]?[Bb][Bb][:.-]?[Cc][Cc][:.-]?[Dd][Dd][:.-]?[Ee][Ee][:.-]?0?[Ff])$
radcheck bob: Simultaneous-Use := 2
radcheck bob: NAS-Port-Type == Ethernet
radreply bob: Framed-IP-Address := 100.64.9.7
radreply bob: Fall-Through := Yes
radusergroup bob: home:walled -1
radusergroup bob: home 100
radusergroup bob: vip 200
`
	for _, tc := range []struct {
		name   string
		status SubscriberStatus
		wall   *Walled
		inside bool
	}{
		{"suspended", SubscriberSuspended, &Walled{For: []WallState{WallSuspended}}, true},
		{"expired by his row", SubscriberExpired, &Walled{For: []WallState{WallExpired}}, true},
		{"active, and past his end", SubscriberActive, &Walled{For: []WallState{WallExpired}}, true},
		{"for others alone", SubscriberSuspended, &Walled{For: []WallState{WallExpired, WallExhausted}}, false},
		{"inactive never", SubscriberInactive, &Walled{For: WallStates}, false},
		{"no garden", SubscriberSuspended, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := sub
			s.Status = tc.status
			got := printRows(ProjectSubscriber(&s, tc.wall, []Item{{"Cleartext-Password", ":=", "p w"}}, projectionNow, time.UTC))
			if tc.inside {
				if diff := cmp.Diff(strings.TrimPrefix(inside, "\n"), got); diff != "" {
					t.Error(diff)
				}
				return
			}
			if !strings.Contains(got, "Auth-Type := Reject") || strings.Contains(got, ":walled") || strings.Contains(got, "Calling-Station-Id") {
				t.Errorf("he is not kept out:\n%s", got)
			}
		})
	}
}

// TestMACPattern: the check item of a bound device holds for each way in which
// devices write an address, and for no other address.
func TestMACPattern(t *testing.T) {
	mac := rapid.Custom(func(t *rapid.T) string {
		const hex = "0123456789ABCDEF"
		var b strings.Builder
		for i := range 12 {
			if i > 0 && i%2 == 0 {
				b.WriteByte(':')
			}
			b.WriteByte(hex[rapid.IntRange(0, 15).Draw(t, "digit")])
		}
		return b.String()
	})
	rapid.Check(t, func(t *rapid.T) {
		macs := rapid.SliceOfNDistinct(mac, 1, 3, rapid.ID[string]).Draw(t, "macs")
		re, err := regexp.Compile(macPattern(macs))
		if err != nil || len(re.String()) > maxMACPattern {
			t.Fatalf("%q: %d characters, %v", re, len(re.String()), err)
		}
		for _, m := range macs {
			bare := strings.ReplaceAll(m, ":", "")
			for _, way := range []string{
				m, strings.ToLower(m), bare, strings.ToLower(bare), strings.ReplaceAll(m, ":", "-"), "1:" + strings.ToLower(m),
				strings.ToLower(bare[:4] + "." + bare[4:8] + "." + bare[8:]),
			} {
				if normal, err := NormalMAC(strings.TrimPrefix(way, "1:")); err != nil || normal != m {
					t.Fatalf("NormalMAC(%q) = %q, %v; want %q", way, normal, err, m)
				}
				if !re.MatchString(way) {
					t.Fatalf("%s does not match %q", re, way)
				}
			}
			if short := "1:" + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(":"+m, ":0"), ":0", ":")); !re.MatchString(strings.Replace(short, "1::", "1:", 1)) {
				t.Fatalf("%s does not match %q", re, short)
			}
		}
		other := mac.Draw(t, "other")
		is := false
		for _, m := range macs {
			is = is || m == other
			bare, more := strings.ReplaceAll(m, ":", ""), strings.ReplaceAll(other, ":", "")
			if bare != more && re.MatchString(more) && !slices.Contains(macs, other) {
				t.Fatalf("%s matches %q", re, more)
			}
		}
		if re.MatchString(other) != is || re.MatchString(other+"0") || re.MatchString("0"+other) {
			t.Fatalf("%s and %q", re, other)
		}
	})
}

func TestNormalMAC(t *testing.T) {
	for _, bad := range []string{"", "bob", "AA:BB:CC:DD:EE", "AA:BB:CC:DD:EE:FF:00", "AA:BB:CC:DD:EE:GG", "00:00:00:00:00:00", "ff-ff-ff-ff-ff-ff"} {
		if got, err := NormalMAC(bad); err == nil {
			t.Errorf("NormalMAC(%q) = %q", bad, got)
		}
	}
}

func TestWalledGardens(t *testing.T) {
	for _, tc := range []struct {
		name string
		w    Walled
		want string
	}{
		{"a list", Walled{For: WallStates, AddressList: "unpaid"}, ""},
		{"for nobody", Walled{AddressList: "unpaid"}, "for nobody"},
		{"an unknown state", Walled{For: []WallState{"late"}, AddressList: "unpaid"}, `"late"`},
		{"slow alone is no wall", Walled{For: WallStates, RateDown: 1e6, RateUp: 1e6}, "keeps its subscribers inside"},
		{"one direction", Walled{For: WallStates, RateDown: 1e6, AddressList: "unpaid"}, "set together"},
		{"two pools", Walled{For: WallStates, Pool: "a", FramedPool: "b"}, "nothing is leased"},
		{"a quote", Walled{For: WallStates, AddressList: `un"paid`}, "quotes"},
	} {
		switch err := tc.w.valid(); {
		case tc.want == "" && err != nil, tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}
