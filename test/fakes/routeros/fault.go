package routeros

import (
	"strings"
	"time"
)

// Breaking is how a command goes wrong.
type Breaking int

// What can go wrong with a command. Of those that end the connection, Drop has
// changed nothing, Lose has changed all and told nothing, Cut has changed all and
// ends in the middle of a reply's sentence.
const (
	Drop Breaking = iota + 1
	Lose
	Cut
	Refuse // !trap with Message and Category, nothing changed
	Fatal  // !fatal with Message, nothing changed
	Slow   // Delay before anything happens
	Mute   // done, and no reply ever
)

// Fault is one thing to go wrong.
type Fault struct {
	On       string // what the command begins with: /ppp/secret/add; "" for all
	Skip     int    // so many of these go well first
	Times    int    // then so many go wrong; 0 is one
	How      Breaking
	Message  string
	Category int
	Delay    time.Duration
}

// Break arms faults. The first that fits a command is used.
func (r *Router) Break(faults ...Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range faults {
		if f.Times == 0 {
			f.Times = 1
		}
		r.faults = append(r.faults, &f)
	}
}

// Mend disarms all faults.
func (r *Router) Mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = nil
}

// Sentences is how many commands clients have sent since the router was made,
// logins too.
func (r *Router) Sentences() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sentences
}

// fault counts a command and tells what goes wrong with it.
func (r *Router) fault(command string) Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sentences++
	for n, f := range r.faults {
		if !strings.HasPrefix(command, f.On) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times--; f.Times == 0 {
			r.faults = append(r.faults[:n:n], r.faults[n+1:]...)
		}
		return *f
	}
	return Fault{}
}
