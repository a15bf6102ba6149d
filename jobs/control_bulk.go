package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"golang.org/x/time/rate"

	"radial/aaa"
	"radial/store"
)

const (
	bulkSlice   = 45 * time.Second // of one run; then the job makes room for others
	bulkFlight  = 256              // deeds under way at a time
	bulkToOne   = 48               // of these at one device
	bulkClaim   = 90 * time.Second // longer than a deed and the wait for its turn
	bulkTries   = 4
	bulkFlush   = 100 * time.Millisecond
	bulkTimeout = 5 * time.Minute // how long quiet devices are waited for
)

// bulkStore is where bulk orders are (store.DB).
type bulkStore interface {
	Bulk(ctx context.Context, id int64) (store.Bulk, error)
	TakeBulk(ctx context.Context, id int64, n int) ([]store.BulkTarget, error)
	SettleBulk(ctx context.Context, id int64, who string, closeAfter time.Duration, deeds []store.Deed, targets []store.BulkTarget) error
	bulkEnds
}

// bulkEnds are the beginning and the end of a run.
type bulkEnds interface {
	ResumeBulk(ctx context.Context, id int64) error
	BulkLeft(ctx context.Context, id int64) (time.Duration, bool, error)
	FinishBulk(ctx context.Context, id int64) error
}

// followMany works at a bulk order for a while.
func (c *control) followMany(ctx context.Context, job *river.Job[aaa.FollowMany]) error {
	id := job.Args.Bulk
	order, err := c.bulk.Bulk(ctx, id)
	switch {
	case errors.Is(err, aaa.ErrNotFound):
		return c.told(ctx, "there is no such order any more", nil)
	case err != nil:
		return err
	case order.Finished != nil:
		return c.told(ctx, bulkText(&order), nil)
	}
	if err := c.bulk.ResumeBulk(ctx, id); err != nil {
		return err
	}
	run := &bulkRun{control: c, order: &order, who: c.claimant(), results: make(chan bulkResult, bulkFlight), at: map[netip.Addr]int{}, wish: wish{
		verb: order.Verb, limit: order.Limit, actor: order.Actor, why: order.Why, job: job.ID, bulk: id, asked: order.Made,
	}}
	err = run.run(ctx)
	if ctx.Err() != nil {
		return river.JobSnooze(0)
	}
	if err != nil {
		return err
	}
	left, more, err := c.bulk.BulkLeft(ctx, id)
	if err != nil {
		return err
	}
	if more {
		return river.JobSnooze(min(left, 2*time.Second))
	}
	if err := c.bulk.FinishBulk(ctx, id); err != nil {
		return err
	}
	if order, err = c.bulk.Bulk(ctx, id); err != nil {
		return err
	}
	return c.told(ctx, bulkText(&order), nil)
}

// BulkResults are the results that a session of a bulk order may have
// (store.Bulk), in the order in which people are told; "" is to be done.
func BulkResults() []string {
	return []string{"done", "gone", "nothing", "over", "refused", "unsupported", "unknown", "failed", "cancelled", ""}
}

// bulkText is a bulk order's outcome in words.
func bulkText(b *store.Bulk) string {
	text := fmt.Sprintf("%s: %d sessions", b.Asked, b.Total)
	for _, result := range BulkResults() {
		if n := b.Results[result]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, cmp.Or(result, BulkToBeDone))
		}
	}
	return text
}

// BulkToBeDone is the result "" in words.
const BulkToBeDone = "to be done"

// bulkRun is one run of a bulk order.
type bulkRun struct {
	*control
	order   *store.Bulk
	who     string
	wish    wish
	results chan bulkResult

	mu sync.Mutex
	at map[netip.Addr]int // deeds under way, by device
}

type bulkResult struct {
	target store.BulkTarget
	deed   *store.Deed
}

// run takes sessions at the order's pace until none is due, or it is time to let
// others work. Memory is bounded by what is under way.
func (r *bulkRun) run(ctx context.Context) error {
	end := time.Now().Add(bulkSlice)
	pace := rate.NewLimiter(rate.Limit(r.order.Rate), max(1, r.order.Rate/20))
	flight := make(chan struct{}, bulkFlight)
	var acts sync.WaitGroup
	written := make(chan error, 1)
	go func() { written <- r.write(context.WithoutCancel(ctx)) }()
	err := func() error {
		for time.Now().Before(end) && ctx.Err() == nil {
			page, err := r.bulk.TakeBulk(ctx, r.order.ID, min(max(r.order.Rate/4, 10), bulkFlight))
			if err != nil || len(page) == 0 {
				return err
			}
			mine, err := r.claim(ctx, page)
			if err != nil {
				return err
			}
			for i := range mine {
				s := &mine[i]
				if !r.enter(s.NAS) {
					r.results <- bulkResult{target: store.BulkTarget{Session: s.session.ID, Again: 300 * time.Millisecond}}
					continue
				}
				if pace.Wait(ctx) != nil { // ctx has ended
					r.leave(s.NAS)
					r.results <- bulkResult{target: store.BulkTarget{Session: s.session.ID}}
					continue
				}
				flight <- struct{}{}
				acts.Go(func() {
					defer func() { <-flight; r.leave(s.NAS) }()
					v := r.act(ctx, r.wish, s.session)
					r.results <- r.result(&v, s.tries, ctx.Err() != nil)
				})
			}
		}
		return nil
	}()
	acts.Wait()
	close(r.results)
	return errors.Join(err, <-written)
}

// bulkSession is a session that this run has claimed.
type bulkSession struct {
	NAS     netip.Addr
	session *aaa.LiveSession
	tries   int
}

// claim claims a page; what cannot be claimed has its result already.
func (r *bulkRun) claim(ctx context.Context, page []store.BulkTarget) ([]bulkSession, error) {
	ids, tries := make([]int64, len(page)), make(map[int64]int, len(page))
	for i, t := range page {
		ids[i], tries[t.Session] = t.Session, t.Tries
	}
	claimed, err := r.rows.ClaimSessions(ctx, ids, r.who, bulkClaim)
	if err != nil {
		return nil, err
	}
	mine := make([]bulkSession, len(claimed.Mine))
	for i := range claimed.Mine {
		s := &claimed.Mine[i]
		mine[i] = bulkSession{s.NAS, s, tries[s.ID]}
		delete(tries, s.ID)
	}
	for _, id := range claimed.Busy {
		r.results <- bulkResult{target: store.BulkTarget{Session: id, Again: time.Second}}
		delete(tries, id)
	}
	for _, id := range claimed.Ending {
		r.results <- bulkResult{target: store.BulkTarget{Session: id, Result: "over", Detail: "disconnected before; its Stop is awaited"}}
		delete(tries, id)
	}
	for id := range tries {
		r.results <- bulkResult{target: store.BulkTarget{Session: id, Result: "over"}}
	}
	return mine, nil
}

// enter takes a place at a device; leave gives it back.
func (r *bulkRun) enter(nas netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at[nas] >= bulkToOne {
		return false
	}
	r.at[nas]++
	return true
}

func (r *bulkRun) leave(nas netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at[nas]--; r.at[nas] == 0 {
		delete(r.at, nas)
	}
}

// result is what a verdict means for the order.
func (r *bulkRun) result(v *verdict, tries int, ending bool) bulkResult {
	t := store.BulkTarget{Session: v.session.ID}
	again := 10 * time.Second
	for range tries {
		again *= 3
	}
	switch {
	case v.wait > 0 && time.Since(r.order.Made) > bulkTimeout+bulkSlice:
		t.Result, t.Detail = string(aaa.ResultUnknown), v.session.NAS.String()+" has not answered for some time"
	case v.wait > 0:
		t.Again, t.Detail = v.wait, v.session.NAS.String()+" does not answer"
	case v.err != nil && ending:
	case v.err != nil:
		t.Tried, t.Detail, t.Again = true, v.err.Error(), again
		if tries+1 >= bulkTries {
			t.Result = string(aaa.ResultFailed)
		}
	case v.deed == nil:
		t.Result = "nothing"
	default:
		e := &v.deed.Effect
		t.Tried, t.Result, t.Detail, t.Cause = true, string(e.Result), e.Detail, e.Cause
		if tryAgain(e) && tries+1 < bulkTries {
			t.Result, t.Again = "", again
		}
	}
	return bulkResult{target: t, deed: v.deed}
}

// write writes results, those of a moment in one transaction, until there are no
// more.
func (r *bulkRun) write(ctx context.Context) error {
	tick := time.NewTicker(bulkFlush)
	defer tick.Stop()
	var deeds []store.Deed
	var targets []store.BulkTarget
	var errs error
	flush := func() {
		if len(targets) > 0 {
			errs = errors.Join(errs, r.bulk.SettleBulk(ctx, r.order.ID, r.who, r.CloseAfter, deeds, targets))
			deeds, targets = nil, nil
		}
	}
	for {
		select {
		case one, ok := <-r.results:
			if !ok {
				flush()
				return errs
			}
			if targets = append(targets, one.target); one.deed != nil {
				deeds = append(deeds, *one.deed)
			}
			if len(targets) >= bulkFlight {
				flush()
			}
		case <-tick.C:
			flush()
		}
	}
}
