package aaa

// CloseStale closes sessions of which nothing is heard any more, as far as the
// server that does it is told to.
type CloseStale struct {
	Batch int `json:"batch"` // rows in one transaction
}

// Kind is the job's name in the queue.
func (CloseStale) Kind() string { return "close_stale" }

// ArchiveSessions moves closed sessions out of radacct, and drops old ones, as
// far as the server that does it is told to.
type ArchiveSessions struct {
	Batch int `json:"batch"` // rows in one transaction
}

// Kind is the job's name in the queue.
func (ArchiveSessions) Kind() string { return "archive_sessions" }

// MergeUsage adds up the usage of days of long ago, as far as the server that does
// it is told to.
type MergeUsage struct {
	Batch int `json:"batch"` // users in one transaction
}

// Kind is the job's name in the queue.
func (MergeUsage) Kind() string { return "merge_usage" }

// ReconcileRouters compares who is logged in on routers with radacct, and mends
// what differs.
type ReconcileRouters struct{}

// Kind is the job's name in the queue.
func (ReconcileRouters) Kind() string { return "reconcile_routers" }
