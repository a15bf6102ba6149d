package aaa

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
	"unique"

	"radial/dictionaries"
)

// EchoLife is how long one echo of the listening connection vouches for the
// cache (design: Cache).
const EchoLife = 2 * time.Second

// CacheOptions bound the policy cache. Users without any row are kept apart,
// in an eighth of the room, so that a flood of unknown names pushes no
// subscriber out.
type CacheOptions struct {
	Entries int   // users and groups together
	Bytes   int64 // of compiled rows and names, about
}

// DefaultCacheOptions hold the users of a large provider in about 256 MB.
func DefaultCacheOptions() CacheOptions {
	return CacheOptions{Entries: 400_000, Bytes: 256 << 20}
}

// CacheConfig is what a Cache is made of.
type CacheConfig struct {
	Reader   PolicyReader
	Dict     *dictionaries.Dictionary
	Options  CacheOptions
	Location *time.Location   // of dates in rows; nil: time.Local
	Now      func() time.Time // nil: time.Now
	// OutageAge is how long after the last echo rows in memory are served when the
	// database does not answer either (policy.outage: cached); 0: not at all. Told
	// hears when that begins and when it is over.
	OutageAge time.Duration
	Told      func(OutageNews)
}

// Cache holds the compiled rows of users and groups in memory. It follows the
// tables by what the listener tells it, and its promise is:
//
//  1. A caller never gets rows older than the last invalidation of that name
//     that ended before the call began. Rows whose read began before an
//     invalidation are not stored, and nobody who comes after it waits for them.
//  2. Nothing is served from memory, and nothing is stored, unless an echo has
//     come back within EchoLife: then the listening connection was alive, and
//     every commit before that has been told.
//  3. Entries and bytes stay within the options.
//  4. Where the operator chose so (OutageAge), rows that it has from before the
//     connection was lost are served while it is down and the database does not
//     answer, and told apart. The next connection begins with nothing.
//
// The listener's part of the promise: it LISTENs before it calls InvalidateAll
// on each new connection, hands up notifications in order, and calls Echo with
// the time at which it *sent* the notification that came back, after all that
// came before it.
type Cache struct {
	reader PolicyReader
	comp   *Compiler
	now    func() time.Time

	users  *cacheTable[*userPolicy]
	groups *cacheTable[*groupPolicy]

	echo   atomic.Int64 // Unix nanoseconds of the last echo; 0 when down
	outage outage
}

// NewCache returns an empty cache that reads through until its first Echo.
func NewCache(c CacheConfig) *Cache {
	if c.Location == nil {
		c.Location = time.Local
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Options.Entries <= 0 || c.Options.Bytes <= 0 {
		c.Options = DefaultCacheOptions()
	}
	cache := &Cache{reader: c.Reader, comp: NewCompiler(c.Dict, c.Location), now: c.Now}
	cache.outage.maxAge, cache.outage.told, cache.outage.now = c.OutageAge, c.Told, c.Now
	// groups are few: an eighth for them is plenty
	entries, bytes := c.Options.Entries, c.Options.Bytes
	cache.users = newCacheTable(entries-entries/8, bytes-bytes/8, cache.live, &cache.outage, cache.readUser)
	cache.groups = newCacheTable(entries/8, bytes/8, cache.live, &cache.outage, cache.readGroup)
	return cache
}

// What a quota and a top-up take, about, in bytes.
const (
	quotaSize = 72
	topUpSize = 24
)

// userPolicy is what the tables say of one user, compiled. Immutable.
type userPolicy struct {
	check, reply ruleList
	groups       []Membership // by priority, then id
	limits       UserLimits
}

// groupPolicy is what the tables say of one group, compiled. Immutable.
type groupPolicy struct {
	check, reply ruleList
	quotas       []Quota
	walled       []WallState // for which there is a walled garden; of the garden itself too
}

func (c *Cache) readUser(ctx context.Context, name string) (cached[*userPolicy], error) {
	rows, err := c.reader.UserRows(ctx, name)
	if err != nil {
		return cached[*userPolicy]{}, err
	}
	u := &userPolicy{check: c.comp.list(radcheck, rows.Check), reply: c.comp.list(radreply, rows.Reply), groups: slices.Clone(rows.Groups), limits: rows.Limits}
	compact(&u.check, &u.reply)
	for i := range u.groups { // the same few names for all users; cloned, since the reader may have given the rows to others too
		u.groups[i].Group = unique.Make(u.groups[i].Group).Value()
	}
	size := 176 + u.check.size() + u.reply.size() + quotaSize*len(u.limits.Quotas) + topUpSize*len(u.limits.TopUps)
	for i := range u.groups {
		size += 48 + len(u.groups[i].Group)
	}
	empty := len(rows.Check)+len(rows.Reply)+len(rows.Groups) == 0
	return cached[*userPolicy]{value: u, size: size, unknown: empty}, nil
}

func (c *Cache) readGroup(ctx context.Context, name string) (cached[*groupPolicy], error) {
	rows, err := c.reader.GroupRows(ctx, name)
	if err != nil {
		return cached[*groupPolicy]{}, err
	}
	g := &groupPolicy{check: c.comp.list(radgroupcheck, rows.Check), reply: c.comp.list(radgroupreply, rows.Reply), quotas: rows.Quotas, walled: rows.Walled}
	return cached[*groupPolicy]{value: g, size: 152 + g.check.size() + g.reply.size() + quotaSize*len(g.quotas)}, nil
}

// compact puts the rules of two lists into one piece of memory, and their values
// into another: a login that finds its user reads few places, and the collector
// has few to look at.
func compact(check, reply *ruleList) {
	size := 0
	for _, l := range []*ruleList{check, reply} {
		for i := range l.rules {
			size += len(l.rules[i].value)
		}
	}
	rules, values := make([]rule, 0, len(check.rules)+len(reply.rules)), make([]byte, 0, size)
	for _, l := range []*ruleList{check, reply} {
		from := len(rules)
		for i := range l.rules {
			r := l.rules[i]
			if r.value != nil {
				at := len(values)
				values = append(values, r.value...)
				r.value = values[at:len(values):len(values)]
			}
			rules = append(rules, r)
			if l.limit == &l.rules[i] {
				l.limit = &rules[len(rules)-1]
			}
		}
		if l.rules != nil {
			l.rules = rules[from:len(rules):len(rules)]
		}
	}
}

// user returns the rows of a user; kept tells that they are the last ones
// known, from before an outage. An error is the reader's, or ctx's.
func (c *Cache) user(ctx context.Context, name string) (u *userPolicy, kept bool, err error) {
	return c.users.get(ctx, name)
}

// group returns the rows of a group, as user does.
func (c *Cache) group(ctx context.Context, name string) (g *groupPolicy, kept bool, err error) {
	return c.groups.get(ctx, name)
}

// Knows tells whether the tables have rows by which a user could be let in.
func (c *Cache) Knows(ctx context.Context, name string) (bool, error) {
	u, kept, err := c.user(ctx, name)
	if err == nil && kept {
		err = errFromMemory
	}
	if err != nil {
		return false, fmt.Errorf("rows of %q: %w", name, err)
	}
	return len(u.check.rules) > 0 || u.check.bad != nil || len(u.groups) > 0, nil
}

// live tells whether the cache may be used now.
func (c *Cache) live() bool {
	echo := c.echo.Load()
	age := c.now().UnixNano() - echo
	// an echo from the future means that the clock was set back: wait for the next
	return echo != 0 && age < int64(EchoLife) && age > -int64(EchoLife)
}

// Live tells whether the cache serves now: an echo has come back within
// EchoLife.
func (c *Cache) Live() bool { return c.live() }

// Invalidate drops what is known of these users and groups.
func (c *Cache) Invalidate(users, groups []string) {
	for _, name := range users {
		c.users.drop(name)
	}
	for _, name := range groups {
		c.groups.drop(name)
	}
}

// InvalidateAll drops everything.
func (c *Cache) InvalidateAll() {
	c.users.dropAll()
	c.groups.dropAll()
	c.outage.over()
}

// Echo says that a notification of ours, sent at the given time, has come back.
func (c *Cache) Echo(at time.Time) {
	c.outage.heard.Store(at.UnixNano())
	c.echo.Store(at.UnixNano())
}

// Down says that the listening connection is gone: the cache reads through until
// the next Echo. It is emptied, unless it serves in outages.
func (c *Cache) Down() {
	c.echo.Store(0)
	if c.outage.maxAge <= 0 {
		c.InvalidateAll()
	}
}

// CacheStats are counters since the start, and the present size.
type CacheStats struct {
	Hits, Misses, Evictions uint64
	Entries                 int
	Bytes                   int64
}

// Stats returns the counters.
func (c *Cache) Stats() CacheStats {
	var s CacheStats
	c.users.addStats(&s)
	c.groups.addStats(&s)
	return s
}
