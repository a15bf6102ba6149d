package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"radial/store/storetest"
	"radial/test/harness"
)

// poolSchema is where Debian has sqlippool's files.
const poolSchema = stockConfig + "/mods-config/sql/ippool/postgresql/"

func poolFile(t *testing.T, name string) string {
	t.Helper()
	needs(t, Config{SQLDSN: "any"})
	b, err := os.ReadFile(poolSchema + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// subscriber is a caller at a PPPoE concentrator: its NAS-Port is another for each session.
type subscriber struct {
	name, mac string
	session   int
}

func newSubscriber(db *storetest.DB, name string, n int) *subscriber {
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ($1, 'Cleartext-Password', ':=', 'pw'), ($1, 'Pool-Name', ':=', 'main')`,
		strings.NewReplacer("'", "=27", "+", "=2B").Replace(name))
	return &subscriber{name: name, mac: fmt.Sprintf("AA:BB:CC:00:00:%02X", n)}
}

func (s *subscriber) packet(lines ...string) string {
	return attrs(append([]string{
		fmt.Sprintf("User-Name = %q", s.name), "NAS-IP-Address = 10.0.0.9", `NAS-Identifier = "bras"`, `NAS-Port-Id = "ether1"`,
		fmt.Sprintf("NAS-Port = %d", 1000*int(s.mac[len(s.mac)-1])+s.session), "NAS-Port-Type = Ethernet", "Service-Type = Framed-User", "Framed-Protocol = PPP",
		`Called-Station-Id = "pppoe1"`, fmt.Sprintf("Calling-Station-Id = %q", s.mac),
	}, lines...)...)
}

// login begins a session at a server, and returns its address.
func (s *subscriber) login(t *testing.T, auth string) string {
	t.Helper()
	s.session++
	p := s.packet(`User-Password = "pw"`, s.id())
	out := harness.Tool(t, p, "radclient", "-x", "-r", "1", "-t", "5", auth, "auth", secret)
	if out.Code != 0 || !strings.Contains(out.Stdout, "Access-Accept") {
		t.Fatalf("login of %s: exit code %d\n%s%s", s.name, out.Code, out.Stdout, out.Stderr)
	}
	_, reply, _ := strings.Cut(out.Stdout, "Received Access-Accept")
	_, rest, ok := strings.Cut(reply, "Framed-IP-Address = ")
	if !ok {
		t.Fatalf("login of %s: no address\n%s", s.name, out.Stdout)
	}
	addr, _, _ := strings.Cut(rest, "\n")
	return addr
}

func (s *subscriber) id() string {
	return fmt.Sprintf("Acct-Session-Id = \"%s-%d\"", s.mac[len(s.mac)-2:], s.session)
}

func (s *subscriber) account(t *testing.T, acct, status, addr string) {
	t.Helper()
	sendAcct(t, acct, s.packet("Acct-Status-Type = "+status, s.id(), "Framed-IP-Address = "+addr, "Acct-Session-Time = 60", "Acct-Input-Octets = 5", "Acct-Output-Octets = 6"))
}

// held checks that no address was given to two callers, and that each has the
// one it is known with; a caller who is new is noted.
type held struct {
	byName, byAddr map[string]string
}

func newHeld() *held { return &held{map[string]string{}, map[string]string{}} }

func (h *held) same(t *testing.T, s *subscriber, addr string) {
	t.Helper()
	if had := h.byName[s.name]; had != "" && had != addr {
		t.Errorf("%s gets %s, and had %s", s.name, addr, had)
	}
	h.gets(t, s, addr)
}

func (h *held) gets(t *testing.T, s *subscriber, addr string) {
	t.Helper()
	if who := h.byAddr[addr]; who != "" && who != s.name {
		t.Errorf("%s gets %s, which is %s's", s.name, addr, who)
	}
	if had := h.byName[s.name]; h.byAddr[had] == s.name {
		delete(h.byAddr, had)
	}
	h.byName[s.name], h.byAddr[addr] = addr, s.name
}

// TestFreeRADIUSGoesOnWithOurLeases: with the mirror on, a FreeRADIUS with
// sqlippool goes on where Radial has stopped, and Radial where FreeRADIUS has:
// the same addresses for the same callers, and none for two.
func TestFreeRADIUSGoesOnWithOurLeases(t *testing.T) {
	for _, c := range []struct{ way, key, poolKey string }{
		{IPPoolQueries, "calling-station-id", "%{Calling-Station-Id}"},
		{IPPoolQueries, "user-name", "%{User-Name}"},
		{IPPoolProcedure, "calling-station-id", "%{Calling-Station-Id}"},
	} {
		t.Run(c.way+" "+c.key, func(t *testing.T) {
			db := storetest.New(t)
			needs(t, Config{SQLDSN: db.URL()})
			h, known, fresh := newHeld(), []*subscriber{}, []*subscriber{}
			for n := range 9 {
				known = append(known, newSubscriber(db, fmt.Sprint("user", n), n))
			}
			known[5].name, known[5] = "o'br+ien", newSubscriber(db, "o'br+ien", 5)
			for n := range 4 {
				fresh = append(fresh, newSubscriber(db, fmt.Sprint("new", n), 100+n))
			}
			set := map[string]string{"RADIAL_REJECT_DELAY": "0s"}
			radial := startRadial(t, db, set)
			radialMust(t, radial, "pool", "add", "main", "--cidr", "100.64.0.0/27")
			radialMust(t, radial, "ip", "mirror", "on", "--pool-key", c.key)
			if c.way == IPPoolProcedure {
				db.Exec("SET search_path = public; " + poolFile(t, "procedure.sql")) // as an operator who is not called radial
			}
			for _, s := range known {
				h.same(t, s, s.login(t, radial.Auth))
			}
			for _, s := range known[:8] { // the last of them is still offered
				s.account(t, radial.Acct, "Start", h.byName[s.name])
			}
			for _, s := range known[6:8] {
				s.account(t, radial.Acct, "Stop", h.byName[s.name])
			}
			radial.Stop(t)

			t.Run("FreeRADIUS", func(t *testing.T) {
				f := StartFreeRADIUS(t, Config{SQLDSN: db.URL(), Secret: secret, IPPool: c.way, PoolKey: c.poolKey})
				known[3].account(t, f.AcctAddr, "Interim-Update", h.byName[known[3].name])
				known[4].account(t, f.AcctAddr, "Stop", h.byName[known[4].name])
				for _, s := range []*subscriber{known[0], known[1], known[5], known[8]} {
					h.same(t, s, s.login(t, f.AuthAddr))
				}
				for _, s := range []*subscriber{known[0], known[5]} { // the NAS had lost the session and its Stop
					s.account(t, f.AcctAddr, "Start", h.byName[s.name])
				}
				for _, s := range known[6:8] { // these are free: the procedure does not mind whose they were
					if addr := s.login(t, f.AuthAddr); c.way == IPPoolQueries {
						h.same(t, s, addr)
					} else {
						h.gets(t, s, addr)
					}
				}
				for _, s := range fresh {
					h.same(t, s, s.login(t, f.AuthAddr))
				}
				for _, s := range fresh[:3] {
					s.account(t, f.AcctAddr, "Start", h.byName[s.name])
				}
				fresh[2].account(t, f.AcctAddr, "Stop", h.byName[fresh[2].name])
			})

			radial = harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: set})
			for name, want := range map[string]string{
				"user0": "bound", "user1": "bound", "user2": "bound", "user3": "bound", "user4": "free", "o'br+ien": "bound",
				"user6": "cooling", "user7": "cooling", "user8": "cooling", "new0": "bound", "new1": "bound", "new2": "free", "new3": "cooling",
			} {
				if name == "user8" && db.Rows(`SELECT state FROM radial.addresses WHERE username = 'user8'`)[0][0] == "offered" {
					continue // our own offer, which FreeRADIUS has renewed
				}
				if rows := db.Rows(`SELECT state, username FROM radial.addresses WHERE address = $1`, h.byName[name]); fmt.Sprint(rows) != fmt.Sprintf("[[%s %s]]", want, name) {
					t.Errorf("%s of %s is %v, want %s", h.byName[name], name, rows, want)
				}
			}
			if rows := db.Rows(`SELECT action, username FROM radial.address_history WHERE address = $1 ORDER BY id`, h.byName["new2"]); fmt.Sprint(rows) != "[[bound new2] [released new2]]" {
				t.Errorf("the history of new2's address: %v", rows)
			}
			for _, s := range append(known, fresh...) {
				h.same(t, s, s.login(t, radial.Auth))
			}
			last := newSubscriber(db, "last", 200)
			h.same(t, last, last.login(t, radial.Auth))
			radial.Stop(t)
		})
	}
}

// TestImportFromFreeRADIUS: an ISP comes from FreeRADIUS with sqlippool, on a
// database that FreeRADIUS's own files have made: everybody keeps his address.
func TestImportFromFreeRADIUS(t *testing.T) {
	needs(t, Config{SQLDSN: "any"})
	db := storetest.Empty(t)
	db.Exec(freeRADIUSFile(t, "schema.sql"))
	db.Exec(poolFile(t, "schema.sql"))
	name := db.Rows(`SELECT current_database()`)[0][0]
	db.Exec(`ALTER DATABASE ` + name + ` SET timezone = 'Asia/Kathmandu'`)
	db.Exec(`INSERT INTO radippool (pool_name, framedipaddress) SELECT 'main', '100.64.0.9'::inet + g FROM generate_series(1, 20) g`)
	h, known := newHeld(), []*subscriber{}
	for n := range 8 {
		known = append(known, newSubscriber(db, fmt.Sprint("user", n), n))
	}
	t.Run("FreeRADIUS", func(t *testing.T) {
		f := StartFreeRADIUS(t, Config{SQLDSN: db.URL(), Secret: secret, IPPool: IPPoolQueries})
		for _, s := range known {
			h.same(t, s, s.login(t, f.AuthAddr))
		}
		for _, s := range known[:6] {
			s.account(t, f.AcctAddr, "Start", h.byName[s.name])
		}
		for _, s := range known[4:6] {
			s.account(t, f.AcctAddr, "Stop", h.byName[s.name])
		}
	})
	env := []string{"RADIAL_DATABASE_URL=" + db.URL(), "RADIAL_DATA_DIR=" + t.TempDir()}
	for _, args := range [][]string{{"migrate", "up"}, {"ip", "import-radippool"}} {
		if out := harness.CLI(t, env, args...); out.Code != 0 {
			t.Fatalf("radial %v: exit code %d\n%s%s", args, out.Code, out.Stdout, out.Stderr)
		}
	}
	if rows := db.Rows(`SELECT state, count(*) FROM radial.addresses GROUP BY 1 ORDER BY 1`); fmt.Sprint(rows) != "[[bound 4] [cooling 2] [free 14]]" {
		t.Errorf("addresses: %v", rows)
	}
	if rows := db.Rows(`SELECT max(until) BETWEEN now() + interval '59 minutes' AND now() + interval '61 minutes' FROM radial.addresses WHERE state = 'cooling'`); rows[0][0] != "t" {
		t.Error("a lease of FreeRADIUS's does not end when it would have")
	}
	radial := startRadial(t, db, map[string]string{"RADIAL_REJECT_DELAY": "0s"})
	for _, s := range known[4:6] { // logged off: their addresses are anybody's
		delete(h.byAddr, h.byName[s.name])
	}
	for n := range 6 { // others, and first
		s := newSubscriber(db, fmt.Sprint("new", n), 100+n)
		h.same(t, s, s.login(t, radial.Auth))
	}
	for _, s := range known {
		if s == known[4] || s == known[5] {
			continue // free: theirs, if nobody took it
		}
		h.same(t, s, s.login(t, radial.Auth))
		s.account(t, radial.Acct, "Start", h.byName[s.name])
	}
	for _, s := range known[4:6] {
		h.gets(t, s, s.login(t, radial.Auth))
	}
}
