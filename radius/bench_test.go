package radius

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"radial/aaa"
	"radial/nas"
)

// pump asks n times through one socket, with up to window requests
// outstanding, in batches. What is missing after 50 ms of quiet is given up:
// a request is overtaken now and then by so many that its identifier comes
// round again before its answer.
func pump(tb testing.TB, conn *net.UDPConn, packets [][]byte, n, window int) {
	out, err := newSender(conn, false)
	if err != nil {
		tb.Error(err)
		return
	}
	in, err := newReceiver(conn)
	if err != nil {
		tb.Error(err)
		return
	}
	to := make([]*exchange, batchSize)
	from := make([]*exchange, batchSize)
	for i := range to {
		to[i], from[i] = newExchange().(*exchange), newExchange().(*exchange)
	}
	for sent, got := 0, 0; got < n; {
		for sent < n && sent-got < window {
			k := min(batchSize, n-sent, window-(sent-got))
			for i := range k {
				to[i].reply = packets[(sent+i)%len(packets)]
			}
			out.send(to[:k], func(_ *exchange, err error) { tb.Error(err) })
			sent += k
		}
		if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			tb.Error(err)
		}
		k, _, err := in.receive(from)
		if err != nil {
			got = sent
		}
		got += k
	}
}

// cpuTime is what this process has used.
func cpuTime(tb testing.TB) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// load measures answers a second to several sockets' worth of clients.
func load(b *testing.B, to netip.AddrPort, packets [][]byte) {
	const clients, window = 8, 48
	conns := make([]*net.UDPConn, clients)
	for i := range conns {
		conns[i] = dial(b, to).conn
	}
	var before, after runtime.MemStats
	cpu := cpuTime(b)
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	var all sync.WaitGroup
	for i, c := range conns {
		n := b.N / clients
		if i == 0 {
			n += b.N % clients
		}
		all.Go(func() { pump(b, c, packets, n, window) })
	}
	all.Wait()
	b.StopTimer()
	runtime.ReadMemStats(&after)
	// The clients' share included; unlike the rate it does not depend on what
	// else the machine does.
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/answer")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N), "allocs/answer")
}

func papPackets(change ...func(*made)) [][]byte {
	packets := make([][]byte, 4096)
	for i := range packets {
		packets[i] = pap(byte(i), append(change, func(m *made) {
			m.auth[0], m.auth[1] = byte(i>>8), byte(i)
			m.attrs = append(m.attrs, attrs(attr(4, "\x7f\x00\x00\x01"), attr(5, "\x00\x00\x00\x07"), attr(6, "\x00\x00\x00\x02"), attr(7, "\x00\x00\x00\x01"),
				attr(30, "pppoe-server-1"), attr(31, "AA:BB:CC:DD:EE:FF"), attr(32, "mt-core-1"), attr(61, "\x00\x00\x00\x0f"), attr(87, "ether1/1.100"))...)
		})...)
	}
	return packets
}

func startPackets() [][]byte {
	packets := make([][]byte, 4096)
	for i := range packets {
		packets[i] = startPacket(byte(i), with(attr(25, string([]byte{byte(i >> 8), byte(i)})), attr(4, "\x7f\x00\x00\x01"), attr(31, "AA:BB:CC:DD:EE:FF"), attr(42, "\x00\x00\x00\x0f"), attr(43, "\x00\x00\x00\x0f")))
	}
	return packets
}

// BenchmarkServer is the whole way of a packet over loopback, with deciders
// that answer at once; BenchmarkBareUDP is what the machine can do at most.
// Clients and server share the CPUs.
func BenchmarkServer(b *testing.B) {
	for _, bc := range []struct {
		name    string
		packets [][]byte
		acct    bool
	}{
		{"pap", papPackets(), false},
		{"pap-signed", papPackets(signedToo), false},
		{"accounting", startPackets(), true},
	} {
		b.Run(bc.name, func(b *testing.B) {
			r := start(b, plan{level: 1, devices: []*nas.Device{deviceOf("127.0.0.1/32", func(s *nas.Settings) { s.RequireMessageAuthenticator = nas.No })}})
			to := r.authAddr()
			if bc.acct {
				to = r.acctAddr()
			}
			load(b, to, bc.packets)
			b.ReportMetric(r.count("silent_total", "superseded"), "superseded")
			b.ReportMetric(r.count("refused_total"), "refused")
		})
	}
}

// BenchmarkServerWaiting has a decider that waits for a trip that all who wait
// share, as those to the database are: every request parks and wakes.
func BenchmarkServerWaiting(b *testing.B) {
	var trip atomic.Pointer[chan struct{}]
	next := make(chan struct{})
	trip.Store(&next)
	ended := make(chan struct{})
	var trips sync.WaitGroup
	trips.Go(func() {
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-tick.C:
				next := make(chan struct{})
				close(*trip.Swap(&next))
			case <-ended:
				tick.Stop()
				return
			}
		}
	})
	r := start(b, plan{level: 1, auth: func(ctx context.Context, _ *aaa.Request) (aaa.Decision, error) {
		select {
		case <-*trip.Load():
			return aaa.Decision{Verdict: aaa.Accept}, nil
		case <-ctx.Done():
			return aaa.Decision{}, ctx.Err()
		}
	}})
	load(b, r.authAddr(), papPackets())
	if err := r.stop(); err != nil {
		b.Error(err)
	}
	close(ended)
	trips.Wait()
}

// BenchmarkRoundTrip is one request at a time: what the server adds to a
// device's wait.
func BenchmarkRoundTrip(b *testing.B) {
	r := start(b, plan{level: 1})
	c, packets := r.dial(r.authAddr()), papPackets()
	buf := make([]byte, 4096)
	for i := 0; b.Loop(); i++ {
		c.send(packets[i%len(packets)])
		if _, err := c.conn.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareUDP echoes: one datagram a call, as net offers it, and in
// batches as the server does.
func BenchmarkBareUDP(b *testing.B) {
	packets := papPackets(signedToo)
	b.Run("single", func(b *testing.B) {
		conns, err := bind("127.0.0.1:0", 2, 4<<20, false)
		if err != nil {
			b.Fatal(err)
		}
		var all sync.WaitGroup
		for _, c := range conns {
			all.Go(func() {
				buf := make([]byte, 4096)
				for {
					n, from, err := c.ReadFromUDPAddrPort(buf)
					if err != nil {
						return
					}
					if _, err := c.WriteToUDPAddrPort(buf[:min(n, 38)], from); err != nil {
						return
					}
				}
			})
		}
		load(b, conns[0].LocalAddr().(*net.UDPAddr).AddrPort(), packets)
		for _, c := range conns {
			c.Close()
		}
		all.Wait()
	})
	b.Run("batched", func(b *testing.B) {
		conns, err := bind("127.0.0.1:0", 2, 4<<20, false)
		if err != nil {
			b.Fatal(err)
		}
		var all sync.WaitGroup
		var failed atomic.Int32
		for _, c := range conns {
			in, _ := newReceiver(c)
			out, _ := newSender(c, false)
			all.Go(func() {
				xs := make([]*exchange, batchSize)
				for i := range xs {
					xs[i] = newExchange().(*exchange)
				}
				for {
					n, _, err := in.receive(xs)
					if err != nil {
						return
					}
					for _, x := range xs[:n] {
						x.reply = x.datagram[:min(x.size, 38)]
					}
					out.send(xs[:n], func(*exchange, error) { failed.Add(1) })
				}
			})
		}
		load(b, conns[0].LocalAddr().(*net.UDPAddr).AddrPort(), packets)
		for _, c := range conns {
			c.Close()
		}
		all.Wait()
	})
}

// BenchmarkGate is the gate alone: header, source, walk, signature, policy.
func BenchmarkGate(b *testing.B) {
	r := start(b, plan{level: 1})
	x := newExchange().(*exchange)
	packet := papPackets(signedToo)[0]
	x.size = copy(x.datagram[:], packet)
	x.source, x.received = netip.MustParseAddrPort("127.0.0.1:1645"), time.Now()
	x.socket = r.server.listeners[0].sockets[0]
	b.ReportAllocs()
	for b.Loop() {
		if got := r.server.judge(x); got != Admitted {
			b.Fatal(got)
		}
	}
}
