package load

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"
)

// responderEnv makes the test binary a responder that only signs: Accept or
// Accounting-Response to whatever comes.
const responderEnv = "RADIAL_LOAD_RESPONDER"

func TestMain(m *testing.M) {
	if os.Getenv(responderEnv) != "" {
		if err := respond(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func respond() error {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	fmt.Println(conn.LocalAddr())
	buf, hash, given := make([]byte, 4096), md5.New(), uint32(100<<24)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil || n < 20 {
			return err
		}
		reply := buf[:20]
		if reply[0]++; reply[0] == 2 { // an Accept with an address
			given++
			reply = appendInt(reply, attrFramedIPAddress, given)
		}
		binary.BigEndian.PutUint16(reply[2:], uint16(len(reply)))
		hash.Reset()
		hash.Write(reply)
		hash.Write([]byte(testSecret))
		hash.Sum(reply[4:4])
		if _, err := conn.WriteToUDPAddrPort(reply, from); err != nil {
			return err
		}
	}
}

// BenchmarkCost tells what a request costs the generator itself, against a
// responder in another process: CPU (µs/request) and garbage.
func BenchmarkCost(b *testing.B) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), responderEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			b.Error(err)
		}
		_ = cmd.Wait() // killed: that is no error here
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	addr := netip.MustParseAddrPort(line[:len(line)-1])
	for _, mode := range []Mode{PAP, CHAP, MSCHAPv2, Interim, Acct, Session} {
		b.Run(string(mode), func(b *testing.B) {
			o := DefaultOptions()
			o.Mode, o.Auth, o.Acct, o.Secret, o.Users, o.Count, o.Duration = mode, addr, addr, testSecret, 1000, b.N, time.Minute
			b.ReportAllocs()
			res, err := Run(context.Background(), o, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(res.CPUPerRequest, "cpu-µs/request")
			b.ReportMetric(res.Rate, "answers/s")
		})
	}
}
