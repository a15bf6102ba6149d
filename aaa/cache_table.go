package aaa

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// cacheShards divides the names, so that logins seldom wait for one lock.
const cacheShards = 64

// cacheTable is one half of a Cache: names to compiled rows.
type cacheTable[V any] struct {
	seed   maphash.Seed
	read   func(ctx context.Context, name string) (cached[V], error)
	live   func() bool
	outage *outage
	shards [cacheShards]cacheShard[V]
}

// cached is what a read found.
type cached[V any] struct {
	value   V
	size    int // bytes, about
	unknown bool
}

// cacheShard is the names of one hash. Its lock is held for map work alone,
// never over a read.
type cacheShard[V any] struct {
	mu      sync.RWMutex
	entries map[string]*cacheEntry[V]
	// flights are the reads under way. An invalidation takes a flight out of
	// the map: that is how a read that began before it is known as stale. Only
	// a flight that is still here when it lands may be stored.
	flights map[string]*cacheFlight[V]
	// rings order the entries for eviction: known users, and unknown ones.
	rings [2]evictionRing[V]

	hits, misses, evictions atomic.Uint64
	_                       [64]byte // keeps neighbours' counters off this line
}

// cacheEntry is one name in memory; a node of its ring.
type cacheEntry[V any] struct {
	name       string
	value      V
	size       int64
	ring       *evictionRing[V]
	used       atomic.Bool // since the ring's hand passed
	next, prev *cacheEntry[V]
}

// cacheFlight is one read that several callers may wait for.
type cacheFlight[V any] struct {
	done  chan struct{}
	value V
	err   error
}

func newCacheTable[V any](entries int, bytes int64, live func() bool, o *outage, read func(context.Context, string) (cached[V], error)) *cacheTable[V] {
	t := &cacheTable[V]{seed: maphash.MakeSeed(), live: live, outage: o, read: read}
	perShard, bytesPerShard := max(entries/cacheShards, 1), max(bytes/cacheShards, 1)
	for i := range t.shards {
		s := &t.shards[i]
		s.entries = make(map[string]*cacheEntry[V])
		s.flights = make(map[string]*cacheFlight[V])
		s.rings[0] = evictionRing[V]{maxEntries: max(perShard-perShard/8, 1), maxBytes: bytesPerShard - bytesPerShard/8}
		s.rings[1] = evictionRing[V]{maxEntries: max(perShard/8, 1), maxBytes: bytesPerShard / 8}
	}
	return t
}

func (t *cacheTable[V]) shard(name string) *cacheShard[V] {
	return &t.shards[maphash.String(t.seed, name)%cacheShards]
}

// get returns the value of a name: from memory, from a read under way, or by a
// read of its own. While the cache is not live it reads by itself and stores
// nothing; in an outage the value may be the last one known, which kept tells.
// Once ctx has ended only memory is asked.
func (t *cacheTable[V]) get(ctx context.Context, name string) (v V, kept bool, err error) {
	s := t.shard(name)
	if !t.live() {
		return t.through(ctx, s, name)
	}
	s.mu.RLock()
	entry := s.entries[name]
	s.mu.RUnlock()
	if entry != nil {
		if !entry.used.Load() {
			entry.used.Store(true)
		}
		s.hits.Add(1)
		return entry.value, false, nil
	}
	if err := ctx.Err(); err != nil {
		return v, false, err
	}
	s.misses.Add(1)
	v, err = t.load(ctx, s, name)
	return v, false, err
}

// load joins the read of a name that is under way, or makes it.
func (t *cacheTable[V]) load(ctx context.Context, s *cacheShard[V], name string) (V, error) {
	for {
		s.mu.Lock()
		if entry := s.entries[name]; entry != nil {
			s.mu.Unlock()
			return entry.value, nil
		}
		f, joined := s.flights[name]
		if !joined {
			f = &cacheFlight[V]{done: make(chan struct{})}
			s.flights[name] = f
		}
		s.mu.Unlock()
		if !joined {
			t.fly(ctx, s, name, f)
			return f.value, f.err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			var zero V
			return zero, ctx.Err()
		}
		// Another caller's deadline is not ours: try again.
		if errors.Is(f.err, context.Canceled) || errors.Is(f.err, context.DeadlineExceeded) {
			if ctx.Err() == nil {
				continue
			}
		}
		return f.value, f.err
	}
}

// errReadPanicked is what those get who waited for a read that panicked.
var errReadPanicked = errors.New("read policy: the reader panicked")

// fly reads and, where nothing has invalidated the name since and the cache is
// still live, stores.
func (t *cacheTable[V]) fly(ctx context.Context, s *cacheShard[V], name string, f *cacheFlight[V]) {
	var c cached[V]
	f.err = errReadPanicked
	defer func() {
		s.mu.Lock()
		if s.flights[name] == f {
			delete(s.flights, name)
			if f.err == nil && t.live() {
				s.put(name, c)
			}
		}
		s.mu.Unlock()
		close(f.done)
	}()
	c, f.err = t.read(ctx, name)
	f.value = c.value
}

// put stores an entry and evicts what is too much; the lock is held.
func (s *cacheShard[V]) put(name string, c cached[V]) {
	ring := &s.rings[0]
	if c.unknown {
		ring = &s.rings[1]
	}
	entry := &cacheEntry[V]{name: name, value: c.value, size: int64(c.size + 2*len(name) + 128), ring: ring}
	if entry.size > ring.maxBytes {
		return // larger than all that a shard may hold
	}
	s.entries[name] = entry
	ring.push(entry)
	for ring.count > ring.maxEntries || ring.bytes > ring.maxBytes {
		victim := ring.victim()
		ring.remove(victim)
		delete(s.entries, victim.name)
		s.evictions.Add(1)
	}
}

// drop forgets a name, and any read of it that is under way.
func (t *cacheTable[V]) drop(name string) {
	s := t.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights, name)
	if entry := s.entries[name]; entry != nil {
		entry.ring.remove(entry)
		delete(s.entries, name)
	}
}

// dropAll forgets everything.
func (t *cacheTable[V]) dropAll() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		clear(s.entries)
		clear(s.flights)
		for r := range s.rings {
			s.rings[r].reset()
		}
		s.mu.Unlock()
	}
}

func (t *cacheTable[V]) addStats(sum *CacheStats) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		for r := range s.rings {
			sum.Entries += s.rings[r].count
			sum.Bytes += s.rings[r].bytes
		}
		s.mu.RUnlock()
		sum.Hits += s.hits.Load()
		sum.Misses += s.misses.Load()
		sum.Evictions += s.evictions.Load()
	}
}
