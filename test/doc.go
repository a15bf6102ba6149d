// Package test holds what is tested from outside: the house rules, the
// scenarios, interop with FreeRADIUS and radclient, and the faults that a
// server must outlive. Nothing here reaches into a package; servers are the
// built binary, rows are read by SQL.
package test
