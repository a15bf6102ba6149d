package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"radial/aaa"
	"radial/dictionaries"
	"radial/jobs"
	"radial/nas"
	"radial/nas/routeros"
	"radial/radius"
	"radial/store"
)

// routersByAPI is how many connections a server keeps to one router.
const routersByAPI = 2

// hire makes what works the queue off: what is due by the clock, and what
// operators want of sessions that run.
func (m *machine) hire(ctx context.Context, engine *aaa.Engine) (err error) {
	work := m.config.Jobs
	work.Warden, work.Rules = m.warden, &aaa.Provisioner{Rows: aaa.NewCompiler(m.dict, m.location), Zone: m.location, Now: time.Now}
	if work.Routers, err = m.routerBook(ctx); err != nil {
		return err
	}
	work.Reconcile = jobs.Reconcile{Glance: engine.Glance, Decide: aaa.Decide, Every: m.config.Control.Jobs.Reconcile, Profile: m.config.Policy.DefaultUserProfile}
	m.news.Follow(m.db, work.Reconcile)
	if work.Control, err = m.enforce(engine, work.Routers); err != nil {
		return err
	}
	work.Fleet = m.fleet
	m.jobs, err = jobs.NewRunner(m.db, work, m.metrics, m.log.Named("jobs"))
	return err
}

// enforce makes what carries out what operators want of sessions that run: what
// is due (aaa), the way to the device (radius, and RouterOS's API where that does
// not help), and the queue between (jobs).
func (m *machine) enforce(engine *aaa.Engine, book *store.RouterBook) (_ *jobs.Control, err error) {
	c := &m.config.Control
	if m.dae, err = radius.NewDAE(m.dict, c.DAE, time.Now); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	var source netip.Addr
	if c.Source != "" {
		if source, err = netip.ParseAddr(c.Source); err != nil {
			return nil, fmt.Errorf("control.source: %w", err)
		}
	}
	m.fleet = routeros.NewFleet(book, routersByAPI, time.Now)
	way := radius.NewControl(m.dae, radius.ControlOptions{Source: source, Fallback: jobs.NewRouterWay(m.fleet, m.dict)})
	return &jobs.Control{
		Due: engine.Due, Decide: aaa.Decide, Limit: m.limited, Device: m.devices.Find, Way: way,
		Client: m.presence.ID + "#" + strconv.FormatInt(time.Now().UnixNano(), 36), ControlOptions: c.Jobs,
	}, nil
}

// limited is a reply with another rate.
func (m *machine) limited(_ *nas.Device, reply dictionaries.Pairs, rate nas.RateLimit) dictionaries.Pairs {
	return nas.ReplaceRate(slices.Clone(reply), rate, m.dict)
}

// work runs the queue until ctx ends, and what its jobs need after it.
func (m *machine) work(ctx context.Context) error {
	behind, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	replies := make(chan error, 1)
	go func() { replies <- m.dae.Run(behind) }()
	err := m.jobs.Run(ctx)
	stop()
	return errors.Join(err, <-replies, m.fleet.Close())
}
