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

	lives, closed, rebooted []int64
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

func (q *quietSessions) DueStale(_ context.Context, _ store.StaleRule, limit int) (due []store.OpenAt, err error) {
	for n := range min(limit, q.left) {
		due = append(due, store.OpenAt{ID: int64(q.left - n)})
	}
	return due, nil
}

func (q *quietSessions) StaleLives(_ context.Context, ids []int64) error {
	q.lives = append(q.lives, ids...)
	q.left -= len(ids) // not due any more
	return nil
}

func (q *quietSessions) CloseStaleOf(_ context.Context, _ store.StaleRule, dead []store.OpenAt) (int, error) {
	q.left -= len(dead)
	for _, s := range dead {
		q.closed = append(q.closed, s.ID)
		if s.Rebooted {
			q.rebooted = append(q.rebooted, s.ID)
		}
	}
	return len(dead), nil
}

// everyThird says that every third session lives, and that the routers of every fifth
// have begun anew.
type everyThird struct{ err error }

func (e everyThird) Live(_ context.Context, silent []store.OpenAt) (known testimony, err error) {
	for _, s := range silent {
		if s.ID%3 == 0 {
			known.live = append(known.live, s.ID)
		}
		if s.ID%5 == 0 {
			known.rebooted = append(known.rebooted, s.ID)
		}
	}
	return known, e.err
}

// With a witness, what lives stays open, and a witness in trouble closes nothing.
func TestCloseStaleAsks(t *testing.T) {
	q := &quietSessions{goes: true, left: 25}
	if err := closeStale(q, store.StaleRule{Intervals: 3}, everyThird{})(t.Context(), aaa.CloseStale{Batch: 10}); err != nil || len(q.lives) != 8 || len(q.closed) != 17 || len(q.rebooted) != 4 { // of 5, 10, 15, 20 and 25, 15 lives
		t.Errorf("%v: %d live, %d closed", err, len(q.lives), len(q.closed))
	}
	for _, id := range q.closed {
		if id%3 == 0 {
			t.Errorf("%d lives and was closed", id)
		}
	}
	q = &quietSessions{goes: true, left: 25}
	if err := closeStale(q, store.StaleRule{Intervals: 3}, everyThird{errAway})(t.Context(), aaa.CloseStale{Batch: 10}); !errors.Is(err, errAway) || len(q.closed) != 0 {
		t.Errorf("%v, %+v", err, q)
	}
}

func TestCloseStale(t *testing.T) {
	rule := store.StaleRule{Intervals: 3, Silent: time.Hour}
	for goes, left := range map[bool]int{true: 0, false: 25} {
		q := &quietSessions{goes: goes, left: 25}
		if err := closeStale(q, rule, nil)(t.Context(), aaa.CloseStale{Batch: 10}); err != nil || q.left != left || q.looked != 1 || q.rule != rule {
			t.Errorf("goes %v: %v, %+v", goes, err, q)
		}
	}
	q := &quietSessions{goes: true, left: 25, err: errAway}
	if err := closeStale(q, rule, nil)(t.Context(), aaa.CloseStale{Batch: 10}); !errors.Is(err, errAway) || q.left != 25 {
		t.Errorf("%v, %+v", err, q)
	}
}
