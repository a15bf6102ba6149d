package radius

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
)

// Authorizer decides about Access-Requests (aaa's engine). An error is trouble,
// not a decision: the device gets no answer.
type Authorizer interface {
	Authorize(ctx context.Context, r *aaa.Request) (aaa.Decision, error)
}

// Accountant takes Accounting-Requests (aaa.Accounting). A request is acknowledged
// when its record is on stable storage, and only then.
type Accountant interface {
	// Record reads a request. Nothing of the record points into it.
	Record(r *aaa.Request) *aaa.Record
	// Post begins to store records, and returns at once. Each posting's To is told
	// what has become of it.
	Post(ps []*aaa.Posting)
	// Stored hears of each record that has been stored, before it is acknowledged.
	Stored(r *aaa.Record)
}

// Devices knows who may ask (nas.Directory): the device whose row fits an
// address best, or nil.
type Devices interface {
	Find(addr netip.Addr) *nas.Device
}

// Server answers RADIUS on its addresses. Make it with NewServer, then Listen,
// then Run.
type Server struct {
	opts    Options
	dict    *dictionaries.Dictionary
	names   names
	devices Devices
	auth    Authorizer
	prompt  Prompt // auth, if it is one
	acct    Accountant
	metrics *Metrics
	log     *zap.Logger
	now     func() time.Time

	listeners  []*listener
	duplicates *duplicates
	delays     *delays
	notices    *notices
	status     *sourceLimit
	rate       *sourceLimit
	deadlines  *deadlines
	inFlight   [portCount]atomic.Int64
	lags       [portCount]lag
	pool       sync.Pool
}

// NewServer makes a server that does not listen yet. The error tells every
// option that is wrong.
func NewServer(o Options, dict *dictionaries.Dictionary, devices Devices, auth Authorizer, acct Accountant, m *Metrics, log *zap.Logger) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	known, err := findNames(dict)
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts: o, dict: dict, names: known, devices: devices, auth: auth, acct: acct,
		metrics: m, log: log, now: time.Now,
		status: newSourceLimit(o.StatusRate), rate: newSourceLimit(o.SourceRate),
		pool: sync.Pool{New: newExchange},
	}
	s.prompt, _ = auth.(Prompt)
	s.duplicates = newDuplicates(o.DuplicateEntries, o.DuplicateBytes, o.ReplayWindow, s.now(), func(n int) { m.evictions.Add(float64(n)) })
	s.delays = newDelays(o.MaxDelayed, s.sendDelayed, s.now)
	s.notices = newNotices(log, s.now)
	return s, nil
}

// Listen binds every address, or none: what is wrong shows before anything is
// served. The kernel queues what arrives until Run.
func (s *Server) Listen() error {
	for _, list := range []struct {
		port      port
		addresses []string
	}{{authPort, s.opts.AuthListen}, {acctPort, s.opts.AcctListen}} {
		for _, address := range list.addresses {
			l, err := s.listen(list.port, address)
			if err != nil {
				err = errors.Join(err, s.Close())
				s.listeners = nil
				return err
			}
			s.listeners = append(s.listeners, l)
		}
	}
	return nil
}

// AuthAddrs are the addresses bound for authentication, in the order of
// Options.AuthListen.
func (s *Server) AuthAddrs() []netip.AddrPort { return s.addrs(authPort) }

// AcctAddrs are the addresses bound for accounting.
func (s *Server) AcctAddrs() []netip.AddrPort { return s.addrs(acctPort) }

func (s *Server) addrs(p port) (addrs []netip.AddrPort) {
	for _, l := range s.listeners {
		if l.port == p {
			addrs = append(addrs, l.addr)
		}
	}
	return addrs
}

// Close closes the sockets of a server whose Run has not been called; after
// Run it does nothing.
func (s *Server) Close() error {
	var errs []error
	for _, k := range s.sockets() {
		if err := k.conn.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Run answers until ctx ends, then drains: it stops reading, answers what is
// in flight for up to Options.DrainTimeout, sends the rejects that it holds
// back, and closes the sockets. It returns nil after a clean drain, and an
// error when a socket fails or requests had to be left unanswered.
func (s *Server) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	s.deadlines = &deadlines{base: base, timeout: s.opts.RequestTimeout}

	var readers, writers, others sync.WaitGroup
	others.Go(func() { s.delays.run(ctx) })
	others.Go(func() { s.notices.run(ctx) })
	for _, k := range s.sockets() {
		writers.Go(func() { s.write(k) })
		readers.Go(func() {
			if err := s.read(k); err != nil {
				stop(fmt.Errorf("radius: read on %s: %w", k.listener.addr, err))
			}
		})
	}

	<-ctx.Done()
	failed := context.Cause(ctx)
	if errors.Is(failed, context.Canceled) {
		failed = nil
	}
	past := time.Unix(1, 0)
	for _, k := range s.sockets() {
		failed = errors.Join(failed, k.conn.SetReadDeadline(past))
	}
	readers.Wait()
	failed = errors.Join(failed, s.drain(end))
	others.Wait() // delays: everything due is in the outboxes
	for _, k := range s.sockets() {
		failed = errors.Join(failed, k.conn.SetWriteDeadline(s.now().Add(s.opts.DrainTimeout)))
		k.outbox.close()
	}
	writers.Wait()
	return errors.Join(failed, s.Close())
}

// drain waits for what is in flight; end tells them that time is over.
func (s *Server) drain(end context.CancelFunc) error {
	done := make(chan struct{})
	go func() {
		for _, k := range s.sockets() {
			k.work.close()
		}
		close(done)
	}()
	late := time.NewTimer(s.opts.DrainTimeout)
	defer late.Stop()
	select {
	case <-done:
		return nil
	case <-late.C:
	}
	left := s.inFlight[authPort].Load() + s.inFlight[acctPort].Load()
	end()
	late.Reset(time.Second) // for those who heed their context
	select {
	case <-done:
	case <-late.C:
	}
	return fmt.Errorf("radius: drain: %d requests unanswered after %s", left, s.opts.DrainTimeout)
}

func (s *Server) sockets() (all []*socket) {
	for _, l := range s.listeners {
		all = append(all, l.sockets...)
	}
	return all
}
