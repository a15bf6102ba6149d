// Package jobs runs what is queued and what is due. The queue is River's, in
// PostgreSQL, so that a job is enqueued in the transaction of the change that
// asks for it (package store does that), lives through restarts, and is done by
// any one server.
//
// periodic.go is the list of periodic work: what, how often, and the function.
// Each family of jobs has its own file. A Runner is what serve runs: it waits
// for the database, works, and on shutdown lets running jobs finish.
//
// RouterWay is the other way to a session, for deeds of control that CoA and Disconnect cannot do: RouterOS's API.
//
// Control is what is done to sessions that run, in queues of its own:
// control.go has its workers, enforce.go what they do with a session (claim it,
// see what is due, act at its device, write down what came of it), control_bulk.go many
// sessions at a pace, quiet.go devices that do not answer. Two servers never act
// on one session at once, and no transaction is open while a device is asked.
//
// The arguments of jobs are plain structs of package aaa. The queue is polled
// once a second, control's five times, instead of listened to: no connection is
// held for it, and it works through a pooler in transaction mode.
package jobs
