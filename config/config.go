package config

import (
	"radial/api"
	"radial/nas"
)

// Config is all that an operator can set.
type Config struct {
	File    string // the file that was read, or empty
	DataDir string
	Log     Log

	Database Database
	API      api.Options
}

// Log is how the server writes its log.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // auto (console on a terminal, else json), console, json
}

// Database is where the tables are.
type Database struct {
	URL       nas.Secret
	DirectURL nas.Secret
	Pooler    string
	MaxConns  int32
	Migrate   bool
}

// Default is the configuration with nothing set.
func Default() *Config {
	return &Config{
		DataDir:  "/var/lib/radial",
		Log:      Log{Level: "info", Format: "auto"},
		Database: Database{Pooler: "none", MaxConns: 16, Migrate: true},
		API:      api.DefaultOptions(),
	}
}
