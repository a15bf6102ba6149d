// Package load is the load generator behind `radial load`: it plays many NASes
// against a RADIUS server, checks every answer's signatures, retransmits as a
// NAS does, and tells rates, latencies and what was acknowledged.
//
// A closed loop keeps a window of requests outstanding: each answer lets the
// next request go, so it goes as fast as the server does. In an open loop
// requests arrive by a clock (a Poisson stream) whatever the server does, and
// their latency counts from their arrival: what a stalled server keeps waiting
// is seen. A storm is users who all dial at once, and again until they are in.
//
// It has a codec of its own, a few bytes appended to a buffer: it must cost so
// little that the server under test gets the machine, and it must not share
// the mistakes of the server's (but for MS-CHAP's arithmetic). A lane is one
// UDP socket; its window has the requests outstanding by their identifiers. A
// session stays in its lane, so that its NAS is the same from the first packet
// to the last. A worker is one goroutine that works many lanes: it sleeps in
// the kernel until one has an answer, or something to send by the clock; where a
// closed loop's answers come late and one by one it lets some gather, since
// waking for each would cost the server processor time.
package load
