package radius

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// answerTo is an exchange with a reply of some size to a port, as the receiver leaves it.
func answerTo(to netip.AddrPort, size int, text string) *exchange {
	x := newExchange().(*exchange)
	x.source = to
	raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
	x.route.nameLen = unix.SizeofSockaddrInet4
	x.route.name[0], x.route.name[1] = byte(raw.Family), byte(raw.Family>>8)
	x.route.name[2], x.route.name[3] = byte(to.Port()>>8), byte(to.Port())
	copy(x.route.name[4:], raw.Addr[:])
	x.reply = append(x.reply, make([]byte, size)...)
	copy(x.reply, text)
	return x
}

// sending is a sender on a socket of ours.
func sending(t *testing.T) (*sender, *net.UDPConn) {
	t.Helper()
	conns, err := bind("127.0.0.1:0", 1, 1<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conns[0].Close() })
	s, err := newSender(conns[0], false)
	if err != nil {
		t.Fatal(err)
	}
	return s, conns[0]
}

// hearing is a socket of somebody else, and its port.
func hearing(t *testing.T) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// heard returns n datagrams that have come to a socket, sorted.
func heard(t *testing.T, conn *net.UDPConn, n int) (got []string) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	for len(got) < n {
		k, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%d of %d datagrams: %v", len(got), n, err)
		}
		got = append(got, string(buf[:k]))
	}
	slices.Sort(got)
	return got
}

// TestSend: each reply arrives by itself, once and whole, at its own port, whatever goes to the kernel
// together; with a socket that the kernel cuts nothing up for (no checksums) as well.
func TestSend(t *testing.T) {
	for _, refused := range []bool{false, true} {
		t.Run(fmt.Sprintf("refused=%t", refused), func(t *testing.T) {
			s, ours := sending(t)
			if refused {
				rc, err := ours.SyscallConn()
				if err == nil {
					err = control(rc, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) })
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			var clients []*net.UDPConn
			var xs []*exchange
			want := make([][]string, 3)
			for c := range 3 {
				conn, port := hearing(t)
				clients = append(clients, conn)
				for i := range batchSize / 3 {
					x := answerTo(port, []int{20, 38, 38, 1300, 1300}[i%5], fmt.Sprintf("%d/%d", c, i))
					xs = append(xs, x)
					want[c] = append(want[c], string(x.reply))
				}
				slices.Sort(want[c])
			}
			// side by side in no order
			slices.SortFunc(xs, func(a, b *exchange) int { return slices.Compare(a.reply[2:], b.reply[2:]) })
			s.send(xs, func(x *exchange, err error) { t.Errorf("%.5s: %v", x.reply, err) })
			for c, conn := range clients {
				if got := heard(t, conn, len(want[c])); !slices.Equal(got, want[c]) {
					t.Errorf("client %d has heard %q, want %q", c, got, want[c])
				}
			}
			if together := s.to < len(xs); together == refused {
				t.Errorf("%d replies went as %d messages", len(xs), s.to)
			}
			if s.singly != refused {
				t.Errorf("singly is %t after a kernel that refused: %t", s.singly, refused)
			}
		})
	}
}

// TestSendTellsEach: replies that the kernel refuses are told one by one, and the others arrive.
func TestSendTellsEach(t *testing.T) {
	s, _ := sending(t)
	client, there := hearing(t)
	nowhere := netip.MustParseAddrPort("127.0.0.1:0")
	var xs []*exchange
	for i := range 6 {
		xs = append(xs, answerTo(there, 38, fmt.Sprint(i)), answerTo(nowhere, 38, fmt.Sprint(i)))
	}
	var failed []string
	s.send(xs, func(x *exchange, err error) {
		if x.source != nowhere || !errors.Is(err, unix.EINVAL) {
			t.Errorf("to %v: %v", x.source, err)
		}
		failed = append(failed, string(x.reply[:1]))
	})
	slices.Sort(failed)
	if want := []string{"0", "1", "2", "3", "4", "5"}; !slices.Equal(failed, want) {
		t.Errorf("told of %q, want %q", failed, want)
	}
	heard(t, client, 6)
	if s.singly {
		t.Error("a destination's fault stopped the sharing of messages")
	}
}

// TestTrySend: what there is no room for is left, and nothing is sent twice.
func TestTrySend(t *testing.T) {
	s, _ := sending(t)
	calls := 0
	s.tryCall = func(fd uintptr) { // a kernel that has room for two messages, every other time
		if calls++; calls%2 == 0 {
			s.n, s.err = 0, unix.EAGAIN
			return
		}
		all := s.to
		s.to = min(s.from+2, all)
		s.call(fd)
		s.to = all
	}
	client, to := hearing(t)
	var xs []*exchange
	for i := range batchSize {
		xs = append(xs, answerTo(to, 200+i/4, fmt.Sprintf("%02d", i)))
	}
	var got []string
	for rest := xs; len(rest) > 0; {
		n := s.trySend(rest, func(_ *exchange, err error) { t.Fatal(err) })
		var want []string
		for _, x := range rest[:n] {
			want = append(want, string(x.reply))
		}
		slices.Sort(want)
		if n == 0 || n == len(xs) {
			t.Fatalf("%d of %d sent with room for two messages", n, len(xs))
		}
		if came := heard(t, client, n); !slices.Equal(came, want) {
			t.Fatalf("came %q, want %q", came, want)
		}
		rest = rest[n:]
		got = append(got, want...)
	}
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != batchSize {
		t.Errorf("%d different replies, want %d", len(got), batchSize)
	}
}

// TestDoubtEnds: that a message was refused says nothing about a later one, where there was
// no room to try its replies one by one.
func TestDoubtEnds(t *testing.T) {
	s, _ := sending(t)
	client, to := hearing(t)
	xs := []*exchange{answerTo(to, 38, "a"), answerTo(to, 38, "b")}
	errs := []unix.Errno{unix.EINVAL, unix.EAGAIN}
	s.tryCall = func(uintptr) { s.n, s.err, errs = 0, errs[0], errs[1:] }
	if n := s.trySend(xs, func(_ *exchange, err error) { t.Error(err) }); n != 0 {
		t.Fatalf("%d sent", n)
	}
	s.send(xs, func(_ *exchange, err error) { t.Error(err) })
	heard(t, client, len(xs))
	if s.singly {
		t.Error("a message that the kernel has taken stopped the sharing of messages")
	}
}
