package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"radial/aaa"
	"radial/config"
	"radial/nas"
)

// listen binds every socket, so that what is in use is told before anything
// runs.
func (m *machine) listen() error {
	if err := m.api.Listen(); err != nil {
		return err
	}
	return m.radius.Listen()
}

// run runs every part until ctx ends or one of them fails. The sockets stop
// first and drain; what they need for it ends after them.
func (m *machine) run(ctx context.Context, reread func() (*config.Config, error)) error {
	back, stopBack := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBack()
	parts, back := errgroup.WithContext(back)
	front, stopFront := context.WithCancel(ctx)
	defer stopFront()
	context.AfterFunc(back, stopFront) // a part that fails ends the rest

	if m.away {
		parts.Go(func() error { return m.join(back) })
	}
	parts.Go(func() error { return m.listener.Run(back) })
	parts.Go(func() error { return m.devices.Run(back) })
	parts.Go(func() error { return m.news.Run(back) })
	present, stopPresence := context.WithCancel(context.WithoutCancel(back)) // until the ledger has ended: it signs off with what is left in the journal
	defer stopPresence()
	parts.Go(func() error {
		defer stopPresence()
		return m.ledger.Run(back)
	})
	parts.Go(func() error { return m.postAuth.Run(back) })
	parts.Go(func() error { return m.presence.Run(present) })
	parts.Go(func() error { return m.pools.Run(back) })
	parts.Go(func() error { return m.routers.Run(back) })
	parts.Go(func() error { return m.warden.Run(back) })
	parts.Go(func() error { return m.work(back) })
	parts.Go(func() error { return m.api.Run(back) })
	parts.Go(func() error { return m.reload(back, reread) })
	parts.Go(func() error {
		defer stopBack()
		return m.radius.Run(front)
	})
	m.ready()
	context.AfterFunc(front, func() {
		m.notify(daemon.SdNotifyStopping)
		m.log.Info("stopping: answering what is in flight")
	})
	err := errors.Join(parts.Wait(), m.journal.Close())
	m.log.Info("stopped", zap.Error(err))
	return err
}

// ready tells systemd, and whoever reads the log, that requests are answered.
func (m *machine) ready() {
	m.log.Info("ready", zap.Strings("auth", texts(m.radius.AuthAddrs())), zap.Strings("acct", texts(m.radius.AcctAddrs())), zap.String("api", m.api.Addr()))
	m.notify(daemon.SdNotifyReady)
}

func (m *machine) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		m.log.Warn("systemd could not be told", zap.String("state", state), zap.Error(err))
	}
}

func texts(list []netip.AddrPort) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.String()
	}
	return out
}

// reload acts on SIGHUP: the configuration is read again, what can change
// while the server runs is taken over, and the devices are loaded anew.
func (m *machine) reload(ctx context.Context, reread func() (*config.Config, error)) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		}
		signalChange(m.changed)
		next, err := reread()
		if err != nil {
			m.log.Error("SIGHUP: the configuration is not taken over", zap.Error(err))
			continue
		}
		if err := m.level.UnmarshalText([]byte(next.Log.Level)); err != nil {
			m.log.Error("SIGHUP", zap.Error(err))
		}
		taken, restart := config.Changes(m.config, next)
		m.config = next
		m.log.Info("SIGHUP: configuration read", zap.Strings("taken_over", taken), zap.Strings("need_a_restart", restart))
	}
}

// signalChange leaves a mark in a channel of capacity one.
func signalChange(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// readDevices reads the rows of nas, and keeps them for a start without the
// database.
func (m *machine) readDevices(base *foundation) func(context.Context) ([]nas.Row, error) {
	return func(ctx context.Context) ([]nas.Row, error) {
		rows, err := m.db.NASRows(ctx)
		if err == nil {
			base.remember(rows, m.log.Named("nas"))
		}
		return rows, err
	}
}

// loadDevices makes the first table; no device is no error, but worth a word.
func (m *machine) loadDevices(ctx context.Context, rows []nas.Row) error {
	report, err := m.devices.Load(ctx, rows)
	if err != nil {
		return fmt.Errorf("devices: %w", err)
	}
	tellDevices(m.log.Named("nas"))(report, nil)
	if report.Devices == 0 {
		m.log.Warn("no device is known: every packet will be ignored until `radial nas add` names one")
	}
	return nil
}

// tellDevices logs what came of a load of the table.
func tellDevices(log *zap.Logger) func(nas.Report, error) {
	return func(r nas.Report, err error) {
		switch {
		case errors.Is(err, aaa.ErrUnavailable):
			log.Warn("devices not read, the last known ones stay", zap.Error(err))
		case err != nil:
			log.Error("devices not read, the last known ones stay", zap.Error(err))
		default:
			log.Info("devices loaded", zap.Int("rows", r.Rows), zap.Int("prefixes", r.Devices))
		}
		for _, p := range r.Problems {
			log.Warn("row of nas", zap.Int64("id", p.RowID), zap.String("nasname", p.Name), zap.Bool("served", p.Served), zap.Error(p.Err))
		}
	}
}

// tellLook tells that it is not known how a user stands with his quotas; the job
// of every minute looks again.
func tellLook(log *zap.Logger) func(string, error) {
	return func(user string, err error) {
		log.Warn("not looked at how a user stands", zap.String("user", user), zap.Error(err))
	}
}
