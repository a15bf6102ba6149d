package main

import (
	"fmt"
	"os"
)

// progress counts long work on stderr, where that is a terminal; else it is
// silent.
type progress struct {
	out   *os.File
	what  string
	count int
}

// progress begins to count; what is in the plural.
func (a *app) progress(what string) *progress {
	p := &progress{what: what}
	if f, ok := a.stderr.(*os.File); ok && isTerminal(f) {
		p.out = f
	}
	return p
}

// step counts one more.
func (p *progress) step() {
	p.count++
	if p.out != nil && p.count%100 == 0 {
		p.show("\r")
	}
}

// set counts up to n.
func (p *progress) set(n int) {
	p.count = n
	if p.out != nil {
		p.show("\r")
	}
}

// done ends the line.
func (p *progress) done() {
	if p.out != nil && p.count >= 100 {
		p.show("\r")
		p.show("\n")
	}
}

// show ignores a terminal that is gone: the work matters, not its count.
func (p *progress) show(end string) {
	if end == "\n" {
		_, _ = fmt.Fprintln(p.out)
		return
	}
	_, _ = fmt.Fprintf(p.out, "%s%d %s", end, p.count, p.what)
}
