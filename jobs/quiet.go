package jobs

import (
	"net/netip"
	"sync"
	"time"
)

const (
	quietAfter = 3                // requests in a row without an answer
	quietFor   = 20 * time.Second // then one request in so much time finds out whether the device is back
)

// quietDevices keeps what is wanted of devices that do not answer from taking
// the places of what could be done. Safe for concurrent use.
type quietDevices struct {
	now func() time.Time

	mu  sync.Mutex
	all map[netip.Addr]*quietDevice
}

type quietDevice struct {
	missed int
	until  time.Time
}

func newQuietDevices(now func() time.Time) *quietDevices {
	return &quietDevices{now: now, all: map[netip.Addr]*quietDevice{}}
}

// ask tells how long to wait before a device is asked; 0: it may be asked now.
func (q *quietDevices) ask(nas netip.Addr) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.all[nas]
	if d == nil || d.missed < quietAfter {
		return 0
	}
	now := q.now()
	if wait := d.until.Sub(now); wait > 0 {
		return wait
	}
	d.until = now.Add(quietFor) // this one finds out
	return 0
}

// heard notes whether a device has answered.
func (q *quietDevices) heard(nas netip.Addr, answered bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if answered {
		delete(q.all, nas)
		return
	}
	d := q.all[nas]
	if d == nil {
		d = &quietDevice{}
		q.all[nas] = d
	}
	if d.missed++; d.missed == quietAfter {
		d.until = q.now().Add(quietFor)
	}
}

// count is how many devices do not answer.
func (q *quietDevices) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, d := range q.all {
		if d.missed >= quietAfter {
			n++
		}
	}
	return n
}
