package jobs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"radial/aaa"
	"radial/store"
)

// oldSessions is an archive that has so much to do.
type oldSessions struct {
	months
	due   int
	takes time.Duration // for a batch
	log   []string
}

func (o *oldSessions) Archive(_ context.Context, before time.Time, batch int, step func(int) error) error {
	o.log = append(o.log, "before "+before.Format(time.DateTime))
	for n := batch; n == batch; {
		n = min(batch, o.due)
		time.Sleep(o.takes)
		o.due -= n
		if err := step(n); err != nil {
			return err
		}
	}
	return nil
}

func (o *oldSessions) DropArchiveMonth(ctx context.Context, before time.Time, by store.Change) (string, error) {
	return o.DropHistoryMonth(ctx, before, by)
}

func (o *oldSessions) ForgetArchived(ctx context.Context, before time.Time, limit int) (int, error) {
	return o.ForgetHistory(ctx, before, limit)
}

func TestArchiveSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, c := range []struct {
			rule                    ArchiveRule
			log                     string
			left, monthsLeft, stray int
			lasts                   time.Duration
		}{
			{ArchiveRule{}, "[]", 25, 2, 3, 0},
			// 3 batches of 4 s with a second after the full ones: the rest is bounded
			{ArchiveRule{After: time.Hour}, "[before " + now.Add(-time.Hour).Format(time.DateTime) + "]", 0, 2, 3, 3*4*time.Second + 2*time.Second},
			{ArchiveRule{Retention: 48 * time.Hour}, "[]", 25, 1, 0, 0},
		} {
			begun := time.Now()
			o := &oldSessions{due: 25, takes: 4 * time.Second, months: months{ends: []time.Time{now.AddDate(0, 0, -3), now.AddDate(0, 0, -1)}, stray: 3}}
			err := archiveSessions(o, c.rule, func() time.Time { return now.Add(time.Since(begun)) })(t.Context(), aaa.ArchiveSessions{Batch: 10})
			if err != nil || fmt.Sprint(o.log) != c.log || o.due != c.left || len(o.ends) != c.monthsLeft || o.stray != c.stray || time.Since(begun) != c.lasts {
				t.Errorf("%+v: %v, %v, %d left, %d months, %d strays, in %s", c.rule, err, o.log, o.due, len(o.ends), o.stray, time.Since(begun))
			}
		}
		// who is told to stop stops between two batches
		ctx, cancel := context.WithCancel(t.Context())
		o := &oldSessions{due: 25, takes: time.Second}
		go func() { time.Sleep(1500 * time.Millisecond); cancel() }()
		err := archiveSessions(o, ArchiveRule{After: time.Hour}, time.Now)(ctx, aaa.ArchiveSessions{Batch: 10})
		if !errors.Is(err, context.Canceled) || o.due != 15 {
			t.Errorf("%v, %d left", err, o.due)
		}
	})
}
