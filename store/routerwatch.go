package store

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	routerWatchEvery = time.Minute

	// How routers stood at the last look at each, and when the one of them that has
	// waited longest was looked at, or made known where it never was.
	sqlRouterCount = `
SELECT count(*) FILTER (WHERE status = 'active' AND checked_at IS NOT NULL), count(*) FILTER (WHERE status = 'error'),
    count(*) FILTER (WHERE status = 'active' AND checked_at IS NULL), count(*) FILTER (WHERE status = 'inactive'),
    coalesce(extract(epoch FROM min(coalesce(checked_at, created_at)) FILTER (WHERE status <> 'inactive')), 0)::float8
FROM radial.routers`
)

// RouterMetrics show how routers stood at the last look at them.
type RouterMetrics struct {
	known  *prometheus.GaugeVec
	looked prometheus.Gauge
}

// NewRouterMetrics makes the metrics and registers them.
func NewRouterMetrics(reg prometheus.Registerer) *RouterMetrics {
	m := &RouterMetrics{
		known: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "radial_known_routers", Help: "Routers of radial router list by what the last look found: up, down, unknown (none yet), inactive (nobody looks).",
		}, []string{"state"}),
		looked: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "radial_routers_checked_timestamp_seconds", Help: "When the router that has waited longest for a look was looked at, or made known; 0: there is none to look at.",
		}),
	}
	for _, state := range []string{"up", "down", "unknown", "inactive"} {
		m.known.WithLabelValues(state)
	}
	reg.MustRegister(m.known, m.looked)
	return m
}

// RouterWatch counts routers for the metrics. Each server does so by itself;
// who looks at them is the job check_routers, on one of the servers.
type RouterWatch struct {
	db      *DB
	metrics *RouterMetrics
	log     *zap.Logger
	failed  bool // the last count failed, and that was told
}

// NewRouterWatch makes a RouterWatch; Run makes it work.
func NewRouterWatch(db *DB, m *RouterMetrics, log *zap.Logger) *RouterWatch {
	return &RouterWatch{db: db, metrics: m, log: log}
}

// Run counts at once, and then each minute or so until ctx ends; then it returns
// nil. While the database is away the metrics keep what was counted last.
func (w *RouterWatch) Run(ctx context.Context) error {
	for {
		err := w.look(ctx)
		if err != nil && !w.failed && ctx.Err() == nil {
			w.log.Warn("routers could not be counted", zap.Error(err))
		}
		w.failed = err != nil
		if sleep(ctx, routerWatchEvery*9/10+rand.N(routerWatchEvery/5)) != nil {
			return nil
		}
	}
}

func (w *RouterWatch) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, routerWatchEvery/2)
	defer cancel()
	var up, down, unknown, inactive int64
	var looked float64
	if err := w.db.pool.QueryRow(ctx, sqlRouterCount).Scan(&up, &down, &unknown, &inactive, &looked); err != nil {
		return wrapErr("count routers", err)
	}
	for state, n := range map[string]int64{"up": up, "down": down, "unknown": unknown, "inactive": inactive} {
		w.metrics.known.WithLabelValues(state).Set(float64(n))
	}
	w.metrics.looked.Set(looked)
	return nil
}
