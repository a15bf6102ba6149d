package test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"radial/store/storetest"
	"radial/test/harness"
)

// TestStorm: a thousand users dial at once, and the database leases three
// hundred addresses a second at most. Who is not answered within 900 ms dials
// again after half a second or so: there are always more logins than can be
// answered in time. A server that answers them in their order is late for
// everybody, and never gets out of it; so is one whose batches last for longer
// than anybody waits.
func TestStorm(t *testing.T) {
	const users = 1000
	db := storetest.New(t)
	server := harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: map[string]string{"RADIAL_POSTAUTH_LOG": "none"}})
	for _, args := range [][]string{
		{"nas", "add", "127.0.0.0/8", "--secret", "load-s3cret"},
		{"pool", "add", "load", "--cidr", "100.70.0.0/20"},
	} {
		if out := server.Radial(t, args...); out.Code != 0 {
			t.Fatalf("radial %v: %s%s", args, out.Stdout, out.Stderr)
		}
	}
	db.Exec(fmt.Sprintf(`INSERT INTO radcheck (username, attribute, op, value) SELECT format('u%%s', lpad(i::text, 6, '0')), a, ':=', replace(v, '#', lpad(i::text, 6, '0'))
		FROM generate_series(0, %d - 1) i, (VALUES ('Cleartext-Password', 'pw#'), ('Pool-Name', 'load')) x(a, v)`, users))
	// three milliseconds for each that is offered, one after the other
	db.Exec(`CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF EXISTS (SELECT FROM changed WHERE state = 'offered') THEN
			PERFORM pg_advisory_xact_lock(4711), pg_sleep(0.003 * (SELECT count(*) FROM changed WHERE state = 'offered'));
		END IF;
		RETURN NULL; END $$;
		CREATE TRIGGER slowly AFTER UPDATE ON radial.addresses REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION slowly()`)
	out := server.Radial(t, "load", "storm", "--auth", server.Auth, "--acct", server.Acct, "--secret", "load-s3cret", "--users", fmt.Sprint(users), "--source", "127.4.0.0/28",
		"--redial", "500ms", "--duration", "25s", "-o", "json", "--verify")
	var r loadReport
	if err := json.Unmarshal([]byte(out.Stdout), &r); err != nil {
		t.Fatalf("%v\n%s%s", err, out.Stdout, out.Stderr)
	}
	if r.Storm == nil || r.Verified == nil {
		t.Fatalf("no storm: %s", out.Stdout)
	}
	s := *r.Storm
	t.Logf("%d of %d users were in after %s; %d logins were answered, %d users refused; %d of %d Starts stored", s.In, s.Users, time.Duration(s.AllIn), r.Accepted, s.Refused,
		r.Verified.Stored.Sessions, r.Verified.Acknowledged.Sessions)
	if out.Code != 0 || s.In != users || s.Refused+s.Out != 0 || r.Verified.Missing != 0 {
		t.Errorf("exit code %d, storm %+v\n%s", out.Code, s, out.Stderr)
	}
	if waited := server.Metric(t, "radial_radius_silent_total", `cause="waited"`); waited == 0 {
		t.Error("nobody has waited for too long: that was no storm")
	}
	if n := server.Metric(t, "radial_radius_in_flight_requests"); n != 0 {
		t.Errorf("%v requests in flight at the end", n)
	}
	if made := server.Metric(t, "radial_radius_replies_total", `code="Access-Accept"`); made > 3*users {
		t.Errorf("%v logins were let in for %d users: work was wasted on those whom nobody waited for", made, users)
	}
}
