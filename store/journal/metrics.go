package journal

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics tell what a journal holds and does.
type Metrics struct {
	bytes, records, oldest prometheus.Gauge
	sync                   prometheus.Histogram
	refused                prometheus.Counter
	damaged                prometheus.Counter
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "radial_journal_bytes", Help: "Accounting that is acknowledged and not yet in the database, in bytes.",
		}),
		records: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "radial_journal_records", Help: "The same in records.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "radial_journal_oldest_timestamp_seconds", Help: "When the oldest of them came; 0: there is none.",
		}),
		sync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "radial_journal_sync_seconds", Help: "Time to write and sync records that were appended together.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_journal_refused_total", Help: "Records that the journal did not take, since it was full (journal.max_bytes) or could not be written: not answered.",
		}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "radial_journal_damaged_bytes_total", Help: "Bytes of the journal that the disk gave back wrong: acknowledged records may be among them.",
		}),
	}
	reg.MustRegister(m.bytes, m.records, m.oldest, m.sync, m.refused, m.damaged)
	return m
}

func (m *Metrics) hold(s Stats) {
	m.bytes.Set(float64(s.Bytes))
	m.records.Set(float64(s.Records))
	if s.Oldest.IsZero() {
		m.oldest.Set(0)
		return
	}
	m.oldest.Set(float64(s.Oldest.UnixNano()) / float64(time.Second))
}
