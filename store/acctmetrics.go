package store

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"radial/aaa"
	"radial/ipam"
)

// LedgerMetrics count what accounting does.
type LedgerMetrics struct {
	records     *prometheus.CounterVec
	batch       prometheus.Histogram
	commit      prometheus.Histogram
	clamped     *prometheus.CounterVec
	quarantined prometheus.Counter
	retries     *prometheus.CounterVec
	overload    prometheus.Counter
	leases      *prometheus.CounterVec
	known       prometheus.Counter
	plain       prometheus.Counter
	losses      prometheus.Counter

	// The counters of records by status and outcome, as they are first needed: to
	// find one by its labels costs more than the rest of the counting.
	each [aaa.StatusOff + 1][int(aaa.Reused) + 3]atomic.Pointer[prometheus.Counter]
}

// NewLedgerMetrics makes the metrics of a Ledger and registers them.
func NewLedgerMetrics(reg prometheus.Registerer) *LedgerMetrics {
	m := &LedgerMetrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "radial_accounting_records_total",
			Help: "Accounting records by Acct-Status-Type and by what they did to their session; failed: not stored, not answered; journalled: acknowledged from the journal, and counted again by what they did once it is drained.",
		}, []string{"status", "outcome"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "radial_accounting_batch_records", Help: "Records that shared a transaction.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000},
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "radial_accounting_commit_seconds", Help: "Time of an accounting transaction.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}),
		clamped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "radial_accounting_clamped_total",
			Help: "Values that their column could not hold: shortened to it, or with the bytes escaped that are no text.",
		}, []string{"column"}),
		quarantined: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_accounting_quarantined_total", Help: "Records that PostgreSQL refused, kept in radial.quarantine.",
		}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "radial_accounting_retries_total", Help: "Accounting transactions that ran again, by reason.",
		}, []string{"reason"}),
		overload: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_accounting_overload_total", Help: "Records that were refused because the queue was full.",
		}),
		leases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "radial_accounting_lease_events_total",
			Help: "What accounting did to addresses of pools (IPv6: prefixes), each counted by itself; conflict: the address is another's, and stays so.",
		}, []string{"outcome"}),
		known: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_accounting_known_total", Help: "Records stored without a look at their session's row first: it was as remembered, or new.",
		}),
		plain: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_accounting_plain_total", Help: "Addresses bound, renewed or released without a look at their row first: it was as the login or the session had left it.",
		}),
	}
	m.losses = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "radial_accounting_octets_lost_total",
		Help: "Records whose octets are fewer than an older one's of the same session: the device's counter began anew, or has passed 2^32 without gigawords, and what it counts until it is up there again counts for nothing.",
	})
	reg.MustRegister(m.losses, m.known, m.plain, m.records, m.batch, m.commit, m.clamped, m.quarantined, m.retries, m.overload, m.leases)
	return m
}

// record counts a record that is done with.
func (m *LedgerMetrics) record(e *entry, err error) {
	outcome, name := int(e.outcome), ""
	switch {
	case err != nil:
		outcome, name = int(aaa.Reused)+1, "failed"
	case e.journalled:
		outcome, name = int(aaa.Reused)+2, "journalled"
	}
	at := &m.each[e.raw.Status][outcome]
	c := at.Load()
	if c == nil {
		if name == "" {
			name = e.outcome.String()
		}
		found := m.records.WithLabelValues(e.raw.Status.String(), name)
		c = &found
		at.Store(c)
	}
	(*c).Inc()
}

// settled counts what a batch did to addresses, one for each.
func (m *LedgerMetrics) settled(s *settlement) {
	m.plain.Add(float64(s.plain))
	for out, n := range s.outcomes {
		if ipam.Outcome(out) != ipam.Leave && n > 0 {
			m.leases.WithLabelValues(ipam.Outcome(out).String()).Add(float64(n))
		}
	}
}
