package config

import (
	"slices"
	"time"

	"radial/aaa"
	"radial/jobs"
	"radial/nas/routeros"
	"radial/store"
	"radial/store/journal"
)

// settings is the list of all keys, bound to the fields of c that they set.
// The order is that of the reference.
func settings(c *Config) []setting {
	return slices.Concat(serverSettings(c), radiusSettings(c), policySettings(c), accountingSettings(c), poolWatchSettings(c), historySettings(c), sessionSettings(c), controlSettings(c), routerSettings(c))
}

func serverSettings(c *Config) []setting {
	return []setting{
		text("data_dir", &c.DataDir, "Folder for the embedded database, the key and what a server must remember. One running server to a folder."),
		onReload(choice("log.level", &c.Log.Level, []string{"debug", "info", "warn", "error"}, "Least level that is logged. debug prints packets.")),
		integer("garbage_percent", &c.GarbagePercent, 25, 1000, "percent", "How much garbage may gather before it is collected, in percent of the memory in use: 100 collects when as much has come as is in use, which takes the least memory; more saves processor time. GOGC has no effect."),
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

func radiusSettings(c *Config) []setting {
	r := &c.Radius
	return []setting{
		addresses("radius.auth_listen", &r.AuthListen, "Where Access-Requests are taken. \":1812\" is every IPv4 and IPv6 address; port 0 a free one. Status-Server is answered on all."),
		addresses("radius.acct_listen", &r.AcctListen, "Where Accounting-Requests are taken."),
		boolean("radius.share_port", &r.SharePort, "Lets a second server listen on the same ports, for a rolling restart; off, a port that is taken is an error."),
		integer("radius.sockets", &r.Sockets, 0, 64, "sockets", "Sockets per address; the kernel deals the devices out among them. 0: one per processor, 8 at most."),
		integer("radius.recv_buffer", &r.RecvBuffer, 65536, 1<<30, "bytes", "Receive buffer per socket; net.core.rmem_max may make it smaller."),
		boolean("radius.send_singly", &r.SendSingly, "Gives each reply to the kernel by itself. Off, replies of one size to one port go to it as one message, which it cuts up (UDP_SEGMENT): a third less work for a login. On the wire they are datagrams as ever, but a capture on the server's own machine shows them as one: turn it on while you look at packets there."),
		integer("radius.max_in_flight", &r.MaxInFlight, 1, 1<<20, "requests", "Logins being answered or waiting for it at a time, and as many accounting requests; what comes above is dropped and counted."),
		duration("radius.max_wait", &r.MaxWait, 100*time.Millisecond, time.Minute, "How long a request waits for its turn since its device was last heard of; then it is dropped and counted, as nobody waits for its answer any more."),
		integer("radius.max_delayed", &r.MaxDelayed, 1, 1<<20, "rejects", "Rejects held back at a time; what comes above is sent at once."),
		integer("radius.max_attributes", &r.MaxAttributes, 10, 2000, "attributes", "Attributes of a request; one with more is dropped and counted."),
		duration("radius.request_timeout", &r.RequestTimeout, 100*time.Millisecond, time.Minute, "After it a login is given up: no answer. Accounting goes to the journal instead, see accounting.patience."),
		duration("radius.drain_timeout", &r.DrainTimeout, 100*time.Millisecond, time.Minute, "How long SIGTERM waits for what is in flight."),
		duration("radius.replay_window", &r.ReplayWindow, time.Second, time.Minute, "How long a reply is kept for retransmissions (RFC 5080 section 2.2.2)."),
		integer("radius.duplicate_entries", &r.DuplicateEntries, 1024, 1<<26, "replies", "Replies kept for retransmissions."),
		integer("radius.duplicate_bytes", &r.DuplicateBytes, 1<<20, 1<<34, "bytes", "Memory for the replies kept."),
		integer("radius.status_rate", &r.StatusRate, 1, 100_000, "a second", "Status-Server requests that one source gets answered."),
		integer("radius.source_rate", &r.SourceRate, 0, 1_000_000, "a second", "Requests that one source address gets worked on, retransmissions not counted, with bursts of as many; what comes above is dropped and counted. 0: no limit."),
		list("dictionaries", &c.Dictionaries, "folders, several with commas between",
			"Folders with dictionaries of yours in FreeRADIUS's format, added to the built-in ones.", isFolder),
	}
}

func policySettings(c *Config) []setting {
	p := &c.Policy
	return []setting{
		boolean("filter_username", &p.FilterUsername, "Refuses odd user names before any look-up (blanks, several @, a realm without a dot), as FreeRADIUS's stock site does."),
		boolean("strip_realm", &p.StripRealm, "Looks bob@isp.example up as bob."),
		list("realms", &p.Realms, "realms, several with commas between", "The realms that strip_realm takes off; empty: every one.", anyText),
		duration("reject_delay", &p.RejectDelay, 0, 5*time.Second, "Holds rejects back; 0 for devices of type mikrotik, whose clients give up early, and for devices with a setting of their own."),
		choice("pool_full", &p.PoolFull, []string{aaa.PoolFullReject, aaa.PoolFullAccept, aaa.PoolFullSilence},
			"What a login gets whose pool is full: a reject with reason pool_full, an accept without an address (FreeRADIUS's way; radpostauth and the log tell it), or no answer."),
		list("ipam.fallback_pools", &p.FallbackPools, "names of pools, several with commas between",
			"Pools that are asked, in this order, when those that a login names (or its device's) have nothing free: for each kind of address the pools of that kind, as far as the device's VRF has them. A login that names no pool gets none of these.", anyText),
		text("simultaneous_use.message", &p.SimultaneousUseMessage, "Reply-Message of a login refused by Simultaneous-Use."),
		choice("simultaneous_use.replace", &p.SimultaneousUseReplace, []string{aaa.ReplaceOwn, aaa.ReplaceNever},
			"Own sessions of a caller who logs in again (same NAS port and MAC, or same MAC elsewhere). own: they are dead, so they do not count, and are closed when the new one starts. never: they count, as in FreeRADIUS."),
		duration("simultaneous_use.start_within", &p.StartWithin, time.Second, time.Hour,
			"How long a login that Simultaneous-Use let in counts as a session before its Accounting Start has come."),
		text("quota.message", &p.QuotaMessage, "Reply-Message of a login whose data quota is used up."),
		choice("counters.week_begins", &p.Counters.WeekBegins, []string{aaa.WeekBeginsSunday, aaa.WeekBeginsMonday},
			"The day on which weeks of quotas, of Max-Weekly-Session and of radial usage begin; sunday as in FreeRADIUS."),
		integer("counters.month_day", &p.Counters.MonthDay, 1, 28, "day of the month",
			"The day on which Max-Monthly-Session begins again (sqlcounter's reset_day), and months of quotas of users without a billing day."),
		duration("login_time.minimum", &p.MinimumTimeout, 0, time.Hour, "Refuses logins with less left of their Login-Time."),
		boolean("read_groups", &p.ReadGroups, "FreeRADIUS's read_groups: groups count also where no Fall-Through item says so."),
		boolean("read_profiles", &p.ReadProfiles, "FreeRADIUS's read_profiles."),
		text("default_user_profile", &p.DefaultUserProfile, "FreeRADIUS's default_user_profile: the name whose groups are tried last."),
		boolean("ppp_defaults", &p.PPPDefaults, "Adds Framed-Protocol = PPP and Framed-Compression = Van-Jacobson-TCP-IP to replies for PPP, as FreeRADIUS's stock users file does."),
		integer("policy.cache_entries", &c.Cache.Entries, 1000, 1<<26, "users and groups", "Users and groups held in memory."),
		integer("policy.cache_bytes", &c.Cache.Bytes, 1<<20, 1<<40, "bytes", "Memory for them, about."),
		choice("policy.outage", &p.Outage, []string{aaa.OutageSilence, aaa.OutageCached},
			"Logins while the database is away. silence: no answer. cached: a user whose rows are in memory from before is accepted by them, where that needs no lease and no count of sessions; whatever they would refuse gets no answer."),
		duration("policy.outage_max_age", &p.OutageMaxAge, time.Second, 30*24*time.Hour,
			"With policy.outage: cached, how long after the database was last heard of rows in memory are believed. What was changed meanwhile by others who reach the database is not known for as long."),
		boolean("control.mark", &p.Mark, "What a session is granted travels in the Class of its Access-Accept, 35 octets, where the reply has none of its own; the NAS echoes it, and radacct.class keeps it. By it is known which sessions have to follow a change. Off: one CoA too many is sent after some changes, and sessions that need a new login are not found."),
		choice("postauth.log", &p.PostAuth.Log, []string{aaa.PostAuthAll, aaa.PostAuthRejects, aaa.PostAuthNone}, "Which logins go into radpostauth."),
		boolean("postauth.passwords", &p.PostAuth.Passwords, "Stores what the user sent in radpostauth.pass, in clear for PAP, as FreeRADIUS does."),
	}
}

func accountingSettings(c *Config) []setting {
	a, l := &c.Accounting, &c.Ledger
	return []setting{
		choice("accounting.event_time", &a.EventTime, []string{"packet", "receive"},
			"packet: a NAS's Event-Timestamp counts where it is plausible, else the time of receipt less Acct-Delay-Time; receive: always that."),
		duration("accounting.event_past", &a.EventPast, time.Minute, 100_000*time.Hour, "How far in the past an Event-Timestamp is still believed."),
		duration("accounting.event_future", &a.EventFuture, time.Second, 100_000*time.Hour, "How far in the future an Event-Timestamp is still believed."),
		list("accounting.realms", &a.Realms, "realms, several with commas between, or *", "Realms that radacct.realm names; empty: the column stays NULL, as with a stock FreeRADIUS. With strip_realm the realms of logins are named instead.", anyText),
		boolean("accounting.store_class", &a.StoreClass, "Fills radacct.class; a stock FreeRADIUS leaves it NULL."),
		integer("accounting.shards", &l.Shards, 0, 64, "transactions", "Batches of records committed at a time. 0: half of the processors, 2 to 8: more make smaller batches, which cost PostgreSQL more for each record."),
		integer("accounting.batch", &l.Batch, 1, 10_000, "records", "Records that one transaction takes at most."),
		integer("accounting.queue", &l.Queue, 100, 1<<24, "records", "Records that may wait for their commit; what comes above is not answered."),
		duration("accounting.timeout", &l.Timeout, time.Second, 10*time.Minute, "Bound of one transaction."),
		duration("accounting.patience", &l.Patience, 50*time.Millisecond, time.Minute,
			"How long a record waits for its commit before it goes to the journal and is answered. Less than a NAS waits with all its tries (RouterOS as it comes: 900 ms); what the journal then takes comes on top."),
		integer("journal.max_bytes", &c.Journal.MaxBytes, journal.MinMaxBytes, 1<<50, "bytes",
			"How much of the disk the journal in data_dir may take. At the bound accounting is not answered until the database is back. About 1 KB a record."),
	}
}

func poolWatchSettings(c *Config) []setting {
	return []setting{
		boolean("ipam.allow_overlap", &c.Pools.AllowOverlap,
			"Lets subnets of IPv4 overlap others of the same VRF. Their common addresses stay those of the subnet that had them first: no address is ever given twice."),
		list("ipam.thresholds", &c.PoolWatch.Thresholds, "rising percentages from 1 to 100, several with commas between",
			"Percent of a pool in use from which on it is told, by a log line and radial_ipam_pool_threshold_ratio; the highest as an error. Empty: never.", isPercent),
	}
}

func isPercent(s string) error {
	_, err := store.ParsePercent(s)
	return err
}

func historySettings(c *Config) []setting {
	return []setting{
		durationOrOff("ipam.history_retention", &c.Jobs.HistoryRetention, LeastKept, 1_000_000*time.Hour,
			"How long the history of who had which address is kept, by whole months: 4380h is half a year. 0: for ever. The same for all servers."),
		duration("ipam.conflict_retention", &c.Jobs.ConflictRetention, 0, 1_000_000*time.Hour,
			"How long a conflict of addresses (radial ip conflicts) is kept after it was last seen. 0: for ever. The same for all servers."),
	}
}

func sessionSettings(c *Config) []setting {
	s := &c.Jobs.Stale
	return []setting{
		integer("sessions.stale_after", &s.Intervals, 0, 100, "missed interims",
			"Closes a session that has missed so many interims in a row, with the time when it was last heard of and cause Lost-Carrier, or NAS-Reboot where its NAS is known to have begun anew since. Its interval is the longest of: between its last updates, what most of its NAS's sessions keep to, its user's Acct-Interim-Interval; 60 s at least. Time without a database counts for nobody. 0: never. The same for all servers."),
		duration("sessions.silent_after", &s.Silent, 0, 100_000*time.Hour,
			"Closes a session that has never sent an interim, and of which nobody knows how often it should, when nothing has been heard of it for so long. 0: never. The same for all servers."),
		boolean("sessions.ask_routers", &c.Jobs.AskRouters,
			"Asks the router (radial router), before a silent session is closed, whether it has the session: then it stays open until it has been silent for as long once more. A router that does not answer speaks for nobody. The same for all servers."),
		boolean("sessions.probe", &c.Jobs.ProbeSilent,
			"Sends a CoA for a silent session, before it is closed, with what it should have anyway: acknowledged, it stays open until it has been silent for as long once more. For devices that are no routers of radial router, or do not answer there. A device that does not answer speaks for nobody. The same for all servers."),
		boolean("sessions.reconcile", &c.Jobs.ReconcileRouters,
			"Compares each quarter of an hour who is logged in on the routers with radacct, as radial session reconcile --mend does: sessions that their router does not have are closed, and those by RADIUS that radacct does not have are ended on the router, so that they log in again and are accounted for. The same for all servers."),
		durationOrOff("sessions.archive_after", &c.Jobs.Archive.After, LeastKept, 1_000_000*time.Hour,
			"Moves sessions out of radacct into radial.radacct_archive so long after they ended: 9504h is 13 months. Radial's own commands look into both; what reads radacct alone (FreeRADIUS's counters, panels) does not see them any more. 0: never. The same for all servers."),
		durationOrOff("sessions.archive_retention", &c.Jobs.Archive.Retention, LeastKept, 1_000_000*time.Hour,
			"How long after their end sessions stay in the archive; they go by whole months of their start, when the last of a month is that old. radacct itself is not touched. 0: for ever. The same for all servers."),
		durationOrOff("sessions.usage_retention", &c.Jobs.UsageRetention, LeastUsageKept, 1_000_000*time.Hour,
			"How long what users have used (radial usage) is kept day by day: 9504h is 13 months. What is older is kept as one sum for each user, with his first day: quotas for ever, Max-All-Session and Expire-After stay right. Days that a top-up can make matter stay. 0: for ever. The same for all servers."),
	}
}

func controlSettings(c *Config) []setting {
	k := &c.Control
	return []setting{
		optionalAddress("control.source", &k.Source, "The address of this server that CoA and Disconnect leave from: many a NAS takes them from its RADIUS servers alone. Empty: the one that the device sends its own requests to, where it has sent any to this server; else the system chooses."),
		duration("control.timeout", &k.DAE.Timeout, 100*time.Millisecond, 2*time.Second, "How long a CoA or Disconnect waits for an answer before it is sent again; then twice as long, and so on."),
		integer("control.tries", &k.DAE.Tries, 1, 4, "times", "How often a CoA or Disconnect is sent before the device counts as silent. Then the job tries again, later and later."),
		integer("control.per_device", &k.DAE.PerDevice, 1, 256, "requests", "CoA and Disconnect under way to one device at a time."),
		duration("control.close_after", &k.Jobs.CloseAfter, time.Second, time.Hour,
			"How long a session stays open whose device has acknowledged a Disconnect, or does not know it, and has sent no Stop. Then it is closed, and its addresses are free. One that has been heard of since stays open."),
		choice("control.refused", &k.Jobs.Refused, []string{jobs.RefusedDisconnect, jobs.RefusedKeep},
			"A session whose device refuses a change by CoA. disconnect: it has to log in anew. keep: it goes on as it was, and the job says so."),
		durationOrOff("control.reconcile", &k.Jobs.Reconcile, 5*time.Second, 24*time.Hour,
			"How often all open sessions are compared with what a login of theirs would be given now; those that differ follow. Between that, what psql, panels and scripts change is followed within seconds. 0: neither; then only what radial itself changes is followed."),
		choice("control.password_change", &k.Jobs.Password, []string{jobs.PasswordDisconnect, jobs.PasswordKeep},
			"Sessions of a user whose password is changed by radial. disconnect: whoever has them logs in with the new one. keep: they go on."),
	}
}

func routerSettings(c *Config) []setting {
	r := &c.Routers
	return []setting{
		duration("routers.timeout", &r.Timeout, 100*time.Millisecond, 10*time.Minute, "For connecting to a router's API with the login, and for each command."),
		list("routers.radius_servers", &r.Servers, "addresses, or address:auth-port:acct-port, several with commas between",
			"The RADIUS servers that radial router configure has routers ask, in this order. Empty: the address from which the router is configured, with the ports of radius.auth_listen and radius.acct_listen.", isRADIUSServer),
	}
}

func isRADIUSServer(s string) error {
	_, err := routeros.ParseServer(s, 1812, 1813)
	return err
}

// LeastUsageKept is the least that usage is kept day by day: a month's quota that carries
// over looks back at two of them.
const LeastUsageKept = 93 * 24 * time.Hour

// LeastKept is the least that anything of what happened is kept: a shorter
// time is a slip of the unit, and what it would drop comes not back.
const LeastKept = 31 * 24 * time.Hour
