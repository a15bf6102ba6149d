package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"radial/dictionaries"
)

// stub is a server that answers every request with one code and keeps what
// came.
type stub struct {
	addr     string
	requests chan dictionaries.Pairs
}

func startStub(t *testing.T, secret string, code byte, attrs ...byte) *stub {
	t.Helper()
	d, err := dictionaries.Load()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stub{addr: conn.LocalAddr().String(), requests: make(chan dictionaries.Pairs, 16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			request := slices.Clone(buf[:n])
			pairs, err := d.Decode(nil, request[20:], dictionaries.Keys{Secret: []byte(secret), Authenticator: (*[16]byte)(request[4:20])})
			if err != nil {
				t.Error(err)
			}
			s.requests <- pairs
			reply := append(append([]byte{code, request[1], 0, 0}, request[4:20]...), attrs...)
			binary.BigEndian.PutUint16(reply[2:], uint16(len(reply)))
			sum := md5.Sum(append(slices.Clone(reply), secret...))
			copy(reply[4:], sum[:])
			if _, err := conn.WriteTo(reply, from); err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return s
}

// radialClient runs `radial client …` and returns what it printed.
func radialClient(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, format: formatTable, now: func() time.Time { return time.Unix(1893456000, 0) }}
	code = a.execute(context.Background(), newRoot(a), append([]string{"client"}, args...))
	return code, out.String(), errs.String()
}

func TestClientExitCodes(t *testing.T) {
	accept, reject := startStub(t, "s3cret", 2, 8, 6, 100, 64, 0, 9), startStub(t, "s3cret", 3, append([]byte{18, 6}, "nope"...)...)
	ack, nak := startStub(t, "s3cret", 44), startStub(t, "s3cret", 42)
	other, wrong := startStub(t, "other", 2), startStub(t, "s3cret", 5)
	quick := []string{"--timeout", "20ms", "--tries", "1", "--secret", "s3cret"}
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"auth", "bob", "--password", "x", "--server", accept.addr}, 0, "Framed-IP-Address = 100.64.0.9", ""},
		{[]string{"status", "--server", accept.addr}, 0, "Received Access-Accept Id ", ""},
		{[]string{"auth", "bob", "--password", "x", "--server", reject.addr}, 1, `Reply-Message = "nope"`, "Access-Reject"},
		{[]string{"coa", "bob", "--server", ack.addr}, 0, "Received CoA-ACK", ""},
		{[]string{"disconnect", "bob", "--server", nak.addr}, 1, "Received Disconnect-NAK", "Disconnect-NAK"},
		{[]string{"auth", "bob", "--password", "x", "--server", other.addr}, 3, "Sent Access-Request", "secrets differ"},
		{[]string{"auth", "bob", "--password", "x", "--server", wrong.addr}, 3, "", "does not answer the request"},
		{[]string{"auth", "bob", "--password", "x", "--server", accept.addr, "--require-message-authenticator"}, 3, "", "no Message-Authenticator"},
		{[]string{"auth", "bob", "--password", "x", "--server", accept.addr, "--method", "mschapv2"}, 3, "", "MS-CHAP2-Success is missing"},
		{[]string{"status", "--server", "127.0.0.1:9"}, 3, "", "no answer"},

		{nil, 2, "", "needs a verb"},
		{[]string{"auth"}, 2, "", "NAME is missing"},
		{[]string{"auth", "bob"}, 2, "", "--password is missing"},
		{[]string{"auth", "bob", "--password", "x", "--method", "eap"}, 2, "", `--method "eap"`},
		{[]string{"auth", "bob", "--password", "x", "--attr", "NoSuchAttr=1"}, 2, "", "NoSuchAttr"},
		{[]string{"auth", "bob", "--password", "x", "--attr", "NAS-Port=x"}, 2, "", "NAS-Port"},
		{[]string{"auth", "bob", "--password", "x", "--attr", "NAS-Port"}, 2, "", "want Name=value"},
		{[]string{"auth", "bob", "--password", "x", "--local", "here"}, 2, "", "--local"},
		{[]string{"status", "--count", "0"}, 2, "", "--count"},
		{[]string{"coa"}, 2, "", "nothing says which session"},
		{[]string{"coa", "a", "b"}, 2, "", `"b"`},
		{[]string{"acct"}, 2, "", "needs a verb"},
		{[]string{"acct", "start", "bob"}, 2, "", "--session-id is missing"},
		{[]string{"acct", "stop", "bob", "--session-id", "1", "--cause", "Boredom"}, 2, "", "Acct-Terminate-Cause"},
	} {
		args := c.args
		if len(args) > 1 || len(args) == 1 && args[0] != "acct" {
			args = append(slices.Clone(args), quick...)
		}
		code, stdout, stderr := radialClient(t, args...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) || (code == 0) != (stderr == "") {
			t.Errorf("%q: exit code %d, want %d\nstdout %s\nstderr %s", c.args, code, c.code, stdout, stderr)
		}
	}
}

// What is asked for is what goes out.
func TestClientRequests(t *testing.T) {
	auth, acct, coa := startStub(t, "testing123", 2), startStub(t, "testing123", 5), startStub(t, "testing123", 44)
	for _, c := range []struct {
		stub *stub
		args []string
		want string
	}{
		{auth, []string{"auth", "bob", "--password", "p w", "--attr", "NAS-Port-Id=ether1", "--attr", `Mikrotik-Host-IP = "192.0.2.9"`},
			`User-Name = "bob" | User-Password = "p w" | NAS-Identifier = "radial-client" | NAS-Port-Id = "ether1" | Mikrotik-Host-IP = 192.0.2.9`},
		{auth, []string{"auth", "bob", "--password", "x", "--attr", "NAS-IP-Address=192.0.2.1"}, `User-Name = "bob" | User-Password = "x" | NAS-IP-Address = 192.0.2.1`},
		{acct, []string{"acct", "start", "bob", "--session-id", "81", "--ip", "100.64.0.9"},
			`Acct-Status-Type = Start | User-Name = "bob" | Acct-Session-Id = "81" | Framed-IP-Address = 100.64.0.9 | NAS-Identifier = "radial-client"`},
		{acct, []string{"acct", "interim", "bob", "--attr", "Acct-Session-Id=82", "--input", "4294967301", "--output", "7", "--session-time", "60"},
			`Acct-Status-Type = Interim-Update | User-Name = "bob" | Acct-Session-Time = 60 | Acct-Input-Octets = 5 | Acct-Output-Octets = 7 | ` +
				`Acct-Input-Gigawords = 1 | Acct-Output-Gigawords = 0 | NAS-Identifier = "radial-client" | Acct-Session-Id = "82"`},
		{acct, []string{"acct", "stop", "bob", "--session-id", "81"},
			`Acct-Status-Type = Stop | User-Name = "bob" | Acct-Session-Id = "81" | Acct-Session-Time = 0 | Acct-Input-Octets = 0 | Acct-Output-Octets = 0 | ` +
				`Acct-Input-Gigawords = 0 | Acct-Output-Gigawords = 0 | Acct-Terminate-Cause = User-Request | NAS-Identifier = "radial-client"`},
		{acct, []string{"acct", "on", "--attr", "NAS-Identifier=r1"}, `Acct-Status-Type = Accounting-On | NAS-Identifier = "r1"`},
		{acct, []string{"acct", "off"}, `Acct-Status-Type = Accounting-Off | NAS-Identifier = "radial-client"`},
		{acct, []string{"status"}, ""},
		{coa, []string{"coa", "bob", "--attr", "Mikrotik-Rate-Limit=5M/20M"}, `User-Name = "bob" | Mikrotik-Rate-Limit = "5M/20M" | Event-Timestamp = 1893456000`},
		{coa, []string{"coa", "--attr", "Acct-Session-Id=81", "--attr", "Event-Timestamp=1893456001"}, `Acct-Session-Id = "81" | Event-Timestamp = 1893456001`},
	} {
		if code, stdout, stderr := radialClient(t, append(c.args, "--server", c.stub.addr)...); code != 0 {
			t.Errorf("%q: exit code %d\n%s%s", c.args, code, stdout, stderr)
			continue
		}
		var lines []string
		for _, p := range <-c.stub.requests {
			switch p.Attr.Name {
			case "Message-Authenticator":
			case "Event-Timestamp": // printed in local time
				lines = append(lines, "Event-Timestamp = "+jsonNumber(binary.BigEndian.Uint32(p.Value)))
			default:
				lines = append(lines, p.String())
			}
		}
		if got := strings.Join(lines, " | "); got != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.args, got, c.want)
		}
	}
}

func jsonNumber(n uint32) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestClientJSON(t *testing.T) {
	s := startStub(t, "testing123", 2, 8, 6, 100, 64, 0, 9)
	code, stdout, stderr := radialClient(t, "auth", "bob", "--password", "hidden", "--server", s.addr, "--count", "2", "-o", "json")
	if code != 0 || strings.Contains(stdout, "hidden") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	var got []exchangeView
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if len(got) != 2 || got[1].Received == nil || got[1].Received.Code != "Access-Accept" || got[1].Received.Attributes[0].Value != "100.64.0.9" ||
		got[0].Sent.Attributes[1].Value != "***" || got[0].Sent.ID == got[1].Sent.ID && got[0].Sent.From == got[1].Sent.From {
		t.Errorf("got %s", stdout)
	}
	if _, stdout, _ := radialClient(t, "auth", "bob", "--password", "hidden", "--server", s.addr, "--show-secrets"); !strings.Contains(stdout, `User-Password = "hidden"`) {
		t.Errorf("--show-secrets: %s", stdout)
	}
}

func TestClientServerPort(t *testing.T) {
	for server, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:3799", "192.0.2.1:1700": "192.0.2.1:1700", "2001:db8::1": "[2001:db8::1]:3799",
		"[2001:db8::1]": "[2001:db8::1]:3799", "[2001:db8::1]:1700": "[2001:db8::1]:1700", "router.example": "router.example:3799",
	} {
		f := clientFlags{server: server, defaultPort: "3799"}
		if got := f.address(); got != want {
			t.Errorf("%s: got %s, want %s", server, got, want)
		}
	}
}
