package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

// admissionCounts is what makes a waiting login count: its time; where a server
// reports accounting that the database lacks, or the database was away, its Start
// may be on its way (see clock.go).
const admissionCounts = `(w.until > now() OR NOT ` + journalsEmpty + ` OR EXISTS (` + sqlGap + `))`

const (
	// What counts for users, in one look: a session whose Start consumes its
	// admission just now is seen once. $1 names as radacct has them, $2 as they are.
	sqlAdmissionLook = `
SELECT true AS open, a.username::text, a.radacctid, coalesce(a.acctsessionid, '')::text, a.nasipaddress, coalesce(a.nasportid, '')::text,
       coalesce(a.callingstationid, '')::text, a.framedipaddress, a.acctstarttime, NULL::bigint[]
FROM unnest($1::text[]) AS u (name)
CROSS JOIN LATERAL (SELECT r.* FROM radacct r WHERE r.username = u.name AND r.acctstoptime IS NULL OFFSET 0) a
LEFT JOIN nasreload n ON n.nasipaddress = a.nasipaddress
WHERE n.reloadtime IS NULL OR a.acctstarttime > n.reloadtime
UNION ALL
SELECT false, w.username, w.id, w.session_id, w.nas, w.port, w.mac, NULL, w.made_at, w.replaces
FROM unnest($2::text[]) AS u (name)
CROSS JOIN LATERAL (SELECT w.* FROM radial.admissions w WHERE w.username = u.name OFFSET 0) w
WHERE ` + admissionCounts

	// A caller that asks again gets its row anew. $1 ids of rows whose place others take,
	// $2 user names, $3 names at the NAS, $4 NAS, $5 ports, $6 MACs, $7 session ids, $8 sessions replaced (arrays as text),
	// $9 first made (NULL: now), $10 lives in microseconds.
	sqlAdmissionWrite = `
WITH renewed AS (
    DELETE FROM radial.admissions a USING unnest($1::bigint[]) AS e (id) WHERE a.id = e.id
)
INSERT INTO radial.admissions (username, login, nas, port, mac, session_id, replaces, made_at, until)
SELECT e.username, e.login, e.nas, e.port, e.mac, e.session_id, e.replaces::bigint[], coalesce(e.made, now()), now() + e.life * interval '1 microsecond'
FROM unnest($2::text[], $3::text[], $4::inet[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::bigint[])
         AS e (username, login, nas, port, mac, session_id, replaces, made, life)`

	// Logins that no Start followed: $1 how many at most.
	sqlExpireAdmissions = `
DELETE FROM radial.admissions WHERE id IN (
    SELECT w.id FROM radial.admissions w WHERE NOT ` + admissionCounts + ` LIMIT $1::int FOR UPDATE SKIP LOCKED)`

	// As sqlSpareOffers.
	sqlSpareAdmissions = `
UPDATE radial.admissions w SET until = now() + interval '1 minute'
FROM (` + sqlGap + `) gap WHERE w.until > gap.began AND w.until < now() + interval '1 minute'`
)

// Admissions hold users to their number of sessions (aaa.Admissions) where a
// login leases nothing; Leases do it where it does. Safe for concurrent use.
type Admissions struct {
	db    *DB
	group *Group[*ipam.Admission, struct{}]
}

var _ aaa.Admissions = (*Admissions)(nil)

// NewAdmissions makes Admissions.
func NewAdmissions(db *DB) *Admissions {
	a := &Admissions{db: db}
	a.group = NewGroup(maxClaims, a.admit)
	a.group.Runners = 2
	return a
}

// Admit implements aaa.Admissions: one transaction for all who wait.
func (a *Admissions) Admit(ctx context.Context, login *ipam.Admission) error {
	_, err := a.group.Do(ctx, login)
	return wrapErr("admit", err)
}

func (a *Admissions) admit(ctx context.Context, logins []*ipam.Admission) ([]struct{}, error) {
	esc, err := a.db.Escaper(ctx)
	if err != nil {
		return nil, err
	}
	c := newAdmitting(esc, logins)
	var errs ItemErrors
	for range 3 {
		err = a.db.inTrips(ctx, func(conn *pgx.Conn) error {
			errs, err = c.run(ctx, conn)
			return err
		})
		if !retryable(err) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return make([]struct{}, len(logins)), orNil(errs)
}

// run makes two trips: begin, lock and look; write and commit.
func (c *admitting) run(ctx context.Context, conn *pgx.Conn) (ItemErrors, error) {
	var look, write pgx.Batch
	look.Queue(tripBegin)
	look.Queue(sqlClaimUsers, c.locks())
	c.queueLook(&look)
	if err := conn.SendBatch(ctx, &look).Close(); err != nil {
		return nil, err
	}
	errs := make(ItemErrors, len(c.logins))
	c.begin()
	for i := range c.logins {
		v, refused := c.judge(i)
		if refused != nil {
			errs[i] = refused
		} else {
			c.admit(i, v)
		}
	}
	c.queueWrite(&write)
	write.Queue(tripCommit)
	return errs, conn.SendBatch(ctx, &write).Close()
}

// orNil is nil where there is no error at all.
func orNil(errs ItemErrors) error {
	for _, err := range errs {
		if err != nil {
			return errs
		}
	}
	return nil
}

// Sessions implements aaa.Admissions.
func (a *Admissions) Sessions(ctx context.Context, user string) ([]aaa.OpenSession, []aaa.WaitingLogin, error) {
	esc, err := a.db.Escaper(ctx)
	if err != nil {
		return nil, nil, wrapErr("sessions", err)
	}
	c := newAdmitting(esc, []*ipam.Admission{{User: user}})
	rows, err := a.db.pool.Query(ctx, sqlAdmissionLook, c.stored, c.names)
	if err == nil {
		err = c.collect(rows)
	}
	u := c.of[c.names[0]]
	return u.open, u.waiting, wrapErr("sessions", err)
}

// ExpireAdmissions drops logins that were let in and never started, up to limit
// of them, and says how many. It waits for what ExpireOffers waits for.
func (db *DB) ExpireAdmissions(ctx context.Context, limit int) (n int, err error) {
	tag, err := db.pool.Exec(ctx, sqlExpireAdmissions, limit)
	return int(tag.RowsAffected()), wrapErr("expire admissions", err)
}
