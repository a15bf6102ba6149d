package radius

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"radial/aaa"
)

func keyFor(id uint8) requestKey {
	return keyOf(netip.MustParseAddrPort("192.0.2.1:1645"), 0, &packet{data: []byte{1, id}})
}

func authFor(n byte) []byte { return bytes.Repeat([]byte{n}, 16) }

func TestDuplicates(t *testing.T) {
	evicted := 0
	d := newDuplicates(2, 1<<20, 5*time.Second, time.Time{}, func(n int) { evicted += n })
	now := time.Time{}.Add(time.Hour)
	begin := func(id uint8, auth byte, want sighting) ticket {
		t.Helper()
		got, k, reply := d.begin(keyFor(id), authFor(auth), now, nil)
		if got != want {
			t.Fatalf("request %d/%d: sighting %d, want %d", id, auth, got, want)
		}
		if got == seenAnswered && string(reply) != fmt.Sprint(id, auth) {
			t.Fatalf("request %d/%d replayed with %q", id, auth, reply)
		}
		return k
	}
	finish := func(k ticket, id uint8, auth byte, want bool) {
		t.Helper()
		if got := d.finish(k, []byte(fmt.Sprint(id, auth)), now); got != want {
			t.Fatalf("finish %d/%d: %v, want %v", id, auth, got, want)
		}
	}
	one := begin(1, 1, firstSeen)
	begin(1, 1, seenInFlight)
	finish(one, 1, 1, true)
	begin(1, 1, seenAnswered)
	two := begin(1, 2, seenReplaced) // a new request with the old identifier
	three := begin(1, 3, seenReplaced)
	finish(two, 1, 2, false) // whose answer nobody waits for
	begin(1, 3, seenInFlight)
	three.forget()
	three.forget() // harmless
	three = begin(1, 3, firstSeen)
	finish(three, 1, 3, true)

	now = now.Add(5*time.Second - 1)
	begin(1, 3, seenAnswered)
	now = now.Add(1)
	finish(begin(1, 3, firstSeen), 1, 3, true) // the window is over
	finish(begin(2, 1, firstSeen), 2, 1, true)
	if evicted != 0 {
		t.Fatalf("%d evicted with room for two", evicted)
	}
	finish(begin(3, 1, firstSeen), 3, 1, true)
	if evicted != 1 {
		t.Fatalf("%d evicted, want the oldest", evicted)
	}
	begin(1, 3, firstSeen)
	begin(2, 1, seenAnswered)
	begin(3, 1, seenAnswered)

	// Another port, address, listener or code is another request.
	p := &packet{data: []byte{1, 2}}
	for i, key := range []requestKey{
		keyOf(netip.MustParseAddrPort("192.0.2.1:1646"), 0, p),
		keyOf(netip.MustParseAddrPort("192.0.2.2:1645"), 0, p),
		keyOf(netip.MustParseAddrPort("192.0.2.1:1645"), 1, p),
		keyOf(netip.MustParseAddrPort("192.0.2.1:1645"), 0, &packet{data: []byte{4, 2}}),
	} {
		if got, _, _ := d.begin(key, authFor(1), now, nil); got != firstSeen {
			t.Errorf("key %d: sighting %d, want a new request", i, got)
		}
	}
}

func TestDuplicateBytes(t *testing.T) {
	evicted := 0
	d := newDuplicates(1000, 3*4096, time.Minute, time.Unix(100, 0), func(n int) { evicted += n })
	for id := range uint8(10) {
		_, k, _ := d.begin(keyFor(id), authFor(1), time.Unix(100, 0), nil)
		d.finish(k, make([]byte, 4096), time.Unix(100, 0))
	}
	if evicted != 7 || d.shards[0].bytes != 3*4096 || d.shards[0].kept != 3 {
		t.Errorf("%d evicted, %d kept with %d bytes; want 7, 3 with 12288", evicted, d.shards[0].kept, d.shards[0].bytes)
	}
}

// TestDuplicatesAgainstModel: whatever the order of events, the table does what
// a plain map would, and its list and counts stay true.
func TestDuplicatesAgainstModel(t *testing.T) {
	type entry struct {
		auth     byte
		answered bool
		until    int64
		ticket   ticket
	}
	rapid.Check(t, func(t *rapid.T) {
		const window = 100
		d := newDuplicates(1<<20, 1<<30, window, time.Unix(0, 0), func(int) {})
		model := map[uint8]*entry{}
		var void []ticket
		now := int64(1)
		step := func() {
			now += rapid.Int64Range(0, 30).Draw(t, "later")
			for id, e := range model {
				if e.answered && e.until <= now {
					delete(model, id)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				step()
				id, auth := rapid.Uint8Range(0, 5).Draw(t, "id"), rapid.ByteRange(0, 2).Draw(t, "auth")
				want := firstSeen
				if e := model[id]; e != nil {
					switch {
					case e.auth != auth:
						want = seenReplaced
						void = append(void, e.ticket)
					case e.answered:
						want = seenAnswered
					default:
						want = seenInFlight
					}
				}
				got, k, _ := d.begin(keyFor(id), authFor(auth), time.Unix(0, now), nil)
				if got != want {
					t.Fatalf("sighting %d, want %d", got, want)
				}
				if want == firstSeen || want == seenReplaced {
					model[id] = &entry{auth: auth, ticket: k}
				}
			},
			"finish": func(t *rapid.T) {
				step()
				id := rapid.Uint8Range(0, 5).Draw(t, "id")
				if e := model[id]; e != nil && !e.answered {
					if !d.finish(e.ticket, []byte("reply"), time.Unix(0, now)) {
						t.Fatal("finish of a live ticket failed")
					}
					e.answered, e.until = true, now+window
				}
			},
			"forget": func(t *rapid.T) {
				step()
				id := rapid.Uint8Range(0, 5).Draw(t, "id")
				if e := model[id]; e != nil && !e.answered {
					e.ticket.forget()
					delete(model, id)
				}
			},
			"void": func(t *rapid.T) {
				for _, k := range void {
					if d.finish(k, nil, time.Unix(0, now)) {
						t.Fatal("a void ticket finished")
					}
					k.forget()
				}
			},
			"": func(t *rapid.T) {
				s := &d.shards[0]
				kept := 0
				for i := s.oldest; i >= 0; i = s.slots[i].newer {
					kept++
				}
				if kept != s.kept || s.bytes != kept*len("reply") || len(s.index)+len(s.free) != len(s.slots) {
					t.Fatalf("list has %d, counted %d with %d bytes; %d named, %d free of %d", kept, s.kept, s.bytes, len(s.index), len(s.free), len(s.slots))
				}
			},
		})
	})
}

// TestRetransmissions over UDP: silence in flight, the same bytes after, one
// decision for all.
func TestRetransmissions(t *testing.T) {
	var asked atomic.Int32
	release := make(chan struct{})
	r := start(t, plan{auth: func(context.Context, *aaa.Request) (aaa.Decision, error) {
		asked.Add(1)
		<-release
		return aaa.Decision{Verdict: aaa.Accept}, nil
	}})
	c := r.dial(r.authAddr())
	for range 10 {
		c.send(pap(1))
	}
	eventually(t, "nine met in flight", func() bool { return r.count("duplicates_total", "in_flight") == 9 })
	close(release)
	first := c.receive(5 * time.Second)
	for range 3 {
		if again := c.ask(pap(1)); !bytes.Equal(first, again) {
			t.Errorf("replay %x differs from %x", again, first)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("Authorize was called %d times, want once", n)
	}
	other := pap(1, func(m *made) { m.auth[0] = 99 })
	c.ask(other)
	if asked.Load() != 2 || r.count("duplicates_total", "replaced") != 1 || r.count("duplicates_total", "replayed") != 3 {
		t.Errorf("asked %d times; %v replaced, %v replayed", asked.Load(), r.count("duplicates_total", "replaced"), r.count("duplicates_total", "replayed"))
	}
}

// TestSuperseded: the answer to a request whose identifier has been used anew
// is not sent.
func TestSuperseded(t *testing.T) {
	release, entered := make(chan struct{}), make(chan struct{})
	r := start(t, plan{auth: func(_ context.Context, q *aaa.Request) (aaa.Decision, error) {
		if q.Authenticator[0] == 1 {
			entered <- struct{}{}
			<-release
		}
		return aaa.Decision{Verdict: aaa.Accept}, nil
	}})
	c := r.dial(r.authAddr())
	c.send(pap(1))
	<-entered
	c.ask(pap(1, func(m *made) { m.auth[0] = 99 }))
	close(release)
	eventually(t, "counted", func() bool { return r.count("silent_total", "superseded") == 1 })
	if b := c.receive(10 * time.Millisecond); b != nil {
		t.Errorf("answered %x", b)
	}
}

// TestDuplicateStorm: many devices, each sending each request many times,
// from many goroutines: one decision for each, and every device is answered.
func TestDuplicateStorm(t *testing.T) {
	const devices, requests, times = 16, 20, 5
	var asked atomic.Int32
	r := start(t, plan{auth: func(context.Context, *aaa.Request) (aaa.Decision, error) {
		asked.Add(1)
		return aaa.Decision{Verdict: aaa.Accept}, nil
	}})
	var all sync.WaitGroup
	for range devices {
		c := r.dial(r.authAddr())
		all.Go(func() {
			for id := range byte(requests) {
				for range times {
					if _, err := c.conn.Write(pap(id)); err != nil {
						t.Error(err)
					}
				}
				if err := c.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
					t.Error(err)
				}
				if _, err := c.conn.Read(make([]byte, 4096)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	eventually(t, "every datagram accounted for", func() bool {
		return r.count("duplicates_total") == devices*requests*(times-1) && r.count("in_flight_requests") == 0
	})
	if n := asked.Load(); n != devices*requests {
		t.Errorf("%d decisions for %d requests", n, devices*requests)
	}
}
