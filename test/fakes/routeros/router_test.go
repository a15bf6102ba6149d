package routeros

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The lengths at which a word's length takes a byte more, as the manual lists
// them.
func TestWordLengths(t *testing.T) {
	for _, c := range []struct {
		length int
		head   string
	}{
		{0, "00"}, {1, "01"}, {0x7F, "7f"}, {0x80, "8080"}, {0x3FFF, "bfff"}, {0x4000, "c04000"}, {0x1FFF, "9fff"}, {0xFFFFF, "cfffff"},
	} {
		word := strings.Repeat("x", c.length)
		b := appendWord(nil, word)
		if got := hex.EncodeToString(b[:len(b)-c.length]); got != c.head {
			t.Errorf("length %#x is written %s, want %s", c.length, got, c.head)
		}
		got, err := readWord(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || got != word {
			t.Errorf("length %#x: read %d bytes, %v", c.length, len(got), err)
		}
	}
	for _, bad := range []string{"f8", "ff", "80", "e0ffffff", "05616263"} {
		b, err := hex.DecodeString(bad)
		if err != nil {
			t.Fatal(err)
		}
		if word, err := readWord(bufio.NewReader(bytes.NewReader(b))); err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s was read as %q, %v", bad, word, err)
		}
	}
}

func FuzzSentence(f *testing.F) {
	f.Add(appendSentence(nil, "/login", "=name=admin", "=password="))
	f.Add([]byte{0x00, 0x00, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		words, err := readSentence(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		again, err := readSentence(bufio.NewReader(bytes.NewReader(appendSentence(nil, words...))))
		if diff := cmp.Diff(words, again); err != nil || diff != "" {
			t.Errorf("%x: %v %s", b, err, diff)
		}
	})
}

func TestQueries(t *testing.T) {
	row := map[string]string{"name": "alice", "service": "pppoe", "limit": "100", "disabled": "false", "comment": ""}
	for query, want := range map[string]bool{
		"":                                true,
		"?name":                           true,
		"?-name":                          false,
		"?profile":                        false,
		"?-profile":                       true,
		"?name=alice":                     true,
		"?=name=alice":                    true,
		"?name=bob":                       false,
		"?comment=":                       true,
		"?>limit=99":                      true,
		"?<limit=99":                      false,
		"?>limit=100":                     false,
		"?disabled=no":                    true,
		"?name=alice ?service=l2tp":       false,
		"?name=bob ?service=pppoe ?#|":    true,
		"?name=alice ?#!":                 false,
		"?name=bob ?name=alice ?#!&!":     true,
		"?name=alice ?name=bob ?#0":       false,
		"?name=alice ?name=bob ?#1":       true,
		"?name=alice ?name=bob ?#1.|":     true,  // alice's is copied: true, (false or true)
		"?name=bob ?name=alice ?#.|":      false, // the first is left as it was
		"?name=bob ?name=alice ?#.&|":     true,
		"?name=bob ?name=alice ?name ?#&": false,
	} {
		got, err := matches(strings.Fields(query), func(n string) (string, bool) { v, ok := row[n]; return v, ok })
		if err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", query, got, err, want)
		}
	}
	for _, bad := range []string{"?#|", "?name ?#&", "?name ?#7", "?name ?#x"} {
		if _, err := matches(strings.Fields(bad), func(string) (string, bool) { return "", true }); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestValues(t *testing.T) {
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, field, in, out, wrong string }{
		{"/ppp/profile", "session-timeout", "1h30m", "1h30m", ""},
		{"/ppp/profile", "session-timeout", "90", "1m30s", ""},
		{"/ppp/profile", "session-timeout", "1w2d03:04:05", "1w2d3h4m5s", ""},
		{"/ppp/profile", "session-timeout", "soon", "", "invalid time value for argument session-timeout"},
		{"/ppp/profile", "rate-limit", "10M/20M 20M/40M 8M/16M 10/10 8 1M/1M", "10M/20M 20M/40M 8M/16M 10/10 8 1M/1M", ""},
		{"/ppp/profile", "rate-limit", "fast", "", "invalid value for argument rate-limit"},
		{"/ppp/profile", "remote-address", "nopool", "", "invalid value for argument remote-address"},
		{"/ppp/secret", "disabled", "yes", "true", ""},
		{"/ppp/secret", "disabled", "perhaps", "", "invalid value for argument disabled"},
		{"/ppp/secret", "service", "pppoa", "", "input does not match any value of service"},
		{"/ppp/secret", "profile", "default-encryption", "default-encryption", ""},
		{"/ppp/secret", "profile", "gold", "", "input does not match any value of profile"},
		{"/queue/simple", "max-limit", "10M/20M", "10000000/20000000", ""},
		{"/queue/simple", "max-limit", "512k", "512000/512000", ""},
		{"/queue/simple", "priority", "1/8", "1/8", ""},
		{"/queue/simple", "priority", "9/9", "", "value of priority out of range (1..8)"},
		{"/ip/pool", "ranges", "10.0.0.2-10.0.0.9,10.1.0.0/24", "10.0.0.2-10.0.0.9,10.1.0.0/24", ""},
		{"/ip/pool", "ranges", "10.0.0.9-10.0.0.2", "", "invalid value for argument ranges"},
		{"/ip/firewall/filter", "dst-port", "80,443,1000-2000", "80,443,1000-2000", ""},
		{"/ip/firewall/filter", "dst-port", "99999", "", "invalid value for argument dst-port"},
		{"/ip/firewall/filter", "src-address", "!10.0.0.0/8", "!10.0.0.0/8", ""},
		{"/radius", "timeout", "300ms", "300ms", ""},
		{"/radius", "authentication-port", "70000", "", "value of authentication-port out of range (0..65535)"},
		{"/ip/hotspot/user", "mac-address", "aa:bb:cc:00:11:22", "AA:BB:CC:00:11:22", ""},
	} {
		got, err := r.judge(r.menus[c.path].byName[c.field], c.in)
		if text(err) != c.wrong || got != c.out {
			t.Errorf("%s %s=%s: %q, %v, want %q, %q", c.path, c.field, c.in, got, err, c.out, c.wrong)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// dialogue is a raw client.
type dialogue struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func open(t *testing.T, c Config) (*Router, *dialogue) {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(t.Context(), l, nil) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r, dial(t, l.Addr().String())
}

func dial(t *testing.T, addr string) *dialogue {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &dialogue{t, conn, bufio.NewReader(conn)}
}

// say sends a sentence and wants these sentences, words with blanks between.
func (d *dialogue) say(sentence string, want ...string) {
	d.t.Helper()
	if sentence != "" {
		if _, err := d.conn.Write(appendSentence(nil, strings.Fields(sentence)...)); err != nil {
			d.t.Fatal(err)
		}
	}
	for _, w := range want {
		words, err := readSentence(d.in)
		if got := strings.Join(words, " "); err != nil || got != w {
			d.t.Fatalf("%s: heard %q, %v, want %q", sentence, got, err, w)
		}
	}
}

func (d *dialogue) ended() {
	d.t.Helper()
	if words, err := readSentence(d.in); err == nil {
		d.t.Errorf("heard %q after the end", words)
	}
}

func TestLogins(t *testing.T) {
	const wrong = "!trap =category=4 =message=invalid user name or password (6)"
	challenge := func(d *dialogue, first string) string {
		d.say(first)
		words, err := readSentence(d.in)
		if err != nil || len(words) != 2 || len(words[1]) != len("=ret=")+32 {
			t.Fatalf("heard %q, %v", words, err)
		}
		b, err := hex.DecodeString(words[1][len("=ret="):])
		if err != nil {
			t.Fatal(err)
		}
		sum := md5.Sum(append([]byte("\x00geheim"), b...))
		return "/login =name=admin =response=00" + hex.EncodeToString(sum[:])
	}
	for _, c := range []struct {
		version    string
		plain, old bool
	}{{"6.42.12", false, true}, {"6.43.8", true, true}, {"6.49.17 (long-term)", true, false}, {"7.18.2 (stable)", true, false}} {
		t.Run(c.version, func(t *testing.T) {
			_, d := open(t, Config{Version: c.version, Password: "geheim"})
			if c.plain {
				d.say("/login =name=admin =password=falsch", wrong, "!done")
				d.say("/login =name=root =password=geheim", wrong, "!done")
				d.say("/login =name=admin =password=geheim", "!done")
				d.say("/system/identity/print", "!re =name=MikroTik", "!done")
			} else { // it looks at neither name nor password, and asks
				d.say(challenge(d, "/login =name=admin =password=geheim"), "!done")
			}
			_, d = open(t, Config{Version: c.version, Password: "geheim"})
			if c.old {
				right := challenge(d, "/login")
				d.say(right[:len(right)-1]+"x", strings.Replace(wrong, "invalid user name or password (6)", oldWrong(c.plain), 1), "!done")
				d.say(challenge(d, "/login"), "!done")
			} else {
				d.say("/login", wrong, "!done")
			}
			_, d = open(t, Config{Version: c.version})
			d.say("/ppp/secret/print", "!fatal not logged in")
			d.ended()
		})
	}
}

func oldWrong(modern bool) string {
	if modern {
		return "invalid user name or password (6)"
	}
	return "cannot log in"
}

func TestDialogue(t *testing.T) {
	for _, c := range []struct{ version, nothing string }{{"6.49.17", ""}, {"7.15.3", ""}, {"7.18", "!empty"}} {
		_, d := open(t, Config{Version: c.version})
		d.say("/login =name=admin =password=", "!done")
		if c.nothing != "" {
			d.say("/ip/pool/print", c.nothing, "!done")
		} else {
			d.say("/ip/pool/print", "!done")
		}
		d.say("/ip/pool/add =name=p =ranges=10.0.0.2-10.0.0.9", "!done =ret=*11")
		d.say("/ip/pool/add =name=p =ranges=10.0.0.2-10.0.0.9", "!trap =category=4 =message=failure: already have pool with such name", "!done")
		d.say("/ip/pool/add =ranges=10.0.0.2-10.0.0.9", "!trap =category=1 =message=missing value(s) of argument(s) name", "!done")
		d.say("/ip/pool/add =name=q =ranges=10.0.0.2 =foo=1", "!trap =category=1 =message=unknown parameter foo", "!done")
		d.say("/ip/pool/set =ranges=10.0.0.3", "!trap =category=1 =message=missing =.id=", "!done")
		d.say("/ip/pool/set =.id=*99 =ranges=10.0.0.3", "!trap =message=no such item", "!done")
		d.say("/ip/pool/set =.id=*11 =ranges=10.0.0.3 .tag=7", "!done .tag=7")
		d.say("/ip/pool/print =.proplist=ranges,.id", "!re =.id=*11 =ranges=10.0.0.3", "!done")
		d.say("/ip/pool/print =count-only=", "!done =ret=1")
		d.say("/ip/poool/print", "!trap =message=no such command prefix", "!done")
		d.say("/ip/pool/reset", "!trap =message=no such command", "!done")
		d.say("/ppp/profile/remove =.id=*0", "!trap =category=4 =message=failure: can not remove default", "!done")
		d.say("/ppp/secret/add =name=a =comment=x", "!done =ret=*12")
		d.say("/ppp/secret/unset =.id=*12 =value-name=comment", "!done")
		d.say("/ppp/secret/print =.proplist=comment,name ?name=a", "!re =name=a", "!done")
		d.say("/ppp/secret/disable =numbers=a", "!done")
		d.say("/ppp/secret/print =.proplist=disabled ?name=a", "!re =disabled=true", "!done")
		d.say("/ip/pool/remove =.id=*11", "!done")
		d.say("/quit", "!fatal session terminated on request")
		d.ended()
	}
}

func TestOrderOfRules(t *testing.T) {
	_, d := open(t, Config{})
	d.say("/login =name=admin =password=", "!done")
	d.say("/ip/firewall/filter/add =chain=input =comment=a", "!done =ret=*11")
	d.say("/ip/firewall/filter/add =chain=input =comment=b", "!done =ret=*12")
	d.say("/ip/firewall/filter/add =chain=input =comment=c =place-before=*11", "!done =ret=*13")
	d.say("/ip/firewall/filter/print =.proplist=comment", "!re =comment=c", "!re =comment=a", "!re =comment=b", "!done")
	d.say("/ip/firewall/filter/move =numbers=*12 =destination=*13", "!done")
	d.say("/ip/firewall/filter/move =numbers=*13", "!done")
	d.say("/ip/firewall/filter/print =.proplist=comment", "!re =comment=b", "!re =comment=a", "!re =comment=c", "!done")
}

func TestListen(t *testing.T) {
	r, d := open(t, Config{})
	d.say("/login =name=admin =password=", "!done")
	d.say("/ip/pool/listen =.proplist=name .tag=l")
	waitFor(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.listeners) == 1 })
	if _, err := r.Put("/ip/pool", map[string]string{"name": "p", "ranges": "10.0.0.2"}); err != nil {
		t.Fatal(err)
	}
	d.say("", "!re =name=p .tag=l")
	r.Drop("/ip/pool", "*11")
	d.say("", "!re =.dead=yes .tag=l")
	d.cancels()
}

// A listen can be cancelled from the moment in which it was read, also where it
// has not begun.
func TestListenIsCancelledAtOnce(t *testing.T) {
	r, d := open(t, Config{})
	d.say("/login =name=admin =password=", "!done")
	r.Break(Fault{On: "/ip/pool/listen", How: Slow, Delay: 50 * time.Millisecond})
	d.say("/ip/pool/listen .tag=l")
	d.cancels()
}

// cancels ends the listen of tag l.
func (d *dialogue) cancels() {
	d.t.Helper()
	d.say("/cancel =tag=l .tag=c")
	heard := map[string]bool{}
	for range 3 {
		words, err := readSentence(d.in)
		if err != nil {
			d.t.Fatal(err)
		}
		heard[strings.Join(words, " ")] = true
	}
	for _, want := range []string{"!trap =category=2 =message=interrupted .tag=l", "!done .tag=l", "!done .tag=c"} {
		if !heard[want] {
			d.t.Errorf("not heard: %s, but %v", want, heard)
		}
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 10 s")
		}
	}
}

// Each way of breaking does to the router, and tells the client, what it says.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		fault Fault
		heard string
		ended bool
		added bool
	}{
		{Fault{How: Drop}, "", true, false},
		{Fault{How: Lose}, "", true, true},
		{Fault{How: Cut}, "", true, true},
		{Fault{How: Refuse, Message: "failure: disk full", Category: 4}, "!trap =category=4 =message=failure: disk full", false, false},
		{Fault{How: Fatal, Message: "out of memory"}, "!fatal out of memory", true, false},
		{Fault{How: Slow, Delay: time.Millisecond}, "!done =ret=*11", false, true},
	} {
		r, d := open(t, Config{})
		c.fault.On, c.fault.Skip = "/ip/pool/add", 1
		r.Break(c.fault)
		d.say("/login =name=admin =password=", "!done")
		d.say("/ip/pool/add =name=", "!trap =category=1 =message=missing value(s) of argument(s) name", "!done") // skipped
		d.say("/ip/pool/add =name=p =ranges=10.0.0.2")
		if c.heard != "" {
			d.say("", c.heard)
		}
		if c.ended {
			d.ended()
		}
		if got := len(r.Items("/ip/pool")) == 1; got != c.added {
			t.Errorf("%+v: added %v, want %v", c.fault, got, c.added)
		}
	}
}
