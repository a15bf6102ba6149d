// Package radius is where bytes come in and bytes go out: the RADIUS server's
// sockets, the gate that every datagram passes, duplicates, signatures, and
// the answers. It decides nothing about users; that is what an Authorizer and
// an Accountant are for.
//
// # The way of a packet
//
// An address that is listened on has several sockets (SO_REUSEPORT), each with
// one reading goroutine, one writing goroutine and, for logins, a crew of workers. The
// reader takes many datagrams in one system call and puts each through the
// gate, cheapest question first: is it a RADIUS packet (parse), does its code
// belong on this port, is its source a known device, is it signed as the
// device's policy asks (admission.go, blastradius.go), is it a retransmission
// (duplicate.go), is there room for one more request in flight. What is refused
// has one Refusal of a closed list, and a counter. Status-Server and replays are
// answered by the reader itself.
//
// A login that memory alone does not decide goes to the crew, because Authorize may
// wait for a database and the reader must not. Workers decode the attributes, ask, encode
// and sign the reply (access.go), keep it for retransmissions,
// and hand it to the writer, which sends all that has gathered in one system
// call. A worker goes from one request to the next without a switch as long as
// answers come at once; when one blocks, the next is already woken (crew.go).
//
// Of an accounting request the reader makes a record, and hands it to the ledger over
// the socket's desk (desk.go). No goroutine waits for it: when the ledger has
// stored a batch it tells the server, which makes the answers and gives them to the
// writers (accounting.go).
//
// More may come than can be answered, and devices wait for a second or so: a
// server that keeps the order is then late for everybody. So a socket that does not
// keep up takes the newest first (turns.go), what nobody waits for any more is not begun,
// and logins make room for the accounting of those let in (overload.go).
//
// An error of Authorize or of the ledger is trouble and not a decision: the device
// gets silence, so that it asks its next server.
//
// # The client
//
// Client (client.go) asks other servers and devices: logins, accounting,
// Status-Server, CoA and Disconnect. It shares nothing with the server but the
// dictionary, so that each can judge the other. DAE (dae.go) sends CoA and
// Disconnect to many devices from one socket, thousands under way.
//
// # Locks
//
// The server has three locks: a shard of the duplicates, the queue of a crew or desk, a
// socket's outbox. None is held while another is taken, and none over I/O.
package radius
