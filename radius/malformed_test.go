package radius

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	wire "layeh.com/radius"

	"radial/nas"
)

// long sets a packet's Length field.
func long(b []byte, n int) []byte {
	b = bytes.Clone(b)
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	return b
}

// malformed are the packets that the gate must drop, with the one counter that
// each must raise (radius-semantics "Malformed-packet tests").
var malformed = []struct {
	name   string
	packet []byte
	want   Refusal
	acct   bool // sent to the accounting port
}{
	{"empty datagram", []byte{}, RefusedShort, false},
	{"19 bytes", pap(1)[:19], RefusedShort, false},
	{"Length 19", long(pap(1), 19), RefusedLengthSmall, false},
	{"Length 0", long(pap(1), 0), RefusedLengthSmall, false},
	{"Length beyond the datagram", long(pap(1), 400), RefusedLengthBeyond, false},
	{"Length 4097", long(append(pap(1), make([]byte, 4100)...), 4097), RefusedTooLong, false},
	{"datagram of 4097", append(pap(1), make([]byte, 4097-len(pap(1)))...), RefusedTooLong, false},
	{"attribute length 0", pap(1, with([]byte{4, 0})), RefusedAttrLength, false},
	{"attribute length 1", pap(1, with([]byte{4, 1})), RefusedAttrLength, false},
	{"attribute beyond the end", pap(1, with([]byte{4, 7, 1, 2, 3, 4})), RefusedAttrBeyond, false},
	{"a byte left over", pap(1, with([]byte{4})), RefusedAttrBeyond, false},
	{"attribute type 0", pap(1, with(attr(0, "x"))), RefusedAttrType, false},
	{"201 attributes", pap(1, with(slices.Repeat(attr(18, ""), 199))), RefusedAttrCount, false},
	{"empty State", pap(1, with(attr(24, ""))), RefusedStateEmpty, false},
	{"two Message-Authenticators", pap(1, with(attr(80, strings.Repeat("\x00", 16))), signedToo), RefusedMATwice, false},
	{"Message-Authenticator of 17", pap(1, with(attr(80, strings.Repeat("\x00", 15)))), RefusedMALength, false},
	{"Message-Authenticator of 19", pap(1, with(attr(80, strings.Repeat("\x00", 17)))), RefusedMALength, false},
	{"Message-Authenticator wrong", pap(1, with(attr(80, strings.Repeat("\x00", 16)))), RefusedMAWrong, false},
	{"Message-Authenticator of another secret", pap(1, signedToo, func(m *made) { m.secret = "other" }), RefusedMAWrong, false},
	{"Status-Server without Message-Authenticator", made{code: wire.CodeStatusServer}.bytes(), RefusedMAMissingPing, false},
	{"Status-Server without it, accounting", made{code: wire.CodeStatusServer}.bytes(), RefusedMAMissingPing, true},
	{"Status-Server with a wrong one", made{code: wire.CodeStatusServer, ma: true, secret: "other"}.bytes(), RefusedMAWrong, true},
	{"EAP-Message without Message-Authenticator", made{code: 1, attrs: attr(79, "\x02\x00\x00\x05\x01")}.bytes(), RefusedMAMissingEAP, false},
	{"EAP-Message beside User-Password", pap(1, with(attr(79, "\x02\x00\x00\x05\x01")), signedToo), RefusedEAPMixed, false},
	{"EAP-Message beside CHAP-Password", made{code: 1, attrs: attrs(attr(3, strings.Repeat("c", 17)), attr(79, "eap")), ma: true}.bytes(), RefusedEAPMixed, false},
	{"EAP-Message beside ARAP-Password", made{code: 1, attrs: attrs(attr(70, strings.Repeat("c", 16)), attr(79, "eap")), ma: true}.bytes(), RefusedEAPMixed, false},
	{"EAP-Message with a gap", made{code: 1, attrs: attrs(attr(79, "a"), attr(1, "nemo"), attr(79, "b")), ma: true}.bytes(), RefusedEAPGap, false},
	{"User-Password empty", made{code: 1, attrs: attr(2, "")}.bytes(), RefusedUserPassword, false},
	{"User-Password of 15", made{code: 1, attrs: attr(2, strings.Repeat("p", 15))}.bytes(), RefusedUserPassword, false},
	{"User-Password of 17", made{code: 1, attrs: attr(2, strings.Repeat("p", 17))}.bytes(), RefusedUserPassword, false},
	{"User-Password of 144", made{code: 1, attrs: attr(2, strings.Repeat("p", 144))}.bytes(), RefusedUserPassword, false},
	{"CHAP-Password of 16", made{code: 1, attrs: attr(3, strings.Repeat("p", 16))}.bytes(), RefusedCHAPPassword, false},
	{"CHAP-Password of 18", made{code: 1, attrs: attr(3, strings.Repeat("p", 18))}.bytes(), RefusedCHAPPassword, false},
	{"accounting on the authentication port", startPacket(1), RefusedWrongPort, false},
	{"authentication on the accounting port", pap(1), RefusedWrongPort, true},
	{"Access-Accept", made{code: wire.CodeAccessAccept}.bytes(), RefusedUnknownCode, false},
	{"Access-Reject", made{code: wire.CodeAccessReject}.bytes(), RefusedUnknownCode, false},
	{"Access-Challenge", made{code: wire.CodeAccessChallenge}.bytes(), RefusedUnknownCode, false},
	{"Accounting-Response", made{code: wire.CodeAccountingResponse}.bytes(), RefusedUnknownCode, true},
	{"Disconnect-Request", made{code: wire.CodeDisconnectRequest}.bytes(), RefusedUnknownCode, false},
	{"code 0", made{}.bytes(), RefusedUnknownCode, false},
	{"code 255", made{code: 255}.bytes(), RefusedUnknownCode, true},
	{"accounting with a wrong secret", startPacket(1, func(m *made) { m.secret = "other" }), RefusedAuthenticator, true},
	{"accounting with a wrong Message-Authenticator", startPacket(1, with(attr(80, strings.Repeat("\x00", 16)))), RefusedMAWrong, true},
}

// TestMalformed sends each to one running server, and a good packet after it.
func TestMalformed(t *testing.T) {
	r := start(t, plan{})
	seen := map[Refusal]bool{}
	for i, tc := range malformed {
		t.Run(tc.name, func(t *testing.T) {
			port, to := authPort, r.authAddr()
			if tc.acct {
				port, to = acctPort, r.acctAddr()
			}
			seen[tc.want] = true
			before, all := r.count("refused_total", port.String(), tc.want.String()), r.count("refused_total")
			c := dial(t, to)
			c.send(tc.packet)
			good := pap(byte(i))
			if tc.acct {
				good = startPacket(byte(i))
			}
			c.ask(good) // and no other reply came before it: ask checks the first
			if got := r.count("refused_total", port.String(), tc.want.String()); got != before+1 {
				t.Errorf("counter %s rose by %v, want 1", tc.want, got-before)
			}
			if got := r.count("refused_total"); got != all+1 {
				t.Errorf("all counters rose by %v, want 1", got-all)
			}
		})
	}
	elsewhere := []Refusal{RefusedUnknownSource, RefusedNoSecret, RefusedMAMissing, RefusedProxyState, RefusedStatusRate, RefusedRate, RefusedOverload, RefusedUndecodable}
	for _, want := range Refusals() {
		if !seen[want] && !slices.Contains(elsewhere, want) {
			t.Errorf("no packet here is refused with %s", want)
		}
	}
	if n := r.logs.Len(); n > len(Refusals()) {
		t.Errorf("%d log lines for %d packets", n, len(malformed))
	}
}

// TestOddButGood are packets that look wrong and are right.
func TestOddButGood(t *testing.T) {
	r := start(t, plan{})
	for name, b := range map[string][]byte{
		"bytes after Length":       append(pap(1), "padding"...),
		"a header alone":           made{code: 1}.bytes(),
		"200 attributes":           pap(2, with(slices.Repeat(attr(18, ""), 198))),
		"User-Name empty":          made{code: 1, id: 3, attrs: attr(1, "")}.bytes(),
		"User-Name of 253":         made{code: 1, id: 4, attrs: attr(1, strings.Repeat("u", 253))}.bytes(),
		"User-Name of odd bytes":   made{code: 1, id: 5, attrs: attr(1, "\x00\xff'\\%{x}`\t\n")}.bytes(),
		"CHAP of 17":               made{code: 1, id: 6, attrs: attr(3, strings.Repeat("c", 17))}.bytes(),
		"EAP in fragments":         made{code: 1, id: 7, attrs: attrs(attr(79, "a"), attr(79, "b"), attr(1, "x")), ma: true}.bytes(),
		"VSA too short":            pap(8, with(attr(26, "\x00\x00"))),
		"VSA without an attribute": pap(9, with(attr(26, "\x00\x00\x3a\x8c"))),
		"vendor length 0":          pap(10, with(attr(26, "\x00\x00\x3a\x8c\x08\x00abc"))),
		"vendor length 1":          pap(11, with(attr(26, "\x00\x00\x3a\x8c\x08\x01abc"))),
		"vendor length beyond":     pap(12, with(attr(26, "\x00\x00\x3a\x8c\x08\x20abc"))),
		"VSA with bytes left":      pap(13, with(attr(26, "\x00\x00\x3a\x8c\x08\x03a\x01"))),
		"integer of 3":             pap(14, with(attr(5, "abc"))),
		"integer of 5":             pap(15, with(attr(5, "abcde"))),
		"IPv6 prefix of 129 bits":  pap(16, with(attr(97, "\x00\x81\x20\x01"))),
		"IPv6 prefix, host bits":   pap(17, with(attr(97, "\x00\x08\xff\xff"))),
		"IPv6 prefix, reserved":    pap(18, with(attr(97, "\x01\x08\xff"))),
		"tag out of range":         pap(19, with(attr(64, "\xff\x00\x00\x0d"))),
		"extended without type":    pap(20, with(attr(241, ""))),
		"long-extended, M at end":  pap(21, with(attr(245, "\x01\x80a"))),
		"TLV overflow":             pap(22, with(attr(241, "\x01\x05\xffabc"))),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, r.authAddr())
			c.send(b)
			reply := c.receive(5 * time.Second)
			if reply == nil {
				t.Fatalf("no reply; refused: %v", r.count("refused_total"))
			}
			checkReply(t, reply, b, secret)
		})
	}
	t.Run("4096 bytes", func(t *testing.T) {
		dial(t, r.authAddr()).ask(filled(33, 18))
		// Nothing but Proxy-State: they do not fit beside a Message-Authenticator.
		dial(t, r.authAddr()).send(filled(33, 33))
		eventually(t, "counted", func() bool { return r.count("silent_total", "encode_error") == 1 })
	})
}

// filled is a packet of 4096 bytes: one attribute of the first kind, the rest
// of the other.
func filled(first, rest byte) []byte {
	b := append(make([]byte, 20), attr(first, "p")...)
	for len(b) < 4096 {
		n := min(255, 4096-len(b))
		if 4096-len(b)-n == 1 {
			n--
		}
		b = append(b, attr(rest, strings.Repeat("x", n-2))...)
	}
	b[0] = 1
	return long(b, 4096)
}

func TestUnknownSource(t *testing.T) {
	r := start(t, plan{devices: []*nas.Device{deviceOf("127.0.0.1/32"), {Prefix: netip.MustParsePrefix("127.0.0.3/32"), Learnt: &nas.Learnt{}}}})
	from := func(ip string) *client {
		c := r.dial(r.authAddr())
		c.conn.Close()
		conn, err := dialFrom(ip, r.authAddr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return &client{t, conn}
	}
	stranger := from("127.0.0.2")
	for id := range byte(20) {
		stranger.send(pap(id))
	}
	eventually(t, "counted", func() bool { return r.count("refused_total", "unknown_source") == 20 })
	if b := stranger.receive(10 * time.Millisecond); b != nil {
		t.Errorf("a stranger was answered %x", b)
	}
	if n := r.logs.FilterMessageSnippet("unknown source").Len(); n != 1 {
		t.Errorf("%d log lines for twenty packets, want 1", n)
	}
	from("127.0.0.3").send(pap(1))
	eventually(t, "device without a secret refused", func() bool { return r.count("refused_total", "no_secret") == 1 })
	from("127.0.0.1").ask(pap(1))
	if r.device.Learnt.LastSeen.Load() == 0 {
		t.Error("LastSeen not set")
	}
}

func TestStatusRate(t *testing.T) {
	r := start(t, plan{options: Options{AuthListen: []string{"127.0.0.1:0"}, StatusRate: 3}})
	c := r.dial(r.authAddr())
	for id := range byte(10) {
		c.send(made{code: wire.CodeStatusServer, id: id, ma: true}.bytes())
	}
	eventually(t, "the rest refused", func() bool {
		return r.count("refused_total", "status_rate")+r.count("replies_total", "Access-Accept") == 10
	})
	if n := r.count("replies_total", "Access-Accept"); n < 3 || n > 5 { // a slow machine refills
		t.Errorf("%v answered, want 3", n)
	}
	if n := r.count("duplicates_total"); n != 0 {
		t.Errorf("%v duplicates: Status-Server is not remembered", n)
	}
}
