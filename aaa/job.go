package aaa

// What a queued job is to do: one plain struct for each kind, stored as JSON in
// the queue (River's tables) and worked off by package jobs. Kind names the
// struct there and must not change while rows of it may exist.

// ExpireOffers frees the addresses of offers that no Start followed.
type ExpireOffers struct {
	Batch int `json:"batch"` // rows in one transaction
}

// Kind is the job's name in the queue.
func (ExpireOffers) Kind() string { return "expire_offers" }

// EndCooling frees released addresses whose time of cooling is over.
type EndCooling struct {
	Batch int `json:"batch"` // rows in one transaction
}

// Kind is the job's name in the queue.
func (EndCooling) Kind() string { return "end_cooling" }

// DropIdlePrefixes removes the rows of IPv6 leases that nobody has had for long.
type DropIdlePrefixes struct {
	Batch int `json:"batch"` // rows in one transaction
	Days  int `json:"days"`  // since the last holder left
}

// Kind is the job's name in the queue.
func (DropIdlePrefixes) Kind() string { return "drop_idle_prefixes" }

// DropConflicts forgets old conflicts of addresses.
type DropConflicts struct {
	Batch int `json:"batch"` // rows in one transaction
}

// Kind is the job's name in the queue.
func (DropConflicts) Kind() string { return "drop_conflicts" }

// ReleaseEnded frees the addresses of sessions that were closed behind our
// back: by FreeRADIUS on the same rows, or by a hand.
type ReleaseEnded struct {
	Batch int `json:"batch"` // rows in one transaction
}

// Kind is the job's name in the queue.
func (ReleaseEnded) Kind() string { return "release_ended" }

// TendHistory makes the history's partitions of the months to come, and drops
// what is older than the server that does it is told to keep.
type TendHistory struct {
	Batch int `json:"batch"` // rows in one transaction
}

// Kind is the job's name in the queue.
func (TendHistory) Kind() string { return "tend_history" }

// RefreshMirror keeps bound addresses from expiring in radippool, where the
// mirror for FreeRADIUS is on and their sessions send no interims.
type RefreshMirror struct {
	Batch int `json:"batch"` // rows in one transaction
}

// Kind is the job's name in the queue.
func (RefreshMirror) Kind() string { return "refresh_mirror" }

// ExpireAdmissions drops logins that Simultaneous-Use let in and that no Start
// followed.
type ExpireAdmissions struct {
	Batch int `json:"batch"` // rows in one transaction
}

// Kind is the job's name in the queue.
func (ExpireAdmissions) Kind() string { return "expire_admissions" }
