package ipam

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the allocator does. A nil *Metrics counts nothing.
type Metrics struct {
	leases    *prometheus.CounterVec
	retries   prometheus.Counter
	fallbacks *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		leases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "radial_ipam_lease_requests_total",
			Help: "Requests for an address of a pool, by result: leased, full, unknown, inactive, limit (Simultaneous-Use) or error.",
		}, []string{"result"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_ipam_lease_retries_total",
			Help: "Tries whose candidates were all taken by then.",
		}),
		fallbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "radial_ipam_fallbacks_total",
			Help: "Pools without room after which the next one was asked (taken), and names of fallback lists that no pool has (unknown).",
		}, []string{"result"}),
	}
	reg.MustRegister(m.leases, m.retries, m.fallbacks)
	return m
}

func (m *Metrics) leased(n int) {
	if m != nil {
		m.leases.WithLabelValues("leased").Add(float64(n))
	}
}

func (m *Metrics) fellBack() {
	if m != nil {
		m.fallbacks.WithLabelValues("taken").Inc()
	}
}

func (m *Metrics) unknownFallback() {
	if m != nil {
		m.fallbacks.WithLabelValues("unknown").Inc()
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
	var limit *LimitReached
	switch {
	case errors.As(err, &limit):
		result = "limit"
	case errors.Is(err, ErrPoolFull):
		result = "full"
	case errors.Is(err, ErrPoolUnknown):
		result = "unknown"
	case errors.Is(err, ErrPoolInactive):
		result = "inactive"
	}
	m.leases.WithLabelValues(result).Inc()
}
