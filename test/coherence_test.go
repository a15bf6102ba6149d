package test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"radial/dictionaries"
	"radial/load"
	"radial/nas"
	"radial/radius"
	"radial/store/storetest"
	"radial/test/harness"
)

const coherenceSecret = "coherence-s3cret"

// settleTime is how long after a commit the next packet must follow it.
const settleTime = 250 * time.Millisecond

// TestWhatChangesHoldsAtOnce: rows are put in, changed and deleted by SQL, and
// so are a group's, while other logins are served from the cache; a packet
// sent 250 ms after each commit follows it, in every one of 1,000 rounds, also
// when the listening connection is cut.
func TestWhatChangesHoldsAtOnce(t *testing.T) {
	const writers, roundsEach = 25, 40
	db := storetest.New(t)
	db.Exec(`INSERT INTO nas (nasname, shortname, type, secret) VALUES ('127.0.0.0/8', 'local', 'other', $1)`, coherenceSecret)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT format('u%s', lpad(i::text, 6, '0')), 'Cleartext-Password', ':=', format('pw%s', lpad(i::text, 6, '0')) FROM generate_series(0, 499) i`)
	server := harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: map[string]string{"RADIAL_REJECT_DELAY": "0s", "RADIAL_POSTAUTH_LOG": "none"}})
	dict, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}

	ended := make(chan *load.Result, 1)
	watching := make(chan load.Progress, 1)
	go func() {
		o := load.DefaultOptions()
		o.Auth, o.Acct, o.Secret = netip.MustParseAddrPort(server.Auth), netip.MustParseAddrPort(server.Acct), coherenceSecret
		o.Users, o.Window, o.Duration, o.Tries = 500, 16, 5*time.Minute, 20
		res, err := load.Run(context.Background(), o, func(p load.Progress) { watching <- p })
		if err != nil {
			t.Error(err)
		}
		ended <- res
	}()
	progress := <-watching
	hits := server.Metric(t, "radial_policy_cache_hits_total")

	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			c := changer{t: t, db: db, dict: dict, user: fmt.Sprintf("changing%d", w), group: fmt.Sprintf("plan%d", w),
				client: radius.NewClient(server.Auth, coherenceSecret, dict, radius.ClientOptions{Timeout: 3 * time.Second})}
			for round := range roundsEach {
				if w == 0 && round%10 == 5 {
					if n := len(db.Rows(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_notify(%' AND pid <> pg_backend_pid()`)); n == 0 {
						t.Error("no listening connection to cut")
					}
				}
				c.round(round)
			}
		})
	}
	group.Wait()
	progress.Finish()
	res := <-ended
	if rose := server.Metric(t, "radial_policy_cache_hits_total") - hits; rose < 1000 {
		t.Errorf("the cache was hit %v times", rose)
	}
	if res != nil && (res.Rejected > 0 || res.GivenUp > 0 || res.Accepted < 1000) {
		t.Errorf("the load beside it: %+v", res.Counts)
	}
	if n := server.Metric(t, "radial_listener_connects_total"); n < 2 {
		t.Errorf("the listener has connected %v times: it was never cut", n)
	}
}

// changer changes what decides about one user, and looks whether logins follow.
type changer struct {
	t           *testing.T
	db          *storetest.DB
	dict        *dictionaries.Dictionary
	client      *radius.Client
	user, group string
}

func (c changer) round(n int) {
	password := fmt.Sprintf("p%d", n)
	switch n % 5 {
	case 0: // a row put in
		c.db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ($1, 'Cleartext-Password', ':=', $2)`, c.user, password)
		c.want(n, password, true, "")
	case 1: // changed
		c.db.Exec(`UPDATE radcheck SET value = $2 WHERE username = $1`, c.user, password)
		c.want(n, password, true, "")
	case 2: // the old password
		c.db.Exec(`UPDATE radcheck SET value = 'something else' WHERE username = $1`, c.user)
		c.want(n, fmt.Sprintf("p%d", n-1), false, "")
	case 3: // a group's rows
		c.db.Exec(`UPDATE radcheck SET value = $2 WHERE username = $1`, c.user, password)
		c.db.Exec(`INSERT INTO radusergroup (username, groupname, priority) SELECT $1, $2, 1 WHERE NOT EXISTS (SELECT 1 FROM radusergroup WHERE username = $1)`, c.user, c.group)
		c.db.Exec(`DELETE FROM radgroupreply WHERE groupname = $1`, c.group)
		c.db.Exec(`INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ($1, 'Mikrotik-Rate-Limit', '=', $2)`, c.group, fmt.Sprintf("%dM", n))
		c.want(n, password, true, fmt.Sprintf("%dM", n))
	case 4: // deleted
		c.db.Exec(`DELETE FROM radcheck WHERE username = $1`, c.user)
		c.want(n, fmt.Sprintf("p%d", n-1), false, "")
	}
}

func (c changer) want(n int, password string, accept bool, rate string) {
	<-time.After(settleTime)
	reply, err := c.client.Login(context.Background(), radius.Login{User: c.user, Password: nas.Secret(password), Method: radius.LoginPAP})
	if err != nil {
		c.t.Errorf("%s, round %d: %v", c.user, n, err)
		return
	}
	if (reply.Code == radius.AccessAccept) != accept {
		c.t.Errorf("%s, round %d: %v, want accept %v", c.user, n, reply.Code, accept)
	}
	got, _ := reply.Pairs.Value(c.dict.Must("Mikrotik-Rate-Limit"))
	if rate != "" && string(got) != rate {
		c.t.Errorf("%s, round %d: rate %q, want %q", c.user, n, got, rate)
	}
}
