package load

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFlush: each datagram arrives by itself, whole and in its order, whatever goes to the kernel
// together; on a socket that the kernel cuts nothing up for (no checksums) as well.
func TestFlush(t *testing.T) {
	for _, refused := range []bool{false, true} {
		t.Run(fmt.Sprintf("refused=%t", refused), func(t *testing.T) {
			server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			s, err := openSocket(false, netip.Addr{}, server.LocalAddr().(*net.UDPAddr).AddrPort())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.close(); err != nil {
					t.Error(err)
				}
			}()
			if refused {
				if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
					t.Fatal(err)
				}
			}
			var want, got []string
			for i := range batchSize + 10 { // one more batch than goes at once
				packet := make([]byte, []int{40, 40, 40, 60, 1400, 1400}[i%6])
				copy(packet, fmt.Sprint(i, " "))
				want = append(want, string(packet))
				if err := s.send(packet, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.flush(); err != nil {
				t.Fatal(err)
			}
			if err := server.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 1<<16)
			for range want {
				n, err := server.Read(buf)
				if err != nil {
					t.Fatalf("%d of %d datagrams: %v", len(got), len(want), err)
				}
				got = append(got, string(buf[:n]))
			}
			if !slices.Equal(got, want) {
				t.Errorf("came %q, want %q", got, want)
			}
			if s.singly != refused {
				t.Errorf("singly is %t after a kernel that refused: %t", s.singly, refused)
			}
		})
	}
}
