package test

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"radial/store/storetest"
	"radial/test/harness"
)

const wireSecret = "wire-s3cret"

// wireServer is a running server that knows 127.0.0.0/16 and ::1, and user bob
// with password p.
func wireServer(t *testing.T, set map[string]string) (*harness.Server, *storetest.DB) {
	t.Helper()
	db := storetest.New(t)
	db.Exec(`INSERT INTO nas (nasname, shortname, type, secret) VALUES ('127.0.0.0/16', 'local', 'other', $1), ('::1', 'six', 'other', $1), ('127.0.0.4', 'mute', 'other', '')`, wireSecret)
	db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('bob', 'Cleartext-Password', ':=', 'p')`)
	db.Exec(`UPDATE radial.settings SET value = 'UTC' WHERE key = 'timezone'`)
	merged := map[string]string{"RADIAL_REJECT_DELAY": "0s"}
	for k, v := range set {
		merged[k] = v
	}
	return harness.Start(t, harness.Config{DatabaseURL: db.URL(), Set: merged}), db
}

// Status-Server is answered on both ports, by radclient's judgement.
func TestStatusServer(t *testing.T) {
	s, _ := wireServer(t, nil)
	for addr, want := range map[string]string{s.Auth: "Access-Accept", s.Acct: "Accounting-Response"} {
		if code, out := radclient(t, addr, "status", wireSecret, "Message-Authenticator = 0x00"); code != want {
			t.Errorf("%s: %q, want %s\n%s", addr, code, want, out)
		}
	}
}

// good is a login that is accepted, and start an Accounting-Request.
func good(id byte, more ...[]byte) []byte { return pap(wireSecret, id, "bob", "p", more...) }

func start(id byte, more ...[]byte) []byte {
	return request{code: accountingRequest, id: id, secret: wireSecret, attrs: slices.Concat(av(acctStatus, "\x00\x00\x00\x01"), av(userName, "bob"), av(acctSessionID, "w"+strconv.Itoa(int(id))), slices.Concat(more...))}.bytes()
}

func signed(r request) []byte {
	r.ma = true
	if r.secret == "" {
		r.secret = wireSecret
	}
	return r.bytes()
}

// strangePackets are those of the list of malformed packets that must not be
// answered, and the reason that is counted for each.
func strangePackets() []strange {
	access := func(attrs ...[]byte) []byte {
		return request{code: accessRequest, attrs: slices.Concat(attrs...)}.bytes()
	}
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	eap := av(eapMessage, "\x02\x00\x00\x05\x01")
	long := append(good(1), make([]byte, 4200)...)
	list := []strange{
		{"empty datagram", nil, "short_packet", false},
		{"19 bytes", good(1)[:19], "short_packet", false},
		{"Length 19", withLength(good(1), 19), "length_field_small", false},
		{"Length 0", withLength(good(1), 0), "length_field_small", false},
		{"Length beyond the datagram", withLength(good(1), 400), "length_field_beyond", false},
		{"Length 4097", withLength(long, 4097), "too_long", false},
		{"datagram of 4097", long[:4097], "too_long", false},
		{"attribute length 0", good(1, []byte{4, 0}), "attribute_length", false},
		{"attribute length 1", good(1, []byte{4, 1}), "attribute_length", false},
		{"attribute beyond the end", good(1, []byte{4, 7, 1, 2, 3, 4}), "attribute_beyond", false},
		{"a byte left over", good(1, []byte{4}), "attribute_beyond", false},
		{"attribute type 0", good(1, av(0, "x")), "attribute_type", false},
		{"201 attributes", good(1, slices.Repeat(av(replyMessage, ""), 199)), "attribute_count", false},
		{"empty State", good(1, av(state, "")), "state_empty", false},
		{"two Message-Authenticators", signed(request{code: accessRequest, attrs: av(messageAuth, zeros(16))}), "message_authenticator_twice", false},
		{"Message-Authenticator of 17", good(1, av(messageAuth, zeros(15))), "message_authenticator_length", false},
		{"Message-Authenticator of 19", good(1, av(messageAuth, zeros(17))), "message_authenticator_length", false},
		{"Message-Authenticator wrong", good(1, av(messageAuth, zeros(16))), "message_authenticator_wrong", false},
		{"Message-Authenticator of another secret", signed(request{code: accessRequest, secret: "other"}), "message_authenticator_wrong", false},
		{"EAP without Message-Authenticator", access(eap), "message_authenticator_missing_eap", false},
		{"EAP beside User-Password", signed(request{code: accessRequest, attrs: slices.Concat(av(userPassword, zeros(16)), eap)}), "eap_mixed", false},
		{"EAP beside CHAP-Password", signed(request{code: accessRequest, attrs: slices.Concat(av(chapPassword, zeros(17)), eap)}), "eap_mixed", false},
		{"EAP with a gap", signed(request{code: accessRequest, attrs: slices.Concat(eap, av(userName, "bob"), eap)}), "eap_gap", false},
		{"User-Password empty", access(av(userPassword, "")), "user_password_length", false},
		{"User-Password of 15", access(av(userPassword, zeros(15))), "user_password_length", false},
		{"User-Password of 17", access(av(userPassword, zeros(17))), "user_password_length", false},
		{"User-Password of 144", access(av(userPassword, zeros(144))), "user_password_length", false},
		{"CHAP-Password of 16", access(av(chapPassword, zeros(16))), "chap_password_length", false},
		{"CHAP-Password of 18", access(av(chapPassword, zeros(18))), "chap_password_length", false},
		{"accounting on the authentication port", start(1), "wrong_port", false},
		{"authentication on the accounting port", good(1), "wrong_port", true},
		{"accounting with another secret", request{code: accountingRequest, secret: "other"}.bytes(), "authenticator_wrong", true},
		{"accounting, Message-Authenticator wrong", start(1, av(messageAuth, zeros(16))), "message_authenticator_wrong", true},
		{"accounting, attribute beyond the end", start(1, []byte{44, 9, 1}), "attribute_beyond", true},
		{"accounting of 19 bytes", start(1)[:19], "short_packet", true},
	}
	for _, acct := range []bool{false, true} {
		list = append(list,
			strange{"Status-Server without Message-Authenticator", request{code: statusServer}.bytes(), "message_authenticator_missing_status", acct},
			strange{"Status-Server of another secret", signed(request{code: statusServer, secret: "other"}), "message_authenticator_wrong", acct})
		for _, code := range []byte{0, accessAccept, accessReject, accountingResponse, accessChallenge, disconnectRequest, 43, 255} {
			list = append(list, strange{fmt.Sprintf("code %d", code), request{code: code, secret: wireSecret}.bytes(), "unknown_code", acct})
		}
	}
	return list
}

type strange struct {
	name   string
	packet []byte
	reason string
	acct   bool // sent to the accounting port
}

// Every strange packet is met with silence and counted with its reason, and a
// good one right behind it is answered.
func TestStrangePackets(t *testing.T) {
	s, _ := wireServer(t, nil)
	list := strangePackets()
	id := byte(0)
	for _, tc := range list {
		port, to := "auth", s.Auth
		if tc.acct {
			port, to = "acct", s.Acct
		}
		t.Run(port+"/"+tc.name, func(t *testing.T) {
			id++
			counter := func() (one, all float64) {
				return s.Metric(t, "radial_radius_refused_total", `port="`+port+`"`, `reason="`+tc.reason+`"`), s.Metric(t, "radial_radius_refused_total")
			}
			one, all := counter()
			c := dial(t, "", to, wireSecret)
			c.send(tc.packet)
			next := good(id)
			if tc.acct {
				next = start(id)
			}
			if reply := c.ask(next); reply[0] != accessAccept && reply[0] != accountingResponse {
				t.Errorf("the good packet behind it was answered with code %d", reply[0])
			}
			if one2, all2 := counter(); one2 != one+1 || all2 != all+1 {
				t.Errorf("%s rose by %v, all refusals by %v; want 1 and 1", tc.reason, one2-one, all2-all)
			}
		})
	}
	lines := 0
	for _, line := range s.Logs() {
		if strings.Contains(line, "RADIUS packet") {
			lines++
		}
	}
	if lines == 0 || lines > 40 {
		t.Errorf("%d log lines for %d packets", lines, len(list))
	}
	if n := s.Metric(t, "radial_radius_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
}

// Packets from devices that are treated in their own way, and from strangers.
func TestDevicePolicies(t *testing.T) {
	s, _ := wireServer(t, nil)
	must(t, s.Radial(t, "nas", "add", "127.0.0.5", "--secret", wireSecret, "--require-message-authenticator", "yes"))
	must(t, s.Radial(t, "nas", "add", "127.0.0.6", "--secret", wireSecret, "--limit-proxy-state", "yes"))
	for _, tc := range []struct {
		from, reason string
		packet       []byte
	}{
		{"127.1.0.1", "unknown_source", good(1)},
		{"127.0.0.5", "message_authenticator_missing", good(1)},
		{"127.0.0.6", "proxy_state_limited", good(1, av(proxyState, "x"))},
	} {
		// what was added just now is known within moments
		harness.Eventually(t, patience, tc.from+" is refused for "+tc.reason, func() bool {
			before := s.Metric(t, "radial_radius_refused_total", `port="auth"`, `reason="`+tc.reason+`"`)
			c := dial(t, tc.from, s.Auth, wireSecret)
			c.send(tc.packet)
			silent := c.receive(20*time.Millisecond) == nil
			return silent && s.Metric(t, "radial_radius_refused_total", `port="auth"`, `reason="`+tc.reason+`"`) == before+1
		})
	}
	// a row without a secret is told, and leaves its address to the wider row
	if !logged(s, "row of nas", "127.0.0.4", "no secret") {
		t.Error("the device without a secret is not told")
	}
	signedLogin := signed(request{code: accessRequest, attrs: slices.Concat(av(userName, "nobody"), av(userPassword, strings.Repeat("\x00", 16)), av(proxyState, "x"))})
	for _, from := range []string{"127.0.0.5", "127.0.0.6"} {
		if reply := dial(t, from, s.Auth, wireSecret).ask(signedLogin); reply[0] != accessReject {
			t.Errorf("a signed login from %s: code %d", from, reply[0])
		}
	}
	if reply := dial(t, "127.0.0.6", s.Auth, wireSecret).ask(good(2)); reply[0] != accessAccept {
		t.Errorf("without Proxy-State: code %d", reply[0])
	}
	// Status-Server is limited per source
	c := dial(t, "127.0.0.7", s.Auth, wireSecret)
	for id := range byte(200) {
		c.send(signed(request{code: statusServer, id: id}))
	}
	harness.Eventually(t, patience, "some of 200 Status-Server are refused", func() bool {
		return s.Metric(t, "radial_radius_refused_total", `reason="status_rate"`) > 0
	})
}

// Packets that look strange and are right are answered.
func TestOddPacketsAreAnswered(t *testing.T) {
	s, _ := wireServer(t, nil)
	vendor := func(v string) []byte { return av(26, "\x00\x00\x3a\x8c"+v) }
	id := byte(0)
	for name, more := range map[string][]byte{
		"200 attributes":               slices.Repeat(av(replyMessage, ""), 198),
		"VSA too short":                av(26, "\x00\x00"),
		"VSA without an attribute":     vendor(""),
		"vendor length 0":              vendor("\x08\x00abc"),
		"vendor length 1":              vendor("\x08\x01abc"),
		"vendor length beyond":         vendor("\x08\x20abc"),
		"VSA with bytes left":          vendor("\x08\x03a\x01"),
		"integer of 3":                 av(nasPort, "abc"),
		"integer of 5":                 av(nasPort, "abcde"),
		"IPv6 prefix of 129 bits":      av(97, "\x00\x81\x20\x01"),
		"IPv6 prefix with host bits":   av(97, "\x00\x08\xff\xff"),
		"IPv6 prefix, reserved byte":   av(97, "\x01\x08\xff"),
		"tag out of range":             av(64, "\xff\x00\x00\x0d"),
		"extended without a type":      av(241, ""),
		"long-extended, M at the end":  av(245, "\x01\x80a"),
		"TLV overflow":                 av(241, "\x01\x05\xffabc"),
		"Acct-Session-Id of 253 bytes": av(acctSessionID, strings.Repeat("s", 253)),
		"control characters":           av(31, "\x01\x02\x1b[31m\x7f"),
	} {
		t.Run(name, func(t *testing.T) {
			id++
			if reply := dial(t, "", s.Auth, wireSecret).ask(good(id, more)); reply[0] != accessAccept {
				t.Errorf("login: code %d", reply[0])
			}
			if len(more) > 300 {
				more = more[:300/2*2] // whole empty attributes: beside three others
			}
			dial(t, "", s.Acct, wireSecret).ask(start(id, more))
		})
	}
	t.Run("bytes behind Length", func(t *testing.T) {
		if reply := dial(t, "", s.Auth, wireSecret).ask(append(good(1), "padding"...)); reply[0] != accessAccept {
			t.Errorf("code %d", reply[0])
		}
	})
	t.Run("NUL inside the password", func(t *testing.T) {
		if reply := dial(t, "", s.Auth, wireSecret).ask(pap(wireSecret, 2, "bob", "p\x00p")); reply[0] != accessReject && reply[0] != accessAccept {
			t.Errorf("code %d", reply[0])
		}
	})
	t.Run("50 Proxy-States", func(t *testing.T) {
		var attrs []byte
		var want []string
		for i := range 50 {
			v := fmt.Sprintf("proxy %d", i)
			want = append(want, v)
			attrs = append(attrs, av(proxyState, v)...)
		}
		for _, reply := range [][]byte{
			dial(t, "", s.Auth, wireSecret).ask(good(3, attrs)),
			dial(t, "", s.Auth, wireSecret).ask(pap(wireSecret, 4, "bob", "wrong", attrs)),
			dial(t, "", s.Acct, wireSecret).ask(start(3, attrs)),
		} {
			if got := values(reply, proxyState); !slices.Equal(got, want) {
				t.Errorf("code %d brings back %q", reply[0], got)
			}
		}
	})
	t.Run("4096 bytes", func(t *testing.T) {
		b := good(5)
		for left := 4096 - len(b); left > 0; left = 4096 - len(b) {
			n := min(255, left)
			if left-n == 1 {
				n--
			}
			b = append(b, av(25, strings.Repeat("c", n-2))...)
		}
		if reply := dial(t, "", s.Auth, wireSecret).ask(withLength(b, 4096)); reply[0] != accessAccept {
			t.Errorf("code %d", reply[0])
		}
	})
	t.Run("the port and id of another request", func(t *testing.T) {
		c := dial(t, "", s.Auth, wireSecret)
		if reply := c.ask(good(6)); reply[0] != accessAccept {
			t.Errorf("code %d", reply[0])
		}
		if reply := c.ask(pap(wireSecret, 6, "bob", "wrong")); reply[0] != accessReject {
			t.Errorf("another request with the same id got the first one's answer: code %d", reply[0])
		}
	})
}

// Names that look like an attack, or are none at all, are looked up, stored as
// FreeRADIUS stores them, and harm nobody. The columns are those that FreeRADIUS
// writes: radcheck and radacct have SQL-User-Name, radpostauth User-Name.
func TestOddUserNames(t *testing.T) {
	s, db := wireServer(t, nil)
	long := strings.Repeat("u", 253)
	for i, tc := range []struct{ sent, user, post string }{
		{"", "", ""},
		{long, long, long},
		{"latin\xe9", "latin=5C351", "latin=E9"},
		{"nul\x00x", "nul=5C000x", "nul=00x"},
		{"\x00", "", ""},
		{"t\tn\nx", "t=5Ctn=5Cnx", `t\tn\nx`},
		{"esc\x1b[0m", "esc=5C033=5B0m", "esc=1B=5B0m"},
		{`o'br"ien`, `o=27br=5C=22ien`, `o=27br=22ien`},
		{`'; DROP TABLE radacct; --`, `=27=3B DROP TABLE radacct=3B --`, `=27=3B DROP TABLE radacct=3B --`},
		{`a\b`, `a=5C=5Cb`, `a=5Cb`},
		{"%{User-Password}", "=25=7BUser-Password=7D", "=25=7BUser-Password=7D"},
		{"`id`", "=60id=60", "=60id=60"},
		{"${x}$1", "=24=7Bx=7D=241", "=24=7Bx=7D=241"},
		{"=27", "=3D27", "=3D27"},
		{"Žofia Nováková", "Žofia Nováková", "Žofia Nováková"},
	} {
		t.Run(fmt.Sprintf("%.20q", tc.sent), func(t *testing.T) {
			session := fmt.Sprintf("odd%d", i)
			mac := av(callingStation, session)
			if reply := dial(t, "", s.Auth, wireSecret).ask(pap(wireSecret, byte(i), tc.sent, "p", mac)); reply[0] != accessReject {
				t.Errorf("unknown name: code %d", reply[0])
			}
			db.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ($1, 'Cleartext-Password', ':=', 'p')`, tc.user)
			if tc.sent != "" { // FreeRADIUS looks an empty name up nowhere
				harness.Eventually(t, patience, "the name is found by its row", func() bool {
					return dial(t, "", s.Auth, wireSecret).ask(pap(wireSecret, byte(i), tc.sent, "p", mac))[0] == accessAccept
				})
			}
			packet := request{code: accountingRequest, secret: wireSecret, attrs: slices.Concat(av(acctStatus, "\x00\x00\x00\x01"), av(userName, tc.sent), av(acctSessionID, session))}
			if reply := dial(t, "", s.Acct, wireSecret).ask(packet.bytes()); reply[0] != accountingResponse {
				t.Errorf("accounting: code %d", reply[0])
			}
			if rows := db.Rows(`SELECT username FROM radacct WHERE acctsessionid = $1`, session); len(rows) != 1 || rows[0][0] != tc.user {
				t.Errorf("radacct has %q, want %q", rows, tc.user)
			}
			var rows [][]string
			harness.Eventually(t, patience, "the login in radpostauth", func() bool {
				rows = db.Rows(`SELECT DISTINCT username FROM radpostauth WHERE callingstationid = $1`, session)
				return len(rows) > 0
			})
			if len(rows) != 1 || rows[0][0] != tc.post {
				t.Errorf("radpostauth has %q, want %q", rows, tc.post)
			}
			db.Exec(`DELETE FROM radcheck WHERE username = $1`, tc.user)
		})
	}
	if n := s.Metric(t, "radial_radius_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
	if rows := db.Rows(`SELECT * FROM radial.quarantine`); len(rows) != 0 {
		t.Errorf("in quarantine: %v", rows)
	}
}

// A storm of the same packet is one login: one decision, one row, and every
// answer is the same bytes.
func TestStormOfDuplicates(t *testing.T) {
	s, db := wireServer(t, nil)
	c := dial(t, "", s.Auth, wireSecret)
	packet := good(77)
	const copies = 500
	for range copies {
		c.send(packet)
	}
	first := c.receive(patience)
	if first == nil {
		t.Fatal("no answer")
	}
	if err := c.check(first, packet); err != nil || first[0] != accessAccept {
		t.Fatalf("code %d: %v", first[0], err)
	}
	harness.Eventually(t, patience, "all copies are counted", func() bool {
		return s.Metric(t, "radial_radius_duplicates_total", `kind="in_flight"`)+s.Metric(t, "radial_radius_duplicates_total", `kind="replayed"`)+
			s.Metric(t, "radial_radius_kernel_drops_total") >= copies-1
	})
	c.send(packet)
	for again := c.receive(patience); ; again = c.receive(100 * time.Millisecond) {
		if again == nil {
			break
		}
		if !bytes.Equal(again, first) {
			t.Fatalf("another answer: % x", again)
		}
	}
	if n := s.Metric(t, "radial_radius_replies_total", `code="Access-Accept"`); n != 1 {
		t.Errorf("%v decisions", n)
	}
	c.ask(pap(wireSecret, 78, "last", "p")) // its row comes after all of the storm's
	harness.Eventually(t, patience, "the row of the last login", func() bool {
		return len(db.Rows(`SELECT FROM radpostauth WHERE username = 'last'`)) == 1
	})
	if rows := db.Rows(`SELECT username, reply FROM radpostauth WHERE username = 'bob'`); len(rows) != 1 {
		t.Errorf("%d rows of radpostauth", len(rows))
	}
}

// On a wildcard listener the reply leaves from the address that was asked: a
// connected socket hears no other.
func TestReplyFromAddressAsked(t *testing.T) {
	s, _ := wireServer(t, map[string]string{"RADIAL_RADIUS_AUTH_LISTEN": ":0", "RADIAL_RADIUS_ACCT_LISTEN": "0.0.0.0:0,[::]:0"})
	_, port, err := net.SplitHostPort(s.Auth)
	if err != nil {
		t.Fatal(err)
	}
	for i, host := range []string{"127.0.0.1", "127.0.0.3", "127.0.9.9", "::1"} {
		if reply := dial(t, "", net.JoinHostPort(host, port), wireSecret).ask(good(byte(i))); reply[0] != accessAccept {
			t.Errorf("%s: code %d", host, reply[0])
		}
		if code, out := radclient(t, net.JoinHostPort(host, port), "status", wireSecret, "Message-Authenticator = 0x00"); code != "Access-Accept" {
			t.Errorf("radclient to %s: %q\n%s", host, code, out)
		}
	}
	_, port, err = net.SplitHostPort(s.Acct)
	if err != nil {
		t.Fatal(err)
	}
	for i, host := range []string{"127.0.0.1", "127.0.0.3"} {
		dial(t, "", net.JoinHostPort(host, port), wireSecret).ask(start(byte(i)))
	}
}
