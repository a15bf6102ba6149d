package test

import (
	"encoding/json"
	"strings"
	"testing"

	"radial/store/storetest"
	"radial/test/harness"
)

// loadReport is what `radial load -o json` prints, as far as it is read here.
type loadReport struct {
	Answered, Accepted, Rejected, Acknowledged uint64
	Asked                                      float64 `json:"asked_per_second"`
	Sockets                                    int
	WrongPasswords                             uint64  `json:"wrong_passwords"`
	WrongAccepted                              uint64  `json:"wrong_passwords_accepted"`
	WithoutAddress                             uint64  `json:"accepts_without_address"`
	P50                                        int64   `json:"p50_ns"`
	P999                                       int64   `json:"p999_ns"`
	CPU                                        float64 `json:"cpu_us_per_request"`
	Kinds                                      []struct {
		Kind     string
		Answered uint64
	}
	Storm *struct {
		Users, In, Refused, Out int
		AllIn                   int64 `json:"all_in_ns"`
	}
	Verified *struct {
		Acknowledged, Stored struct{ Sessions, Stops, Octets int64 }
		Missing              int `json:"missing_sessions"`
	}
}

// TestLoad runs the load generator against the server, as its user would.
func TestLoad(t *testing.T) {
	db := storetest.New(t)
	server := harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: map[string]string{"RADIAL_REJECT_DELAY": "0s"}})
	for _, args := range [][]string{
		{"nas", "add", "127.0.0.0/8", "--secret", "load-s3cret"},
		{"pool", "add", "load", "--cidr", "100.70.0.0/21"},
	} {
		if out := server.Radial(t, args...); out.Code != 0 {
			t.Fatalf("radial %v: %s%s", args, out.Stdout, out.Stderr)
		}
	}
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) SELECT format('u%s', lpad(i::text, 6, '0')), a, ':=', replace(v, '#', lpad(i::text, 6, '0'))
		FROM generate_series(0, 999) i, (VALUES ('Cleartext-Password', 'pw#'), ('Pool-Name', 'load')) x(a, v)`)
	// Another database: what the server has stored is not in it.
	empty := storetest.New(t)
	common := []string{"load", "--auth", server.Auth, "--acct", server.Acct, "--secret", "load-s3cret", "-o", "json", "--timeout", "2s"}
	load := func(t *testing.T, code int, args ...string) (r loadReport, stderr string) {
		t.Helper()
		out := server.Radial(t, append(common, args...)...)
		if out.Code != code {
			t.Fatalf("radial %v: exit code %d, want %d\n%s%s", args, out.Code, code, out.Stdout, out.Stderr)
		}
		if err := json.Unmarshal([]byte(out.Stdout), &r); err != nil {
			t.Fatalf("%v\n%s", err, out.Stdout)
		}
		return r, out.Stderr
	}
	t.Run("sessions by MS-CHAPv2 from many sources, some with wrong passwords", func(t *testing.T) {
		r, _ := load(t, 0, "session", "--login", "mschapv2", "--source", "127.3.0.0/28", "--sockets", "8", "--wrong-passwords", "20%", "--count", "300", "--duration", "1m", "--verify")
		in := 300 - r.WrongPasswords
		if r.WrongPasswords < 20 || r.Rejected != r.WrongPasswords || r.Accepted != in || r.Acknowledged != 5*in || r.WithoutAddress > 0 || r.WrongAccepted > 0 {
			t.Errorf("%+v", r)
		}
		if len(r.Kinds) != 4 || r.P50 == 0 || r.P999 < r.P50 || r.CPU == 0 || r.Sockets != 8 {
			t.Errorf("%+v", r)
		}
		if v := r.Verified; v == nil || v.Acknowledged != v.Stored || v.Stored.Stops != int64(in) || v.Stored.Octets != int64(in)*4*11_000_022 {
			t.Errorf("verified %+v", r.Verified)
		}
	})
	t.Run("accounting in an open loop", func(t *testing.T) {
		r, _ := load(t, 0, "acct", "--rate", "300", "--duration", "2s", "--acct-resend", "anew", "--verify")
		if r.Asked != 300 || r.Answered < 450 || r.Answered > 750 || r.Acknowledged != r.Answered || r.Verified.Missing != 0 || r.Verified.Stored.Stops < 20 {
			t.Errorf("%+v, verified %+v", r, r.Verified)
		}
	})
	t.Run("what is not stored is told", func(t *testing.T) {
		out := harness.CLI(t, []string{"RADIAL_DATABASE_URL=" + empty.URL()}, append(common, "acct", "--count", "20", "--verify", "--verify-within", "0s")...)
		if out.Code != 1 || !strings.Contains(out.Stderr, "was acknowledged and is not stored") || !strings.Contains(out.Stdout, `"missing_sessions": 20`) {
			t.Errorf("exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
		}
	})
	t.Run("a storm", func(t *testing.T) {
		r, _ := load(t, 0, "storm", "--users", "1000", "--timeout", "300ms", "--redial", "500ms", "--verify")
		if s := r.Storm; s == nil || s.Users != 1000 || s.In != 1000 || s.Refused+s.Out != 0 || s.AllIn == 0 {
			t.Errorf("storm %+v", r.Storm)
		}
	})
}
