package radius

import (
	"github.com/prometheus/client_golang/prometheus"
	wire "layeh.com/radius"

	"radial/aaa"
)

// port is which of the two services an address serves.
type port uint8

const (
	authPort port = iota
	acctPort
	portCount
)

func (p port) String() string { return [...]string{"auth", "acct"}[p] }

// Metrics are the server's counters. They are resolved once, so that counting
// a packet is one atomic addition.
type Metrics struct {
	requests   [portCount]map[wire.Code]prometheus.Counter
	refused    [portCount][refusalCount]prometheus.Counter
	replies    map[wire.Code]prometheus.Counter
	rejects    map[aaa.Reason]prometheus.Counter
	silent     [silenceCount]prometheus.Counter
	duplicates [seenAnswered + 1]prometheus.Counter // firstSeen is nil
	evictions  prometheus.Counter
	inFlight   [portCount]prometheus.Gauge
	delayed    prometheus.Gauge
	seconds    [portCount]prometheus.Observer
	panics     prometheus.Counter
	drops      [portCount]prometheus.Counter
	readErrors prometheus.Counter
}

// NewMetrics registers the metrics of the RADIUS server.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{replies: make(map[wire.Code]prometheus.Counter), rejects: make(map[aaa.Reason]prometheus.Counter)}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "radial_radius_" + name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "radial_radius_" + name, Help: help})
		reg.MustRegister(g)
		return g
	}
	requests := counter("requests_total", "Well-formed packets from known devices, duplicates included.", "port", "code")
	refused := counter("refused_total", "Datagrams dropped without an answer, by reason.", "port", "reason")
	replies := counter("replies_total", "Replies made, without those sent again.", "code")
	rejects := counter("rejects_total", "Access-Rejects, by reason.", "reason")
	silent := counter("silent_total", "Admitted requests that got no answer, by cause.", "cause")
	duplicates := counter("duplicates_total", "Retransmissions met in flight, answered again, and identifiers used anew within the replay window.", "kind")
	drops := counter("kernel_drops_total", "Datagrams that the kernel dropped because a receive buffer was full.", "port")
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "radial_radius_request_duration_seconds",
		Help:    "From reading a request to handing its answer to the socket, without reject delay.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	}, []string{"port"})
	reg.MustRegister(seconds)
	inFlight := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "radial_radius_in_flight_requests", Help: "Requests being answered, or waiting for it."}, []string{"port"})
	reg.MustRegister(inFlight)

	for p := range portCount {
		service := wire.CodeAccessRequest
		if p == acctPort {
			service = wire.CodeAccountingRequest
		}
		m.requests[p] = map[wire.Code]prometheus.Counter{
			service:               requests.WithLabelValues(p.String(), service.String()),
			wire.CodeStatusServer: requests.WithLabelValues(p.String(), wire.CodeStatusServer.String()),
		}
		for _, r := range Refusals() {
			m.refused[p][r] = refused.WithLabelValues(p.String(), r.String())
		}
		m.seconds[p] = seconds.WithLabelValues(p.String())
		m.inFlight[p] = inFlight.WithLabelValues(p.String())
		m.drops[p] = drops.WithLabelValues(p.String())
	}
	for _, c := range []wire.Code{wire.CodeAccessAccept, wire.CodeAccessReject, wire.CodeAccountingResponse} {
		m.replies[c] = replies.WithLabelValues(c.String())
	}
	for _, r := range aaa.Reasons {
		m.rejects[r] = rejects.WithLabelValues(string(r))
	}
	for s := range Silence(silenceCount) {
		m.silent[s] = silent.WithLabelValues(s.String())
	}
	m.duplicates[seenReplaced] = duplicates.WithLabelValues("replaced")
	m.duplicates[seenInFlight] = duplicates.WithLabelValues("in_flight")
	m.duplicates[seenAnswered] = duplicates.WithLabelValues("replayed")
	m.evictions = counter("replay_evictions_total", "Answers forgotten before their window was over, for want of room.").WithLabelValues()
	m.panics = counter("panics_total", "Panics while a packet was handled; each has its stack in the log.").WithLabelValues()
	m.readErrors = counter("read_errors_total", "Errors of reading from sockets.").WithLabelValues()
	m.delayed = gauge("delayed_rejects", "Access-Rejects being held back.")
	return m
}

func (m *Metrics) reject(r aaa.Reason) {
	if c := m.rejects[r]; c != nil {
		c.Inc()
	}
}
