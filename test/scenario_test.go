package test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"radial/dictionaries"
	"radial/nas"
	"radial/radius"
	"radial/store/storetest"
	"radial/test/harness"
	"radial/test/scenario"
)

const scenarioSecret = "scenario-s3cret"

// TestScenarios plays test/scenarios/*.txt over UDP against a running server
// with the rows in PostgreSQL. Cases that need another clock run in process
// alone (go test ./aaa -run Scenario).
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	bySettings := map[string][]scenario.Case{}
	played := 0
	for _, file := range files {
		cases, err := scenario.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			if c.Clock == "" {
				key := settingsOf(c)
				bySettings[key] = append(bySettings[key], c)
				played++
			}
		}
	}
	if played < 50 {
		t.Errorf("only %d cases", played)
	}
	dict, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(bySettings)) {
		t.Run(key, func(t *testing.T) {
			db := storetest.New(t)
			db.Exec(`INSERT INTO nas (nasname, shortname, type, secret) VALUES ('127.0.0.0/8', 'local', 'other', $1)`, scenarioSecret)
			set := map[string]string{"RADIAL_REJECT_DELAY": "0s", "RADIAL_DATABASE_TIME_ZONE": "UTC", "RADIAL_CONTROL_MARK": "off"}
			for kv := range strings.SplitSeq(key, ";") {
				if name, value, ok := strings.Cut(kv, "="); ok {
					set["RADIAL_"+strings.ToUpper(strings.ReplaceAll(name, ".", "_"))] = value
				}
			}
			server := harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: set})
			p := &player{db: db, server: server, dict: dict}
			p.client = p.clientAt(server.Auth, netip.Addr{}, scenarioSecret)
			for i, c := range bySettings[key] {
				t.Run(c.File+"/"+c.Name(), func(t *testing.T) { p.play(t, i, c) })
			}
		})
	}
}

func settingsOf(c scenario.Case) string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(c.Settings)) {
		words = append(words, k+"="+c.Settings[k])
	}
	return strings.Join(words, ";")
}

// player plays cases one after the other on one server.
type player struct {
	db     *storetest.DB
	server *harness.Server
	dict   *dictionaries.Dictionary
	client *radius.Client // of a router that no case has made

	password string // of the sentinel
	changes  int    // of that
	story    *story // of the case at hand
}

func (p *player) play(t *testing.T, number int, c scenario.Case) {
	p.prime(t)
	p.story = &story{secret: nas.Secret(scenarioSecret + " " + strconv.Itoa(number)), sessions: map[string]*told{}}
	p.db.Exec(`BEGIN`)
	harness.WriteCase(p.db, c)
	p.db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('sentinel', 'Cleartext-Password', ':=', $1)`, p.newPassword())
	p.db.Exec(`COMMIT`)
	harness.Eventually(t, patience, "the server follows the rows", func() bool { return p.sentinel(p.password) })
	for _, s := range c.Steps {
		if s.Login >= 0 {
			p.login(t, c, c.Logins[s.Login])
		} else {
			p.step(t, c, s)
		}
		if t.Failed() {
			return // what follows would only repeat it
		}
	}
}

func (p *player) newPassword() string {
	p.changes++
	p.password = "after " + strconv.Itoa(p.changes)
	return p.password
}

// prime has the sentinel in the server's memory, with its old password: when the
// new one is accepted, memory was cleared of what the case has replaced.
func (p *player) prime(t *testing.T) {
	t.Helper()
	harness.Eventually(t, patience, "the sentinel is in memory", func() bool {
		before := p.server.Metric(t, "radial_policy_cache_hits_total")
		p.sentinel("none")
		return p.server.Metric(t, "radial_policy_cache_hits_total") > before
	})
}

// sentinel tells whether the sentinel logs in with the password.
func (p *player) sentinel(password string) bool {
	reply, err := p.client.Login(context.Background(), radius.Login{User: "sentinel", Password: nas.Secret(password), Method: radius.LoginPAP})
	return err == nil && reply.Code == radius.AccessAccept
}

func (p *player) send(client *radius.Client, l scenario.Login, pairs dictionaries.Pairs) (*radius.Reply, error) {
	if l.Method == "none" {
		name := dictionaries.Pair{Attr: p.dict.Must("User-Name"), Value: []byte(l.User)}
		return client.Exchange(context.Background(), radius.AccessRequest, append(dictionaries.Pairs{name}, pairs...))
	}
	return client.Login(context.Background(), radius.Login{User: l.User, Password: nas.Secret(l.Password), Method: radius.LoginMethod(l.Method), Pairs: pairs})
}

func (p *player) login(t *testing.T, c scenario.Case, l scenario.Login) {
	t.Helper()
	l.Attrs = p.filled(t, l.Attrs)
	pairs, err := l.Pairs(p.dict)
	if err != nil {
		t.Fatal(err)
	}
	client := p.clientOf(c, l.NAS, false)
	if l.Want.Silence {
		client = p.impatient(c, l.NAS)
	}
	reply, err := p.send(client, l, pairs)
	if l.Want.Silence {
		if !errors.Is(err, radius.ErrNoAnswer) {
			t.Errorf("line %d: silence is wanted, got %v, %v", l.Line, reply, err)
		}
		return
	}
	if err != nil {
		t.Errorf("line %d: %v", l.Line, err)
		return
	}
	if accepted := reply.Code == radius.AccessAccept; accepted != l.Want.Accept {
		t.Errorf("line %d: got %v: %v", l.Line, reply.Code, reply.Pairs)
	}
	if err := l.Want.Check(p.dict, reply.Pairs); err != nil {
		t.Errorf("login of line %d: %v", l.Line, err)
	}
	p.compare(t, l, reply.Pairs)
	if l.Session != "" {
		p.story.sessions[l.Session] = &told{user: l.User, nas: l.NAS, sent: pairs, got: reply.Pairs}
	}
	if l.Want.Reason != "" {
		p.reason(t, l)
	}
}

// reason looks into radpostauth for why the login was refused.
func (p *player) reason(t *testing.T, l scenario.Login) {
	t.Helper()
	var reasons []string
	harness.Eventually(t, patience, "the reject in radpostauth", func() bool {
		reasons = nil
		for _, r := range p.db.Rows(`SELECT reason FROM radpostauth WHERE reply = 'Access-Reject' AND username <> 'sentinel' ORDER BY id`) {
			reasons = append(reasons, r[0])
		}
		return len(reasons) > 0
	})
	if got := reasons[len(reasons)-1]; got != l.Want.Reason {
		t.Errorf("line %d: radpostauth says %s, want %s", l.Line, got, l.Want.Reason)
	}
	p.db.Exec(`TRUNCATE radpostauth`)
}
