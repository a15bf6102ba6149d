// Package harness runs the real server for tests from outside: the built
// binary (with the race detector where the tests have it), on free ports, with
// a database of its own. Nothing of the server is replaced.
package harness
