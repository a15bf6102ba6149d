package aaa

import (
	"context"
	"time"

	"radial/ipam"
)

// The engine's ports: what it needs of the world, each implemented by one
// package that the engine does not know. An error of any of them is trouble,
// not a decision: Authorize and Account hand it up, and the NAS gets silence.

// PolicyReader reads the rows that decide about a user (store). Many callers
// at once share a database trip. The rows are raw text (un-escaped).
type PolicyReader interface {
	// UserRows returns the rows of a user; a user without rows is no error.
	UserRows(ctx context.Context, user string) (UserRows, error)
	// GroupRows returns the rows of a group; a group without rows is no error.
	GroupRows(ctx context.Context, group string) (GroupRows, error)
}

// Row is a row of radcheck, radreply, radgroupcheck or radgroupreply.
type Row struct {
	ID                   int64
	Attribute, Op, Value string
}

// Membership is a row of radusergroup.
type Membership struct {
	ID       int64
	Group    string
	Priority int32
}

// UserRows is all that the tables hold of a user: radcheck and radreply
// ordered by id, radusergroup ordered by priority, then id.
// Limits is what schema radial adds.
type UserRows struct {
	Check, Reply []Row
	Groups       []Membership
	Limits       UserLimits
}

// GroupRows is all that the tables hold of a group, ordered by id.
// Walled is for which states it has a walled garden, or is one.
type GroupRows struct {
	Check, Reply []Row
	Quotas       []Quota
	Walled       []WallState
}

// Addresses leases addresses (ipam.Allocator).
type Addresses interface {
	// Lease returns what is committed to the caller, one lease for each want, or
	// an error that is an *ipam.Refusal or *ipam.LimitReached, or trouble; then
	// nothing is leased.
	Lease(ctx context.Context, wants []ipam.Want) ([]ipam.Lease, error)
}

// PoolReader tells Explain what a pool has (store). Logins do not ask it.
type PoolReader interface {
	// PoolState tells what a pool has now; ipam.ErrPoolUnknown where the VRF has
	// no such pool.
	PoolState(ctx context.Context, vrf int32, pool string) (PoolState, error)
}

// PoolState is a pool as Explain sees it.
type PoolState struct {
	VRF         int32
	Kind        ipam.Kind
	Status      ipam.Status // Inactive also where all of its subnets are
	Fallback    []string
	Total, Free int64 // leases that it can give, and those that it can give now
}

// Admissions hold users to their number of sessions (store). The rule is Admit.
type Admissions interface {
	// Admit judges a login that leases nothing, in a committed transaction of its
	// own: nil, a *ipam.LimitReached, or trouble. One that leases is judged by
	// Addresses.
	Admit(ctx context.Context, a *ipam.Admission) error
	// Sessions returns what counts for a user now: the open rows of radacct with
	// exactly this username, without those that began before their NAS's reloadtime
	// in nasreload, and the logins let in whose Start has not come.
	Sessions(ctx context.Context, user string) ([]OpenSession, []WaitingLogin, error)
}

// Control has carried out what is wanted of sessions that run.
type Control interface {
	// Order says what is wanted of a user's open sessions from now on. The same
	// order again changes nothing.
	Order(ctx context.Context, o Order) error
}

// PostAuthLog takes the outcome of logins (store). Log queues and does not
// wait for the database; what a full queue drops is counted.
type PostAuthLog interface {
	Log(PostAuth)
}

// PostAuth is a row of radpostauth: FreeRADIUS's columns, then ours.
type PostAuth struct {
	User            string
	Pass            string // "" unless postauth.passwords says otherwise
	Reply           string // Access-Accept or Access-Reject
	CalledStation   string
	CallingStation  string
	Class           string
	At              time.Time
	Reason          Reason
	Detail          string
	NAS             string // address in text form
	NASPortID       string
	FramedIPAddress string
}

// Ledger stores accounting records (store).
type Ledger interface {
	// Post takes records and returns at once. Each posting's To is told once, in a
	// batch with others: with Err nil after the commit, when the record is on stable storage.
	// What cannot be taken at all may be told of before Post returns.
	Post(ps []*Posting)
}
