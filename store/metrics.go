package store

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what the shared trips, the post-auth log and the listener do.
type Metrics struct {
	batches   *prometheus.HistogramVec
	postAuth  *prometheus.CounterVec
	listening prometheus.Gauge
	reconnect prometheus.Counter
	notified  *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "radial_policy_batch_names", Help: "Names that shared one database trip, by what was read: users, groups, sessions.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500},
		}, []string{"what"}),
		postAuth: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "radial_postauth_rows_total",
			Help: "Rows for radpostauth: written; dropped, since the queue was full or the database away at shutdown; refused by the database.",
		}, []string{"outcome"}),
		listening: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "radial_listener_up_ratio", Help: "1 while the listening connection is up, else 0.",
		}),
		reconnect: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_listener_connects_total", Help: "Connections that the listener has made.",
		}),
		notified: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "radial_listener_notifications_total", Help: "Notifications that came, by channel.",
		}, []string{"channel"}),
	}
	for _, outcome := range []string{postAuthWritten, postAuthDropped, postAuthRefused} {
		m.postAuth.WithLabelValues(outcome)
	}
	reg.MustRegister(m.batches, m.postAuth, m.listening, m.reconnect, m.notified)
	return m
}

func (m *Metrics) batch(what string, n int) { m.batches.WithLabelValues(what).Observe(float64(n)) }
