package jobs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"radial/aaa"
	"radial/store"
)

// months is a history of whole months, and rows that none of them has.
type months struct {
	ends  []time.Time
	stray int
	made  int
	err   error
	log   []string
}

func (m *months) MakeHistoryMonths(context.Context) error { m.made++; return m.err }

func (m *months) DropHistoryMonth(_ context.Context, before time.Time, by store.Change) (string, error) {
	m.log = append(m.log, by.Actor+" "+by.Action)
	if len(m.ends) == 0 || m.ends[0].After(before) {
		return "", nil
	}
	end := m.ends[0]
	m.ends = m.ends[1:]
	return end.Format("2006_01"), nil
}

func (m *months) ForgetHistory(_ context.Context, _ time.Time, limit int) (int, error) {
	n := min(limit, m.stray)
	m.stray -= n
	return n, nil
}

func TestTendHistory(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	day := func(month, d int) time.Time { return time.Date(2026, time.Month(month), d, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		keep        time.Duration
		left, stray int
	}{
		{0, 3, 25}, {24 * time.Hour * 20, 1, 0}, {24 * time.Hour * 21, 2, 0}, {10000 * time.Hour, 3, 0},
	} {
		m := &months{ends: []time.Time{day(10, 1), day(11, 1), day(12, 1)}, stray: 25}
		err := tendHistory(m, c.keep, func() time.Time { return now })(t.Context(), aaa.TendHistory{Batch: 10})
		if err != nil || m.made != 1 || len(m.ends) != c.left || m.stray != c.stray {
			t.Errorf("keep %s: %v, made %d, %d months and %d rows left, want %d and %d", c.keep, err, m.made, len(m.ends), m.stray, c.left, c.stray)
		}
		if c.keep > 0 && m.log[0] != "job:tend_history history.drop" {
			t.Error(fmt.Sprint(m.log))
		}
	}
	m := &months{err: errors.New("away"), stray: 1}
	if err := tendHistory(m, time.Hour, time.Now)(t.Context(), aaa.TendHistory{}); !errors.Is(err, m.err) || m.stray != 1 {
		t.Errorf("%v, %d left", err, m.stray)
	}
}
