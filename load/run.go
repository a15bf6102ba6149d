package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// run is one run's shared state. Times are counted from base on.
type run struct {
	opts   Options
	method Mode // of logins
	first  step // of sessions that are given out
	names  names
	order  []int32 // of users
	base   time.Time
	end    atomic.Int64  // after which no new request is sent; 0: preparing
	live   atomic.Uint64 // acknowledged so far, for Progress

	mu      sync.Mutex // may be taken while a lane's is held
	begin   time.Duration
	lanes   []*lane // of the part that goes on
	holders map[lease]int
	states  map[int]*SessionState
}

// Run sends until the duration or count is reached and every outstanding
// request is answered or given up. watch, if not nil, is called once, as the
// measured part begins, with a way to look at the run while it goes on.
func Run(ctx context.Context, o Options, watch func(Progress)) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &run{opts: o, method: o.method(), base: time.Now(), holders: map[lease]int{}, states: map[int]*SessionState{}}
	var err error
	if r.names, err = makeNames(o); err != nil {
		return nil, err
	}
	r.order = make([]int32, o.Users)
	for i := range r.order {
		r.order[i] = int32(i)
	}
	if o.Shuffle {
		rand.New(rand.NewPCG(o.Seed, 1)).Shuffle(o.Users, func(i, j int) { r.order[i], r.order[j] = r.order[j], r.order[i] })
	}
	var prelude [][]*session
	if o.Mode == Start || o.Mode == Interim || o.Mode == Stop {
		if prelude, err = r.prepare(ctx); err != nil {
			return nil, err
		}
	}
	return r.measure(ctx, prelude, watch)
}

// prepare makes a session for each user, as far as the mode needs it, and
// returns each lane's.
func (r *run) prepare(ctx context.Context) ([][]*session, error) {
	r.first = stepLogin
	wrong := r.opts.WrongPasswords
	r.opts.WrongPasswords = 0
	lanes, err := r.newLanes()
	if err != nil {
		return nil, err
	}
	for i, l := range lanes {
		l.share = part(r.opts.Users, i, len(lanes))
	}
	if err := r.work(ctx, lanes); err != nil {
		return nil, err
	}
	r.opts.WrongPasswords = wrong
	prelude, n, c := make([][]*session, len(lanes)), 0, Counts{}
	for i, l := range lanes {
		prelude[i] = l.started
		n += len(l.started)
		c.add(l.counts)
	}
	if n < r.opts.Users {
		return nil, fmt.Errorf("load: only %d of %d sessions could be prepared: %d requests were rejected, %d not answered", n, r.opts.Users, c.Rejected, c.GivenUp)
	}
	if c.DoubleAddress > 0 {
		return nil, fmt.Errorf("load: while sessions were prepared, %d addresses were given to two of them", c.DoubleAddress)
	}
	return prelude, nil
}

// part is how many of n things the ith of some has.
func part(n, i, of int) int {
	share := n / of
	if i < n%of {
		share++
	}
	return share
}

func firstStep(m Mode) step {
	switch m {
	case Start, Acct:
		return stepStart
	case Interim:
		return stepInterim
	case Stop:
		return stepStop
	}
	return stepLogin
}

func (r *run) measure(ctx context.Context, prelude [][]*session, watch func(Progress)) (*Result, error) {
	r.first = firstStep(r.opts.Mode)
	r.end.Store(1) // from here on sockets are those of the measured part
	lanes, err := r.newLanes()
	if err != nil {
		return nil, err
	}
	cpu, err := cpuTime()
	if err != nil {
		return nil, errors.Join(err, closeAll(lanes))
	}
	begin := r.now()
	r.mu.Lock()
	r.begin, r.lanes = begin, lanes
	r.mu.Unlock()
	r.end.Store(int64(begin + r.opts.Duration))
	for i, l := range lanes {
		if r.opts.Count > 0 {
			l.share = part(r.opts.Count, i, len(lanes))
		}
		l.begin(prelude)
	}
	if watch != nil {
		watch(Progress{r})
	}
	if err := r.work(ctx, lanes); err != nil {
		return nil, err
	}
	elapsed := r.now() - begin
	used, err := cpuTime()
	if err != nil {
		return nil, err
	}
	return r.result(lanes, elapsed, used-cpu), nil
}

// begin gives a lane what it works on in the measured part.
func (l *lane) begin(prelude [][]*session) {
	o := &l.run.opts
	if prelude != nil {
		l.prelude = prelude[l.number]
		if n := len(l.prelude); n == 0 || o.Mode != Interim && (l.share == all || l.share > n) {
			l.share = n // a session starts and stops once
		}
	}
	if o.Rate > 0 {
		l.arrival = l.run.begin
		l.nextArrival()
	}
	if o.Mode == Storm {
		l.share = part(o.Users, l.number, l.of)
		l.gather()
	}
}

func (r *run) result(lanes []*lane, elapsed, cpu time.Duration) *Result {
	res := &Result{Mode: r.opts.Mode, Window: r.opts.Window, Asked: r.opts.Rate, Sockets: len(lanes), Seed: r.opts.Seed, Elapsed: elapsed}
	var whole histogram
	var kinds [steps]histogram
	var in stormCounts
	for _, l := range lanes {
		res.Counts.add(l.counts)
		in.merge(&l.in)
		for i := range l.latency {
			kinds[i].merge(&l.latency[i])
		}
	}
	for i := range kinds {
		whole.merge(&kinds[i])
		if kinds[i].n > 0 {
			res.Kinds = append(res.Kinds, KindResult{step(i).String(), kinds[i].n, kinds[i].latency()})
		}
	}
	res.Latency = whole.latency()
	res.Rate = float64(res.Answered) / elapsed.Seconds()
	us := float64(cpu) / float64(time.Microsecond)
	res.CPUPerRequest = us / float64(max(res.Answered, 1))
	res.CPUPerPacket = us / float64(max(res.Sent+res.Retransmitted+res.Answered+res.Stray+res.BadAuthenticator, 1))
	if r.opts.Mode == Storm {
		res.Storm = in.result(r.opts.Users)
	}
	for _, s := range r.states {
		if s.Started {
			res.Sessions = append(res.Sessions, *s)
		}
	}
	return res
}

// newLanes opens the sockets of a part of the run.
func (r *run) newLanes() ([]*lane, error) {
	of := r.opts.sockets()
	lanes := make([]*lane, 0, of)
	for i := range of {
		size := max(part(r.opts.Window, i, of), 1)
		if !r.preparing() && (r.opts.Rate > 0 || r.opts.Mode == Storm) {
			size = slotsPerLane
		}
		l, err := r.newLane(i, of, size)
		if err != nil {
			return nil, errors.Join(err, closeAll(lanes))
		}
		lanes = append(lanes, l)
	}
	return lanes, nil
}

// work lets the lanes do theirs, and closes them.
func (r *run) work(ctx context.Context, lanes []*lane) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for _, w := range r.workers(lanes) {
		group.Go(func() error { return w.work(groupCtx) })
	}
	return errors.Join(group.Wait(), ctx.Err(), closeAll(lanes))
}

func closeAll(lanes []*lane) (err error) {
	for _, l := range lanes {
		err = errors.Join(err, l.socket.close())
	}
	return err
}

// destination is where all of this part of the run goes, if that is one port.
func (r *run) destination() (netip.AddrPort, bool) {
	switch m := r.opts.Mode; {
	case r.preparing() || m == Session || m == Storm:
		return netip.AddrPort{}, false
	case r.first == stepLogin:
		return r.opts.Auth, true
	}
	return r.opts.Acct, true
}

func (r *run) now() time.Duration { return time.Since(r.base) }

// preparing tells the unmeasured part.
func (r *run) preparing() bool { return r.end.Load() == 0 }

// stopping tells that no new request is sent.
func (r *run) stopping(now time.Duration) bool {
	end := r.end.Load()
	return end != 0 && int64(now) >= end
}

// noteSent notes what a server may have stored.
func (r *run) noteSent(l *lane, s *session) {
	if !r.opts.KeepSessions {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.states[s.number]
	if st == nil {
		st = &SessionState{User: r.names.user[s.user], SessionID: r.sessionID(s), NAS: l.nasText(s)}
		r.states[s.number] = st
	}
	st.SentStop = st.SentStop || s.step == stepStop
	st.SentSeconds, st.SentInput, st.SentOutput = max(st.SentSeconds, s.seconds), max(st.SentInput, s.in), max(st.SentOutput, s.out)
}

// noteAcknowledged notes what the server has promised to have stored.
func (r *run) noteAcknowledged(s *session) {
	r.live.Add(1)
	if !r.opts.KeepSessions {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.states[s.number] // noteSent has made it
	st.Started = true
	st.Stopped = st.Stopped || s.step == stepStop
	st.Seconds, st.Input, st.Output = max(st.Seconds, s.seconds), max(st.Input, s.in), max(st.Output, s.out)
}
