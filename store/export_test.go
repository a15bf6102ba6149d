package store

import "time"

// SetEcho makes a listener notify itself more often.
func SetEcho(l *Listener, every time.Duration) { l.every = every }

// The statements of the hot path, for EXPLAIN.
const (
	SQLUserRows      = sqlUserRows
	SQLGroupRows     = sqlGroupRows
	SQLCountSessions = sqlCountSessions
)

// PostAuthQueue is how many rows wait at most.
const PostAuthQueue = postAuthQueue
