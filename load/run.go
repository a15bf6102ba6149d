package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Counts are what a run has sent and got.
type Counts struct {
	Sent             uint64 `json:"sent"`
	Answered         uint64 `json:"answered"` // in the measured part
	Accepted         uint64 `json:"accepted"`
	Rejected         uint64 `json:"rejected"`
	Acknowledged     uint64 `json:"acknowledged"`
	Retransmitted    uint64 `json:"retransmitted"`
	GivenUp          uint64 `json:"given_up"`
	BadAuthenticator uint64 `json:"bad_authenticator"`
	Stray            uint64 `json:"stray"` // late and duplicate answers
	WithoutAddress   uint64 `json:"accepts_without_address"`
	DoubleAddress    uint64 `json:"double_addresses"` // given to two live sessions at once
}

func (c *Counts) add(o Counts) {
	c.Sent += o.Sent
	c.Answered += o.Answered
	c.Accepted += o.Accepted
	c.Rejected += o.Rejected
	c.Acknowledged += o.Acknowledged
	c.Retransmitted += o.Retransmitted
	c.GivenUp += o.GivenUp
	c.BadAuthenticator += o.BadAuthenticator
	c.Stray += o.Stray
	c.WithoutAddress += o.WithoutAddress
	c.DoubleAddress += o.DoubleAddress
}

// Result is what a run measured.
type Result struct {
	Mode    Mode          `json:"mode"`
	Window  int           `json:"window"`
	Elapsed time.Duration `json:"elapsed_ns"`
	Rate    float64       `json:"answers_per_second"`
	P50     time.Duration `json:"p50_ns"`
	P99     time.Duration `json:"p99_ns"`
	P999    time.Duration `json:"p999_ns"`
	Max     time.Duration `json:"max_ns"`
	Counts
	Sessions []SessionState `json:"-"` // with Options.KeepSessions
}

// run is one run's shared state.
type run struct {
	opts       Options
	names      names
	auth, acct *net.UDPAddr
	end        atomic.Int64 // Unix nanoseconds after which no new request is sent; 0: none
	limit      int64        // sessions to give out; 0: none
	given      atomic.Int64
	live       atomic.Uint64 // acknowledged so far, for Progress
	mode       atomic.Int32  // step of sessions that are given out
	prelude    []*session    // sessions that the unmeasured part has started
	order      []int32

	mu        sync.Mutex
	addresses map[uint32]int // address -> number of the session that holds it
	states    map[int]*SessionState
	started   []*session
}

// Progress reads a run that is going on.
type Progress struct{ run *run }

// Acknowledged is the number of Accounting-Responses so far.
func (p Progress) Acknowledged() uint64 { return p.run.live.Load() }

// Finish ends the run early: what is outstanding is still waited for.
func (p Progress) Finish() { p.run.end.Store(time.Now().UnixNano()) }

// Run sends until the duration or count is reached and every outstanding
// request is answered or given up. watch, if not nil, is called once, as the
// measured part begins, with a way to look at the run while it goes on.
func Run(ctx context.Context, o Options, watch func(Progress)) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &run{opts: o, names: makeNames(o), auth: net.UDPAddrFromAddrPort(o.Auth), acct: net.UDPAddrFromAddrPort(o.Acct),
		addresses: map[uint32]int{}, states: map[int]*SessionState{}}
	r.order = make([]int32, o.Users)
	for i := range r.order {
		r.order[i] = int32(i)
	}
	if o.Shuffle {
		rand.New(rand.NewPCG(o.Seed, 1)).Shuffle(o.Users, func(i, j int) { r.order[i], r.order[j] = r.order[j], r.order[i] })
	}
	if o.Mode == Start || o.Mode == Interim || o.Mode == Stop {
		if err := r.prepare(ctx); err != nil {
			return nil, err
		}
	}
	if watch != nil {
		watch(Progress{r})
	}
	return r.measure(ctx)
}

// prepare makes a session for each user, as far as the mode needs it.
func (r *run) prepare(ctx context.Context) error {
	r.limit = int64(r.opts.Users)
	r.mode.Store(int32(stepLogin))
	var c Counts
	if _, err := r.lanes(ctx, &c); err != nil {
		return err
	}
	if len(r.started) < r.opts.Users {
		return fmt.Errorf("load: only %d of %d sessions could be prepared: %d requests were rejected, %d not answered", len(r.started), r.opts.Users, c.Rejected, c.GivenUp)
	}
	r.prelude, r.started = r.started, nil
	r.given.Store(0)
	return nil
}

func (r *run) measure(ctx context.Context) (*Result, error) {
	r.limit = int64(r.opts.Count)
	switch r.opts.Mode {
	case Start:
		r.mode.Store(int32(stepStart))
	case Interim:
		r.mode.Store(int32(stepInterim))
	case Stop:
		r.mode.Store(int32(stepStop))
	default:
		r.mode.Store(int32(stepLogin))
	}
	begin := time.Now()
	r.end.Store(begin.Add(r.opts.Duration).UnixNano())
	res := &Result{Mode: r.opts.Mode, Window: r.opts.Window}
	lat, err := r.lanes(ctx, &res.Counts)
	if err != nil {
		return nil, err
	}
	res.Elapsed = time.Since(begin)
	res.Rate = float64(res.Answered) / res.Elapsed.Seconds()
	res.P50, res.P99, res.P999, res.Max = lat.quantile(.5), lat.quantile(.99), lat.quantile(.999), time.Duration(lat.max)
	for _, s := range r.states {
		res.Sessions = append(res.Sessions, *s)
	}
	return res, nil
}

// lanes works the window off over as many sockets as it needs.
func (r *run) lanes(ctx context.Context, c *Counts) (*histogram, error) {
	group, groupCtx := errgroup.WithContext(ctx)
	var lanes []*lane
	defer func() {
		for _, l := range lanes {
			_ = l.conn.Close() // nothing is buffered in it
		}
	}()
	for left := r.opts.Window; left > 0; left -= slotsPerLane {
		l, err := r.newLane(len(lanes), min(left, slotsPerLane))
		if err != nil {
			return nil, err
		}
		lanes = append(lanes, l)
	}
	for _, l := range lanes {
		group.Go(func() error { return l.work(groupCtx) })
	}
	err := group.Wait()
	var lat histogram
	for _, l := range lanes {
		lat.merge(&l.latency)
		c.add(l.counts)
	}
	return &lat, errors.Join(err, ctx.Err())
}

func (r *run) scan() time.Duration { return min(r.opts.Timeout/4, 10*time.Millisecond) }

func (r *run) stopping() bool {
	end := r.end.Load()
	return end != 0 && time.Now().UnixNano() >= end
}

// next gives out a session, or nil when there are no more.
func (r *run) next() *session {
	if r.stopping() {
		return nil
	}
	n := r.given.Add(1) - 1
	if r.limit > 0 && n >= r.limit || r.prelude != nil && n >= int64(len(r.prelude)) && r.opts.Mode != Interim {
		return nil
	}
	if r.prelude != nil {
		s := r.prelude[n%int64(len(r.prelude))]
		next := *s // two slots may have the same session outstanding in mode interim
		next.step = step(r.mode.Load())
		if next.step == stepStart {
			return &next
		}
		round := uint32(n/int64(len(r.prelude))) + 1
		next.seconds, next.in, next.out = 60*round, 1_000_003*round, 10_000_019*round
		return &next
	}
	s := &session{number: int(n), user: int(r.order[n%int64(r.opts.Users)]), step: step(r.mode.Load())}
	s.address = 10<<24 | 64<<16 + uint32(n)&0xffffff // where the server gives none
	return s
}

// lease notes the address of an Access-Accept and finds one given twice.
func (r *run) lease(s *session, c *Counts) {
	if s.address == 0 {
		c.WithoutAddress++
		return
	}
	if r.opts.Mode != Session {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.addresses[s.address]; taken {
		c.DoubleAddress++
	}
	r.addresses[s.address] = s.number
}

// release forgets an ended session's address.
func (r *run) release(s *session) {
	if r.opts.Mode != Session {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.addresses[s.address] == s.number {
		delete(r.addresses, s.address)
	}
}

// preparing tells the unmeasured part.
func (r *run) preparing() bool { return r.end.Load() == 0 }

// prepared keeps a session for the measured part.
func (r *run) prepared(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started = append(r.started, s)
}

// acknowledged notes what the server has promised to have stored.
func (r *run) acknowledged(s *session) {
	r.live.Add(1)
	if !r.opts.KeepSessions {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.states[s.number]
	if st == nil {
		st = &SessionState{User: r.names.user[s.user], SessionID: r.sessionID(s), NAS: r.nasText(s)}
		r.states[s.number] = st
	}
	st.Started = true
	st.Stopped = st.Stopped || s.step == stepStop
	st.Seconds, st.Input, st.Output = max(st.Seconds, s.seconds), max(st.Input, s.in), max(st.Output, s.out)
}
