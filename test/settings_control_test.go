package test

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"radial/test/harness"
)

// coaDevice is a device that takes CoA and Disconnect, and answers as it is told.
type coaDevice struct {
	at     netip.Addr
	mu     sync.Mutex
	came   []time.Time // when each request came
	from   []netip.Addr
	ids    map[byte]bool
	answer func(code byte) byte // 0: none
	wait   time.Duration        // before each answer
	most   int                  // requests that were open at a time
	open   int
}

// device makes a device at an address of this host, with a row in nas that the
// server knows.
func (w *world) device(t *testing.T, address string, answer func(code byte) byte) *coaDevice {
	t.Helper()
	d := &coaDevice{at: netip.MustParseAddr(address), ids: map[byte]bool{}, answer: answer}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(d.at, 0)))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.serve(conn)
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	must(t, harness.CLI(t, w.env(), "nas", "add", address, "--secret", "secret of "+address, "--type", "mikrotik", "--coa-port", fmt.Sprint(conn.LocalAddr().(*net.UDPAddr).Port)))
	c := dial(t, address, w.Auth, "secret of "+address)
	harness.Eventually(t, patience, "the server knows the device", func() bool {
		b := pap("secret of "+address, byte(serial.Add(1)), "bob", "p")
		c.send(b)
		reply := c.receive(300 * time.Millisecond)
		return reply != nil && c.check(reply, b) == nil
	})
	return d
}

func (d *coaDevice) serve(conn *net.UDPConn) {
	var answers sync.WaitGroup
	defer answers.Wait()
	for {
		b := make([]byte, 4096)
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		d.mu.Lock()
		d.came, d.from = append(d.came, time.Now()), append(d.from, from.Addr().Unmap())
		d.open++
		d.most = max(d.most, d.open)
		code, wait := d.answer(b[0]), d.wait
		d.mu.Unlock()
		answers.Go(func() {
			time.Sleep(wait) // a slow device
			d.mu.Lock()
			d.open--
			d.mu.Unlock()
			if code == 0 || n < 20 {
				return
			}
			reply := append([]byte{code, b[1], 0, 20}, b[4:20]...) // the authenticator of the request, then ours
			sum := md5.Sum(append(slices.Clone(reply), "secret of "+d.at.String()...))
			conn.WriteToUDPAddrPort(append(reply[:4], sum[:]...), from)
		})
	}
}

func (d *coaDevice) times() []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.came)
}

// session opens a session of a user at a device.
func (w *world) session(d *coaDevice, id, user string) {
	w.db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, framedipaddress, acctstarttime, acctupdatetime)
		VALUES ($1, $1, $2, $3::inet, '192.0.2.9', now() - interval '1 hour', now() - interval '1 minute')`, id, user, d.at.String())
}

func (w *world) env() []string { return []string{"RADIAL_DATABASE_URL=" + w.db.URL()} }

func acknowledge(code byte) byte { return code + 1 }
func silent(byte) byte           { return 0 }

// results are the results of an order that the command has waited for.
func results(t *testing.T, out harness.Output) map[string]int {
	t.Helper()
	var v struct{ Results map[string]int }
	if err := json.Unmarshal([]byte(out.Stdout), &v); err != nil {
		t.Fatalf("%v: %s%s", err, out.Stdout, out.Stderr)
	}
	return v.Results
}

func controlEffects() effectGroup {
	return effectGroup{
		name: "control",
		set: map[string]string{
			"control.source": "127.0.0.9", "control.timeout": "200ms", "control.tries": "2", "control.close_after": "1s", "control.refused": "keep", "control.password_change": "keep",
		},
		effects: map[string]func(*testing.T, *world){
			"control.source": func(t *testing.T, w *world) {
				d := w.device(t, "127.0.0.21", acknowledge)
				w.session(d, "source", "src")
				must(t, w.Radial(t, "session", "disconnect", "--user", "src"))
				d.mu.Lock()
				defer d.mu.Unlock()
				if d.from[0].String() != "127.0.0.9" {
					t.Errorf("it came from %s", d.from[0])
				}
			},
			"control.timeout": func(t *testing.T, w *world) {
				d := w.device(t, "127.0.0.22", silent)
				w.session(d, "timeout", "late")
				must(t, w.Radial(t, "session", "disconnect", "--user", "late", "--no-wait"))
				harness.Eventually(t, patience, "a second try", func() bool { return len(d.times()) >= 2 })
				if came := d.times(); came[1].Sub(came[0]) > 600*time.Millisecond {
					t.Errorf("the second try came %s after the first", came[1].Sub(came[0]))
				}
			},
			"control.tries": func(t *testing.T, w *world) {
				d := w.device(t, "127.0.0.23", silent)
				w.session(d, "tries", "mute")
				must(t, w.Radial(t, "session", "disconnect", "--user", "mute", "--no-wait"))
				harness.Eventually(t, patience, "word of it", func() bool {
					return len(w.db.Rows(`SELECT FROM radial.enforcements e JOIN radacct r USING (radacctid) WHERE r.username = 'mute' AND e.result = 'unknown'`)) == 1
				})
				if n := len(d.times()); n != 2 {
					t.Errorf("sent %d times", n)
				}
			},
			"control.reconcile": reconcileEffect,
			"control.close_after": func(t *testing.T, w *world) {
				d := w.device(t, "127.0.0.24", acknowledge)
				w.session(d, "close", "gone")
				must(t, w.Radial(t, "session", "disconnect", "--user", "gone"))
				harness.Eventually(t, patience, "the row is closed without a Stop", func() bool {
					return len(w.db.Rows(`SELECT FROM radacct WHERE username = 'gone' AND acctterminatecause = 'Admin-Reset'`)) == 1
				})
			},
			"control.refused": func(t *testing.T, w *world) {
				must(t, harness.CLI(t, w.env(), "user", "add", "kept", "--password", "p", "--reply", "Mikrotik-Rate-Limit := 1M/1M"))
				d := w.device(t, "127.0.0.25", acknowledge)
				w.session(d, "refused", "kept")
				if got := results(t, w.Radial(t, "session", "change", "--user", "kept", "--down", "5M", "--up", "1M", "-o", "json")); got["done"] != 1 {
					t.Fatalf("results %v", got) // from now on it is known what the session has
				}
				d.mu.Lock()
				d.answer = func(code byte) byte { return code + 2 }
				d.mu.Unlock()
				must(t, harness.CLI(t, w.env(), "user", "set", "kept", "--reply", "Mikrotik-Rate-Limit := 2M/2M"))
				harness.Eventually(t, patience, "the job says so", func() bool {
					return strings.Contains(must(t, w.Radial(t, "job", "list", "--kind", "follow_user", "--state", "cancelled")), "change of session refused at 127.0.0.25: refused")
				})
				if n := len(d.times()); n != 2 {
					t.Errorf("%d requests: one too many is a Disconnect", n)
				}
			},
			"control.password_change": func(t *testing.T, w *world) {
				must(t, harness.CLI(t, w.env(), "user", "add", "changed", "--password", "old"))
				d := w.device(t, "127.0.0.26", acknowledge)
				w.session(d, "password", "changed")
				must(t, harness.CLI(t, w.env(), "user", "set", "changed", "--password", "new"))
				harness.Eventually(t, patience, "the job says so", func() bool {
					return strings.Contains(must(t, w.Radial(t, "job", "list", "--kind", "end_user")), "kept: control.password_change says so")
				})
			},
		},
	}
}

func otherControlEffects() effectGroup {
	return effectGroup{
		name: "control of one at a time",
		set:  map[string]string{"control.per_device": "1"},
		effects: map[string]func(*testing.T, *world){
			"control.per_device": func(t *testing.T, w *world) {
				d := w.device(t, "127.0.0.27", acknowledge)
				d.mu.Lock()
				d.wait = 50 * time.Millisecond
				d.mu.Unlock()
				for i := range 4 {
					w.session(d, fmt.Sprintf("per%d", i), "many")
				}
				if got := results(t, w.Radial(t, "session", "disconnect", "--user", "many", "--yes", "-o", "json")); got["done"] != 4 {
					t.Errorf("results %v", got)
				}
				d.mu.Lock()
				defer d.mu.Unlock()
				if d.most != 1 {
					t.Errorf("%d requests at a time", d.most)
				}
			},
		},
	}
}
