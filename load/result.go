package load

import "time"

// Counts are what the measured part of a run has sent and got.
type Counts struct {
	Sent             uint64 `json:"sent"`
	Answered         uint64 `json:"answered"`
	Accepted         uint64 `json:"accepted"`
	Rejected         uint64 `json:"rejected"`
	Acknowledged     uint64 `json:"acknowledged"`
	Retransmitted    uint64 `json:"retransmitted"`
	GivenUp          uint64 `json:"given_up"`
	Unsent           uint64 `json:"unsent"` // due in an open loop, and no identifier free until the end
	BadAuthenticator uint64 `json:"bad_authenticator"`
	BadProof         uint64 `json:"bad_mschap_proof"` // Access-Accepts without a right MS-CHAP2-Success
	Stray            uint64 `json:"stray"`            // late and duplicate answers
	WithoutAddress   uint64 `json:"accepts_without_address"`
	DoubleAddress    uint64 `json:"double_addresses"` // an address or prefix given to two live sessions at once
	WrongPasswords   uint64 `json:"wrong_passwords"`  // logins that were answered and had one
	WrongAccepted    uint64 `json:"wrong_passwords_accepted"`
}

func (c *Counts) add(o Counts) {
	c.Sent += o.Sent
	c.Answered += o.Answered
	c.Accepted += o.Accepted
	c.Rejected += o.Rejected
	c.Acknowledged += o.Acknowledged
	c.Retransmitted += o.Retransmitted
	c.GivenUp += o.GivenUp
	c.Unsent += o.Unsent
	c.BadAuthenticator += o.BadAuthenticator
	c.BadProof += o.BadProof
	c.Stray += o.Stray
	c.WithoutAddress += o.WithoutAddress
	c.DoubleAddress += o.DoubleAddress
	c.WrongPasswords += o.WrongPasswords
	c.WrongAccepted += o.WrongAccepted
}

// Latency is that of answered requests, from when they were due to be sent for
// the first time (in an open loop that is their arrival, also when no
// identifier was free then) to their answer.
type Latency struct {
	P50  time.Duration `json:"p50_ns"`
	P90  time.Duration `json:"p90_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
	Max  time.Duration `json:"max_ns"`
}

func (h *histogram) latency() Latency {
	return Latency{h.quantile(.5), h.quantile(.9), h.quantile(.99), h.quantile(.999), time.Duration(h.max)}
}

// KindResult is the share of one kind of packet: login, start, interim, stop.
type KindResult struct {
	Kind     string `json:"kind"`
	Answered uint64 `json:"answered"`
	Latency
}

// StormResult tells how users got in.
type StormResult struct {
	Users   int           `json:"users"`
	In      int           `json:"in"`
	Refused int           `json:"refused"`
	Out     int           `json:"out"`       // not in at the end, and not refused
	AllIn   time.Duration `json:"all_in_ns"` // until the last one that got in was; all of them if Out is 0
	// ToIn is the time from the storm's begin to a user's Access-Accept.
	ToIn Latency `json:"to_in"`
	// Dials are connections begun, Tries the Access-Requests sent for them.
	DialsMean float64 `json:"dials_mean"`
	DialsMax  int     `json:"dials_max"`
	TriesMean float64 `json:"tries_mean"`
	TriesMax  int     `json:"tries_max"`
}

// Result is what a run measured.
type Result struct {
	Mode    Mode          `json:"mode"`
	Window  int           `json:"window"`           // of a closed loop
	Asked   float64       `json:"asked_per_second"` // of an open loop; 0: a closed one
	Sockets int           `json:"sockets"`
	Seed    uint64        `json:"seed"`
	Elapsed time.Duration `json:"elapsed_ns"`
	Rate    float64       `json:"answers_per_second"`
	// CPU microseconds of this process, user and system, in the measured part:
	// for each answered request, and for each datagram, sent or received.
	CPUPerRequest float64 `json:"cpu_us_per_request"`
	CPUPerPacket  float64 `json:"cpu_us_per_packet"`
	Latency
	Counts
	Kinds    []KindResult   `json:"kinds"`
	Storm    *StormResult   `json:"storm,omitempty"`
	Sessions []SessionState `json:"-"` // with Options.KeepSessions
}

// Failed tells whether something went wrong that is never the intention: a
// request without an answer, a wrong signature or proof, an address given
// twice, a wrong password accepted, or users of a storm that are not in. In a
// storm requests that are given up are what it is about.
func (r *Result) Failed() bool {
	if r.BadAuthenticator+r.BadProof+r.DoubleAddress+r.WrongAccepted > 0 {
		return true
	}
	if r.Storm != nil {
		return r.Storm.Out > 0 || uint64(r.Storm.Refused) > r.WrongPasswords
	}
	return r.GivenUp+r.Unsent > 0
}

// Sample is how far a run is.
type Sample struct {
	Elapsed     time.Duration
	Outstanding int
	Waiting     int // users of a storm that wait to dial again
	Latency     Latency
	Counts
}

// Progress reads a run that is going on.
type Progress struct{ run *run }

// Acknowledged is the number of Accounting-Responses so far.
func (p Progress) Acknowledged() uint64 { return p.run.live.Load() }

// Finish ends the run early: what is outstanding is still waited for.
func (p Progress) Finish() { p.run.end.Store(int64(p.run.now())) }

// Sample is the state of the measured part now.
func (p Progress) Sample() Sample {
	p.run.mu.Lock()
	lanes, begin := p.run.lanes, p.run.begin
	p.run.mu.Unlock()
	s := Sample{Elapsed: p.run.now() - begin}
	var all histogram
	for _, l := range lanes {
		l.mu.Lock()
		s.Counts.add(l.counts)
		s.Outstanding += l.window.active
		s.Waiting += len(l.dials)
		for i := range l.latency {
			all.merge(&l.latency[i])
		}
		l.mu.Unlock()
	}
	s.Latency = all.latency()
	return s
}
