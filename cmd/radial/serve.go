package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/api"
	"radial/config"
	"radial/dictionaries"
	"radial/ipam"
	"radial/jobs"
	"radial/nas"
	"radial/nas/routeros"
	"radial/radius"
	"radial/store"
	"radial/store/journal"
)

func newServeCmd(a *app) *cobra.Command {
	var demo bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Answers RADIUS until SIGTERM or SIGINT; then it stops reading, answers what is in flight, and ends. SIGHUP reads the
configuration again and takes over what can change while it runs (radial check-config --keys), and reloads the devices.`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			err := a.serve(ctx, demo)
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil // told to end before it was ready: nothing has failed
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&demo, "demo", false, "add demo data: user alice, package gold, a pool, and this machine as a device with secret testing123")
	return cmd
}

// serve is the life of a server: take the folder, open the database, build the
// machine, run it, put everything back.
func (a *app) serve(ctx context.Context, demo bool) (err error) {
	c, err := a.config()
	if err != nil {
		return err
	}
	log, level, err := newLogger(c.Log, a.stderr)
	if err != nil {
		return err
	}
	debug.SetGCPercent(c.GarbagePercent)
	lock, err := lockDataDir(c.DataDir)
	if err != nil {
		return withoutAccess(c, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	log.Info("starting", zap.String("version", buildVersion()), zap.String("config", c.File), zap.String("data_dir", c.DataDir), zap.Bool("embedded_database", c.Database.URL == ""))
	db, err := openDatabase(ctx, c, log.Named("store"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close(ctx)) }()
	base, err := layFoundation(ctx, c, db, log)
	if err != nil {
		return err
	}
	m, err := build(ctx, c, db.DB, base, log)
	if err != nil {
		return err
	}
	m.level = level
	if err := m.listen(); err != nil {
		return err
	}
	if demo {
		if base.away != nil {
			return fmt.Errorf("demo data: %w", base.away)
		}
		if err := m.demo(ctx, db.DB, a.stdout); err != nil {
			return err
		}
	}
	return m.run(ctx, a.readConfig)
}

// prepareSchema migrates, or refuses a schema that is not this version's.
func prepareSchema(ctx context.Context, c *config.Config, db *store.DB, log *zap.Logger) error {
	if !c.Migrate {
		if err := db.CheckSchema(ctx); err != nil {
			return codedError{err, exitFailure}
		}
		return nil
	}
	report, err := db.Migrate(ctx)
	if err != nil {
		return err
	}
	for _, m := range report.Applied {
		log.Info("migrated", zap.Int64("version", m.Version), zap.String("name", m.Name))
	}
	return nil
}

// machine is everything that runs, as build has put it together.
type machine struct {
	config *config.Config // as it is now
	start  *config.Config // as it was at the start
	db     *store.DB
	away   bool // it has started without the database: join
	log    *zap.Logger
	level  zap.AtomicLevel

	devices  *nas.Directory
	listener *store.Listener
	news     *jobs.News
	postAuth *store.PostAuth
	ledger   *store.Ledger
	journal  *journal.Journal
	presence *store.Presence
	pools    *store.PoolWatch
	routers  *store.RouterWatch
	warden   *aaa.Warden
	jobs     *jobs.Runner
	dae      *radius.DAE     // CoA and Disconnect
	fleet    *routeros.Fleet // routers by their API
	radius   *radius.Server
	api      *api.Server

	changed  chan struct{} // the rows of nas have changed
	dict     *dictionaries.Dictionary
	location *time.Location
	metrics  *prometheus.Registry
}

// build is the wiring diagram, from the database up to the sockets.
func build(ctx context.Context, c *config.Config, db *store.DB, base *foundation, log *zap.Logger) (*machine, error) {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := &machine{config: c, start: c, db: db, away: base.away != nil, log: log, changed: make(chan struct{}, 1), metrics: reg}

	dict, err := dictionaries.Load(c.Dictionaries...)
	if err != nil {
		return nil, err
	}
	location := base.zone
	dict.Location = location
	m.dict, m.location = dict, location
	storeMetrics := store.NewMetrics(reg)

	// policy: rows -> compiled items in memory, dropped by notifications
	rows := store.NewPolicy(db, storeMetrics)
	cache := aaa.NewCache(aaa.CacheConfig{
		Reader: rows, Dict: dict, Options: c.Cache, Location: location, OutageAge: c.Policy.OutageAge(), Told: tellOutage(log.Named("policy")),
	})
	m.news = jobs.NewNews(cache, cache.Knows, log.Named("control"), time.Now)
	m.listener = store.NewListener(db, m.news, m.changed, storeMetrics, log.Named("listener"))
	m.listener.TellFollowed(m.news.Followed)

	// devices: rows of nas -> table by longest prefix
	m.devices = nas.NewDirectory(nas.DirectoryOptions{
		Resolver: net.DefaultResolver, Rows: m.readDevices(base), Changed: m.changed, Told: tellDevices(log.Named("nas")),
	})
	if err := m.loadDevices(ctx, base.rows); err != nil {
		return nil, err
	}

	// decisions
	leases := store.NewLeases(db)
	allocator := ipam.NewAllocator(leases, ipam.AllocatorOptions{}, ipam.NewMetrics(reg))
	leases.TellFreed(allocator.Freed)
	m.postAuth = store.NewPostAuth(db, storeMetrics, log.Named("postauth"))
	engineMetrics := aaa.NewMetrics(reg)
	engineMetrics.WatchCache(cache)
	engine := aaa.NewEngine(aaa.EngineConfig{
		Dict: dict, Policies: cache, Verifier: aaa.NewVerifier(dict), Addresses: allocator, Admissions: store.NewAdmissions(db), Meter: store.NewMeter(db),
		PostAuth: m.postAuth, Options: c.Policy, Metrics: engineMetrics, Location: location, Devices: m.devices.Find,
	})

	m.warden = aaa.NewWarden(engine, store.NewOrders(db, log.Named("quota")), tellLook(log.Named("quota")))

	// accounting
	if err := m.keepBooks(db); err != nil {
		return nil, err
	}
	accounting, err := aaa.NewAccounting(dict, m.ledger, c.Accounting.Naming(c.Policy), time.Now)
	if err != nil {
		return nil, err
	}
	accounting.Tell(m.warden.Seen)

	// the outside
	if m.radius, err = radius.NewServer(c.Radius, dict, m.devices, engine, accounting, radius.NewMetrics(reg), log.Named("radius")); err != nil {
		return nil, err
	}
	if m.pools, err = store.NewPoolWatch(db, c.PoolWatch, store.NewPoolMetrics(reg), log.Named("pools"), time.Now); err != nil {
		return nil, err
	}
	m.routers = store.NewRouterWatch(db, store.NewRouterMetrics(reg), log.Named("routers"))
	if err := m.bePresent(); err != nil {
		return nil, err
	}
	if err := m.hire(ctx, engine); err != nil {
		return nil, err
	}
	if !m.away {
		if err := m.introduce(ctx, db); err != nil {
			return nil, err
		}
	}
	m.api = api.NewServer(c.API, reg, []api.Check{
		{Name: "database", Test: db.Ping},
		{Name: "notifications", Test: cacheLive(cache)},
	}, log.Named("api"))
	return m, nil
}

// keepBooks makes the ledger, and the journal that takes its place while the
// database is away.
func (m *machine) keepBooks(db *store.DB) (err error) {
	if m.ledger, err = store.NewLedger(db, m.config.Ledger, store.NewLedgerMetrics(m.metrics), m.log.Named("ledger"), time.Now); err != nil {
		return err
	}
	if m.journal, err = journal.Open(journalDir(m.config), m.config.Journal, journal.NewMetrics(m.metrics), m.log.Named("journal"), time.Now); err != nil {
		return err
	}
	m.ledger.UseJournal(m.journal)
	return nil
}

// bePresent makes what tells the others of this server.
func (m *machine) bePresent() error {
	id, err := serverID(m.config.DataDir)
	if err != nil {
		return err
	}
	m.presence = &store.Presence{
		DB: m.db, ID: id, Name: hostname(), Version: buildVersion(), Log: m.log.Named("presence"),
		Devices: func() []*nas.Device { return m.devices.Table().Devices() },
		Journal: func() int64 { return m.journal.Stats().Bytes },
	}
	m.listener.Present(id)
	return nil
}

// introduce takes over what this server, and FreeRADIUS in its place, have left,
// before its first login.
func (m *machine) introduce(ctx context.Context, db *store.DB) error {
	if err := db.RestoreLearnt(ctx, m.presence.ID, m.presence.Devices()); err != nil {
		return err
	}
	return takeBackLeases(ctx, db, m.presence.ID, m.log.Named("radippool"))
}

// zoneOf is the zone in which all servers of the database reckon days.
func zoneOf(ctx context.Context, db *store.DB) (*time.Location, error) {
	name, err := db.TimeZone(ctx)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone of the database's settings: %w", err)
	}
	return zone, nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// tellOutage logs when logins begin to be answered from memory, and the end of
// it.
func tellOutage(log *zap.Logger) func(aaa.OutageNews) {
	return func(n aaa.OutageNews) {
		heard := zap.Time("rows_of", n.Heard)
		if n.Over {
			log.Warn("logins go by the database again", heard, zap.Uint64("accepted_from_memory", n.Accepted), zap.Uint64("not_answered", n.Silent))
			return
		}
		log.Warn("the database is away: logins are accepted by rows in memory where that needs no more (policy.outage)", heard)
	}
}

// cacheLive is the readiness of the notifications: without them nothing is
// served from memory, which is slow but right.
func cacheLive(cache *aaa.Cache) func(context.Context) error {
	return func(context.Context) error {
		if !cache.Live() {
			return errors.New("no notification of ours has come back for two seconds: every login reads its rows")
		}
		return nil
	}
}
