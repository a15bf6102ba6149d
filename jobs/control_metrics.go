package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"radial/aaa"
)

// controlMetrics tell what is done to sessions that run.
type controlMetrics struct {
	deeds      *prometheus.CounterVec
	rtt        prometheus.Histogram
	delay      prometheus.Histogram
	inFlight   prometheus.Gauge
	superseded prometheus.Counter
	rescued    prometheus.Counter
	closed     prometheus.Counter
	lives      prometheus.Counter
}

func newControlMetrics(reg prometheus.Registerer, quiet *quietDevices) *controlMetrics {
	m := &controlMetrics{
		deeds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "radial_control_deeds_total", Help: "What was done to running sessions, by verb (change, disconnect) and result (done, gone, refused, unsupported, unknown, failed).",
		}, []string{"verb", "result"}),
		rtt: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "radial_control_rtt_seconds", Help: "How long devices took to answer CoA and Disconnect.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "radial_control_delay_seconds", Help: "From a change to its acknowledgement by the device.", Buckets: prometheus.ExponentialBuckets(0.05, 2, 14),
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "radial_control_in_flight_requests", Help: "Devices that are being asked now.",
		}),
		superseded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_control_superseded_jobs_total", Help: "Jobs that had nothing to do, since a later change of the same user or session sees to it.",
		}),
		rescued: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_control_rescued_jobs_total", Help: "Jobs of servers that have died, made available to others.",
		}),
		closed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_control_closed_sessions_total", Help: "Sessions closed here that their devices had let go, since no Stop came.",
		}),
		lives: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_control_surviving_sessions_total", Help: "Sessions that go on reporting after their devices have acknowledged a disconnect.",
		}),
	}
	reg.MustRegister(m.deeds, m.rtt, m.delay, m.inFlight, m.superseded, m.rescued, m.closed, m.lives, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "radial_control_quiet_devices", Help: "Devices that have not answered three requests in a row.",
	}, func() float64 { return float64(quiet.count()) }))
	return m
}

// observe counts a deed that was asked for at a time.
func (m *controlMetrics) observe(verb aaa.Verb, e aaa.Effect, asked time.Time) {
	m.deeds.WithLabelValues(string(verb), string(e.Result)).Inc()
	if e.RTT > 0 {
		m.rtt.Observe(e.RTT.Seconds())
	}
	if e.Result == aaa.ResultDone && !asked.IsZero() {
		m.delay.Observe(time.Since(asked).Seconds())
	}
}
