package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// RightsError says that the role may not do what migrating needs, and what
// someone with the right to it must run first. FreeRADIUS's stock role is such
// a role: it may read the policy tables and write accounting, no more.
type RightsError struct {
	Role       string
	Statements []string // SQL for a superuser, or the tables' owner
	Cause      error    // what PostgreSQL said, if it came to that
}

// Error lists the statements, one a line.
func (e *RightsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "migrate: role %q lacks rights; nothing was changed. As a superuser, in this database, run:\n", e.Role)
	for _, s := range e.Statements {
		b.WriteString("  " + s + "\n")
	}
	b.WriteString("then run radial migrate up again")
	if e.Cause != nil {
		fmt.Fprintf(&b, " (%v)", e.Cause)
	}
	return b.String()
}

// Unwrap returns what PostgreSQL said.
func (e *RightsError) Unwrap() error { return e.Cause }

// What migrating needs: to own FreeRADIUS's tables that are there (columns,
// indexes, triggers), to make those that are not, and to own schema radial.
// $1 is the schema that FreeRADIUS's tables stand in. A table of a plain role
// is shared by making us a member of that role; one of a superuser changes hands.
const sqlMissingRights = `
WITH fr(name, tbl) AS (
    SELECT t, to_regclass(format('%I.%I', $1::text, t))
    FROM unnest(ARRAY['radacct','radcheck','radreply','radgroupcheck','radgroupreply','radusergroup','radpostauth','nas','nasreload']) t
), owned AS (
    SELECT c.oid, n.nspname, c.relname, o.rolname, o.rolsuper
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
    WHERE (c.oid IN (SELECT tbl FROM fr) OR (n.nspname = 'radial' AND c.relkind IN ('r', 'p', 'v', 'm')))
      AND NOT pg_has_role(current_user, c.relowner, 'USAGE')
)
SELECT 1 AS pass, format('GRANT CREATE ON DATABASE %I TO %I;', current_database(), current_user) AS statement
WHERE to_regnamespace('radial') IS NULL AND NOT has_database_privilege(current_database(), 'CREATE')
UNION
SELECT 2, format('GRANT USAGE, CREATE ON SCHEMA %I TO %I;', $1::text, current_user)
WHERE NOT has_schema_privilege($1::text, 'USAGE') OR NOT has_schema_privilege($1::text, 'CREATE')
UNION
SELECT 3, format('ALTER SCHEMA radial OWNER TO %I;', current_user)
FROM pg_namespace WHERE nspname = 'radial' AND NOT pg_has_role(current_user, nspowner, 'USAGE')
UNION
SELECT 4, CASE WHEN rolsuper THEN format('ALTER TABLE %I.%I OWNER TO %I;', nspname, relname, current_user)
          ELSE format('GRANT %I TO %I;', rolname, current_user) END
FROM owned
ORDER BY 1, 2`

const sqlCurrentUser = `SELECT current_user::text`

// checkRights returns a *RightsError when the role may not migrate. home is
// the quoted name of FreeRADIUS's schema.
func checkRights(ctx context.Context, conn *pgx.Conn, home string) error {
	var role string
	if err := conn.QueryRow(ctx, sqlCurrentUser).Scan(&role); err != nil {
		return wrapErr("migrate: rights", err)
	}
	rows, err := conn.Query(ctx, sqlMissingRights, unquoteIdent(home))
	if err != nil {
		return wrapErr("migrate: rights", err)
	}
	statements, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s string, err error) {
		var pass int
		return s, row.Scan(&pass, &s)
	})
	if err != nil {
		return wrapErr("migrate: rights", err)
	}
	if len(statements) > 0 {
		return &RightsError{Role: role, Statements: statements}
	}
	return nil
}

func unquoteIdent(s string) string {
	return strings.ReplaceAll(strings.Trim(s, `"`), `""`, `"`)
}

// rightsErr turns PostgreSQL's refusal of a right that checkRights did not
// foresee into a *RightsError.
func rightsErr(err error, conn *pgx.Conn) error {
	if !isCode(err, codeInsufficientPrivilege) {
		return err
	}
	role := conn.Config().User
	return &RightsError{Role: role, Cause: err, Statements: []string{
		"ALTER TABLE … OWNER TO " + pgx.Identifier{role}.Sanitize() + "; for the table named below",
	}}
}
