package routeros

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	ros "github.com/go-routeros/routeros/v3"

	"radial/nas"
)

// TLSPolicy says how a router's certificate is judged on port 8729.
type TLSPolicy struct {
	// Roots must have issued it, for the address dialled; nil are the system's.
	Roots *x509.CertPool
	// Pin is the SHA-256 of the certificate in hex, with or without colons, as
	// /certificate print tells it. With a pin nothing else is asked of the
	// certificate: routers sign their own.
	Pin string
}

// Login says how a router is reached.
type Login struct {
	Address  string // host:port
	User     string
	Password nas.Secret
	TLS      *TLSPolicy // nil is plain TCP: the password goes over the wire as it is
	Timeout  time.Duration
}

// defaultTimeout is for connecting with login, and for each command.
const defaultTimeout = 10 * time.Second

// PinError is a certificate that is not the one pinned. Got is the SHA-256 of
// the router's, to compare with what the router itself shows.
type PinError struct{ Want, Got string }

// Error names both.
func (e *PinError) Error() string {
	return fmt.Sprintf("the router's certificate has SHA-256 %s, pinned is %s: if the router has a new one, pin that", e.Got, e.Want)
}

// Dial connects and logs in. A refused login is ErrLogin, a certificate that
// is not the pinned one *PinError; all else is trouble on the way.
func Dial(ctx context.Context, l Login) (*Conn, error) {
	if l.Timeout <= 0 {
		l.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Address)
	if err != nil {
		return nil, fmt.Errorf("router %s: %w", l.Address, err)
	}
	if l.TLS != nil {
		if conn, err = l.TLS.shake(ctx, conn, l.Address); err != nil {
			return nil, fmt.Errorf("router %s: %w", l.Address, err)
		}
	}
	client, err := ros.NewClient(conn)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("router %s: %w", l.Address, err), conn.Close())
	}
	client.SetLogHandler(slog.DiscardHandler) // it would print passwords at debug level
	c := &Conn{net: conn, client: client, timeout: l.Timeout, address: l.Address}
	if err := c.login(ctx, l); err != nil {
		return nil, errors.Join(fmt.Errorf("router %s: %w", l.Address, err), c.Close())
	}
	return c, nil
}

// login does both forms: a router before 6.43 answers the new one with a
// challenge.
func (c *Conn) login(ctx context.Context, l Login) error {
	return c.within(ctx, func() error {
		err := c.client.LoginContext(ctx, l.User, l.Password.Reveal())
		var device *ros.DeviceError
		if errors.As(err, &device) {
			return fmt.Errorf("%w: %s", ErrLogin, device.Sentence.Map["message"])
		}
		return err
	})
}

// shake does the TLS handshake and judges the certificate.
func (p *TLSPolicy) shake(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &tls.Config{ServerName: host, RootCAs: p.Roots, MinVersion: tls.VersionTLS12}
	if p.Pin != "" {
		c.InsecureSkipVerify = true // the pin is stricter than any chain
		c.VerifyConnection = func(s tls.ConnectionState) error {
			got := sha256.Sum256(s.PeerCertificates[0].Raw)
			want := strings.ToLower(strings.ReplaceAll(p.Pin, ":", ""))
			if hex.EncodeToString(got[:]) != want {
				return &PinError{Want: want, Got: hex.EncodeToString(got[:])}
			}
			return nil
		}
	}
	secure := tls.Client(conn, c)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}
