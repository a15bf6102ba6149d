package config

import (
	"time"

	"radial/aaa"
	"radial/api"
	"radial/jobs"
	"radial/nas/routeros"
	"radial/radius"
	"radial/store"
	"radial/store/journal"
)

// Config is all that an operator can set.
type Config struct {
	File    string // the file that was read, or empty
	DataDir string
	Log     Log
	// GarbagePercent is how much garbage may gather before it is collected, in
	// percent of the memory that is in use (Go's GOGC).
	GarbagePercent int

	Database store.Options
	Migrate  bool // database.migrate: whether serve applies migrations
	API      api.Options

	Radius       radius.Options
	Dictionaries []string // folders of operators' dictionaries
	Policy       aaa.Options
	Cache        aaa.CacheOptions
	Accounting   aaa.AccountingOptions
	Ledger       store.LedgerOptions
	Journal      journal.Options
	Pools        store.PoolOptions
	PoolWatch    store.PoolWatchOptions
	Jobs         jobs.Options
	Control      Control
	Routers      routeros.Options
}

// Control is how sessions that run are changed and ended.
type Control struct {
	Source string // the address that requests leave from; "" leaves it to the system
	DAE    radius.DAEOptions
	Jobs   jobs.ControlOptions
}

// Log is how the server writes its log.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // auto (console on a terminal, else json), console, json
}

// Default is the configuration with nothing set.
func Default() *Config {
	c := &Config{
		DataDir: "/var/lib/radial",
		Log:     Log{Level: "info", Format: "auto"},

		GarbagePercent: 200,

		Database: store.Options{Pooler: store.PoolerNone, MaxConns: 16, ConnectTimeout: 5 * time.Second, Escaping: "auto"},
		Migrate:  true,
		API:      api.DefaultOptions(),

		Radius: radius.DefaultOptions(),
		Policy: aaa.DefaultOptions(),
		Cache:  aaa.DefaultCacheOptions(),
		Accounting: aaa.AccountingOptions{
			EventTime: "packet", EventPast: aaa.DefaultEventPast, EventFuture: aaa.DefaultEventFuture,
		},
		Ledger:    store.LedgerOptions{Batch: 500, Queue: 20_000, Timeout: 15 * time.Second, Patience: store.DefaultPatience},
		Journal:   journal.Options{MaxBytes: journal.DefaultMaxBytes},
		PoolWatch: store.DefaultPoolWatchOptions(),
		Jobs:      jobs.Options{ConflictRetention: 90 * 24 * time.Hour, Stale: store.StaleRule{Intervals: 3}, AskRouters: true},
		Control:   Control{DAE: radius.DefaultDAEOptions(), Jobs: jobs.DefaultControl()},
		Routers:   routeros.DefaultOptions(),
	}
	c.Radius.Sockets = 0 // by the machine, not by the one that wrote the reference
	return c
}
