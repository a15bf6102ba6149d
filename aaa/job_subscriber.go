package aaa

// ExpireSubscribers makes the state of subscribers follow their end dates.
type ExpireSubscribers struct {
	Batch int `json:"batch"` // looked for at a time
}

// Kind is the job's name in the queue.
func (ExpireSubscribers) Kind() string { return "expire_subscribers" }

// SyncSubscribers puts in order what FreeRADIUS's tables have of subscribers,
// as user sync --all does: what others changed is left alone.
type SyncSubscribers struct {
	Batch int `json:"batch"` // looked at in one trip
}

// Kind is the job's name in the queue.
func (SyncSubscribers) Kind() string { return "sync_subscribers" }

// TendGardens brings those who are kept out into the walled garden of their
// package, or out of it, where the package was changed meanwhile.
type TendGardens struct {
	Batch int `json:"batch"` // looked for at a time
}

// Kind is the job's name in the queue.
func (TendGardens) Kind() string { return "tend_gardens" }
