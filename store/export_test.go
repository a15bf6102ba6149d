package store

import "time"

// SetEcho makes a listener notify itself more often.
func SetEcho(l *Listener, every time.Duration) { l.every = every }
