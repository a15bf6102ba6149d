package aaa

import "errors"

// The sentinels that errors of the world are mapped to (test with errors.Is):
// to silence in radius, to a status in api, to an exit code in cmd.
var (
	// ErrNotFound says that the thing asked for is not there.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that the thing is there already, or was changed by
	// someone else in between.
	ErrConflict = errors.New("conflict")
	// ErrInvalid says that what was given cannot be stored; the message names
	// the value and what would be right.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable says that the database (or what else is needed) cannot be
	// reached now: trying again later can help.
	ErrUnavailable = errors.New("unavailable")
	// ErrWaited says that nothing was done, because there is too much to do and
	// whoever has asked has waited for so long that nobody waits any more.
	ErrWaited = errors.New("has waited too long for its turn")
	// ErrPoolFull says that a login is left without an answer because the operator
	// wants it so where pools are full (pool_full: silence): nothing is wrong here.
	ErrPoolFull = errors.New("no address is free")
)
