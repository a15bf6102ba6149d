package interop

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
	"radial/radius"
	"radial/store"
	"radial/store/storetest"
)

// provisioned is a login of a provisioned subscriber, and what both servers
// answer.
type provisioned struct {
	user, password string
	want           string // accept or reject
	reply          []string
}

// FreeRADIUS reads what provisioning writes as our own engine does: names and
// passwords of any characters, packages, what subscribers have of their own,
// and those who are kept out.
func TestFreeRADIUSReadsWhatWeProvision(t *testing.T) {
	db := storetest.New(t)
	f := StartFreeRADIUS(t, Config{SQLDSN: db.URL(), Secret: secret})
	c, d := client(t, f.AuthAddr, radius.ClientOptions{})
	rules := &aaa.Provisioner{Rows: aaa.NewCompiler(d, time.Local), Zone: time.Local, Now: time.Now}
	cases := provision(t, db, rules)

	policy := store.NewPolicy(db.DB, store.NewMetrics(prometheus.NewRegistry()))
	opts := aaa.DefaultOptions()
	opts.Mark = false // FreeRADIUS has none
	engine := aaa.NewEngine(aaa.EngineConfig{
		Dict: d, Policies: aaa.NewCache(aaa.CacheConfig{Reader: policy, Dict: d}), Verifier: aaa.NewVerifier(d), Admissions: store.NewAdmissions(db.DB), Options: opts,
	})
	for _, tc := range cases {
		t.Run(tc.user+" "+tc.password, func(t *testing.T) {
			theirs, err := c.Login(t.Context(), radius.Login{User: tc.user, Password: nas.Secret(tc.password), Method: radius.LoginPAP})
			if err != nil {
				t.Fatal(err)
			}
			got := provisioned{tc.user, tc.password, "reject", replyOf(theirs.Pairs)}
			if theirs.Code == radius.AccessAccept {
				got.want = "accept"
			}
			if diff := cmp.Diff(tc, got, cmp.AllowUnexported(provisioned{})); diff != "" {
				t.Errorf("FreeRADIUS (-want +got):\n%s", diff)
			}
			x, err := engine.Explain(t.Context(), &aaa.Request{
				Device: &nas.Device{Learnt: new(nas.Learnt)}, Source: netip.MustParseAddrPort("127.0.0.1:1"), Received: time.Now(),
				Pairs: dictionaries.Pairs{{Attr: d.Must("User-Name"), Value: []byte(tc.user)}, {Attr: d.Must("User-Password"), Value: []byte(tc.password)}},
			})
			if err != nil {
				t.Fatal(err)
			}
			ours := provisioned{tc.user, tc.password, "reject", replyOf(x.Decision.Reply)}
			if x.Decision.Verdict == aaa.Accept {
				ours.want = "accept"
			}
			if diff := cmp.Diff(tc, ours, cmp.AllowUnexported(provisioned{})); diff != "" {
				t.Errorf("Radial (-want +got):\n%s\n%s", diff, x.Text())
			}
		})
	}
}

// replyOf prints a reply, without what signs it.
func replyOf(pairs dictionaries.Pairs) []string {
	var texts []string
	for i := range pairs {
		if p := &pairs[i]; p.Attr.Name != "Message-Authenticator" {
			texts = append(texts, p.String())
		}
	}
	return texts
}

// provision writes packages and subscribers, and rows of others beside them.
func provision(t *testing.T, db *storetest.DB, rules *aaa.Provisioner) []provisioned {
	t.Helper()
	by := store.Change{Actor: "cli:test", Action: "user.add"}
	add := func(user, password string, change aaa.SubscriberChange) {
		t.Helper()
		var err error
		if change.Password, err = aaa.PasswordItem("cleartext", password); err != nil {
			t.Fatal(err)
		}
		if _, err = db.ChangeSubscriber(t.Context(), by, user, rules.AddSubscriber(change, nil)); err != nil {
			t.Fatal(err)
		}
	}
	gold := "gold"
	_, err := db.ChangePackage(t.Context(), store.Change{Actor: "cli:test", Action: "package.add"}, gold, rules.AddPackage(aaa.PackageChange{
		RateDown: new(int64(100e6)), RateUp: new(int64(20e6)), SessionTimeout: new(int64(7200)), Pool: new("none"), SimultaneousUse: new(int64(0)),
	}, false))
	if err != nil {
		t.Fatal(err)
	}
	db.Exec(`INSERT INTO radgroupcheck (groupname, attribute, op, value) VALUES ('open', 'Auth-Type', ':=', 'Accept')`)
	db.Exec(`INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('vip', 'Class', '+=', 'vip')`)

	var cases []provisioned
	for i, password := range []string{"p w", `"quoted"`, `'single'`, "`id`", `back\slash`, `end\`, `\n`, `"`, `'a"b'`, `a'b"c`, "ž é", "%{User-Name}", "0x41", " blank "} {
		user := "user" + string(rune('a'+i))
		add(user, password, aaa.SubscriberChange{})
		cases = append(cases, provisioned{user, password, "accept", nil}, provisioned{user, password + "x", "reject", nil})
	}
	for _, user := range []string{"o'br+ien", `a\b`, "Žofia=1", "a#b;c", `q"q`} {
		add(user, "p w", aaa.SubscriberChange{})
		cases = append(cases, provisioned{user, "p w", "accept", nil})
	}
	own := []aaa.Item{{Attribute: "Simultaneous-Use", Op: ":=", Value: "1"}} // the package's 0 would refuse
	add("package", "p w", aaa.SubscriberChange{Package: &gold, AddChecks: own, AddGroups: []aaa.GroupItem{{Group: "vip", Priority: 200}}})
	cases = append(cases, provisioned{"package", "p w", "accept", []string{`Mikrotik-Rate-Limit = "20M/100M"`, "Session-Timeout = 7200", "Class = 0x766970"}})
	add("override", "p w", aaa.SubscriberChange{
		Package: &gold, AddChecks: own, StaticIP: new(netip.MustParseAddr("100.64.9.7")),
		AddReplies: []aaa.Item{{Attribute: "Session-Timeout", Op: ":=", Value: "60"}},
	})
	cases = append(cases, provisioned{"override", "p w", "accept", []string{"Framed-IP-Address = 100.64.9.7", "Session-Timeout = 60", `Mikrotik-Rate-Limit = "20M/100M"`}})
	add("limited", "p w", aaa.SubscriberChange{Package: &gold})
	cases = append(cases, provisioned{"limited", "p w", "reject", []string{`Reply-Message = "You are already logged in - access denied"`}})

	for _, user := range []string{"suspended", "expired", "inactive"} {
		change := aaa.SubscriberChange{Package: &gold, AddReplies: []aaa.Item{{Attribute: "Fall-Through", Op: "=", Value: "Yes"}}}
		change.Status = new(aaa.SubscriberStatus(user))
		add(user, "p w", change)
		db.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ($1, 'open', 1)`, user)
		message := map[string]string{"suspended": "Your account is suspended.", "expired": "Your account has expired.", "inactive": "Your account is not active."}[user]
		cases = append(cases, provisioned{user, "p w", "reject", []string{`Reply-Message = "` + message + `"`}})
	}
	add("past", "p w", aaa.SubscriberChange{Expires: new(time.Now().Add(-time.Hour))})
	cases = append(cases, provisioned{"past", "p w", "reject", []string{`Reply-Message = "Your account has expired."`}})
	return append(cases, provisionGardens(t, db, rules)...)
}

// provisionGardens writes packages with walled gardens and subscribers inside,
// with rows of others that would open more.
func provisionGardens(t *testing.T, db *storetest.DB, rules *aaa.Provisioner) (cases []provisioned) {
	t.Helper()
	for name, pool := range map[string]string{"fenced": "", "moved": "there"} {
		_, err := db.ChangePackage(t.Context(), store.Change{Actor: "cli:test", Action: "package.add"}, name, rules.AddPackage(aaa.PackageChange{
			RateDown: new(int64(100e6)), RateUp: new(int64(20e6)), VLAN: new(int64(12)), DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9")},
			Burst: aaa.ShapingChange{BurstDown: new(int64(200e6)), BurstUp: new(int64(40e6)), Priority: new(int64(3))}, AddressList: new("customers"),
			Walled: aaa.WalledChange{RateDown: new(int64(1e6)), RateUp: new(int64(1e6)), AddressList: new("unpaid"), FramedPool: &pool, For: []aaa.WallState{aaa.WallSuspended, aaa.WallExpired}},
		}, false))
		if err != nil {
			t.Fatal(err)
		}
	}
	add := func(user, pkg string, change aaa.SubscriberChange) {
		t.Helper()
		bought, err := db.Package(t.Context(), pkg)
		if err != nil {
			t.Fatal(err)
		}
		change.Package = &pkg
		change.StaticIP = new(netip.MustParseAddr("100.64.9." + map[string]string{"in1": "11", "in2": "12", "in3": "13", "in4": "14", "full": "15"}[user]))
		if !change.NoPassword {
			if change.Password, err = aaa.PasswordItem("cleartext", "p w"); err != nil {
				t.Fatal(err)
			}
		}
		by := store.Change{Actor: "cli:test", Action: "user.add"}
		if _, err = db.ChangeSubscriber(t.Context(), by, user, rules.AddSubscriber(change, &bought)); err != nil {
			t.Fatal(err)
		}
		db.Exec(`INSERT INTO radreply (username, attribute, op, value) VALUES ($1, 'Mikrotik-Address-List', ':=', 'vip')`, user)
		db.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ($1, 'vip', 0)`, user)
	}
	own := []aaa.Item{{Attribute: "Mikrotik-Rate-Limit", Op: ":=", Value: "1G/1G"}}
	add("in1", "fenced", aaa.SubscriberChange{Status: new(aaa.SubscriberSuspended), AddReplies: own})
	add("in2", "fenced", aaa.SubscriberChange{Expires: new(time.Now().Add(-time.Hour)), AddReplies: own})
	add("in3", "moved", aaa.SubscriberChange{Status: new(aaa.SubscriberExpired)})
	add("in4", "fenced", aaa.SubscriberChange{Status: new(aaa.SubscriberSuspended), MACs: []string{"AA:BB:CC:DD:EE:FF"}})
	add("full", "fenced", aaa.SubscriberChange{AddGroups: []aaa.GroupItem{{Group: "fenced2", Priority: 300}}})
	db.Exec(`DELETE FROM radusergroup WHERE username = 'full' AND groupname = 'vip'`)
	inside := []string{`Mikrotik-Address-List = "unpaid"`, `Mikrotik-Rate-Limit = "1M/1M"`}
	return []provisioned{
		{"in1", "p w", "accept", append([]string{"Framed-IP-Address = 100.64.9.11"}, inside...)},
		{"in1", "p x", "reject", nil},
		{"in2", "p w", "accept", append([]string{"Framed-IP-Address = 100.64.9.12"}, inside...)},
		{"in3", "p w", "accept", append(inside, `Framed-Pool = "there"`)},
		{"in4", "p w", "reject", nil}, // another device
		{"full", "p w", "accept", []string{
			"Framed-IP-Address = 100.64.9.15", `Mikrotik-Address-List = "vip"`, `Mikrotik-Rate-Limit = "20M/100M 40M/200M 20M/100M 1/1 3"`,
			"MS-Primary-DNS-Server = 9.9.9.9", "Tunnel-Type = VLAN", "Tunnel-Medium-Type = IEEE-802", `Tunnel-Private-Group-Id = "12"`,
		}},
	}
}
