package radius

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// requestKey names a request as RFC 5080 §2.2.2 does, without its
// authenticator. It holds no pointers, so that the collector need not look
// into the tables.
type requestKey struct {
	source   [16]byte // 4-in-6 for IPv4
	port     uint16
	listener uint16 // index of the address that was asked
	code, id uint8
}

func keyOf(source netip.AddrPort, listener uint16, p *packet) requestKey {
	return requestKey{source: source.Addr().As16(), port: source.Port(), listener: listener, code: uint8(p.code()), id: p.id()}
}

// sighting is what the duplicates say of a request.
type sighting uint8

const (
	firstSeen    sighting = iota // new: answer it, then call finish or forget
	seenReplaced                 // the same, and another request's entry made way
	seenInFlight                 // being answered: stay silent
	seenAnswered                 // answered: send the same bytes again
)

// ticket is an entry's place, for finish and forget. A ticket is void once its
// entry has made way for another.
type ticket struct {
	shard *duplicateShard
	slot  int32
	gen   uint32
}

// duplicates keeps, for a window after each answer, the answer: a
// retransmission gets the same bytes again, and none is worked on twice. It is
// bounded in entries and bytes; expiry happens in passing, without timers.
type duplicates struct {
	epoch  time.Time // times are counted from here, so that a stepped clock does no harm
	seed   maphash.Seed
	shards []duplicateShard
}

const duplicateShards = 64

func newDuplicates(entries, bytes int, window time.Duration, epoch time.Time, evicted func(n int)) *duplicates {
	n := duplicateShards
	if entries < 64*duplicateShards {
		n = 1 // too few to be spread fairly
	}
	d := &duplicates{epoch: epoch, seed: maphash.MakeSeed(), shards: make([]duplicateShard, n)}
	for i := range d.shards {
		d.shards[i].init(entries/n, bytes/n, window, evicted)
	}
	return d
}

// begin looks a request up and enters it when it is new. For seenAnswered it
// appends the answer to buf[:0].
func (d *duplicates) begin(key requestKey, authenticator []byte, now time.Time, buf []byte) (sighting, ticket, []byte) {
	s := &d.shards[0]
	if len(d.shards) > 1 {
		s = &d.shards[maphash.Comparable(d.seed, key)%uint64(len(d.shards))]
	}
	return s.begin(key, [16]byte(authenticator), int64(now.Sub(d.epoch)), buf)
}

// finish keeps the answer. It is false when the entry has made way for another
// request with the same identifier: then nobody waits for this answer.
func (d *duplicates) finish(t ticket, reply []byte, now time.Time) bool {
	return t.shard.finish(t, reply, int64(now.Sub(d.epoch)))
}

// heard is when a request in flight was last received, and how long after the
// time before, 0 for the first; false: its device has used the identifier for another one.
func (d *duplicates) heard(t ticket) (at time.Time, gap time.Duration, ok bool) {
	s := t.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := &s.slots[t.slot]
	return d.epoch.Add(time.Duration(slot.heard)), time.Duration(slot.gap), slot.gen == t.gen
}

// forget ends an entry without an answer, so that a retransmission is a new
// request.
func (t ticket) forget() { t.shard.forget(t) }

// duplicateShard is a part of the table under its own lock. Answered entries
// form a list in the order of their expiry, oldest first.
type duplicateShard struct {
	mu      sync.Mutex
	index   map[requestKey]int32
	slots   []duplicateSlot
	free    []int32
	oldest  int32 // -1 for none
	newest  int32
	kept    int // answered entries
	bytes   int // of their answers
	max     int
	maxSize int
	window  int64
	evicted func(n int)
}

type duplicateSlot struct {
	key           requestKey
	gen           uint32
	answered      bool
	authenticator [16]byte
	until         int64 // nanoseconds since the epoch
	heard         int64 // the last time, while it is in flight
	gap           int64 // between the last two times; 0: only once
	reply         []byte
	older, newer  int32
}

func (s *duplicateShard) init(entries, bytes int, window time.Duration, evicted func(int)) {
	s.index = make(map[requestKey]int32)
	s.oldest, s.newest = -1, -1
	s.max, s.maxSize, s.window, s.evicted = max(entries, 1), max(bytes, maxPacket), int64(window), evicted
}

func (s *duplicateShard) begin(key requestKey, authenticator [16]byte, now int64, buf []byte) (sighting, ticket, []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if i, ok := s.index[key]; ok {
		slot := &s.slots[i]
		switch {
		case slot.authenticator != authenticator:
			s.void(i) // the device has moved on: the entry stands for its new request
			slot.authenticator, slot.heard = authenticator, now
			return seenReplaced, ticket{shard: s, slot: i, gen: slot.gen}, buf
		case slot.answered:
			return seenAnswered, ticket{}, append(buf[:0], slot.reply...)
		default:
			slot.gap, slot.heard = now-slot.heard, now
			return seenInFlight, ticket{}, buf
		}
	}
	i := s.take()
	slot := &s.slots[i]
	slot.key, slot.authenticator, slot.answered = key, authenticator, false
	slot.heard, slot.gap = now, 0
	s.index[key] = i
	return firstSeen, ticket{shard: s, slot: i, gen: slot.gen}, buf
}

func (s *duplicateShard) finish(t ticket, reply []byte, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := &s.slots[t.slot]
	if slot.gen != t.gen {
		return false
	}
	slot.answered, slot.reply, slot.until = true, append(slot.reply[:0], reply...), now+s.window
	slot.older, slot.newer = s.newest, -1
	if s.newest >= 0 {
		s.slots[s.newest].newer = t.slot
	} else {
		s.oldest = t.slot
	}
	s.newest = t.slot
	s.kept++
	s.bytes += len(reply)
	over := 0
	for s.kept > s.max || s.bytes > s.maxSize {
		s.drop(s.oldest)
		over++
	}
	if over > 0 {
		s.evicted(over)
	}
	return true
}

func (s *duplicateShard) forget(t ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[t.slot].gen == t.gen {
		s.drop(t.slot)
	}
}

// expire drops the answers whose window has passed.
func (s *duplicateShard) expire(now int64) {
	for s.oldest >= 0 && s.slots[s.oldest].until <= now {
		s.drop(s.oldest)
	}
}

// take returns an empty slot. Entries in flight are bounded by the server, not
// here.
func (s *duplicateShard) take() int32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	s.slots = append(s.slots, duplicateSlot{})
	return int32(len(s.slots) - 1)
}

// spareReplies is how many empty slots of a shard keep the memory of their
// reply for the next one.
const spareReplies = 64

// drop empties a slot.
func (s *duplicateShard) drop(i int32) {
	slot := &s.slots[i]
	delete(s.index, slot.key)
	s.void(i)
	if len(s.free) >= spareReplies {
		slot.reply = nil
	}
	s.free = append(s.free, i)
}

// void takes a slot's answer away; tickets for it are void from here on.
func (s *duplicateShard) void(i int32) {
	slot := &s.slots[i]
	if slot.answered {
		if slot.older >= 0 {
			s.slots[slot.older].newer = slot.newer
		} else {
			s.oldest = slot.newer
		}
		if slot.newer >= 0 {
			s.slots[slot.newer].older = slot.older
		} else {
			s.newest = slot.older
		}
		s.kept--
		s.bytes -= len(slot.reply)
	}
	slot.gen++
	slot.answered = false
	if slot.reply = slot.reply[:0]; cap(slot.reply) > 512 {
		slot.reply = nil
	}
}
