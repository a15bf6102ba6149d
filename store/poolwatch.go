package store

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	poolWatchEvery = time.Minute
	// poolWatchSlack is by how many percent a pool's use must fall below a
	// threshold that it has reached: logins and logouts at the threshold itself
	// shall not tell of it each minute.
	poolWatchSlack = 3
)

// PoolWatchOptions say when a pool's use is told.
type PoolWatchOptions struct {
	// Thresholds are percent of a pool's addresses that are in use, as texts, in
	// rising order; the highest is told as an error, the others as warnings.
	// None: nothing is told.
	Thresholds []string
}

// DefaultPoolWatchOptions are 80 and 95 percent.
func DefaultPoolWatchOptions() PoolWatchOptions {
	return PoolWatchOptions{Thresholds: []string{"80", "95"}}
}

// percents reads the thresholds.
func (o PoolWatchOptions) percents() ([]int, error) {
	var all []int
	for _, text := range o.Thresholds {
		n, err := ParsePercent(text)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 && n <= all[len(all)-1] {
			return nil, fmt.Errorf("%d percent after %d: want rising numbers, such as 80, 95", n, all[len(all)-1])
		}
		all = append(all, n)
	}
	return all, nil
}

// Validate tells what is wrong with the options.
func (o PoolWatchOptions) Validate() error {
	_, err := o.percents()
	return err
}

// ParsePercent reads a whole number from 1 to 100, with or without a % sign.
func ParsePercent(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
	if err != nil || n < 1 || n > 100 {
		return 0, fmt.Errorf("%q: want a whole number of percent from 1 to 100", text)
	}
	return n, nil
}

// PoolWatch counts the addresses of all pools each minute, for the metrics, and
// tells when the use of a pool rises to a threshold and when it has fallen below
// all of them. Each server watches by itself.
type PoolWatch struct {
	db      *DB
	percent []int
	metrics *PoolMetrics
	log     *zap.Logger
	now     func() time.Time

	level  map[int64]int // thresholds that a pool is above, where any
	failed bool          // the last count failed, and that was told
}

// NewPoolWatch makes a PoolWatch; Run makes it work.
func NewPoolWatch(db *DB, opts PoolWatchOptions, m *PoolMetrics, log *zap.Logger, now func() time.Time) (*PoolWatch, error) {
	percent, err := opts.percents()
	if err != nil {
		return nil, fmt.Errorf("pool thresholds: %w", err)
	}
	return &PoolWatch{db: db, percent: percent, metrics: m, log: log, now: now, level: map[int64]int{}}, nil
}

// Run counts at once, and then each minute or so until ctx ends: servers that
// were started together do not count together for long.
func (w *PoolWatch) Run(ctx context.Context) error {
	for {
		w.look(ctx)
		pause := time.NewTimer(poolWatchEvery*9/10 + rand.N(poolWatchEvery/5))
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

// look counts once. While the database is away the metrics keep what was
// counted last; radial_ipam_pools_counted_timestamp_seconds says when.
func (w *PoolWatch) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, poolWatchEvery/2)
	defer cancel()
	pools, err := w.db.CountPools(ctx)
	if err != nil {
		if !w.failed && ctx.Err() == nil {
			w.log.Warn("pools could not be counted", zap.Error(err))
		}
		w.failed = true
		return
	}
	w.failed = false
	for _, p := range pools {
		w.judge(p)
	}
	maps.DeleteFunc(w.level, func(id int64, _ int) bool {
		return !slices.ContainsFunc(pools, func(p PoolCount) bool { return p.ID == id })
	})
	w.metrics.counted(pools, w.reached, w.now())
}

// judge tells of a pool whose use has crossed a threshold since the last look.
func (w *PoolWatch) judge(p PoolCount) {
	was := w.level[p.ID]
	level := risen(p.Used()*100, w.percent, was)
	if level == was {
		return
	}
	w.level[p.ID] = level
	if p.Status == "inactive" {
		return // nobody is offered an address of it
	}
	fields := []zap.Field{
		zap.String("pool", p.Name), zap.String("vrf", p.VRF), zap.Float64("used_percent", float64(int(p.Used()*1000))/10),
		zap.Float64("free", p.Free), zap.Float64("capacity", p.Capacity),
	}
	switch {
	case level > was && level == len(w.percent):
		w.log.Error("pool is nearly full", append(fields, zap.Int("threshold_percent", w.percent[level-1]))...)
	case level > was:
		w.log.Warn("pool fills", append(fields, zap.Int("threshold_percent", w.percent[level-1]))...)
	case level == 0:
		w.log.Info("pool has room again", append(fields, zap.Int("threshold_percent", w.percent[0]))...)
	}
}

// risen says how many of the thresholds a use (in percent) has reached, where
// it had reached was of them: one is left again only with some slack.
func risen(percent float64, thresholds []int, was int) int {
	level := 0
	for i, t := range thresholds {
		if percent >= float64(t) || i < was && percent > float64(t-poolWatchSlack) {
			level = i + 1
		}
	}
	return level
}

// reached is the highest threshold that a pool is above, 0 to 1; 0 is none.
func (w *PoolWatch) reached(id int64) float64 {
	level := w.level[id]
	if level == 0 {
		return 0
	}
	return float64(w.percent[level-1]) / 100
}
