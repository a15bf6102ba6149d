package store

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	lossPause = time.Minute // between two lines of a lossLog
	lossNASes = 1000        // that are counted one by one for a line
	lossNamed = 5           // NASes that a line names
)

// lossLog tells which devices' counters went back within a session, by one line in a minute
// at most.
type lossLog struct {
	mu   sync.Mutex
	last time.Time
	of   map[netip.Addr]int // records since the last line
	all  int
}

// note adds a record, and writes a line if it is time for one.
func (t *lossLog) note(e *entry, now time.Time, log *zap.Logger) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[netip.Addr]int{}
	}
	if _, ok := t.of[e.raw.NAS]; ok || len(t.of) < lossNASes {
		t.of[e.raw.NAS]++
	}
	t.all++
	if now.Sub(t.last) < lossPause {
		return
	}
	log.Warn("octets of a session went back: its device's counter began anew, or has passed 2^32 without gigawords; what it transferred since is not counted",
		zap.String("nas", t.named()), zap.String("session", e.raw.SessionID), zap.String("user", e.raw.Login), zap.Int("records", t.all))
	t.last, t.all = now, 0
	clear(t.of)
}

// named are the NASes with the most records: 10.0.0.1 (12), 10.0.0.7 (3) and 2 more.
func (t *lossLog) named() string {
	all := slices.SortedFunc(maps.Keys(t.of), func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(t.of[b], t.of[a]), a.Compare(b))
	})
	var names []string
	for _, a := range all[:min(lossNamed, len(all))] {
		names = append(names, fmt.Sprintf("%s (%d)", a, t.of[a]))
	}
	line := strings.Join(names, ", ")
	if more := len(all) - len(names); more > 0 {
		line += fmt.Sprintf(" and %d more", more)
	}
	return line
}

// tally counts a record that is done with.
func (l *Ledger) tally(e *entry, err error) {
	l.metrics.record(e, err)
	if e.loses && err == nil && !e.journalled {
		l.metrics.losses.Inc()
		l.losses.note(e, l.now(), l.log)
	}
}
