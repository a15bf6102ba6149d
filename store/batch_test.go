package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"radial/aaa"
	"radial/store"
)

// Every caller gets the answer to its own question, and every question is
// carried out exactly once.
func TestGroupAnswersEachOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxBatch := rapid.IntRange(1, 20).Draw(t, "max")
		runners := rapid.IntRange(1, 4).Draw(t, "runners")
		callers := rapid.IntRange(1, 60).Draw(t, "callers")
		var asked [60]atomic.Int32
		var under, over atomic.Int32
		g := store.NewGroup(maxBatch, func(_ context.Context, qs []int) ([]string, error) {
			if n := under.Add(1); int(n) > runners {
				over.Store(n)
			}
			defer under.Add(-1)
			if len(qs) > maxBatch {
				t.Errorf("batch of %d, want %d at most", len(qs), maxBatch)
			}
			rs := make([]string, len(qs))
			for i, q := range qs {
				asked[q].Add(1)
				rs[i] = fmt.Sprint("answer ", q)
			}
			return rs, nil
		})
		g.Runners = runners
		var wg sync.WaitGroup
		for q := range callers {
			wg.Go(func() {
				if r, err := g.Do(context.Background(), q); err != nil || r != fmt.Sprint("answer ", q) {
					t.Errorf("Do(%d) = %q, %v", q, r, err)
				}
			})
		}
		wg.Wait()
		for q := range callers {
			if n := asked[q].Load(); n != 1 {
				t.Errorf("%d was asked %d times", q, n)
			}
		}
		if n := over.Load(); n != 0 {
			t.Errorf("%d batches at once, want %d at most", n, runners)
		}
		if g.Waiting() != 0 {
			t.Errorf("%d left in the queue", g.Waiting())
		}
	})
}

// Five times as many ask as can be answered, and go away after 900 ms: four
// fifths of what can be answered is, in time, whether a batch takes its time or
// each that is in it. Who has waited for too long is told.
func TestGroupGoodput(t *testing.T) {
	for name, c := range map[string]struct {
		batch       int
		takes, each time.Duration
		answers     int // in a second
	}{
		"slow trips": {batch: 50, takes: 50 * time.Millisecond, answers: 1000},
		"slow rows":  {batch: 256, takes: time.Millisecond, each: 5 * time.Millisecond, answers: 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const seconds = 5
				g := store.NewGroup(c.batch, func(_ context.Context, qs []int) ([]int, error) {
					time.Sleep(c.takes + time.Duration(len(qs))*c.each)
					return qs, nil
				})
				var inTime, waited, gone atomic.Int32
				var wg sync.WaitGroup
				for step := range seconds * 100 {
					for i := range 5 * c.answers / 100 {
						wg.Go(func() {
							patience := 900 * time.Millisecond
							if i%2 == 0 {
								patience = time.Hour // nobody is told that the device has gone
							}
							ctx, stop := context.WithTimeout(t.Context(), patience)
							defer stop()
							begun := time.Now()
							_, err := g.Do(ctx, step)
							switch {
							case errors.Is(err, aaa.ErrWaited):
								waited.Add(1)
							case err != nil:
								gone.Add(1)
							case time.Since(begun) <= 900*time.Millisecond:
								inTime.Add(1)
							}
						})
					}
					time.Sleep(10 * time.Millisecond)
				}
				wg.Wait()
				can := seconds * c.answers
				if n := int(inTime.Load()); n < can*8/10 {
					t.Errorf("%d were answered in time, and %d can be", n, can)
				}
				if waited.Load() == 0 || gone.Load() == 0 || g.Waiting() != 0 {
					t.Errorf("%d were told that they have waited too long, %d gave up, %d wait still", waited.Load(), gone.Load(), g.Waiting())
				}
			})
		})
	}
}

// What queues while a batch runs is the next batch, in order.
func TestGroupBatchesWhatQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches [][]int
		gate := make(chan struct{})
		g := store.NewGroup(100, func(_ context.Context, qs []int) ([]int, error) {
			batches = append(batches, slices.Clone(qs))
			<-gate
			return qs, nil
		})
		var wg sync.WaitGroup
		for q := range 5 {
			wg.Go(func() {
				if r, err := g.Do(t.Context(), q); r != q || err != nil {
					t.Errorf("Do(%d) = %d, %v", q, r, err)
				}
			})
			synctest.Wait()
		}
		close(gate)
		wg.Wait()
		if got := fmt.Sprint(batches); got != "[[0] [1 2 3 4]]" {
			t.Errorf("batches %s", got)
		}
	})
}

// A second runner begins once a crowd waits, and not before.
func TestGroupCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var batches []int
		gate := make(chan struct{})
		g := store.NewGroup(100, func(_ context.Context, qs []int) ([]int, error) {
			mu.Lock()
			batches = append(batches, len(qs))
			mu.Unlock()
			<-gate
			return qs, nil
		})
		g.Runners, g.Crowd = 2, 3
		var wg sync.WaitGroup
		for q := range 6 {
			wg.Go(func() {
				if r, err := g.Do(t.Context(), q); r != q || err != nil {
					t.Errorf("Do(%d) = %d, %v", q, r, err)
				}
			})
			synctest.Wait()
		}
		close(gate)
		wg.Wait()
		if got := fmt.Sprint(batches); got != "[1 3 2]" {
			t.Errorf("batches %s", got)
		}
	})
}

func TestGroupCallerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []int
		gate := make(chan struct{})
		g := store.NewGroup(100, func(ctx context.Context, qs []int) ([]int, error) {
			asked = append(asked, qs...)
			<-gate
			return qs, ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		gone := func(q int) {
			wg.Go(func() {
				if _, err := g.Do(ctx, q); !errors.Is(err, context.Canceled) {
					t.Errorf("Do(%d): %v, want canceled", q, err)
				}
			})
			synctest.Wait()
		}
		stays := func(q int) {
			wg.Go(func() {
				if r, err := g.Do(t.Context(), q); r != q || err != nil {
					t.Errorf("Do(%d) = %d, %v", q, r, err)
				}
			})
			synctest.Wait()
		}
		gone(1) // in the batch that runs
		gone(2) // in the queue
		stays(3)
		cancel()
		synctest.Wait()
		close(gate)
		wg.Wait()
		if got := fmt.Sprint(asked); got != "[1 3]" {
			t.Errorf("asked %s", got)
		}
	})
}

func TestGroupErrors(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		do   func(ctx context.Context, qs []int) ([]int, error)
		want string
	}{
		"error":   {func(context.Context, []int) ([]int, error) { return nil, boom }, "boom"},
		"panic":   {func(context.Context, []int) ([]int, error) { panic("ouch") }, "batch: panic: ouch"},
		"short":   {func(context.Context, []int) ([]int, error) { return nil, nil }, "batch: 0 answers to 1 queries"},
		"timeout": {func(ctx context.Context, _ []int) ([]int, error) { <-ctx.Done(); return nil, ctx.Err() }, "context deadline exceeded"},
		"items":   {func(_ context.Context, qs []int) ([]int, error) { return qs, store.ItemErrors{boom} }, "boom"},
	} {
		t.Run(name, func(t *testing.T) {
			g := store.NewGroup(10, c.do)
			g.Timeout = time.Millisecond
			_, err := g.Do(t.Context(), 1)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("err = %v, want %s", err, c.want)
			}
			// and it goes on
			if _, err := g.Do(t.Context(), 2); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestItemErrorsReachTheirCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		g := store.NewGroup(10, func(_ context.Context, qs []int) ([]int, error) {
			<-gate
			errs := make(store.ItemErrors, len(qs))
			for i, q := range qs {
				if q%2 == 1 {
					errs[i] = fmt.Errorf("odd %d", q)
				}
			}
			return qs, errs
		})
		var wg sync.WaitGroup
		for q := range 6 {
			wg.Go(func() {
				r, err := g.Do(t.Context(), q)
				if q%2 == 1 && (err == nil || err.Error() != fmt.Sprintf("odd %d", q)) || q%2 == 0 && (err != nil || r != q) {
					t.Errorf("Do(%d) = %d, %v", q, r, err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
	})
}

// However many queries are bad and wherever they stand: they alone are set
// apart, and the others are done exactly once.
func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bad := rapid.SliceOfN(rapid.Bool(), 1, 64).Draw(t, "bad")
		qs := make([]int, len(bad))
		for i := range qs {
			qs[i] = i
		}
		done := map[int]int{}
		do := func(_ context.Context, qs []int) ([]string, error) {
			for _, q := range qs {
				if bad[q] {
					return nil, fmt.Errorf("%d is bad", q)
				}
			}
			var rs []string
			for _, q := range qs {
				done[q]++
				rs = append(rs, fmt.Sprint("done ", q))
			}
			return rs, nil
		}
		alone := func(_ context.Context, q int, cause error) (string, error) {
			if cause.Error() != fmt.Sprintf("%d is bad", q) {
				t.Errorf("%d stands alone for %v", q, cause)
			}
			return fmt.Sprint("alone ", q), nil
		}
		rs, err := store.Split(context.Background(), qs, do, alone)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rs {
			want := fmt.Sprint("done ", i)
			if bad[i] {
				want = fmt.Sprint("alone ", i)
			}
			if r != want || !bad[i] && done[i] != 1 {
				t.Errorf("%d: %q, done %d times, want %q", i, r, done[i], want)
			}
		}
	})
}

func TestSplitLeavesTroubleAlone(t *testing.T) {
	trouble := fmt.Errorf("no connection: %w", aaa.ErrUnavailable)
	n := 0
	_, err := store.Split(t.Context(), []int{1, 2, 3, 4},
		func(context.Context, []int) ([]int, error) { n++; return nil, trouble },
		func(context.Context, int, error) (int, error) { t.Error("nobody is to blame"); return 0, nil })
	if n != 1 || !errors.Is(err, aaa.ErrUnavailable) {
		t.Errorf("%d tries, %v", n, err)
	}
}

func TestShardsKeepOrderOfAKey(t *testing.T) {
	var mu sync.Mutex
	last := map[string]int{}
	s := store.NewShards(4, 8, func(_ context.Context, qs []kv) ([]int, error) {
		mu.Lock()
		defer mu.Unlock()
		rs := make([]int, len(qs))
		for i, q := range qs {
			rs[i] = last[q.key]
			last[q.key] = q.value
		}
		return rs, nil
	})
	var wg sync.WaitGroup
	for k := range 10 {
		key := fmt.Sprint("key ", k)
		wg.Go(func() {
			for v := 1; v <= 50; v++ {
				if before, err := s.Do(t.Context(), key, kv{key, v}); before != v-1 || err != nil {
					t.Errorf("%s: %d came after %d, %v", key, v, before, err)
				}
			}
		})
	}
	wg.Wait()
}

type kv struct {
	key   string
	value int
}

func BenchmarkGroup(b *testing.B) {
	g := store.NewGroup(500, func(_ context.Context, qs []int) ([]int, error) { return qs, nil })
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.Do(context.Background(), 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
