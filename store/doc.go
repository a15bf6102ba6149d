// Package store holds all SQL of Radial and nothing but. One PostgreSQL
// database has two schemas: FreeRADIUS's tables, which stay FreeRADIUS's (names,
// columns and meaning), and schema radial for what FreeRADIUS does not have.
//
// Open makes a DB without touching the database, so that a server can start
// while PostgreSQL is away; Migrate brings an empty or an existing FreeRADIUS
// database to the schema that this version needs. There is one file for each
// noun; the types in them implement the ports that the consumers declare
// (aaa/engine.go, ipam/lease.go), and share what the hot path needs:
//
//   - Group: callers queue, whoever is free takes all that is queued and makes
//     one database trip of it. No timer: a batch is what queued while the last
//     one ran.
//   - Escaper: FreeRADIUS writes text of users as =HH into the shared tables.
//     Only this package knows; schema radial and memory hold raw text.
//   - Listener: LISTEN/NOTIFY, which keeps the policy cache and the table of
//     devices true.
//
// What an operator changes is one transaction (change.go): lock, read, a pure
// function of aaa that decides, the row, its projection into FreeRADIUS's
// tables, the audit and the jobs.
//
// Every SQL statement is a package-level constant named sqlXxx; a test prepares
// each of them against the migrated schema. Errors come back wrapped with
// the operation's name and one of aaa's sentinels; a database that cannot be
// reached is aaa.ErrUnavailable, and every type here works again by itself when
// it is back.
package store
