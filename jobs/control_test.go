package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
	"radial/store"
	"radial/store/storetest"
)

// way is a device for tests: it does what answer says, and remembers it.
type way struct {
	answer func(d aaa.Deed) (aaa.Effect, error)

	mu   sync.Mutex
	did  []string
	hold map[int64]int // acts under way, by session
	both bool          // two acted on one session at once
}

func (w *way) Do(ctx context.Context, d aaa.Deed) (aaa.Effect, error) {
	w.mu.Lock()
	if w.hold == nil {
		w.hold = map[int64]int{}
	}
	w.hold[d.Session.ID]++
	w.both = w.both || w.hold[d.Session.ID] > 1
	w.did = append(w.did, fmt.Sprintf("%s %s", d.Do, d.Session.SessionID))
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.hold[d.Session.ID]--
	}()
	if w.answer == nil {
		return aaa.Effect{Result: aaa.ResultDone, Tries: 1, RTT: time.Millisecond, Via: "coa"}, nil
	}
	return w.answer(d)
}

func (w *way) done() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.did...)
}

// room is a database with sessions, and a server's control over a test's way.
type room struct {
	*storetest.DB
	t      *testing.T
	way    *way
	action aaa.Verb // what Decide says of a session without an applied mark
	opts   ControlOptions
	reply  dictionaries.Pairs // what is due
}

const serverA, serverB = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"

var dueMark = aaa.Mark{Soft: 0x8000000000000007, Hard: 9}

func newRoom(t *testing.T) *room {
	r := &room{DB: storetest.New(t), t: t, way: &way{}, action: aaa.VerbChange, opts: DefaultControl()}
	return r
}

// open opens a session of a user.
func (r *room) open(session, user string) {
	r.t.Helper()
	r.Exec(fmt.Sprintf(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, acctstarttime, acctupdatetime)
		VALUES ('%s', md5('%s'), '%s', '10.0.0.1', '192.0.2.1', now() - interval '1 hour', now() - interval '1 minute')`, session, session, user))
}

// serve runs a server; the function that it returns ends it.
func (r *room) serve(client string) (stop func()) {
	r.t.Helper()
	if id, _, _ := strings.Cut(client, "#"); len(id) == 36 { // else it has never said hello
		r.Exec(`INSERT INTO radial.servers (id, name, version, started_at, heartbeat_at) VALUES ('` + id + `', 'x', 'x', now(), now() + interval '1 hour')`)
	}
	device := &nas.Device{Row: nas.Row{Name: "10.0.0.1"}}
	runner, err := NewRunner(r.DB.DB, Options{Control: &Control{
		Due: func(_ context.Context, s *aaa.LiveSession) (aaa.Due, error) {
			return aaa.Due{Mark: dueMark, Device: device, Reply: r.reply}, nil
		},
		Decide: func(s *aaa.LiveSession, d *aaa.Due) aaa.Action {
			if s.Applied == d.Mark {
				return aaa.Action{}
			}
			return aaa.Action{Do: r.action, Why: "a test"}
		},
		Limit:  func(_ *nas.Device, ps dictionaries.Pairs, _ nas.RateLimit) dictionaries.Pairs { return ps },
		Device: func(netip.Addr) *nas.Device { return device },
		Way:    r.way, Client: client, ControlOptions: r.opts,
	}}, prometheus.NewRegistry(), zap.NewNop())
	if err != nil {
		r.t.Fatal(err)
	}
	return start(r.t, runner)
}

// job is the state and outcome of the newest job of a kind.
func (r *room) job(kind string) (state, outcome string) {
	r.t.Helper()
	all, err := r.Jobs(r.t.Context(), store.JobQuery{Kinds: []string{kind}, Limit: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(all) == 0 {
		return "", ""
	}
	return all[0].State, all[0].Output.Outcome
}

func (r *room) await(kind, state string) string {
	r.t.Helper()
	got, outcome := "", ""
	until(r.t, kind+" "+state, func() bool {
		got, outcome = r.job(kind)
		return got == state
	})
	return outcome
}

func (r *room) follow(user string) {
	r.t.Helper()
	if n, err := r.FollowUsers(r.t.Context(), "cli:test", "test", []string{user}); n != 1 || err != nil {
		r.t.Fatalf("%d jobs, %v", n, err)
	}
}

// What is left of time and volume is told by a CoA of its own; a device that
// refuses it keeps the session, and what is known of it.
func TestLimitUser(t *testing.T) {
	r := newRoom(t)
	r.reply = dictionaries.Pairs{{Attr: &dictionaries.Attribute{Name: "Session-Timeout"}, Value: []byte{0, 0, 14, 16}}}
	r.open("s1", "alice")
	r.open("s2", "alice")
	r.open("s3", "alice")
	r.Exec(`UPDATE radacct SET acctstarttime = NULL WHERE acctsessionid = 's3'`) // nobody knows how long it has lasted
	r.Exec(`INSERT INTO radial.enforcements (radacctid, verb, result, soft, hard, at) SELECT radacctid, 'change', 'done', 5, 6, now() FROM radacct WHERE acctsessionid = 's1'`)
	r.way.answer = func(d aaa.Deed) (aaa.Effect, error) {
		if len(d.Limits) != 1 || d.Do != aaa.VerbChange {
			return aaa.Effect{}, fmt.Errorf("%s with %d limits", d.Do, len(d.Limits))
		}
		if d.Session.SessionID == "s1" {
			return aaa.Effect{Result: aaa.ResultRefused, Cause: 401, Tries: 1, Via: "coa"}, nil
		}
		return aaa.Effect{Result: aaa.ResultDone, Tries: 1, Via: "coa"}, nil
	}
	by := store.Change{Actor: "cli:test", Action: "user.topup"}
	_, err := r.ChangeSubscriber(t.Context(), by, "alice", func(aaa.Account) (aaa.AccountDelta, error) { return aaa.AccountDelta{Audit: aaa.Audit{"x": 1}}, nil })
	if err != nil {
		t.Fatal(err)
	}
	r.Exec(`DELETE FROM radial.river_job WHERE kind = 'follow_user'`)
	defer r.serve("server#1")()
	if outcome := r.await("limit_user", "cancelled"); outcome != "1 change refused, 1 change done, 1 as it should be" && outcome != "1 change done, 1 change refused, 1 as it should be" {
		t.Errorf("outcome %q", outcome)
	}
	got := r.Rows(`SELECT r.acctsessionid, e.verb, e.result, e.soft::text, e.claimed_by FROM radial.enforcements e JOIN radacct r USING (radacctid) ORDER BY 1`)
	if diff := cmp.Diff([][]string{{"s1", "change", "done", "5", "NULL"}}, got); diff != "" {
		t.Error(diff)
	}
	got = r.Rows(`SELECT action, detail->>'outcome', detail->>'why' FROM radial.audit WHERE action LIKE 'session.%' ORDER BY 2`)
	why := "user.topup: what is left of time and volume"
	if diff := cmp.Diff([][]string{{"session.change", "done", why}, {"session.change", "refused", why}}, got); diff != "" {
		t.Error(diff)
	}

	// one that the device does not know any more is closed as after any other deed
	r.way.answer = func(aaa.Deed) (aaa.Effect, error) {
		return aaa.Effect{Result: aaa.ResultGone, Cause: 503, Tries: 1, Via: "coa"}, nil
	}
	if _, err := r.ChangeSubscriber(t.Context(), by, "alice", func(aaa.Account) (aaa.AccountDelta, error) { return aaa.AccountDelta{Audit: aaa.Audit{"x": 1}}, nil }); err != nil {
		t.Fatal(err)
	}
	until(t, "they are awaited", func() bool {
		return r.Rows(`SELECT count(*) FROM radial.enforcements WHERE close_at IS NOT NULL`)[0][0] >= "2"
	})
}

func TestFollowUser(t *testing.T) {
	r := newRoom(t)
	r.open("s1", "o=27brien")
	r.open("s2", "o=27brien")
	r.open("s3", "bob")
	r.follow("o'brien")
	if n, err := r.FollowUsers(t.Context(), "psql", "test", []string{"o'brien", "nobody"}); n != 0 || err != nil {
		t.Errorf("a second wish beside one that nobody has looked at: %d, %v", n, err)
	}
	defer r.serve("server#1")()
	if outcome := r.await("follow_user", "completed"); outcome != "2 change done" {
		t.Errorf("outcome %q", outcome)
	}
	want := [][]string{{"s1", "change", "done", "NULL", "NULL", "-9223372036854775801"}, {"s2", "change", "done", "NULL", "NULL", "-9223372036854775801"}}
	got := r.Rows(`SELECT r.acctsessionid, e.verb, e.result, e.claimed_by, e.close_at::text, e.soft::text FROM radial.enforcements e JOIN radacct r USING (radacctid) ORDER BY 1`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = r.Rows(`SELECT actor, action, key, detail->>'outcome', detail->>'why' FROM radial.audit ORDER BY id LIMIT 1`)
	if diff := cmp.Diff([][]string{{"cli:test", "session.change", "o'brien", "done", "test: a test"}}, got); diff != "" {
		t.Error(diff)
	}
	// what has been applied holds: nothing to do now
	r.follow("o'brien")
	until(t, "second job", func() bool {
		state, outcome := r.job("follow_user")
		return state == "completed" && outcome == "2 as it should be"
	})
	if n := len(r.way.done()); n != 2 {
		t.Errorf("%d deeds: %v", n, r.way.done())
	}
	// and a job that was given up may be done again, as long as no later one has taken its place
	all, err := r.Jobs(t.Context(), store.JobQuery{Kinds: []string{"follow_user"}, Limit: 2})
	if err != nil || len(all) != 2 {
		t.Fatal(len(all), err)
	}
	if _, err := r.RetryJob(t.Context(), store.Change{Actor: "cli:test", Action: "job.retry"}, all[0].ID); !errors.Is(err, aaa.ErrConflict) {
		t.Errorf("a completed job again: %v", err)
	}
	r.Exec(`UPDATE radial.river_job SET state = 'discarded' WHERE kind = 'follow_user'`)
	for i, outcome := range []string{"2 as it should be", "superseded: a later change has seen to it, or will"} {
		if _, err := r.RetryJob(t.Context(), store.Change{Actor: "cli:test", Action: "job.retry"}, all[i].ID); err != nil {
			t.Fatal(err)
		}
		until(t, "the job again", func() bool {
			j, err := r.Job(t.Context(), all[i].ID)
			return err == nil && j.State == "completed" && j.Attempt == all[i].Attempt+1 && j.Output.Outcome == outcome
		})
	}
}

// Of several wishes for one user that nobody has looked at, the last is done.
func TestLastWishWins(t *testing.T) {
	r := newRoom(t)
	r.open("s1", "alice")
	for range 3 {
		if _, err := r.RunJob(t.Context(), store.Change{Actor: "cli:test", Action: "job.run"}, aaa.FollowUser{User: "alice"}); err != nil {
			t.Fatal(err)
		}
	}
	defer r.serve("server#1")()
	until(t, "three jobs done", func() bool {
		return r.Rows(`SELECT count(*) FROM radial.river_job WHERE kind = 'follow_user' AND state = 'completed'`)[0][0] == "3"
	})
	got := r.Rows(`SELECT metadata->'output'->>'outcome' FROM radial.river_job WHERE kind = 'follow_user' ORDER BY id`)
	superseded := "superseded: a later change has seen to it, or will"
	if diff := cmp.Diff([][]string{{superseded}, {superseded}, {"1 change done"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEffectsOfDevices(t *testing.T) {
	refuse := func(result aaa.Result, cause uint32) func(aaa.Deed) (aaa.Effect, error) {
		return func(d aaa.Deed) (aaa.Effect, error) {
			if d.Do == aaa.VerbDisconnect {
				return aaa.Effect{Result: aaa.ResultDone}, nil
			}
			return aaa.Effect{Result: result, Cause: cause, Detail: "words"}, nil
		}
	}
	for _, c := range []struct {
		name    string
		action  aaa.Verb
		refused string
		answer  func(aaa.Deed) (aaa.Effect, error)
		state   string // of the job
		outcome string
		row     string // verb, result, whether a Stop is awaited
		error   string
	}{
		{"gone", aaa.VerbChange, "", refuse(aaa.ResultGone, 503), "completed", "1 change gone", "change gone true", ""},
		{"refused, so disconnected", aaa.VerbChange, "", refuse(aaa.ResultRefused, 404), "completed", "1 disconnect done", "disconnect done true", ""},
		{"refused, and kept", aaa.VerbChange, RefusedKeep, refuse(aaa.ResultRefused, 404), "cancelled", "1 change refused", "change refused false", "change of session s1 at 10.0.0.1: refused: words"},
		{"no resources now", aaa.VerbChange, "", refuse(aaa.ResultRefused, 506), "retryable", "1 change refused", "change refused false", "change of session s1 at 10.0.0.1: refused: words"},
		{"no answer", aaa.VerbChange, "", refuse(aaa.ResultUnknown, 0), "retryable", "1 change unknown", "change unknown false", "change of session s1 at 10.0.0.1: unknown: words"},
		{"disconnect refused", aaa.VerbDisconnect, "", func(aaa.Deed) (aaa.Effect, error) {
			return aaa.Effect{Result: aaa.ResultRefused, Cause: 501, Detail: "words"}, nil
		}, "cancelled", "1 disconnect refused", "disconnect refused false", "disconnect of session s1 at 10.0.0.1: refused: words"},
		{"trouble", aaa.VerbChange, "", func(aaa.Deed) (aaa.Effect, error) {
			return aaa.Effect{Result: aaa.ResultFailed}, errors.New("no socket")
		}, "retryable", "no open session", "", `session s1 of "alice" at 10.0.0.1: no socket`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t)
			r.action, r.way.answer = c.action, c.answer
			if c.refused != "" {
				r.opts.Refused = c.refused
			}
			r.open("s1", "alice")
			r.follow("alice")
			defer r.serve("server#1")()
			tried := func() store.Job {
				all, err := r.Jobs(t.Context(), store.JobQuery{Kinds: []string{"follow_user"}, Limit: 1})
				if err != nil {
					t.Fatal(err)
				}
				return all[0]
			}
			until(t, "job tried", func() bool { j := tried(); return len(j.Errors) > 0 || j.State == "completed" })
			j := tried()
			if c.state == "retryable" && j.State != "completed" { // it may be available, or running, again already
				j.State = c.state
			}
			message := ""
			if len(j.Errors) > 0 {
				message = j.Errors[0].Error
			}
			if j.State != c.state || j.Output.Outcome != c.outcome || !strings.Contains(message, c.error) || (c.error == "") != (message == "") {
				t.Errorf("job %s, %q, error %q", j.State, j.Output.Outcome, message)
			}
			row := ""
			if rows := r.Rows(`SELECT verb, result, (close_at IS NOT NULL)::text FROM radial.enforcements WHERE verb IS NOT NULL`); len(rows) > 0 {
				row = strings.Join(rows[0], " ")
			}
			if row != c.row {
				t.Errorf("row %q, want %q", row, c.row)
			}
			if open := r.Rows(`SELECT count(*) FROM radacct WHERE acctstoptime IS NULL`)[0][0]; open != "1" {
				t.Error("the session was closed at once")
			}
		})
	}
}

// A device has let a session go, and no Stop comes.
func TestCloseLetGo(t *testing.T) {
	for _, c := range []struct {
		name   string
		effect aaa.Effect
		heard  string // after the answer
		stop   string // what is wrong with the row afterwards
		cause  string
		audit  string
	}{
		{"acknowledged", aaa.Effect{Result: aaa.ResultDone}, "", "acctstoptime BETWEEN now() - interval '20 seconds' AND now() AND acctsessiontime BETWEEN 3599 AND 3620", "Admin-Reset", "session.close closed"},
		{"unknown to it", aaa.Effect{Result: aaa.ResultGone, Cause: 503}, "", "acctstoptime BETWEEN now() - interval '80 seconds' AND now() - interval '58 seconds'", "Lost-Carrier", "session.close closed"},
		{"it lives on", aaa.Effect{Result: aaa.ResultDone}, "now() + interval '10 seconds'", "acctstoptime IS NULL", "NULL", "session.disconnect lives"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRoom(t)
			r.opts.CloseAfter = 500 * time.Millisecond
			r.action, r.way.answer = aaa.VerbDisconnect, func(aaa.Deed) (aaa.Effect, error) { return c.effect, nil }
			r.open("s1", "alice")
			if err := r.CreatePool(t.Context(), store.PoolSpec{Name: "main", CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/29")}}); err != nil {
				t.Fatal(err)
			}
			r.Exec(`UPDATE radial.addresses SET state = 'bound', radacctid = (SELECT radacctid FROM radacct), username = 'alice', until = now() + interval '1 day' WHERE address = '192.0.2.1'`)
			r.follow("alice")
			defer r.serve("server#1")()
			until(t, "disconnect", func() bool {
				return r.Rows(`SELECT count(*) FROM radial.enforcements WHERE close_at IS NOT NULL`)[0][0] == "1"
			})
			if c.heard != "" {
				r.Exec(`UPDATE radacct SET acctupdatetime = ` + c.heard)
			}
			until(t, "word of it", func() bool {
				rows := r.Rows(`SELECT action, detail->>'outcome' FROM radial.audit ORDER BY id DESC LIMIT 1`)
				return len(rows) > 0 && strings.Join(rows[0], " ") == c.audit
			})
			row := r.Rows(`SELECT (` + c.stop + `)::text, acctterminatecause FROM radacct`)[0]
			if row[0] != "true" || row[1] != c.cause {
				t.Errorf("row %v", r.Rows(`SELECT acctstoptime, acctsessiontime, acctterminatecause, now() FROM radacct`))
			}
			free := r.Rows(`SELECT state FROM radial.addresses WHERE address = '192.0.2.1'`)[0][0]
			if (free == "free") != (c.cause != "NULL") {
				t.Errorf("its address is %s", free)
			}
		})
	}
}

// What a server was doing when it was killed is done by another, and by itself
// after its restart.
func TestJobsOfDeadServers(t *testing.T) {
	for _, client := range []string{"other#1", "server#2"} {
		t.Run(client, func(t *testing.T) {
			r := newRoom(t)
			r.open("s1", "alice")
			r.follow("alice")
			r.Exec(`UPDATE radial.river_job SET state = 'running', attempt = 1, attempted_at = now(), attempted_by = '{server#1}' WHERE kind = 'follow_user'`)
			r.Exec(`UPDATE radial.wishes SET taken = true`)
			r.Exec(`INSERT INTO radial.enforcements (radacctid, claimed_by, claimed_until) SELECT radacctid, 'server#1#7', now() + interval '1 hour' FROM radacct`)
			defer r.serve(client)()
			if outcome := r.await("follow_user", "completed"); outcome != "1 change done" {
				t.Errorf("outcome %q", outcome)
			}
		})
	}
}

// Two servers, and everything wanted of the same sessions at once.
func TestOneAtATime(t *testing.T) {
	r := newRoom(t)
	for i := range 5 {
		r.open(fmt.Sprintf("s%d", i), "alice")
	}
	begun := make(chan struct{}) // closed when all jobs are at work
	r.way.answer = func(aaa.Deed) (aaa.Effect, error) {
		<-begun
		return aaa.Effect{Result: aaa.ResultUnsupported, Detail: "never"}, nil
	}
	r.opts.Refused = RefusedKeep
	r.follow("alice")
	ids, err := r.OpenSessionsOf(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.FollowSessions(t.Context(), "job:reconcile", "test", ids); n != 5 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := r.OrderBulk(t.Context(), store.Change{Actor: "cli:test", Action: "session.order"}, store.BulkOrder{Verb: store.BulkFollow, Asked: "user alice", Why: "test", Rate: 100, Users: []string{"alice"}}); err != nil {
		t.Fatal(err)
	}
	stop, other := r.serve(serverA+"#1"), r.serve(serverB+"#1")
	none := func(of string) func() bool {
		return func() bool {
			return r.Rows(`SELECT count(*) FROM radial.river_job WHERE queue IN ('control', 'bulk') AND ` + of)[0][0] == "0"
		}
	}
	until(t, "beginning of all jobs", none("attempt = 0"))
	close(begun)
	until(t, "end of all jobs", none("finalized_at IS NULL"))
	stop()
	other()
	if r.way.both {
		t.Error("two acted on one session at once")
	}
	if n := len(r.way.done()); n != 15 {
		t.Errorf("%d deeds", n)
	}
}

// A password that is changed ends the sessions of those who had the old one.
func TestEndUser(t *testing.T) {
	r := newRoom(t)
	r.open("old", "alice")
	r.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime) VALUES ('new', 'new', 'alice', '10.0.0.1', now() + interval '1 minute')`)
	if _, err := r.RunJob(t.Context(), store.Change{Actor: "cli:test", Action: "job.run"}, aaa.EndUser{User: "alice"}); err != nil {
		t.Fatal(err)
	}
	defer r.serve("server#1")()
	r.await("end_user", "completed")
	if diff := cmp.Diff([]string{"disconnect old"}, r.way.done()); diff != "" {
		t.Error(diff)
	}
}
