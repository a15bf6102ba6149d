package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"radial/aaa"
)

// SQLSTATE codes that are asked for by name (PostgreSQL, appendix A).
const (
	codeInsufficientPrivilege = "42501"
	codeReadOnly              = "25006"
	codeUndefinedTable        = "42P01"
	codeInvalidSchema         = "3F000"
	codeLockNotAvailable      = "55P03"
	codeForeignKey            = "23503"
	codeQueryCanceled         = "57014"
)

// wrapErr gives err the prefix op (operation and key) and the sentinel that it
// stands for. nil stays nil. An error that already carries a sentinel keeps it.
func wrapErr(op string, err error) error {
	if err == nil {
		return nil
	}
	for _, sentinel := range []error{aaa.ErrNotFound, aaa.ErrConflict, aaa.ErrInvalid, aaa.ErrUnavailable} {
		if errors.Is(err, sentinel) {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	switch s := sentinelOf(err); {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%s: %w", op, aaa.ErrNotFound) // what pgx says beyond that is not for people
	case s != nil:
		return fmt.Errorf("%s: %w: %w", op, s, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// sentinelOf classifies an error of pgx; nil means that it is none of the four
// (a cancelled context, a mistake in our SQL).
func sentinelOf(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return aaa.ErrNotFound
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return sentinelOfCode(pg.Code)
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	// What is no answer of the server is a lost or refused connection, or time
	// that ran out while waiting for one.
	var connect *pgconn.ConnectError
	var netErr interface{ Timeout() bool }
	if errors.As(err, &connect) || errors.As(err, &netErr) || errors.Is(err, context.DeadlineExceeded) || connectionLost(err) {
		return aaa.ErrUnavailable
	}
	return nil
}

func sentinelOfCode(code string) error {
	switch code {
	case "23505", "23P01": // unique_violation, exclusion_violation
		return aaa.ErrConflict
	case codeReadOnly: // we hold a connection to a server that became a standby
		return aaa.ErrUnavailable
	case "40001", "40P01", "55P03": // serialization_failure, deadlock_detected, lock_not_available
		return aaa.ErrUnavailable
	case "3D000", "55000": // the database is not there (yet), or not in a state for this
		return aaa.ErrUnavailable
	}
	if len(code) != 5 {
		return nil
	}
	switch code[:2] {
	case "22", "23": // data exception, integrity constraint violation
		return aaa.ErrInvalid
	case "08", "53", "57", "58", "28": // connection, resources, operator intervention, system, authorization
		return aaa.ErrUnavailable
	}
	return nil
}

// retryable tells whether the same transaction may succeed if it is run again
// at once: a deadlock or a serialization failure.
func retryable(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01")
}

// waitedInVain tells whether a lock was not had in the time that the transaction
// has set (lock_timeout).
func waitedInVain(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == codeLockNotAvailable
}
