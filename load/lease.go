package load

// Attributes that give a session an address of its own (RFC 2865, 3162, 4818,
// 6911).
const (
	attrFramedIPv6Prefix    = 97
	attrDelegatedIPv6Prefix = 123
	attrFramedIPv6Address   = 168
)

// lease is an address or prefix as its attribute has it.
type lease struct {
	attr, size byte
	value      [18]byte
}

// leases are what one Access-Accept gives.
type leases struct {
	all [4]lease
	n   int
}

// leasesOf reads a reply's addresses and prefixes, in their order.
func leasesOf(reply []byte) (ls leases) {
	for b := reply[20:]; len(b) >= 2 && int(b[1]) >= 2 && int(b[1]) <= len(b); b = b[b[1]:] {
		switch value := b[2:b[1]]; b[0] {
		case attrFramedIPAddress, attrFramedIPv6Prefix, attrDelegatedIPv6Prefix, attrFramedIPv6Address:
			if len(value) <= 18 && ls.n < len(ls.all) {
				ls.all[ls.n] = lease{attr: b[0], size: byte(len(value))}
				copy(ls.all[ls.n].value[:], value)
				ls.n++
			}
		}
	}
	return ls
}

// append writes them into a request.
func (ls *leases) append(b []byte) []byte {
	for i := range ls.n {
		l := &ls.all[i]
		b = append(append(b, l.attr, 2+l.size), l.value[:l.size]...)
	}
	return b
}

// exclusive tells that the run's sessions hold their addresses at the same
// time, so that none may be given twice.
func (r *run) exclusive() bool {
	return r.opts.Mode == Session || r.opts.Mode == Storm || r.preparing()
}

// hold gives a session the addresses of its Access-Accept and counts those that
// a live session has.
func (r *run) hold(s *session, got leases, c *Counts) {
	if got.n == 0 {
		c.WithoutAddress++
		return
	}
	s.leases = got
	if !r.exclusive() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range got.all[:got.n] {
		if holder, taken := r.holders[l]; taken && holder != s.number {
			c.DoubleAddress++
		}
		r.holders[l] = s.number
	}
}

// release forgets an ended session's addresses.
func (r *run) release(s *session) {
	if r.opts.Mode != Session || s.leases.n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range s.leases.all[:s.leases.n] {
		if r.holders[l] == s.number {
			delete(r.holders, l)
		}
	}
}
