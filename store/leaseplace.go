package store

import (
	"net/netip"
	"sync"

	"github.com/jackc/pgx/v5/pgtype"

	"radial/ipam"
)

// whereabouts remembers where in the table the rows of free addresses stood when they
// were last listed, so that they are offered without being looked up. It is a
// hint as the addresses themselves are: whether the row that is found there is
// the address's, and free, is judged when it is written. Safe for concurrent use.
type whereabouts struct {
	mu sync.Mutex
	at map[spotKey]pgtype.TID
}

// spotKey is an IPv4 address of a VRF, without pointers, which the collector
// would follow.
type spotKey struct {
	vrf     int32
	address [4]byte
}

// manySpots is how many are remembered. What is left of pools that nobody asks
// any more goes when there are so many.
const manySpots = 1 << 16

func spotOf(vrf int32, a netip.Addr) spotKey { return spotKey{vrf: vrf, address: a.As4()} }

// learn remembers where the rows of IPv4 addresses of a VRF are; IPv6 leases are
// no candidates of this kind.
func (w *whereabouts) learn(vrf int32, addresses []netip.Addr, at []pgtype.TID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at == nil || len(w.at) > manySpots {
		w.at = make(map[spotKey]pgtype.TID)
	}
	for i, a := range addresses {
		w.at[spotOf(vrf, a)] = at[i]
	}
}

// take returns where the row of the first candidate of each login is, and forgets
// it; where that is not known, the place is not valid.
func (w *whereabouts) take(logins [][]ipam.Try, which []int, into []pgtype.TID) []pgtype.TID {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range which {
		t := &logins[i][0]
		key := spotOf(t.Pool.VRF, t.Candidates[0])
		into = append(into, w.at[key])
		delete(w.at, key)
	}
	return into
}
