// Package load is the load generator behind `radial load`: it plays many NASes
// against a RADIUS server in a closed loop (each answer lets the next request
// go, so that a window of requests is always outstanding), checks every
// answer's authenticator, retransmits as a NAS does, and tells rates, latencies
// and what was acknowledged.
//
// It has a codec of its own, a few bytes appended to a buffer: it must cost so
// little that the server under test gets the machine, and it must not share
// the mistakes of the server's. A lane is one UDP socket with one goroutine
// and a fixed number of slots; a slot is one request that is outstanding.
package load
