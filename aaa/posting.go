package aaa

// Posting is a record on its way through a Ledger. It sleeps there until its
// commit, and no goroutine waits for it.
type Posting struct {
	Record *Record
	To     Poster
	Owner  any   // To's own: what the record belongs to
	Err    error // once it is done; nil: the record is on stable storage
}

// Poster is told of postings that are done with. The goroutine that tells has
// others to see to, and holds no lock. Comparable: it is told of all of its
// postings in a batch at once.
type Poster interface {
	Posted(ps []*Posting)
}

// TellPosted tells each posting's To. The postings are then their owners' again.
func TellPosted(ps []*Posting) {
	for len(ps) > 0 {
		to, n := ps[0].To, 1
		for n < len(ps) && ps[n].To == to {
			n++
		}
		to.Posted(ps[:n])
		ps = ps[n:]
	}
}
