package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"radial/aaa"
	"radial/store"
)

// quietSessions are sessions that may be closed where time goes.
type quietSessions struct {
	goes   bool
	left   int
	looked int
	rule   store.StaleRule
	err    error
}

func (q *quietSessions) WatchSilence(_ context.Context, rule store.StaleRule) (bool, error) {
	q.looked++
	q.rule = rule
	return q.goes, q.err
}

func (q *quietSessions) CloseStale(_ context.Context, _ store.StaleRule, limit int) (int, error) {
	n := min(limit, q.left)
	q.left -= n
	return n, nil
}

func TestCloseStale(t *testing.T) {
	rule := store.StaleRule{Intervals: 3, Silent: time.Hour}
	for goes, left := range map[bool]int{true: 0, false: 25} {
		q := &quietSessions{goes: goes, left: 25}
		if err := closeStale(q, rule)(t.Context(), aaa.CloseStale{Batch: 10}); err != nil || q.left != left || q.looked != 1 || q.rule != rule {
			t.Errorf("goes %v: %v, %+v", goes, err, q)
		}
	}
	q := &quietSessions{goes: true, left: 25, err: errAway}
	if err := closeStale(q, rule)(t.Context(), aaa.CloseStale{Batch: 10}); !errors.Is(err, errAway) || q.left != 25 {
		t.Errorf("%v, %+v", err, q)
	}
}
