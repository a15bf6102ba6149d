package ipam

import (
	"context"
	"errors"
	"fmt"
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

// Kind is what a lease of a pool is.
type Kind uint8

// The kinds, by the attribute that tells the NAS.
const (
	IPv4            Kind = iota // Framed-IP-Address
	IPv6Prefix                  // Framed-IPv6-Prefix, of the link to the subscriber
	DelegatedPrefix             // Delegated-IPv6-Prefix, for the subscriber's own network
	IPv6Address                 // Framed-IPv6-Address
)

// String returns the text of radial.pools.kind.
func (k Kind) String() string {
	switch k {
	case IPv6Prefix:
		return "ipv6_prefix"
	case DelegatedPrefix:
		return "delegated_prefix"
	case IPv6Address:
		return "ipv6_address"
	default:
		return "ipv4"
	}
}

// ParseKind is String's inverse; ok is false for any other text.
func ParseKind(text string) (k Kind, ok bool) {
	for _, k := range []Kind{IPv4, IPv6Prefix, DelegatedPrefix, IPv6Address} {
		if k.String() == text {
			return k, true
		}
	}
	return IPv4, false
}

// Sparse tells whether pools of this kind have rows for what has been leased
// alone, and not for every address.
func (k Kind) Sparse() bool { return k != IPv4 }

// Want is one thing that a login asks for.
type Want struct {
	Kind Kind
	// Pools are asked in this order; the first with room gives. After a pool
	// without room its own fallback list comes before the next one here. Each
	// pool is asked once.
	Pools []string
	// Spare are asked after Pools, in this order. Names that the VRF has not are
	// passed over, and so are pools of other kinds: the setting serves all.
	Spare     []string
	VRF       int32
	Caller    Caller
	SessionID string // Acct-Session-Id of the Access-Request, or ""
	// Admission is what the login is held to besides; all wants of a login have
	// the same one, or none.
	Admission *Admission
}

// Lease is an address or a prefix that is committed to a caller.
type Lease struct {
	Kind        Kind
	Prefix      netip.Prefix // of an address: /32 or /128
	Pool        string
	Until       time.Time    // when the offer ends, unless a Start binds it; of a lease that is bound, the end of that
	DNS         []netip.Addr // of the pool
	InterfaceID uint64       // for Framed-Interface-Id; 0: none
}

// Address returns the address, or the first one of a prefix.
func (l Lease) Address() netip.Addr { return l.Prefix.Addr() }

// Why a want cannot be had.
var (
	ErrPoolUnknown  = errors.New("no such pool")
	ErrPoolFull     = errors.New("pool is full")
	ErrPoolInactive = errors.New("pool gives no new leases")
)

// Refusal is the error of a login that cannot have all it wants. It is about the
// first want that could not be had.
type Refusal struct {
	Kind Kind
	Pool string // the first pool that was asked; of ErrPoolUnknown the one that is not there
	Err  error  // ErrPoolUnknown, ErrPoolFull or ErrPoolInactive (test with errors.Is)
}

// Error says what was wanted of which pool.
func (r *Refusal) Error() string { return fmt.Sprintf("%s of pool %q: %v", r.Kind, r.Pool, r.Err) }

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// Rows is what the allocator needs of the database; the row locks there judge.
type Rows interface {
	// Claim tries, in one committed transaction, to lease something for each of
	// the tries of one login: the caller's own live lease, its last address, or
	// one of the candidates. Where one try finds nothing (its Claimed has no
	// Prefix), nothing is leased for the others either. A login with an Admission
	// is judged first: above its limit the error is a *LimitReached.
	Claim(ctx context.Context, tries []Try) ([]Claimed, error)
	// FreeAddresses returns up to limit addresses of a pool that are free now,
	// after the given one in address order (from the first when it is invalid).
	// Of prefixes they are the first addresses.
	FreeAddresses(ctx context.Context, pool PoolInfo, after netip.Addr, limit int) ([]netip.Addr, error)
	// PoolNamed returns the pool, or ErrPoolUnknown.
	PoolNamed(ctx context.Context, vrf int32, name string) (PoolInfo, error)
}

// Status tells what a pool may still give.
type Status uint8

// The states of a pool, by the texts of radial.pools.status.
const (
	Active   Status = iota
	Draining        // those who have a lease keep it; nobody gets a new one
	Inactive        // nothing is offered
)

// ParseStatus reads the text of radial.pools.status; ok is false for others.
func ParseStatus(text string) (s Status, ok bool) {
	switch text {
	case "active":
		return Active, true
	case "draining":
		return Draining, true
	}
	return Inactive, text == "inactive"
}

// PoolInfo is what allocation needs to know of a pool.
type PoolInfo struct {
	ID           int64
	Name         string
	VRF          int32
	Kind         Kind
	PrefixLength int    // of one lease
	Status       Status // Inactive also where all of its subnets are
	Sticky       Sticky
	OfferTime    time.Duration // life of an offer that no Start follows
	LeaseTime    time.Duration // life of a binding without interims, see design §8 on clocks
	CoolingTime  time.Duration // after a release, before another caller gets the address
	Fallback     []string      // pools that are asked when this one has no room
	DNS          []netip.Addr
	InterfaceID  InterfaceIDPolicy
	Networks     []netip.Prefix // of its active subnets
	Runs         []Range        // what may be given of them, in order: of sparse kinds alone
}

// Try is one want with the pool that the allocator has chosen for it.
type Try struct {
	Want       Want
	Pool       *PoolInfo    // not to be changed; one without an ID: none is asked any more
	Others     []int64      // further pools where a lease of the caller's own counts
	Candidates []netip.Addr // of Pool, in order of preference; may be none
}

// Claimed is the outcome of a Try; an invalid Prefix means that there was
// nothing to have.
type Claimed struct {
	Prefix netip.Prefix
	PoolID int64
	Until  time.Time
}

// InterfaceIDPolicy says which Framed-Interface-Id goes with a lease.
type InterfaceIDPolicy uint8

// The policies, by the texts of radial.pools.interface_id.
const (
	InterfaceIDNone   InterfaceIDPolicy = iota
	InterfaceIDEUI64                    // made of the caller's MAC
	InterfaceIDStable                   // the same for a caller, and telling nothing of it
)

// ParseInterfaceID reads the text of radial.pools.interface_id; ok is false for
// others.
func ParseInterfaceID(text string) (p InterfaceIDPolicy, ok bool) {
	switch text {
	case "eui64":
		return InterfaceIDEUI64, true
	case "stable":
		return InterfaceIDStable, true
	}
	return InterfaceIDNone, text == "none"
}
