package routeros

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// State is what a router says of itself.
type State struct {
	Identity string
	Version  string // 7.15.3 (stable)
	Board    string
	Uptime   time.Duration
	Latency  time.Duration // of one command
}

// Look asks a router what it is, which shows that it answers and that the user
// may read.
func Look(ctx context.Context, c *Conn) (State, error) {
	began := time.Now()
	identity, err := settings(ctx, c, "/system/identity")
	if err != nil {
		return State{}, err
	}
	s := State{Identity: identity["name"], Latency: time.Since(began)}
	resource, err := settings(ctx, c, "/system/resource")
	if err != nil {
		return State{}, err
	}
	s.Version, s.Board = resource["version"], resource["board-name"]
	s.Uptime, err = ParseDuration(resource["uptime"])
	return s, err
}

// Certificate is what a router shows on its TLS port.
type Certificate struct {
	SHA256           string // in hex
	Subject, Issuer  string
	NotBefore, Until time.Time
	Distrust         error // why the system's authorities do not vouch for it; nil: they do
}

// Show connects to a router's TLS port and returns its certificate, without a
// login: nothing secret is told to whoever answers there.
func Show(ctx context.Context, address string, timeout time.Duration) (*Certificate, error) {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("router %s: %w", address, err)
	}
	shown := &Certificate{}
	d := tls.Dialer{Config: &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		shown.read(s.PeerCertificates, host)
		return nil
	}}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("router %s: %w", address, handshakeError(err))
	}
	return shown, conn.Close()
}

func (c *Certificate) read(chain []*x509.Certificate, host string) {
	leaf := chain[0]
	sum := sha256.Sum256(leaf.Raw)
	c.SHA256, c.Subject, c.Issuer, c.NotBefore, c.Until = hex.EncodeToString(sum[:]), leaf.Subject.String(), leaf.Issuer.String(), leaf.NotBefore, leaf.NotAfter
	between := x509.NewCertPool()
	for _, other := range chain[1:] {
		between.AddCert(other)
	}
	_, c.Distrust = leaf.Verify(x509.VerifyOptions{DNSName: host, Intermediates: between})
}

// handshakeError says what a failed handshake usually means: a router without a
// certificate offers anonymous ciphers alone, and hangs up.
func handshakeError(err error) error {
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &alert):
		return fmt.Errorf("%w: the router may have no certificate for api-ssl (/ip service set api-ssl certificate=…)", err)
	case errors.As(err, &record):
		return fmt.Errorf("%w: this port does not speak TLS", err)
	}
	return err
}

// Colons writes a SHA-256 as people compare it, AB:CD:….
func Colons(sum string) string {
	var b strings.Builder
	for i := 0; i+2 <= len(sum); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(strings.ToUpper(sum[i : i+2]))
	}
	return b.String()
}
