package radius

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"time"
)

// Options are the settings of a Server. A zero field takes the value of
// DefaultOptions, except for the two lists of addresses.
type Options struct {
	// AuthListen and AcctListen are where Access-Requests and
	// Accounting-Requests are taken: host:port. ":1812" is every IPv4 and IPv6
	// address, "0.0.0.0:1812" every IPv4 address, "[::]:1812" every IPv6
	// address; port 0 takes a free one. Status-Server is answered on all.
	AuthListen []string
	AcctListen []string
	// SharePort lets a second process listen on the same ports (a rolling
	// restart). Off, a port that is taken is an error of Listen.
	SharePort bool
	// Sockets is the number of sockets per address; the kernel deals the
	// devices out among them. Default: one per CPU, 8 at most.
	Sockets int
	// RecvBuffer is the kernel's receive buffer per socket, in bytes: 4 MiB.
	// The system's limit (net.core.rmem_max) may make it smaller.
	RecvBuffer int
	// SendSingly gives each reply to the kernel by itself. Off, replies of one
	// size to one port go to it as one message (UDP_SEGMENT, udp(7)), which
	// costs less; on the wire they are datagrams as ever.
	SendSingly bool

	// MaxInFlight bounds the requests of each of the two services that are being
	// answered or wait for it; what comes above is dropped (RefusedOverload): 8192.
	MaxInFlight int
	// MaxWait is how long a request may wait for its turn since its device was
	// last heard of; then nobody waits for its answer, and it is dropped
	// (SilentWaited): 1 s. RouterOS waits for 300 ms and asks three times.
	MaxWait time.Duration
	// MaxDelayed bounds the rejects that are held back; what comes above is
	// sent at once: 8192.
	MaxDelayed int
	// MaxAttributes bounds the attributes of a request: 200, as FreeRADIUS.
	MaxAttributes int
	// RequestTimeout bounds Authorize; then the request is dropped: 5 s. What
	// accounting waits for is bounded by the ledger.
	RequestTimeout time.Duration
	// DrainTimeout bounds the answering of what is in flight at shutdown: 5 s.
	DrainTimeout time.Duration

	// ReplayWindow is how long a reply is kept for retransmissions (RFC 5080
	// §2.2.2; FreeRADIUS's cleanup_delay): 5 s.
	ReplayWindow time.Duration
	// DuplicateEntries and DuplicateBytes bound the replies kept: 262144 and
	// 64 MiB. The oldest go first, and are counted.
	DuplicateEntries int
	DuplicateBytes   int

	// StatusRate is how many Status-Server a second one source gets answered:
	// 20, with bursts of the same size.
	StatusRate int
	// SourceRate is how many requests a second one source gets worked on, with
	// bursts of the same size; what comes above is dropped (RefusedRate).
	// Retransmissions are not counted. 0: no limit.
	SourceRate int
}

// DefaultOptions are the options that hold where nothing is set: ports 1812
// and 1813 on every address.
func DefaultOptions() Options {
	return Options{
		AuthListen:       []string{":1812"},
		AcctListen:       []string{":1813"},
		Sockets:          min(runtime.NumCPU(), 8),
		RecvBuffer:       4 << 20,
		MaxInFlight:      8192,
		MaxWait:          time.Second,
		MaxDelayed:       8192,
		MaxAttributes:    200,
		RequestTimeout:   5 * time.Second,
		DrainTimeout:     5 * time.Second,
		ReplayWindow:     5 * time.Second,
		DuplicateEntries: 1 << 18,
		DuplicateBytes:   64 << 20,
		StatusRate:       20,
	}
}

// withDefaults fills the zero fields, and tells everything that is wrong.
func (o Options) withDefaults() (Options, error) {
	d := DefaultOptions()
	var errs []error
	number := func(field string, v *int, def int) {
		if *v < 0 {
			errs = append(errs, fmt.Errorf("radius: %s is %d, must be positive", field, *v))
		}
		if *v == 0 {
			*v = def
		}
	}
	number("Sockets", &o.Sockets, d.Sockets)
	number("RecvBuffer", &o.RecvBuffer, d.RecvBuffer)
	number("MaxInFlight", &o.MaxInFlight, d.MaxInFlight)
	number("MaxDelayed", &o.MaxDelayed, d.MaxDelayed)
	number("MaxAttributes", &o.MaxAttributes, d.MaxAttributes)
	number("DuplicateEntries", &o.DuplicateEntries, d.DuplicateEntries)
	number("DuplicateBytes", &o.DuplicateBytes, d.DuplicateBytes)
	number("StatusRate", &o.StatusRate, d.StatusRate)
	number("SourceRate", &o.SourceRate, d.SourceRate)
	span := func(field string, v *time.Duration, def time.Duration) {
		if *v < 0 {
			errs = append(errs, fmt.Errorf("radius: %s is %s, must be positive", field, *v))
		}
		if *v == 0 {
			*v = def
		}
	}
	span("MaxWait", &o.MaxWait, d.MaxWait)
	span("RequestTimeout", &o.RequestTimeout, d.RequestTimeout)
	span("DrainTimeout", &o.DrainTimeout, d.DrainTimeout)
	span("ReplayWindow", &o.ReplayWindow, d.ReplayWindow)
	for _, a := range append(append([]string{}, o.AuthListen...), o.AcctListen...) {
		if err := CheckListen(a); err != nil {
			errs = append(errs, err)
		}
	}
	return o, errors.Join(errs...)
}

// CheckListen tells whether address is one that AuthListen and AcctListen take.
func CheckListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("radius: listen address %q: want host:port, such as :1812, 192.0.2.1:1812 or [::]:1812", address)
	}
	return nil
}
