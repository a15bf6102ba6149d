package ipam

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the allocator does. A nil *Metrics counts nothing.
type Metrics struct {
	leases  *prometheus.CounterVec
	retries prometheus.Counter
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		leases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "radial_ipam_lease_requests_total",
			Help: "Requests for an address of a pool, by result: leased, full, unknown or error.",
		}, []string{"result"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_ipam_lease_retries_total",
			Help: "Tries whose candidates were all taken by then.",
		}),
	}
	reg.MustRegister(m.leases, m.retries)
	return m
}

func (m *Metrics) leased() {
	if m != nil {
		m.leases.WithLabelValues("leased").Inc()
	}
}

func (m *Metrics) lost() {
	if m != nil {
		m.retries.Inc()
	}
}

func (m *Metrics) refused(err error) {
	if m == nil {
		return
	}
	result := "error"
	switch {
	case errors.Is(err, ErrPoolFull):
		result = "full"
	case errors.Is(err, ErrPoolUnknown):
		result = "unknown"
	}
	m.leases.WithLabelValues(result).Inc()
}
