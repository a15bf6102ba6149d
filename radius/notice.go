package radius

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// noticeEvery is how often one thing about one source is told.
	noticeEvery = time.Minute
	// noticeSources bounds the sources that are told apart; those beyond share
	// one line. Sources can be forged, so they must not fill memory or the log.
	noticeSources = 1024
)

// notices writes the log lines that strangers can cause: the first of a kind
// from a source at once, then at most one a minute, which tells how many there
// were.
type notices struct {
	log *zap.Logger
	now func() time.Time

	mu   sync.Mutex
	seen map[noticeKey]*notice
}

type noticeKey struct {
	what   string
	source netip.Addr // invalid: whichever
}

type notice struct {
	told   time.Time
	since  int // not told yet
	fields []zap.Field
}

func newNotices(log *zap.Logger, now func() time.Time) *notices {
	return &notices{log: log, now: now, seen: make(map[noticeKey]*notice)}
}

// tell logs what happened with a packet from source, or counts it. fields is
// only called for a line that is written.
func (n *notices) tell(what string, source netip.Addr, fields func() []zap.Field) {
	key := noticeKey{what, source}
	now := n.now()
	n.mu.Lock()
	e := n.seen[key]
	if e == nil && len(n.seen) >= noticeSources {
		key.source = netip.Addr{}
		e = n.seen[key]
	}
	if e == nil {
		e = &notice{}
		n.seen[key] = e
	} else if now.Sub(e.told) < noticeEvery {
		e.since++
		n.mu.Unlock()
		return
	}
	since := e.since
	e.told, e.since = now, 0
	e.fields = fields()
	line := e.fields
	n.mu.Unlock()
	n.write(key, line, since+1)
}

func (n *notices) write(key noticeKey, fields []zap.Field, packets int) {
	if !key.source.IsValid() {
		fields = []zap.Field{zap.String("source", "several")}
	}
	n.log.Warn(key.what, append(fields[:len(fields):len(fields)], zap.Int("packets", packets))...)
}

// run tells, once a minute, what has been counted and not told, and forgets
// what has ended.
func (n *notices) run(ctx context.Context) {
	tick := time.NewTicker(noticeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.flush()
		case <-ctx.Done():
			n.flush()
			return
		}
	}
}

func (n *notices) flush() {
	type line struct {
		noticeKey
		fields []zap.Field
		n      int
	}
	var lines []line
	now := n.now()
	n.mu.Lock()
	for key, e := range n.seen {
		switch {
		case e.since > 0:
			lines = append(lines, line{key, e.fields, e.since})
			e.told, e.since = now, 0
		case now.Sub(e.told) >= noticeEvery:
			delete(n.seen, key)
		}
	}
	n.mu.Unlock()
	for _, l := range lines {
		n.write(l.noticeKey, l.fields, l.n)
	}
}
