package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// follow queues what brings running sessions to a change: of a user, or of all
// that have a package. Nobody has to remember it.
func (db *DB) follow(ctx context.Context, tx pgx.Tx, c Change, key string, audit aaa.Audit) error {
	noun, _, _ := strings.Cut(c.Action, ".")
	switch {
	case noun == "user" || c.Action == "session.order":
		return db.followUsers(ctx, tx, c, map[string]aaa.Audit{key: audit})
	case noun == "package":
		b := BulkOrder{Verb: BulkFollow, Asked: "package " + key, Why: c.Action, Rate: defaultBulkRate, Groups: []string{key, key + ":walled"}}
		_, err := db.orderBulk(ctx, tx, c, &b)
		return err
	}
	return nil
}

// startWithin is in what time a user who was let in before the change has begun
// his session.
const startWithin = 15 * time.Second

// followUsers is follow for users, by name, with the audits of their changes.
func (db *DB) followUsers(ctx context.Context, tx pgx.Tx, c Change, changed map[string]aaa.Audit) error {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return err
	}
	users := slices.Sorted(maps.Keys(changed))
	waiting, err := namesAmong(ctx, tx, sqlWaitingLogins, users)
	if err != nil {
		return err
	}
	slices.Sort(waiting)
	var late, jobs []aaa.Job
	var seenTo []string
	for _, user := range waiting {
		late = append(late, aaa.FollowUser{User: user, Actor: c.Actor, Why: c.Action}) // without a serial: nothing supersedes it
	}
	if _, err := db.insertJobs(ctx, tx, late, db.now().Add(startWithin)); err != nil {
		return err
	}
	of := make(map[string]string, len(users)) // by name as radacct has it
	for _, user := range users {
		of[esc.EscapeUser(user)] = user
	}
	with, err := namesAmong(ctx, tx, sqlWithSessions, slices.Sorted(maps.Keys(of)))
	if err != nil {
		return err
	}
	for _, name := range with {
		user := of[name]
		jobs = append(jobs, aaa.FollowUser{User: user})
		jobs = append(jobs, besides(user, c, changed[user])...)
		// Where another login is on its way, the notification of the rows may have
		// sessions looked at once more.
		if _, later := slices.BinarySearch(waiting, user); !later {
			seenTo = append(seenTo, user)
		}
	}
	if err := db.enqueue(ctx, tx, c, jobs); err != nil {
		return err
	}
	if noun, _, _ := strings.Cut(c.Action, "."); noun != "user" {
		return nil // of an order's users no rows have changed
	}
	return tellFollowed(ctx, tx, seenTo)
}

// besides are the jobs that follow from a change of a user with open sessions
// beside the one that compares what these have with what they should have.
func besides(user string, c Change, audit aaa.Audit) (jobs []aaa.Job) {
	if audit["password"] != nil { // who knows the old one alone is to be off
		jobs = append(jobs, aaa.EndUser{User: user})
	}
	limits := c.Action == "user.renew" || c.Action == "user.topup"
	for _, of := range []string{"expires_at", "quotas", "checks", "package", "groups"} {
		limits = limits || audit[of] != nil
	}
	if limits && c.Action != "user.del" {
		jobs = append(jobs, aaa.LimitUser{User: user})
	}
	return jobs
}

// namesAmong are those of some names that a statement finds.
func namesAmong(ctx context.Context, q querier, sql string, names []string) ([]string, error) {
	rows, err := q.Query(ctx, sql, names)
	if err != nil {
		return nil, wrapErr("sessions of users", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return found, wrapErr("sessions of users", err)
}

// FollowUsers queues FollowUser for those of these users who have open sessions,
// unless a job that has not begun to look will see to them anyway; and says for
// how many.
func (db *DB) FollowUsers(ctx context.Context, actor, why string, users []string) (int, error) {
	esc, err := db.Escaper(ctx)
	if err != nil {
		return 0, err
	}
	stored := make([]string, len(users))
	for i, name := range users {
		stored[i] = esc.EscapeUser(name)
	}
	n := 0
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		with, err := namesAmong(ctx, tx, sqlWithSessions, stored)
		if err != nil {
			return err
		}
		subjects, jobs := make([]string, len(with)), make(map[string]aaa.Job, len(with))
		for i, name := range with {
			user := esc.UnescapeUser(name)
			subjects[i] = UserSubject(user)
			jobs[subjects[i]] = aaa.FollowUser{User: user, Actor: actor, Why: why}
		}
		n, err = db.followSoftly(ctx, tx, subjects, jobs)
		return err
	})
	return n, wrapErr("follow users", err)
}

// FollowSessions is FollowUsers for single sessions, by radacctid.
func (db *DB) FollowSessions(ctx context.Context, actor, why string, ids []int64) (int, error) {
	subjects, jobs := make([]string, len(ids)), make(map[string]aaa.Job, len(ids))
	for i, id := range ids {
		subjects[i] = SessionSubject(id)
		jobs[subjects[i]] = aaa.FollowSession{Session: id, Actor: actor, Why: why}
	}
	n := 0
	err := db.inTx(ctx, func(tx pgx.Tx) (err error) {
		n, err = db.followSoftly(ctx, tx, subjects, jobs)
		return err
	})
	return n, wrapErr("follow sessions", err)
}
