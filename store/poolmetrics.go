package store

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PoolMetrics show how the addresses of each pool are used, as a PoolWatch
// last counted them: all pools of one moment, and none that is gone.
type PoolMetrics struct {
	addresses, capacity, used, threshold *prometheus.Desc
	at                                   *prometheus.Desc

	last atomic.Pointer[poolSnapshot]
}

type poolSnapshot struct {
	pools   []PoolCount
	reached []float64
	at      time.Time
}

// NewPoolMetrics makes the metrics and registers them.
func NewPoolMetrics(reg prometheus.Registerer) *PoolMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m := &PoolMetrics{
		addresses: desc("radial_ipam_addresses", "Addresses of a pool (IPv6: prefixes) by state: free, offered, bound, reserved, cooling.", "pool", "vrf", "state"),
		capacity:  desc("radial_ipam_pool_capacity_addresses", "Addresses that a pool has, in whatever state.", "pool", "vrf"),
		used:      desc("radial_ipam_pool_used_ratio", "Part of a pool that is offered, bound or cooling, of all but what is reserved.", "pool", "vrf"),
		threshold: desc("radial_ipam_pool_threshold_ratio", "The highest of ipam.thresholds that a pool has reached, and has not fallen well below since; 0: none.", "pool", "vrf"),
		at:        desc("radial_ipam_pools_counted_timestamp_seconds", "When the addresses of the pools were last counted, each minute."),
	}
	reg.MustRegister(m)
	return m
}

// counted keeps a count for the next scrapes.
func (m *PoolMetrics) counted(pools []PoolCount, reached func(id int64) float64, at time.Time) {
	s := &poolSnapshot{pools: pools, at: at}
	for _, p := range pools {
		s.reached = append(s.reached, reached(p.ID))
	}
	m.last.Store(s)
}

// Describe names the metrics.
func (m *PoolMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.addresses, m.capacity, m.used, m.threshold, m.at} {
		ch <- d
	}
}

// Collect shows the last count; nothing before the first.
func (m *PoolMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.last.Load()
	if s == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for i, p := range s.pools {
		gauge(m.addresses, p.Free, p.Name, p.VRF, "free")
		gauge(m.addresses, float64(p.Offered), p.Name, p.VRF, "offered")
		gauge(m.addresses, float64(p.Bound), p.Name, p.VRF, "bound")
		gauge(m.addresses, float64(p.Reserved), p.Name, p.VRF, "reserved")
		gauge(m.addresses, float64(p.Cooling), p.Name, p.VRF, "cooling")
		gauge(m.capacity, p.Capacity, p.Name, p.VRF)
		gauge(m.used, p.Used(), p.Name, p.VRF)
		gauge(m.threshold, s.reached[i], p.Name, p.VRF)
	}
	gauge(m.at, float64(s.at.Unix()))
}
