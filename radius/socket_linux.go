package radius

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// route is a datagram's way back: its sender as the kernel gave it and, on a
// wildcard socket, the control message that makes the reply leave from the
// address that was asked.
type route struct {
	name    [unix.SizeofSockaddrInet6]byte
	nameLen uint32
	control [controlLen]byte // IP_PKTINFO or IPV6_PKTINFO
	ctlLen  int
}

// bind opens the sockets of one address. The first one is bound without
// SO_REUSEPORT unless share is set, so that an address that someone else
// listens on is an error; it turns sharing on only for the others of ours.
func bind(address string, sockets, recvBuffer int, share bool) ([]*net.UDPConn, error) {
	network, err := networkOf(address)
	if err != nil {
		return nil, err
	}
	var conns []*net.UDPConn
	fail := func(err error) ([]*net.UDPConn, error) {
		for _, c := range conns {
			err = errors.Join(err, c.Close())
		}
		return nil, err
	}
	for i := range sockets {
		reuse := share || i > 0
		config := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
			if !reuse {
				return nil
			}
			return control(rc, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		}}
		conn, err := config.ListenPacket(context.Background(), network, address)
		if err != nil {
			return fail(fmt.Errorf("radius: listen on %s: %w", address, err))
		}
		udp := conn.(*net.UDPConn)
		conns = append(conns, udp)
		if err := configure(udp, recvBuffer, sockets > 1); err != nil {
			return fail(fmt.Errorf("radius: set up socket on %s: %w", address, err))
		}
		if i == 0 { // the port that port 0 became
			host, _, _ := net.SplitHostPort(address) // checked by networkOf
			address = net.JoinHostPort(host, fmt.Sprint(udp.LocalAddr().(*net.UDPAddr).Port))
		}
	}
	return conns, nil
}

// configure sets a bound socket's options.
func configure(conn *net.UDPConn, recvBuffer int, reuse bool) error {
	rc, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	local := conn.LocalAddr().(*net.UDPAddr)
	return control(rc, func(fd int) error {
		if reuse {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
				return os.NewSyscallError("SO_REUSEPORT", err)
			}
		}
		// FORCE needs CAP_NET_ADMIN; without it the system's limit holds.
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, recvBuffer) != nil {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, recvBuffer); err != nil {
				return os.NewSyscallError("SO_RCVBUF", err)
			}
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1); err != nil {
			return os.NewSyscallError("SO_RXQ_OVFL", err)
		}
		if !local.IP.IsUnspecified() {
			return nil
		}
		family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		switch {
		case err != nil:
		case family == unix.AF_INET6:
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		default:
			err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
		return os.NewSyscallError("PKTINFO", err)
	})
}

// recvBufferOf returns the receive buffer that the kernel granted, in bytes.
func recvBufferOf(conn *net.UDPConn) (n int, err error) {
	rc, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = control(rc, func(fd int) error {
		n, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		return err
	})
	return n / 2, err // the kernel doubles what it is asked for
}

func control(rc syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// networkOf tells which family an address wants: both for ":port", else its
// own alone, so that 0.0.0.0 and [::] can stand side by side.
func networkOf(address string) (string, error) {
	if err := CheckListen(address); err != nil {
		return "", err
	}
	host, _, _ := net.SplitHostPort(address) // checked above
	if host == "" {
		return "udp", nil
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ip.Is4() && !ip.Is4In6() {
		return "udp6", nil
	} else if err == nil {
		return "udp4", nil
	}
	return "udp", nil // a host name
}
