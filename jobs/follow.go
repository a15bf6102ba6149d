package jobs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"radial/aaa"
)

// actorOthers stands for whoever changes rows past us: psql, a panel, a script.
const actorOthers = "psql"

const (
	followTick = 500 * time.Millisecond
	// Rows of a name that have changed are looked at when nothing more has changed
	// for a while: scripts delete and insert in transactions of their own.
	followSettled = 2 * time.Second
	// Who has no rows then may get new ones yet.
	followVanished = 20 * time.Second
	// After "anything may have changed": connections were lost, so that everybody
	// has to read everything now.
	followAll = 30 * time.Second
	// More names than this are taken for everything.
	followNames = 5000
)

// News is told of rows that have changed (store.Listener), hands that on to the
// policy cache, and has sessions that run follow: of users by name, of the
// members of groups by a look at them. Every server does so; what one of them has
// asked for already is not asked for again, nor what a change has asked for itself.
type News struct {
	to    policyEvents
	knows func(ctx context.Context, user string) (bool, error)
	log   *zap.Logger
	now   func() time.Time

	mu     sync.Mutex
	db     follows
	how    Reconcile
	users  map[string]changed
	groups map[string]changed
	all    changed
}

// changed is when rows were last told of, and since when they are waited for.
type changed struct{ last, since time.Time }

// policyEvents is who else hears of rows (aaa.Cache).
type policyEvents interface {
	Invalidate(users, groups []string)
	InvalidateAll()
	Echo(at time.Time)
	Down()
}

// follows is where sessions are found, and told to follow (store.DB).
type follows interface {
	liveSessions
	FollowUsers(ctx context.Context, actor, why string, users []string) (int, error)
	// ProfileAmong tells whether one of the names is a profile that others go by
	// (User-Profile, or the default one), or a member of one of the groups is.
	ProfileAmong(ctx context.Context, names, groups []string, byDefault string) (bool, error)
}

// NewNews makes News that is handed on to the cache. knows tells whether the rows
// have a user (aaa.Cache.Knows). Nothing follows until Follow has said how.
func NewNews(to policyEvents, knows func(ctx context.Context, user string) (bool, error), log *zap.Logger, now func() time.Time) *News {
	return &News{to: to, knows: knows, log: log, now: now, users: map[string]changed{}, groups: map[string]changed{}}
}

// Follow says how sessions follow.
func (n *News) Follow(db follows, r Reconcile) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.db, n.how = db, r
}

// Invalidate hears of users and groups.
func (n *News) Invalidate(users, groups []string) {
	n.to.Invalidate(users, groups)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.users)+len(users)+len(n.groups)+len(groups) > followNames {
		n.everything()
		return
	}
	for _, u := range users {
		if len(u) > 0 && u[len(u)-1] == 0 {
			continue // the same name as the one before it, as the cache may have it
		}
		n.users[u] = n.again(n.users[u])
	}
	for _, g := range groups {
		n.groups[g] = n.again(n.groups[g])
	}
}

// Followed hears of users whose sessions are seen to by a job that was queued with
// the change: what was told of them so far is no longer waited for. The tables'
// rows, and so the cache, are no matter of it.
func (n *News) Followed(users []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, u := range users {
		delete(n.users, u)
	}
}

func (n *News) again(c changed) changed {
	c.last = n.now()
	if c.since.IsZero() {
		c.since = c.last
	}
	return c
}

func (n *News) everything() {
	clear(n.users)
	clear(n.groups)
	n.all = n.again(n.all)
}

// InvalidateAll hears that anything may have changed.
func (n *News) InvalidateAll() {
	n.to.InvalidateAll()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.everything()
}

// Echo is the cache's alone.
func (n *News) Echo(at time.Time) { n.to.Echo(at) }

// Down is the cache's alone.
func (n *News) Down() { n.to.Down() }

// Run has sessions follow until ctx ends.
func (n *News) Run(ctx context.Context) error {
	tick := time.NewTicker(followTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := n.follow(ctx); err != nil && ctx.Err() == nil {
				n.log.Warn("rows have changed, and sessions do not follow yet: the next look at all of them sees to it", zap.Error(err))
			}
		}
	}
}

// follow does what is due.
func (n *News) follow(ctx context.Context) error {
	n.mu.Lock()
	db, how := n.db, n.how
	n.mu.Unlock()
	users, groups, all := n.take()
	if db == nil || how.Glance == nil || how.Every <= 0 {
		n.Followed(users)
		return nil
	}
	const why = "rows changed"
	var errs []error
	if users = n.withRows(ctx, users); len(users) > 0 {
		_, err := db.FollowUsers(ctx, actorOthers, why, users)
		errs = append(errs, err)
	}
	if len(users)+len(groups) > 0 {
		profile, err := db.ProfileAmong(ctx, users, groups, how.Profile)
		errs = append(errs, err)
		if profile { // whose users are not counted here: a look at all sessions finds them
			groups, all = nil, true
		}
	}
	if all || len(groups) > 0 {
		s := sweep{Reconcile: how, db: db, actor: actorOthers, why: why}
		errs = append(errs, s.run(ctx, groups))
	}
	return errors.Join(errs...)
}

// take is what has settled. Who changes without end is looked at all the same.
func (n *News) take() (users, groups []string, all bool) {
	now := n.now()
	settled := func(c changed, wait time.Duration) bool {
		return !c.since.IsZero() && (now.Sub(c.last) >= wait || now.Sub(c.since) >= 10*wait)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if settled(n.all, followAll) {
		n.all = changed{}
		return nil, nil, true
	}
	for _, u := range slices.Collect(maps.Keys(n.users)) {
		if settled(n.users[u], followSettled) {
			users = append(users, u)
		}
	}
	for _, g := range slices.Collect(maps.Keys(n.groups)) {
		if settled(n.groups[g], followSettled) {
			groups = append(groups, g)
			delete(n.groups, g)
		}
	}
	return users, groups, false
}

// withRows leaves those for later who have no rows at the moment, and forgets
// the others. Whose rows cannot be read are left to the next look at all.
func (n *News) withRows(ctx context.Context, users []string) []string {
	var found []string
	for _, u := range users {
		known, err := n.knows(ctx, u)
		n.mu.Lock()
		c := n.users[u]
		if err != nil || known || n.now().Sub(c.last) >= followVanished {
			delete(n.users, u)
		}
		n.mu.Unlock()
		switch {
		case err != nil:
		case known:
			found = append(found, u)
		case n.now().Sub(c.last) >= followVanished && len(users) <= vanishedMany:
			found = append(found, u)
		}
	}
	return found
}

var _ policyEvents = (*aaa.Cache)(nil)
