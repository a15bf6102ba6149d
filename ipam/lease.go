package ipam

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Caller is who asks for an address: design "Caller of a lease". Texts are
// normalised (MAC in lower case with colons where it is one) and may be empty.
type Caller struct {
	User string // username as logged in
	MAC  string // Calling-Station-Id, normalised by NormaliseMAC
	NAS  netip.Addr
	Port string // NAS-Port-Id, else NAS-Port in decimal
}

// Want is one request for an address of a pool.
type Want struct {
	Pool      string
	VRF       int32
	Caller    Caller
	SessionID string // Acct-Session-Id of the Access-Request, or ""
}

// Lease is an address that is committed to a caller.
type Lease struct {
	Address netip.Addr
	Pool    string
	Until   time.Time // when the offer ends, unless a Start binds it
}

// The refusals of a pool.
var (
	ErrPoolUnknown = errors.New("no such pool")
	ErrPoolFull    = errors.New("pool is full")
)

// Result answers one Want of a batch: a Lease, or ErrPoolUnknown or
// ErrPoolFull (test with errors.Is).
type Result struct {
	Lease Lease
	Err   error
}

// Rows is what the allocator needs of the database; the row locks there judge.
type Rows interface {
	// Claim tries, in one committed transaction, to lease for each Try one of
	// its candidates (or the caller's own live lease); a Try that finds none of
	// its candidates free gets a zero Claimed.
	Claim(ctx context.Context, tries []Try) ([]Claimed, error)
	// FreeAddresses returns up to limit addresses of a pool that are free now,
	// after the given one in address order (from the first when it is invalid).
	FreeAddresses(ctx context.Context, pool PoolInfo, after netip.Addr, limit int) ([]netip.Addr, error)
	// PoolNamed returns the pool, or ErrPoolUnknown.
	PoolNamed(ctx context.Context, vrf int32, name string) (PoolInfo, error)
}

// PoolInfo is what allocation needs to know of a pool.
type PoolInfo struct {
	ID        int64
	Name      string
	VRF       int32
	OfferTime time.Duration // life of an offer that no Start follows
	LeaseTime time.Duration // life of a binding without interims, see design §8 on clocks
	Networks  []netip.Prefix
}

// Try is one Want with the candidates that the allocator's hint proposes.
type Try struct {
	Want       Want
	Pool       PoolInfo
	Candidates []netip.Addr // in order of preference; may be none: the caller's own lease or last address alone
}

// Claimed is the outcome of a Try; an invalid Address means that no candidate
// was free.
type Claimed struct {
	Address netip.Addr
	Until   time.Time
}
