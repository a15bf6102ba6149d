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
		n, err := w.poller.wait(wake - w.run.now())
		if err != nil {
			return err
		}
		for i := range n {
			if _, err := w.lanes[w.poller.lane(i)].take(); err != nil {
				return err
			}
		}
	}
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
