package aaa

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what the engine decides. A nil *Metrics counts nothing.
type Metrics struct {
	accepts  prometheus.Counter
	without  prometheus.Counter // accepts without an address, since pools were full
	rejects  map[Reason]prometheus.Counter
	troubles prometheus.Counter
	full     prometheus.Counter // no answer, since pools were full
	walled   prometheus.Counter
	memory   map[bool]prometheus.Counter // logins by rows from memory, by whether they were accepted
	reg      prometheus.Registerer
}

// NewMetrics registers the engine's metrics.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	logins := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "radial_logins_total",
		Help: "Access-Requests by verdict (accept, reject, trouble: no answer) and reason of refusal; by pool_full: accept and silence, those have the reason pool_full too.",
	}, []string{"verdict", "reason"})
	memory := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "radial_logins_from_memory_total",
		Help: "Logins by rows from memory while the database was away (policy.outage: cached): accept, or none (no answer: a refusal, or it needs the database).",
	}, []string{"answer"})
	walled := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "radial_logins_walled_total", Help: "Logins accepted into the walled garden of their package; they are among radial_logins_total too.",
	})
	reg.MustRegister(logins, memory, walled)
	m := &Metrics{
		accepts:  logins.WithLabelValues("accept", ""),
		rejects:  make(map[Reason]prometheus.Counter, len(Reasons)),
		without:  logins.WithLabelValues("accept", string(ReasonPoolFull)),
		troubles: logins.WithLabelValues("trouble", ""),
		full:     logins.WithLabelValues("trouble", string(ReasonPoolFull)),
		memory:   map[bool]prometheus.Counter{true: memory.WithLabelValues("accept"), false: memory.WithLabelValues("none")},
		walled:   walled,
		reg:      reg,
	}
	for _, r := range Reasons {
		m.rejects[r] = logins.WithLabelValues("reject", string(r))
	}
	return m
}

func (m *Metrics) trouble(err error) {
	switch {
	case m == nil:
	case errors.Is(err, ErrPoolFull):
		m.full.Inc()
	default:
		m.troubles.Inc()
	}
}

func (m *Metrics) fromMemory(accepted bool) {
	if m != nil {
		m.memory[accepted].Inc()
	}
}

func (m *Metrics) decided(d *Decision) {
	switch {
	case m == nil:
	case d.Verdict == Accept:
		if d.Without != "" {
			m.without.Inc()
		} else {
			m.accepts.Inc()
		}
		if d.Walled != "" {
			m.walled.Inc()
		}
	default:
		if c := m.rejects[d.Reason]; c != nil {
			c.Inc()
		}
	}
}

// WatchCache shows the counters of the policy cache.
func (m *Metrics) WatchCache(c *Cache) {
	counter := func(name, help string, value func(CacheStats) float64) {
		m.reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return value(c.Stats()) }))
	}
	gauge := func(name, help string, value func(CacheStats) float64) {
		m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(c.Stats()) }))
	}
	counter("radial_policy_cache_hits_total", "Look-ups of users and groups answered from memory.", func(s CacheStats) float64 { return float64(s.Hits) })
	counter("radial_policy_cache_misses_total", "Look-ups of users and groups that read the tables.", func(s CacheStats) float64 { return float64(s.Misses) })
	counter("radial_policy_cache_evictions_total", "Entries dropped for room.", func(s CacheStats) float64 { return float64(s.Evictions) })
	gauge("radial_policy_cache_entries", "Users and groups in memory.", func(s CacheStats) float64 { return float64(s.Entries) })
	gauge("radial_policy_cache_bytes", "Memory of the entries, about.", func(s CacheStats) float64 { return float64(s.Bytes) })
}
