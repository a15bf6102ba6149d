package radius

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
)

// ceilingEnv, an address, makes the test binary the server of `make bench-peer`
// that an engine's cost is measured against: this package as it is, with
// deciders that accept everyone at once. Accounting is on the next port. It ends
// with its stdin.
const ceilingEnv = "RADIAL_CEILING"

// acceptor accepts everyone, at once.
type acceptor struct{ authorizer }

func (acceptor) AuthorizeNow(*aaa.Request) (aaa.Decision, bool) {
	return aaa.Decision{Verdict: aaa.Accept}, true
}

func serveCeiling(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	o := DefaultOptions()
	o.AuthListen, o.AcctListen = []string{address}, []string{net.JoinHostPort(host, strconv.Itoa(number+1))}
	device := &nas.Device{Row: nas.Row{ID: 1, Name: "all", Secret: "testing123"}, Prefix: netip.MustParsePrefix("127.0.0.0/8"), Learnt: &nas.Learnt{}}
	table, _ := nas.NewTable([]*nas.Device{device})
	dict, err := dictionaries.Load()
	if err != nil {
		return err
	}
	s, err := NewServer(o, dict, table, acceptor{}, accountant(stored), NewMetrics(prometheus.NewRegistry()), zap.NewNop())
	if err != nil {
		return err
	}
	if err := s.Listen(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	_, err = io.Copy(io.Discard, os.Stdin)
	cancel()
	return errors.Join(err, <-ended)
}

// ceiling is what TestMain does instead of testing where ceilingEnv is set.
func ceiling() (asked bool) {
	address := os.Getenv(ceilingEnv)
	if address == "" {
		return false
	}
	if err := serveCeiling(address); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}
