package store

import (
	"errors"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"radial/aaa"
)

// TestGates: whatever comes and whenever it is done with, a barrier is alone with its NAS,
// everything is worked on in its turn, and nothing is lost or counted twice.
func TestGates(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type place struct {
			nas netip.Addr
			on  bool
		}
		var came []*entry // that have not begun, in order
		working := map[*entry]bool{}
		room := rapid.IntRange(1, 20).Draw(rt, "room of the queues")
		g := newGates(rapid.IntRange(1, 20).Draw(rt, "room behind barriers"), func(e *entry) bool {
			if len(working) >= room {
				return false
			}
			for w := range working {
				if w.raw.NAS == e.raw.NAS && (w.down() || e.down()) {
					rt.Fatalf("%v %s begins beside %s", e.raw.NAS, e.raw.Status, w.raw.Status)
				}
			}
			for _, before := range came {
				if before == e {
					break
				}
				if before.raw.NAS == e.raw.NAS && (before.down() || e.down()) {
					rt.Fatalf("%v %s begins before the %s that came earlier", e.raw.NAS, e.raw.Status, before.raw.Status)
				}
			}
			came = without(came, e)
			working[e] = true
			return true
		})
		refuse := func(refused []*entry) {
			for _, e := range refused {
				if e.err == nil || working[e] {
					rt.Fatal("refused without a reason, or begun")
				}
				came = without(came, e)
			}
		}
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			if len(working) > 0 && rapid.Bool().Draw(rt, "one is done with") {
				for e := range working {
					delete(working, e)
					refuse(g.leave([]*entry{e}))
					break
				}
				continue
			}
			var batch []*entry
			for range rapid.IntRange(1, 4).Draw(rt, "batch") {
				p := place{netip.AddrFrom4([4]byte{10, 0, 0, rapid.Byte().Draw(rt, "nas") % 3}), rapid.IntRange(0, 4).Draw(rt, "on") == 0}
				r := &aaa.Record{NAS: p.nas, Status: aaa.StatusInterim}
				if p.on {
					r.Status = aaa.StatusOn
				}
				batch = append(batch, &entry{raw: r})
			}
			came = append(came, batch...)
			refuse(g.enter(batch))
			if g.all != len(working)+len(came) {
				rt.Fatalf("%d on the books, want %d working and %d waiting", g.all, len(working), len(came))
			}
		}
		closed := make(chan struct{})
		for len(working) > 0 {
			for e := range working {
				delete(working, e)
				refuse(g.leave([]*entry{e}))
			}
		}
		go func() { g.close(); close(closed) }()
		<-closed
		if len(came) > 0 || len(g.of) > 0 || g.all != 0 || g.waiting != 0 {
			rt.Fatalf("%d never began; %d gates, %d on the books, %d waiting at the end", len(came), len(g.of), g.all, g.waiting)
		}
		if late := g.enter([]*entry{{raw: &aaa.Record{Status: aaa.StatusStart}}}); len(late) != 1 || !errors.Is(late[0].err, aaa.ErrUnavailable) {
			rt.Error("a record is taken after the end")
		}
	})
}

func without(list []*entry, e *entry) (rest []*entry) {
	for _, l := range list {
		if l != e {
			rest = append(rest, l)
		}
	}
	return rest
}
