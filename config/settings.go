package config

import (
	"time"

	"radial/store"
)

// settings is the list of all keys: one line each, bound to the field of c
// that it sets. The order is that of the reference.
func settings(c *Config) []setting {
	return []setting{
		text("data_dir", &c.DataDir, "Folder for the embedded database, the key and what a server must remember. One running server to a folder."),
		onReload(choice("log.level", &c.Log.Level, []string{"debug", "info", "warn", "error"}, "Least level that is logged. debug prints packets.")),
		choice("log.format", &c.Log.Format, []string{"auto", "console", "json"}, "auto: console on a terminal, else json."),

		secret("database.url", &c.Database.URL, "a URL or DSN such as postgres://radial@db1,db2/radius?target_session_attrs=read-write",
			"PostgreSQL, 15 or later. Empty: a private one in data_dir. Several hosts with target_session_attrs=read-write fail over."),
		secret("database.direct_url", &c.Database.DirectURL, "a URL or DSN",
			"The same database without a pooler, for LISTEN and locks; needed with database.pooler: transaction."),
		choice("database.pooler", &c.Database.Pooler, []string{store.PoolerNone, store.PoolerTransaction}, "transaction: database.url leads to PgBouncer in transaction mode."),
		integer("database.max_conns", &c.Database.MaxConns, 2, 500, "connections", "Upper bound of the connection pool."),
		duration("database.connect_timeout", &c.Database.ConnectTimeout, 100*time.Millisecond, time.Minute, "Bound of one attempt to connect."),
		choice("database.escaping", &c.Database.Escaping, []string{"auto", "safe-characters", "raw"},
			"How text stands in FreeRADIUS's tables: its =HH escaping (safe-characters, its default) or raw (its auto_escape). auto: as found at the first migrate."),
		zone("database.time_zone", &c.Database.TimeZone, "IANA name of the zone in which days and dates are reckoned, stored at the first migrate. Empty: the system's."),
		boolean("database.migrate", &c.Migrate, "Whether serve applies migrations at start; false: it refuses to start on an older schema."),

		text("api.listen", &c.API.Listen, "host:port of HTTP: /metrics, /healthz, /readyz. Empty: none."),
	}
}
