package routeros

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// Stage is what Play wants of a test: a *testing.T is one.
type Stage interface {
	Helper()
	Fatal(args ...any)
	Error(args ...any)
	Cleanup(f func())
}

// Play makes a router and serves its API until the test ends; it returns the
// API's host:port (see PlayAPI).
func Play(t Stage, c Config, certificate *tls.Certificate) (*Router, string) {
	t.Helper()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r, r.PlayAPI(t, certificate)
}

// PlayAPI serves the API on a free port of the router's address, which is
// 127.0.0.1 where Config has none, until the test ends: by TLS with a
// certificate. It returns host:port.
func (r *Router) PlayAPI(t Stage, certificate *tls.Certificate) string {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(r.address(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	untilEnd(t, func(ctx context.Context) error { return r.Serve(ctx, l, certificate) })
	return l.Addr().String()
}

// PlayIncoming takes CoA and Disconnect on a free port of the router's address
// until the test ends, and returns host:port.
func (r *Router) PlayIncoming(t Stage) string {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.address(), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	untilEnd(t, func(ctx context.Context) error { return r.ServeIncoming(ctx, conn) })
	return conn.LocalAddr().String()
}

// address is where the router is reached.
func (r *Router) address() netip.Addr {
	return cmp.Or(r.config.Address, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}

// untilEnd runs something beside the test, ends it with the test, and wants it to
// end without an error.
func untilEnd(t Stage, run func(ctx context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Certificate makes a router's own certificate for 127.0.0.1, good for an hour,
// and its pin: the SHA-256 of it in hex.
func Certificate() (certificate *tls.Certificate, pin string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "router"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, hex.EncodeToString(sum[:]), nil
}
