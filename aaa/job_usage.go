package aaa

// FoldUsage brings sessions that somebody else than the ledger has closed, such
// as FreeRADIUS on the same rows, into the usage of their users.
type FoldUsage struct {
	Batch int `json:"batch"` // sessions in one transaction
}

// Kind is the job's name in the queue.
func (FoldUsage) Kind() string { return "fold_usage" }

// RollUsage brings the days that open sessions have left behind into the usage
// of their users, where no record of ours has: FreeRADIUS accounts them.
type RollUsage struct {
	Batch int `json:"batch"` // sessions in one transaction
}

// Kind is the job's name in the queue.
func (RollUsage) Kind() string { return "roll_usage" }

// BackfillUsage brings the sessions of an adopted radacct into the usage of
// their users, the newest first.
type BackfillUsage struct {
	Batch int `json:"batch"` // sessions in one transaction
}

// Kind is the job's name in the queue.
func (BackfillUsage) Kind() string { return "backfill_usage" }
