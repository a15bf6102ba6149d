package load

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// worker works some of the run's lanes in one goroutine: it sleeps until one
// of them has datagrams, or something to send by its clock.
type worker struct {
	run    *run
	lanes  []*lane
	poller *poller
	lull   lull
}

// workers deals the lanes out, to at most as many workers as processors: each
// may sleep in the kernel.
func (r *run) workers(lanes []*lane) []*worker {
	n := min(len(lanes), max(runtime.GOMAXPROCS(0)/2, 1))
	ws := make([]*worker, n)
	for i := range ws {
		ws[i] = &worker{run: r}
	}
	for i, l := range lanes {
		ws[i%n].lanes = append(ws[i%n].lanes, l)
	}
	return ws
}

// work runs until no lane has more to send and no request is outstanding. When
// ctx ends, what is outstanding is dropped.
func (w *worker) work(ctx context.Context) (err error) {
	if w.poller, err = newPoller(w.lanes); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.poller.close()) }()
	for {
		wake, more, err := w.turn()
		if err != nil || !more || ctx.Err() != nil {
			return err
		}
		if rest := min(w.rest(), wake-w.run.now()); rest > 0 {
			if err := w.poller.sleep(rest); err != nil {
				return err
			}
		}
		n, err := w.poller.wait(wake - w.run.now())
		if err != nil {
			return err
		}
		taken := 0
		for i := range n {
			l := w.lanes[w.poller.lane(i)]
			got, err := l.take()
			if err != nil {
				return err
			}
			taken += got
			w.lull.lag(l.last)
		}
		w.lull.woke(taken)
	}
}

// rest is how long a closed loop leaves the answers that may be there alone.
func (w *worker) rest() time.Duration {
	if w.run.opts.Rate > 0 || w.run.opts.Mode == Storm {
		return 0
	}
	return w.lull.rest()
}

// lull judges whether a server's answers come one by one and late. To wake for
// each costs several times the handling of it, and takes that from the server
// where it runs on the same machine. Then the worker rests for a little of the
// time that an answer takes, and takes several at once.
type lull struct {
	took float64 // nanoseconds until an answer, a moving average
	each float64 // answers that a waking found, the same
}

const (
	lateAnswer = 4 * time.Millisecond // from here on
	fewAnswers = 8                    // to a waking
	lullShare  = 16                   // what of the time of an answer is rested: one part in so many
	longLull   = 10 * time.Millisecond
)

func (u *lull) lag(took time.Duration) { u.took += (float64(took) - u.took) / 32 }

func (u *lull) woke(answers int) {
	if answers > 0 {
		u.each += (float64(answers) - u.each) / 32
	}
}

func (u *lull) rest() time.Duration {
	if u.took < float64(lateAnswer) || u.each >= fewAnswers {
		return 0
	}
	return min(time.Duration(u.took)/lullShare, longLull)
}

// restless is how long a worker sleeps at most, so that it sees the end of a
// context or of a run that is ended early.
const restless = 100 * time.Millisecond

// turn lets the lanes send what is due, and returns when the next thing is;
// more is false when no lane has anything left to do.
func (w *worker) turn() (wake time.Duration, more bool, err error) {
	now := w.run.now()
	wake = now + restless
	for _, l := range w.lanes {
		if l.over {
			continue
		}
		if l.wake <= now {
			if err := l.turn(now); err != nil {
				return 0, false, err
			}
		}
		if !l.over {
			more = true
			wake = min(wake, l.wake)
		}
	}
	return wake, more, nil
}
