package routeros

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Book says how routers are reached (store.RouterBook).
type Book interface {
	// Login is how the router of that name is reached, as it stands now.
	Login(ctx context.Context, name string) (Login, error)
	// OfNAS is the name of the router that is linked to a device (nas.id).
	OfNAS(ctx context.Context, nasID int64) (string, error)
}

// Fleet has a pool of connections for each router that was asked for. Many
// goroutines may use it.
type Fleet struct {
	book Book
	size int
	now  func() time.Time

	mu    sync.Mutex
	pools map[string]*fleetPool
}

type fleetPool struct {
	*Pool
	login Login
	pin   string
}

// serves tells whether the pool's connections are those of a login.
func (p *fleetPool) serves(l Login, pin string) bool {
	return p.pin == pin && p.login.Address == l.Address && p.login.User == l.User && p.login.Password == l.Password && p.login.Timeout == l.Timeout
}

// NewFleet makes a fleet; each router gets at most size connections. Nothing is
// dialled yet.
func NewFleet(book Book, size int, now func() time.Time) *Fleet {
	return &Fleet{book: book, size: size, now: now, pools: map[string]*fleetPool{}}
}

// Pool is the pool of the router of that name. Where its address, its user or
// its certificate were changed, it is a new one; what is at work on the old one
// comes to its end.
func (f *Fleet) Pool(ctx context.Context, name string) (*Pool, error) {
	login, err := f.book.Login(ctx, name)
	if err != nil {
		return nil, err
	}
	pin := ""
	if login.TLS != nil {
		pin = "tls " + login.TLS.Pin
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	have := f.pools[name]
	if have != nil && have.serves(login, pin) {
		return have.Pool, nil
	}
	if have != nil {
		_ = have.Close() // idle connections of a login that is no more: how they end changes nothing
	}
	for old, p := range f.pools {
		if p.serves(login, pin) { // the router had another name
			delete(f.pools, old)
			f.pools[name] = p
			return p.Pool, nil
		}
	}
	made := &fleetPool{Pool: NewPool(login, f.size, f.now), login: login, pin: pin}
	f.pools[name] = made
	return made.Pool, nil
}

// PoolOfNAS is the pool of the router that is linked to a device (nas.id), with
// the router's name.
func (f *Fleet) PoolOfNAS(ctx context.Context, nasID int64) (*Pool, string, error) {
	name, err := f.book.OfNAS(ctx, nasID)
	if err != nil {
		return nil, "", err
	}
	p, err := f.Pool(ctx, name)
	return p, name, err
}

// Close ends all idle connections.
func (f *Fleet) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, p := range f.pools {
		errs = append(errs, p.Close())
	}
	clear(f.pools)
	return errors.Join(errs...)
}
