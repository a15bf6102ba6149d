package aaa

// FollowUser brings the open sessions of a user to what a login would be given
// now. The last wish wins: one that a later wish for the same user has
// superseded does nothing.
type FollowUser struct {
	User   string `json:"user"`   // raw, as radacct has him
	Actor  string `json:"actor"`  // for the audit; store fills in who makes the change
	Why    string `json:"why"`    // for a person: user.set, quota, psql
	Serial int64  `json:"serial"` // store numbers them when it queues them
}

// Kind is the job's name in the queue.
func (FollowUser) Kind() string { return "follow_user" }

// FollowSession does for one session what FollowUser does for a user's.
type FollowSession struct {
	Session int64  `json:"session"` // radacctid
	Actor   string `json:"actor"`
	Why     string `json:"why"`
	Serial  int64  `json:"serial"` // store numbers them when it queues them
}

// Kind is the job's name in the queue.
func (FollowSession) Kind() string { return "follow_session" }

// EndSession disconnects one session, whatever a login would be given.
type EndSession struct {
	Session int64  `json:"session"` // radacctid
	Actor   string `json:"actor"`
	Why     string `json:"why"`
}

// Kind is the job's name in the queue.
func (EndSession) Kind() string { return "end_session" }

// EndUser disconnects all sessions of a user that had begun when it was asked
// for: his password is another now.
type EndUser struct {
	User  string `json:"user"`
	Actor string `json:"actor"`
	Why   string `json:"why"`
}

// Kind is the job's name in the queue.
func (EndUser) Kind() string { return "end_user" }

// LimitUser tells the devices of a user's open sessions how long these may last,
// and what they may transfer, from now on: he has been given more. These limits
// are in no mark, since they differ at each login.
type LimitUser struct {
	User  string `json:"user"`
	Actor string `json:"actor"`
	Why   string `json:"why"`
}

// Kind is the job's name in the queue.
func (LimitUser) Kind() string { return "limit_user" }

// FollowMany works off a list of sessions, paced: radial.bulk has what is to be
// done, radial.bulk_targets with which, and how far it is.
type FollowMany struct {
	Bulk  int64  `json:"bulk"`
	Asked string `json:"asked"` // which sessions, in words
	Actor string `json:"actor"`
}

// Kind is the job's name in the queue.
func (FollowMany) Kind() string { return "follow_many" }

// ReconcileSessions compares what all open sessions have with what a login of
// theirs would be given now, and has those follow that differ.
type ReconcileSessions struct{}

// Kind is the job's name in the queue.
func (ReconcileSessions) Kind() string { return "reconcile_sessions" }

// TidyControl forgets what control knows of sessions that are long over.
type TidyControl struct {
	Batch int `json:"batch"` // rows in one transaction
}

// Kind is the job's name in the queue.
func (TidyControl) Kind() string { return "tidy_control" }
