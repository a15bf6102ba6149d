package jobs

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"radial/aaa"
	"radial/nas"
	"radial/store"
)

// claims are sessions of two devices, of which one is claimed by another.
type claims struct{ released []int64 }

func (c *claims) ClaimSessions(_ context.Context, ids []int64, _ string, _ time.Duration) (out store.Claimed, err error) {
	for _, id := range ids {
		if id == 99 {
			out.Busy = append(out.Busy, id)
			continue
		}
		out.Mine = append(out.Mine, aaa.LiveSession{ID: id, NAS: netip.AddrFrom4([4]byte{10, 0, 0, byte(id / 10)})})
	}
	return out, nil
}

func (c *claims) ReleaseSessions(_ context.Context, ids []int64, _ string) error {
	c.released = append(c.released, ids...)
	return nil
}

// answers are what devices say of sessions.
type answers struct {
	of map[int64]aaa.Result

	mu    sync.Mutex
	asked []int64
}

func (a *answers) Do(_ context.Context, d aaa.Deed) (aaa.Effect, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, d.Session.ID)
	if d.Do != aaa.VerbChange {
		return aaa.Effect{}, fmt.Errorf("%s would do something to session %d", d.Do, d.Session.ID)
	}
	return aaa.Effect{Result: a.of[d.Session.ID]}, nil
}

func TestProbe(t *testing.T) {
	db, way := &claims{}, &answers{of: map[int64]aaa.Result{
		11: aaa.ResultDone, 12: aaa.ResultGone, 13: aaa.ResultRefused, 14: aaa.ResultDone, 15: aaa.ResultDone,
		21: aaa.ResultDone, 22: aaa.ResultUnknown, 23: aaa.ResultDone,
	}}
	due := func(_ context.Context, s *aaa.LiveSession) (aaa.Due, error) {
		d := aaa.Due{Device: &nas.Device{}}
		if s.ID == 15 {
			d.Refused = aaa.ReasonExpired
		}
		return d, nil
	}
	p := &probe{db, &Control{Due: due, Way: way, Client: "one#1"}}
	var silent []store.OpenAt
	for _, id := range []int64{11, 12, 13, 14, 15, 21, 22, 23, 99} {
		silent = append(silent, store.OpenAt{ID: id})
	}
	known, err := p.Live(t.Context(), silent)
	live := known.live
	slices.Sort(live)
	if want := []int64{11, 14, 21, 99}; err != nil || !slices.Equal(live, want) {
		t.Errorf("%v live, %v, want %v", live, err, want)
	}
	slices.Sort(way.asked)
	if want := []int64{11, 12, 13, 14, 21, 22}; !slices.Equal(way.asked, want) {
		t.Errorf("asked for %v, want %v", way.asked, want)
	}
	if len(db.released) != 8 {
		t.Errorf("released: %v", db.released)
	}
	known, err = witnesses{everyThird{}, p}.Live(t.Context(), silent)
	all := known.live
	slices.Sort(all)
	if want := []int64{11, 12, 14, 15, 21, 99}; err != nil || !slices.Equal(all, want) {
		t.Errorf("%v live by one of two, %v, want %v", all, err, want)
	}
	if want := []int64{15}; !slices.Equal(known.rebooted, want) {
		t.Errorf("%v of devices that have begun anew, want %v", known.rebooted, want)
	}
}
