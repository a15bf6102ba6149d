package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics tell when each kind of job last ran, and how it went.
type Metrics struct {
	runs        *prometheus.CounterVec
	lastRun     *prometheus.GaugeVec
	lastSuccess *prometheus.GaugeVec
	duration    *prometheus.HistogramVec
}

// NewMetrics makes the metrics and registers them.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	byJob := []string{"job"}
	m := &Metrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "radial_job_runs_total", Help: "Jobs that this server has run, by kind and result (ok or failed).",
		}, []string{"job", "result"}),
		lastRun: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "radial_job_last_run_timestamp_seconds", Help: "When this server last finished a job of the kind.",
		}, byJob),
		lastSuccess: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "radial_job_last_success_timestamp_seconds", Help: "When a job of the kind last succeeded here.",
		}, byJob),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "radial_job_duration_seconds", Help: "How long jobs run, by kind.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, byJob),
	}
	reg.MustRegister(m.runs, m.lastRun, m.lastSuccess, m.duration)
	return m
}

// ran counts a job that began at begin and has just ended.
func (m *Metrics) ran(kind string, begin time.Time, err error) {
	now := time.Now()
	m.duration.WithLabelValues(kind).Observe(now.Sub(begin).Seconds())
	m.lastRun.WithLabelValues(kind).Set(float64(now.Unix()))
	if err != nil {
		m.runs.WithLabelValues(kind, "failed").Inc()
		return
	}
	m.runs.WithLabelValues(kind, "ok").Inc()
	m.lastSuccess.WithLabelValues(kind).Set(float64(now.Unix()))
}
