package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"radial/aaa"
)

const (
	sweepPage   = 500                    // sessions of one look
	sweepAtOnce = 16                     // of them at a time, so that what memory lacks is read in few trips
	followPage  = 100                    // sessions that are to follow, queued at a time
	followEvery = 500 * time.Millisecond // and the time until the next
	// Beyond so many, and one in so many, sessions whose users the rows do not know
	// any more are not ended by a look at all sessions: it is likelier that somebody
	// is writing the rows anew, or has lost them, than that so many have left.
	vanishedMany  = 50
	vanishedShare = 20
)

// DefaultReconcile is how often all open sessions are looked at where nothing is
// said.
const DefaultReconcile = 5 * time.Minute

// Reconcile is what compares what sessions have with what they should have.
type Reconcile struct {
	// Glance says what a login of a session would be given now, by rows that may be
	// in memory (aaa.Engine.Glance). Nil: nothing is compared.
	Glance func(ctx context.Context, s *aaa.LiveSession) (aaa.Due, error)
	Decide func(s *aaa.LiveSession, d *aaa.Due) aaa.Action
	Every  time.Duration // 0: never
	// Profile is the name whose groups hold for all (policy.default_user_profile); "":
	// there is none.
	Profile string
}

// liveSessions is where sessions are found, and told to follow (store.DB).
type liveSessions interface {
	LiveSessions(ctx context.Context, page int, groups []string, f func(context.Context, []aaa.LiveSession) error) error
	FollowSessions(ctx context.Context, actor, why string, ids []int64) (int, error)
}

// reconcile looks at all open sessions, and has those follow that differ. Nothing
// depends on one job having run, one notification having come, or one packet
// having arrived: the next look finds what is left.
func reconcile(db liveSessions, r Reconcile) func(context.Context, aaa.ReconcileSessions) error {
	return func(ctx context.Context, _ aaa.ReconcileSessions) error {
		if r.Every <= 0 || r.Glance == nil {
			return nil
		}
		s := sweep{Reconcile: r, db: db, actor: "server:reconcile", why: "it has something else than it should"}
		return s.run(ctx, nil)
	}
}

// sweep is one look at sessions.
type sweep struct {
	Reconcile
	db         liveSessions
	actor, why string

	mu       sync.Mutex
	looked   int
	differ   []int64
	vanished []int64 // whose users the rows do not know
	errs     []error
}

// run looks at the sessions of the members of groups, nil: at all.
func (s *sweep) run(ctx context.Context, groups []string) error {
	err := s.db.LiveSessions(ctx, sweepPage, groups, s.page)
	if err != nil {
		return errors.Join(append(s.errs, err)...)
	}
	if n := len(s.vanished); n > vanishedMany && n > s.looked/vanishedShare {
		s.errs = append(s.errs, fmt.Errorf("%d of %d open sessions are of users whom the rows do not let in any more (not found, no password, checks that fail): "+
			"so many are not ended by themselves; where that is meant, radial session disconnect does it", n, s.looked))
	} else {
		s.differ = append(s.differ, s.vanished...)
	}
	for len(s.differ) > 0 {
		some := s.differ[:min(len(s.differ), followPage)]
		s.differ = s.differ[len(some):]
		if _, err := s.db.FollowSessions(ctx, s.actor, s.why, some); err != nil {
			return errors.Join(append(s.errs, err)...)
		}
		if len(s.differ) > 0 && !pause(ctx, followEvery) {
			return ctx.Err()
		}
	}
	return errors.Join(s.errs...)
}

// page looks at some sessions.
func (s *sweep) page(ctx context.Context, all []aaa.LiveSession) error {
	var looks sync.WaitGroup
	next := make(chan *aaa.LiveSession)
	for range sweepAtOnce {
		looks.Go(func() {
			for one := range next {
				s.look(ctx, one)
			}
		})
	}
	for i := range all {
		next <- &all[i]
	}
	close(next)
	looks.Wait()
	s.looked += len(all)
	if len(s.errs) > sweepPage {
		return errors.New("too much trouble: the rest is looked at the next time")
	}
	return ctx.Err()
}

// look compares one session.
func (s *sweep) look(ctx context.Context, one *aaa.LiveSession) {
	due, err := s.Glance(ctx, one)
	action := aaa.Action{}
	if err == nil {
		action = s.Decide(one, &due)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.errs = append(s.errs, err)
	case action.Do == aaa.VerbNone || action.Gently: // of which nobody knows what it has: a change of its user tells it
	case due.Refused == aaa.ReasonUnknownUser || due.Refused == aaa.ReasonNoPassword || due.Refused == aaa.ReasonCheckFailed:
		s.vanished = append(s.vanished, one.ID)
	default:
		s.differ = append(s.differ, one.ID)
	}
}
