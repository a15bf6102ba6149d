package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"radial/load"
)

// loadWatch tells on a terminal how far a run is, once a second.
type loadWatch struct {
	*progress
	ended chan struct{}
	group sync.WaitGroup
}

// follow begins to tell, where stderr is a terminal.
func (w *loadWatch) follow(p load.Progress) {
	if w.out == nil {
		return
	}
	w.group.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		last := load.Sample{}
		for {
			select {
			case <-w.ended:
				return
			case <-tick.C:
			}
			now := p.Sample()
			_, _ = fmt.Fprintln(w.out, loadLine(last, now)) // a terminal that is gone: the run matters, not its line
			last = now
		}
	})
}

func (w *loadWatch) end() {
	close(w.ended)
	w.group.Wait()
}

// loadLine is the second between two samples.
func loadLine(last, now load.Sample) string {
	rate := float64(now.Answered-last.Answered) / max((now.Elapsed-last.Elapsed).Seconds(), 1e-3)
	line := fmt.Sprintf("%5.0f s  %7.0f/s  outstanding %5d  p50 %s  p99 %s  sent again %d  given up %d",
		now.Elapsed.Seconds(), rate, now.Outstanding, milliseconds(now.Latency.P50), milliseconds(now.Latency.P99), now.Retransmitted, now.GivenUp)
	if now.Rejected > 0 {
		line += fmt.Sprintf("  rejects %d", now.Rejected)
	}
	if now.Waiting > 0 {
		line += fmt.Sprintf("  in %d  to dial again %d", now.Accepted, now.Waiting)
	}
	if bad := now.BadAuthenticator + now.BadProof + now.DoubleAddress + now.WrongAccepted; bad > 0 {
		line += fmt.Sprintf("  WRONG ANSWERS %d", bad)
	}
	return line
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }

func loadTable(r *load.Result) string {
	var b strings.Builder
	loop := fmt.Sprintf("window %d", r.Window)
	switch {
	case r.Storm != nil:
		loop = fmt.Sprintf("%d users at once", r.Storm.Users)
	case r.Asked > 0:
		loop = fmt.Sprintf("%g requests/s asked", r.Asked)
	}
	fmt.Fprintf(&b, "%s, %s, %d sockets, %.1f s: %.0f answers/s\n\n", r.Mode, loop, r.Sockets, r.Elapsed.Seconds(), r.Rate)
	g := &grid{titles: []string{"latency", "answers", "p50", "p90", "p99", "p99.9", "max"}}
	row := func(name string, n uint64, l load.Latency) {
		g.add(name, strconv.FormatUint(n, 10), milliseconds(l.P50), milliseconds(l.P90), milliseconds(l.P99), milliseconds(l.P999), milliseconds(l.Max))
	}
	if len(r.Kinds) != 1 {
		row("all", r.Answered, r.Latency)
	}
	for _, k := range r.Kinds {
		row(k.Kind, k.Answered, k.Latency)
	}
	b.WriteString(g.String() + "\n")
	fmt.Fprintf(&b, "accepts %d (%d without an address)  rejects %d (%d wrong passwords were tried)  accounting acknowledged %d\n",
		r.Accepted, r.WithoutAddress, r.Rejected, r.WrongPasswords, r.Acknowledged)
	fmt.Fprintf(&b, "sent %d  sent again %d  given up %d  never sent %d  late or double answers %d\n", r.Sent, r.Retransmitted, r.GivenUp, r.Unsent, r.Stray)
	fmt.Fprintf(&b, "wrong authenticators %d  wrong MS-CHAP proofs %d  wrong passwords accepted %d  addresses given to two live sessions %d\n",
		r.BadAuthenticator, r.BadProof, r.WrongAccepted, r.DoubleAddress)
	fmt.Fprintf(&b, "the generator's own CPU: %.1f µs a request, %.1f µs a packet\n", r.CPUPerRequest, r.CPUPerPacket)
	if r.Storm != nil {
		b.WriteString("\n" + stormTable(r.Storm))
	}
	return b.String()
}

func stormTable(s *load.StormResult) string {
	text := fmt.Sprintf("all %d users are in after %.1f s\n", s.In, s.AllIn.Seconds())
	if s.In < s.Users {
		text = fmt.Sprintf("%d of %d users are in, the last after %.1f s; %d were refused, %d are still out\n", s.In, s.Users, s.AllIn.Seconds(), s.Refused, s.Out)
	}
	return text + fmt.Sprintf("a user is in after p50 %.2f s  p90 %.2f s  p99 %.2f s  max %.2f s\na user dials %.2f times (at most %d) and sends %.2f Access-Requests (at most %d)\n",
		s.ToIn.P50.Seconds(), s.ToIn.P90.Seconds(), s.ToIn.P99.Seconds(), s.ToIn.Max.Seconds(), s.DialsMean, s.DialsMax, s.TriesMean, s.TriesMax)
}
