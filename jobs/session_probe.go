package jobs

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"radial/aaa"
	"radial/store"
)

// probed is where silent sessions are claimed, so that nobody else acts on them
// while they are probed (store.DB).
type probed interface {
	ClaimSessions(ctx context.Context, ids []int64, who string, hold time.Duration) (store.Claimed, error)
	ReleaseSessions(ctx context.Context, ids []int64, who string) error
}

// probe asks devices by CoA whether they have a session: what is due is sent
// once more, which changes nothing. It is a witness of silent sessions.
type probe struct {
	db      probed
	control *Control
}

const (
	probeHold   = 30 * time.Second // a claim; a probe takes no longer
	probeAtOnce = 64
)

// Live are those of silent sessions whose device has acknowledged a CoA. A
// device that does not answer for one session is not asked for others: it is as
// silent as they are.
func (p *probe) Live(ctx context.Context, silent []store.OpenAt) (testimony, error) {
	var ids []int64
	for _, s := range silent {
		ids = append(ids, s.ID)
	}
	who := p.control.Client + "/probe"
	claimed, err := p.db.ClaimSessions(ctx, ids, who, probeHold)
	if err != nil {
		return testimony{}, err
	}
	live := slices.Clone(claimed.Busy) // who acts on a session now learns what becomes of it
	of := map[netip.Addr][]aaa.LiveSession{}
	for _, s := range claimed.Mine {
		of[s.NAS] = append(of[s.NAS], s)
	}
	within, cancel := context.WithTimeout(ctx, probeHold)
	defer cancel()
	var mu sync.Mutex
	var wait sync.WaitGroup
	slots := make(chan struct{}, probeAtOnce)
	for _, all := range of {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			found := p.device(within, all)
			mu.Lock()
			defer mu.Unlock()
			live = append(live, found...)
		})
	}
	wait.Wait()
	ids = ids[:0]
	for _, s := range claimed.Mine {
		ids = append(ids, s.ID)
	}
	return testimony{live: live}, errors.Join(p.db.ReleaseSessions(context.WithoutCancel(ctx), ids, who), ctx.Err())
}

// device probes the sessions of one device, one after another, until it does not
// answer.
func (p *probe) device(ctx context.Context, all []aaa.LiveSession) (live []int64) {
	for _, s := range all {
		due, err := p.control.Due(ctx, &s)
		if err != nil || due.Device == nil || due.Refused != aaa.ReasonNone {
			continue // nothing can be said of it by sending what is due
		}
		effect, err := p.control.Way.Do(ctx, aaa.Deed{Session: s, Do: aaa.VerbChange, Reply: due.Reply, Device: due.Device})
		switch {
		case err != nil || effect.Result == aaa.ResultUnknown || effect.Result == aaa.ResultFailed:
			return live
		case effect.Result == aaa.ResultDone:
			live = append(live, s.ID)
		}
	}
	return live
}

// witnesses are asked one after the other, each about those of whom the ones
// before do not say that they live.
type witnesses []witness

// Live is what any of them knows.
func (ws witnesses) Live(ctx context.Context, silent []store.OpenAt) (all testimony, err error) {
	for _, w := range ws {
		rest := slices.DeleteFunc(slices.Clone(silent), func(s store.OpenAt) bool { return slices.Contains(all.live, s.ID) })
		if len(rest) == 0 {
			break
		}
		more, err := w.Live(ctx, rest)
		if err != nil {
			return testimony{}, err
		}
		all.live, all.rebooted = append(all.live, more.live...), append(all.rebooted, more.rebooted...)
	}
	return all, nil
}
