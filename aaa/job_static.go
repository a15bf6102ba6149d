package aaa

// ReserveStatic takes static addresses out of pools where that could not be
// done at once: somebody had them.
type ReserveStatic struct{}

// Kind is the job's name in the queue.
func (ReserveStatic) Kind() string { return "reserve_static" }

// RefreshStatic reads all of radreply for static addresses that no trigger has
// told of.
type RefreshStatic struct{}

// Kind is the job's name in the queue.
func (RefreshStatic) Kind() string { return "refresh_static" }
