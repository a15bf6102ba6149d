package dictionaries

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// radclientLines are attributes as an operator writes them for radclient.
var radclientLines = []string{
	`User-Name = "a\"b\\c\td\001é\200x\nz\177\r"`,
	`User-Password = "p w"`,
	`Framed-IPv6-Address = ::1.2.3.4`,
	`Framed-IPv6-Address = 2001:db8:0:1:0:0:0:1`,
	`Framed-IPv6-Prefix = 2001:db8::1/56`,
	`Delegated-IPv6-Prefix = 2001:db8::/56`,
	`Delegated-IPv6-Prefix = ::1/128`,
	`Event-Timestamp = "Jan  1 2030 00:00:00"`,
	`Event-Timestamp = "21 Nov 2026 23:00"`,
	`Event-Timestamp = "1893456000"`,
	`Event-Timestamp = "31 Dec 2029 24:00"`,
	`Framed-Interface-Id = 0:1:a:ffff`,
	`PMIP6-Home-IPv4-HoA = 10.1.2.3/24`,
	`Service-Type = 99`,
	`Service-Type = Framed`,
	`Service-Type = 12`,
	`Framed-Compression = VJ-TCP-IP`,
	`Class = abc`,
	`Class = 0x0aFF`,
	`EAP-Message = 0x` + "02" + strings.Repeat("ab", 299),
	`Tunnel-Type:1 = VLAN`,
	`Tunnel-Type = 13`,
	`Tunnel-Private-Group-Id:1 = 100`,
	`Tunnel-Private-Group-Id = 100`,
	`Tunnel-Preference:31 = 7`,
	`Attr-231 = 0x010203`,
	`Attr-26.9.250 = 0x01`,
	`Vendor-9-Attr-251 = 0x0102`,
	`Attr-26.9.199 = 0x0102`,
	`Attr-26.60001.1 = 0x0102`,
	`Attr-4 = 0x0a000001`,
	`Framed-IP-Address = 10.0.0.1/32`,
	`Session-Timeout = 0x10`,
	`Mikrotik-Rate-Limit = "1M/1M 2M/2M"`,
	`Mikrotik-Recv-Limit-Gigawords = 3`,
	`MS-CHAP-Challenge = 0x00`,
	`MS-CHAP-MPPE-Keys = 0x000102030405060708090a0b0c0d0e0f1011121314151617`,
	`Cisco-AVPair = "ip:addr-pool=x"`,
	`WiMAX-Release = "2.0"`,
	`WiMAX-Accounting-Capabilities = 1`,
	`FreeRADIUS-802.1X-Anonce = 0x010203`,
	`Cambium-Acct-Class-Name = "x"`,
	`Cambium-Acct-Input-Octets = 5`,
	`Cambium-Authorize-Bytes-Left = 18446744073709551615`,
	`SN-VPN-Name = "two octets of type and length"`,
	`USR-Last-Number-Dialed-Out = "four and none"`,
	`Lucent-Max-Shared-Users = 10`,
	`Called-Station-Id = 00-11-22-33-44-55`,
	`ERX-Service-Activate:2 = "svc"`,
	`ERX-Service-Timeout:2 = 60`,
	`Frag-Status = Fragmentation-Supported`,
	`Original-Packet-Code = 4`,
	`IP-Port-Local-Id = "x"`,
	`Chargeable-User-Identity = "c"`,
}

// exchange runs radclient against a socket of ours. It returns the packet that
// radclient sends, what it says that it sent, and what it says that it received
// if answer, called with the packet, returns a reply.
func exchange(t *testing.T, input string, answer func(packet []byte) []byte) (packet []byte, sent, received []string) {
	t.Helper()
	radclient, err := exec.LookPath("radclient")
	if err != nil {
		t.Skip("SKIPPED: radclient is not installed; install the package freeradius-utils")
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // nothing is lost by a failed close
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(file, []byte(input), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(radclient, "-x", "-r", "1", "-t", "0.5", "-f", file, conn.LocalAddr().String(), "auth", string(keys().Secret))
	cmd.Env = append(os.Environ(), "TZ=UTC")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	packet = make([]byte, 4096)
	n, from, err := conn.ReadFromUDPAddrPort(packet)
	if err == nil {
		packet = packet[:n]
		if reply := answer(packet); reply != nil {
			_, err = conn.WriteToUDPAddrPort(reply, from)
		}
	}
	exit := cmd.Wait() // without an answer it fails after its one try; what it printed counts
	if err != nil {
		t.Fatalf("%v; radclient: %v\n%s", err, exit, out.Bytes())
	}
	list := &sent
	for line := range strings.Lines(out.String()) {
		text, ok := strings.CutPrefix(line, "\t")
		switch {
		case strings.HasPrefix(line, "Received"):
			list = &received
		case ok && !strings.HasPrefix(text, "Cleartext-Password"):
			*list = append(*list, strings.TrimSuffix(text, "\n"))
		}
	}
	return packet, sent, received
}

// TestAgainstRadclient holds text, wire and printing against FreeRADIUS's own
// code: radclient parses, prints and sends, and we do the same.
func TestAgainstRadclient(t *testing.T) {
	d, err := LoadFile(needFreeRADIUS(t, "dictionary"))
	if err != nil {
		t.Fatal(err)
	}
	d.Location = time.UTC
	packet, said, _ := exchange(t, strings.Join(radclientLines, "\n")+"\n", func([]byte) []byte { return nil })
	k := Keys{Secret: keys().Secret, Authenticator: (*[16]byte)(packet[4:20])}

	got, err := d.Decode(nil, packet[20:], k)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(said, lines(got)); diff != "" {
		t.Errorf("what radclient says it sent, and what we read:\n%s", diff)
	}

	var ps Pairs
	for _, line := range radclientLines {
		ref, text, _ := strings.Cut(line, " = ")
		ps = append(ps, pair(t, d, ref, unquote(text)))
	}
	if diff := cmp.Diff(said, lines(ps)); diff != "" {
		t.Errorf("what radclient prints, and what we print:\n%s", diff)
	}
	wire, err := d.Append(nil, ps, k)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(wire, packet[20:]) {
		t.Errorf("radclient sent\n%x\nwe send\n%x", packet[20:], wire)
	}
}

// TestRadclientReadsReplies: FreeRADIUS's own code reads what we send in a
// reply, hidden attributes included.
func TestRadclientReadsReplies(t *testing.T) {
	d, err := LoadFile(needFreeRADIUS(t, "dictionary"))
	if err != nil {
		t.Fatal(err)
	}
	var ps Pairs
	for _, p := range [][2]string{
		{"Reply-Message", "hello"},
		{"Tunnel-Password:1", "secret one"},
		{"Tunnel-Password", "x"},
		{"Tunnel-Type:1", "VLAN"},
		{"Tunnel-Private-Group-Id", "\x05tag-like"},
		{"MS-MPPE-Send-Key", "0x" + strings.Repeat("0a", 32)},
		{"MS-CHAP-MPPE-Keys", "0x" + strings.Repeat("0b", 24)},
		{"PKM-CA-Cert", "0x" + strings.Repeat("0c", 400)},
		{"Framed-IPv6-Prefix", "2001:db8:1::/64"},
		{"Cambium-Acct-Class-Name", "a"},
		{"Cambium-Acct-Input-Octets", "1"},
		{"Cambium-Acct-Class-Name", strings.Repeat("b", 230)},
		{"Mikrotik-Rate-Limit", "20M/100M"},
		{"Attr-26.60001.7", "0x01"},
		{"LCS-IKEv2-Local-Password:2", "tagged and hidden in a VSA"},
		{"WiMAX-Release", "1.2"},
		{"WiMAX-Accounting-Capabilities", "2"},
		{"FreeRADIUS-802.1X-EAPoL-Key-Msg", "0x" + strings.Repeat("0d", 300)},
	} {
		ps = append(ps, pair(t, d, p[0], p[1]))
	}
	_, _, received := exchange(t, "User-Name = x\n", func(packet []byte) []byte {
		reply := append([]byte{2, packet[1], 0, 0}, packet[4:20]...)
		reply, err := d.Append(reply, ps, Keys{Secret: keys().Secret, Authenticator: (*[16]byte)(packet[4:20])})
		if err != nil {
			t.Error(err)
		}
		binary.BigEndian.PutUint16(reply[2:], uint16(len(reply)))
		sum := md5.Sum(append(bytes.Clone(reply), keys().Secret...)) // Response Authenticator, RFC 2865 §3
		copy(reply[4:], sum[:])
		return reply
	})
	for i := range received { // radclient shows the zero tag that stands for none
		received[i] = strings.Replace(received[i], ":0 = ", " = ", 1)
	}
	if diff := cmp.Diff(lines(ps), received); diff != "" {
		t.Errorf("what we sent, and what radclient read:\n%s", diff)
	}
}

// unquote undoes radclient's double quotes.
func unquote(text string) string {
	if !strings.HasPrefix(text, `"`) {
		return text
	}
	var b []byte
	for text = text[1 : len(text)-1]; text != ""; text = text[1:] {
		if text[0] != '\\' {
			b = append(b, text[0])
			continue
		}
		text = text[1:]
		switch c := text[0]; {
		case c == 'n':
			b = append(b, '\n')
		case c == 't':
			b = append(b, '\t')
		case c == 'r':
			b = append(b, '\r')
		case c >= '0' && c <= '3':
			b = append(b, (c-'0')<<6|(text[1]-'0')<<3|(text[2]-'0'))
			text = text[2:]
		default:
			b = append(b, c)
		}
	}
	return string(b)
}
