package jobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
	"radial/store"
	"radial/store/storetest"
)

// routerOf is a router that keeps what each of its sessions was granted: at the
// login, or by a CoA since. Requests and answers get lost, and some are refused.
type routerOf struct {
	mu       sync.Mutex
	dict     *dictionaries.Dictionary
	random   *rand.Rand
	trouble  float64 // how often something goes wrong
	sessions map[int64]dictionaries.Pairs
	ended    []int64 // their Stops are on the way
}

func (r *routerOf) Do(_ context.Context, d aaa.Deed) (aaa.Effect, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost, luck := aaa.Effect{Result: aaa.ResultUnknown, Detail: "no answer"}, r.random.Float64()
	if luck < r.trouble/2 {
		return lost, nil // on the way there
	}
	has, there := r.sessions[d.Session.ID]
	if !there {
		return aaa.Effect{Result: aaa.ResultGone, Cause: 503}, nil
	}
	if luck < r.trouble {
		causes := []uint32{506}
		if d.Do == aaa.VerbChange {
			causes = []uint32{401, 404, 407, 506}
		}
		return aaa.Effect{Result: aaa.ResultRefused, Cause: causes[r.random.IntN(len(causes))]}, nil
	}
	if d.Do == aaa.VerbDisconnect {
		delete(r.sessions, d.Session.ID)
		r.ended = append(r.ended, d.Session.ID)
	} else {
		soft, _ := nas.Split(d.Device, d.Reply)
		for _, p := range soft { // what a CoA says is; what it does not say stays
			has = slices.DeleteFunc(has, func(old dictionaries.Pair) bool { return old.Attr == p.Attr })
		}
		r.sessions[d.Session.ID] = append(has, soft...)
	}
	if r.random.Float64() < r.trouble/3 {
		return lost, nil // on the way back
	}
	return aaa.Effect{Result: aaa.ResultDone, Tries: 1}, nil
}

// used is a meter that a test turns.
type used map[string]uint64

func (u used) Used(_ context.Context, user string, spans []aaa.Span) ([]aaa.Usage, error) {
	all := make([]aaa.Usage, len(spans))
	for i := range all {
		all[i].Output = u[user]
	}
	return all, nil
}

func (used) FirstSession(context.Context, string) (time.Time, error) { return time.Time{}, nil }

// town is a provider with a router, in which rows, usage and the time change at
// random.
type town struct {
	t      *testing.T
	db     *storetest.DB
	dict   *dictionaries.Dictionary
	router *routerOf
	random *rand.Rand
	meter  used
	engine *aaa.Engine
	work   *enforcer
	now    time.Time
	device *nas.Device
	nextID int
}

var townUsers = []string{"u0", "u1", "u2", "u3", "u4", "o'brien", "u6 x"}

func newTown(t *testing.T, db *storetest.DB, dict *dictionaries.Dictionary, seed uint64) *town {
	random := rand.New(rand.NewPCG(seed, 1))
	w := &town{t: t, db: db, dict: dict, random: random, meter: used{}, now: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		device: &nas.Device{Row: nas.Row{ID: 1, Name: "10.0.0.1", Type: "mikrotik"}, Prefix: netip.MustParsePrefix("10.0.0.1/32")}}
	w.router = &routerOf{dict: dict, random: random, sessions: map[int64]dictionaries.Pairs{}}
	clock := func() time.Time { return w.now }
	cache := aaa.NewCache(aaa.CacheConfig{Reader: store.NewPolicy(db.DB, store.NewMetrics(prometheus.NewRegistry())), Dict: dict, Location: time.UTC, Now: clock})
	options := aaa.DefaultOptions()
	options.PostAuth.Log = aaa.PostAuthNone
	find := func(netip.Addr) *nas.Device { return w.device }
	w.engine = aaa.NewEngine(aaa.EngineConfig{Dict: dict, Policies: cache, Verifier: aaa.NewVerifier(dict), Meter: w.meter, Options: options, Now: clock, Location: time.UTC, Devices: find})
	quiet := newQuietDevices(clock)
	w.work = &enforcer{rows: db, quiet: quiet, metrics: newControlMetrics(prometheus.NewRegistry(), quiet), log: zap.NewNop(), Control: Control{
		Due: w.engine.Due, Decide: aaa.Decide, Device: find, Way: w.router, Client: "x", ControlOptions: DefaultControl(),
	}}
	for _, table := range []string{"radcheck", "radreply", "radusergroup", "radgroupreply", "radacct", "radial.enforcements", "radial.quotas", "radial.audit"} {
		db.Exec(`DELETE FROM ` + table)
	}
	db.Exec(`INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('gold', 'Mikrotik-Rate-Limit', '=', '20M/100M'), ('gold', 'Framed-Pool', '=', 'main'),
		('silver', 'Mikrotik-Rate-Limit', '=', '5M/20M'), ('silver', 'Framed-Pool', '=', 'main'),
		('walled', 'Mikrotik-Rate-Limit', '=', '64k/64k'), ('walled', 'Mikrotik-Address-List', '=', 'walled'), ('walled', 'Framed-Pool', '=', 'main'), ('bronze', 'Mikrotik-Rate-Limit', '=', '5M/20M'), ('bronze', 'Framed-Pool', '=', 'two')`)
	for _, u := range townUsers {
		w.add(u)
	}
	return w
}

// stored is a name as radcheck has it.
func stored(user string) string { return store.Escaper{}.EscapeUser(user) }

func (w *town) add(user string) {
	w.db.Exec(`DELETE FROM radcheck WHERE username = $1`, stored(user))
	w.db.Exec(`DELETE FROM radusergroup WHERE username = $1`, stored(user))
	w.db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ($1, 'Cleartext-Password', ':=', 'p')`, stored(user))
	w.db.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ($1, 'gold', 1)`, stored(user))
}

// login logs a user in, as the router does.
func (w *town) login(user, port string) aaa.Decision {
	req := &aaa.Request{Device: w.device, Source: netip.MustParseAddrPort("10.0.0.1:1812")}
	for _, item := range [][2]string{{"User-Name", user}, {"User-Password", "p"}, {"NAS-IP-Address", "10.0.0.1"}, {"NAS-Port-Id", port}, {"Calling-Station-Id", "AA:BB"}, {"NAS-Port-Type", "Ethernet"}} {
		p, err := w.dict.Pair(item[0], item[1])
		if err != nil {
			w.t.Fatal(err)
		}
		req.Pairs = append(req.Pairs, p)
	}
	d, err := w.engine.Authorize(context.Background(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// open opens a session of a user whom the rows let in.
func (w *town) open(user string) {
	w.nextID++
	port := fmt.Sprint("p", w.nextID)
	d := w.login(user, port)
	if d.Verdict != aaa.Accept {
		return
	}
	class, _ := d.Reply.Value(w.dict.Must("Class"))
	rows := w.db.Rows(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, nasportid, nasporttype, callingstationid, acctstarttime, acctupdatetime, class)
		VALUES ($1, md5($1 || $2), $2, '10.0.0.1', $1, 'Ethernet', 'AA:BB', now(), now(), $3) RETURNING radacctid::text`, port, stored(user), string(class))
	var id int64
	if _, err := fmt.Sscan(rows[0][0], &id); err != nil {
		w.t.Fatal(err)
	}
	w.router.sessions[id] = d.Reply
}

// happen is something that an operator, a script or a subscriber does.
func (w *town) happen() string {
	user := townUsers[w.random.IntN(len(townUsers))]
	name := stored(user)
	check := func(attribute, value string) {
		w.db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ($1, $2, ':=', $3)`, name, attribute, value)
	}
	for {
		switch w.random.IntN(15) {
		case 0:
			check("Auth-Type", "Reject")
			return "suspend " + user
		case 1:
			w.add(user)
			return "put right " + user
		case 2:
			w.db.Exec(`DELETE FROM radcheck WHERE username = $1`, name)
			w.db.Exec(`DELETE FROM radusergroup WHERE username = $1`, name)
			return "delete " + user
		case 3, 4:
			group := []string{"gold", "silver", "walled", "bronze"}[w.random.IntN(4)]
			w.db.Exec(`UPDATE radusergroup SET groupname = $2 WHERE username = $1`, name, group)
			return user + " is " + group
		case 5:
			w.db.Exec(`UPDATE radgroupreply SET value = $1 WHERE groupname = 'silver' AND attribute = 'Mikrotik-Rate-Limit'`, fmt.Sprintf("%dM/%[1]dM", 1+w.random.IntN(9)))
			return "silver's rate"
		case 6:
			w.db.Exec(`DELETE FROM radreply WHERE username = $1`, name)
			w.db.Exec(`INSERT INTO radreply (username, attribute, op, value) VALUES ($1, 'Framed-IP-Address', ':=', $2)`, name, fmt.Sprint("10.9.0.", w.random.IntN(3)))
			return "address of " + user
		case 7:
			check("Expiration", w.now.Add(time.Duration(w.random.IntN(4)-1)*time.Hour).Format("2 Jan 2006 15:04"))
			return "expiry of " + user
		case 8:
			w.now = w.now.Add(time.Hour)
			return "an hour"
		case 9:
			w.db.Exec(`DELETE FROM radial.quotas WHERE name = $1`, user)
			w.db.Exec(`INSERT INTO radial.quotas (subject, name, period, counts, octets, rate_down, rate_up) VALUES ('user', $1, 'ever', 'total', 100, 1000000, 1000000), ('user', $1, 'ever', 'total', 200, NULL, NULL)`, user)
			return "quota of " + user
		case 10, 11:
			w.meter[user] += 60
			return "usage of " + user
		case 12:
			w.meter[user] = 0
			return "reset " + user
		case 13:
			check("Login-Time", []string{"Al", "Al0800-2000"}[w.random.IntN(2)])
			return "hours of " + user
		case 14:
			if len(w.router.sessions) < 12 {
				w.open(user)
				return "login of " + user
			}
		}
	}
}

// stops brings the Stops of sessions that have ended; one in eight is lost for
// good, and control closes the row.
func (w *town) stops() {
	for _, id := range w.router.ended {
		if w.random.IntN(8) > 0 {
			w.db.Exec(`UPDATE radacct SET acctstoptime = now() WHERE radacctid = $1`, id)
		}
	}
	w.router.ended = nil
}

// LiveSessions and FollowSessions make a town what a sweep works on: its jobs run
// at once.
func (w *town) LiveSessions(ctx context.Context, page int, groups []string, f func(context.Context, []aaa.LiveSession) error) error {
	return w.db.LiveSessions(ctx, page, groups, f)
}

func (w *town) FollowSessions(ctx context.Context, actor, why string, ids []int64) (int, error) {
	_, err := w.work.deal(ctx, wish{verb: store.BulkFollow, actor: actor, why: why}, ids)
	w.stops()
	return len(ids), err
}

// round is one run of the reconciler, some minutes later.
func (w *town) round() {
	w.t.Helper()
	w.now = w.now.Add(time.Minute)
	do := reconcile(w, Reconcile{Glance: w.engine.Glance, Decide: aaa.Decide, Every: time.Minute})
	if err := do(context.Background(), aaa.ReconcileSessions{}); err != nil {
		w.t.Fatal(err)
	}
}

// wrong lists the sessions of the router that have something else than a login
// of theirs would be given now: by a login, and no mark.
func (w *town) wrong() (all []string) {
	for id, has := range w.router.sessions {
		row := w.db.Rows(`SELECT username, nasportid FROM radacct WHERE radacctid = $1`, id)[0]
		user := store.Escaper{}.UnescapeUser(row[0])
		d := w.login(user, row[1])
		if d.Verdict != aaa.Accept {
			all = append(all, fmt.Sprintf("session %d of %s runs, and a login is refused: %s", id, user, d.Detail))
			continue
		}
		for _, name := range []string{"Mikrotik-Rate-Limit", "Mikrotik-Address-List", "Framed-Pool", "Framed-IP-Address"} {
			got, _ := has.Value(w.dict.Must(name))
			want, _ := d.Reply.Value(w.dict.Must(name))
			if string(got) != string(want) {
				all = append(all, fmt.Sprintf("session %d of %s: %s is %q, should be %q", id, user, name, got, want))
			}
		}
	}
	return all
}

// Whatever operators, scripts, quotas and clocks change, and whatever gets lost
// or is refused on the way: within two rounds every session that runs has what
// it should have, and no other one was ended.
func TestReconcile(t *testing.T) {
	db := storetest.New(t)
	dict, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	seeds, mended, changed, ended := 12, 0, 0, 0
	if testing.Short() {
		seeds = 3
	}
	for seed := range uint64(seeds) {
		w := newTown(t, db, dict, seed)
		for _, u := range townUsers {
			w.open(u)
		}
		w.round()
		if n := len(db.Rows(`SELECT FROM radial.enforcements`)); n > 0 {
			t.Fatalf("seed %d: nothing has changed, and %d sessions were touched", seed, n)
		}
		for range 8 {
			var story []string
			w.router.trouble = w.random.Float64() * 0.7
			for range 1 + w.random.IntN(6) {
				story = append(story, w.happen())
				if w.random.IntN(3) == 0 { // a job of the change, which may have bad luck
					w.round()
				}
			}
			before := len(w.wrong())
			w.round() // in trouble
			w.router.trouble = 0
			w.round()
			w.now = w.now.Add(time.Minute)
			if wrong := w.wrong(); len(wrong) > 0 {
				t.Fatalf("seed %d, after %q: %q", seed, story, wrong)
			}
			mended += before
			count := len(db.Rows(`SELECT FROM radial.enforcements`))
			w.round()
			if again := len(db.Rows(`SELECT FROM radial.enforcements`)); again != count {
				t.Fatalf("seed %d, after %q: all is right, and %d more sessions were touched", seed, story, again-count)
			}
		}
		changed += len(db.Rows(`SELECT FROM radial.audit WHERE action = 'session.change'`))
		ended += len(db.Rows(`SELECT FROM radial.audit WHERE action = 'session.disconnect'`))
	}
	if mended < 2*seeds || changed < seeds || ended < 2*seeds {
		t.Errorf("%d sessions were wrong, %d CoA, %d Disconnects: too few to tell", mended, changed, ended)
	}
}
