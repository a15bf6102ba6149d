package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"radial/aaa"
)

// The queues. What is done to sessions has its own, so that it waits neither for
// periodic work, nor one session for ten thousand others.
const (
	QueueControl = "control"
	QueueBulk    = "bulk"
)

const (
	// The last wish for a subject gets a new serial. One that nobody insists on ($2)
	// adds nothing while a job that has not begun to look will see to it anyway.
	sqlWish = `
INSERT INTO radial.wishes AS w (subject, serial)
SELECT s.subject, nextval('radial.wish_serial') FROM (SELECT DISTINCT u.subject FROM unnest($1::text[]) AS u (subject) ORDER BY u.subject) s
ON CONFLICT (subject) DO UPDATE SET serial = excluded.serial, taken = false, made_at = now()
WHERE $2::bool OR w.taken OR w.made_at < now() - interval '1 minute'
RETURNING subject, serial`
	sqlWishTake = `UPDATE radial.wishes SET taken = true WHERE subject = $1::text AND serial = $2::bigint`
	// As long as jobs that failed are kept, so that they can be done again.
	sqlWishForget = `DELETE FROM radial.wishes WHERE made_at < now() - interval '8 days'`

	// Jobs of clients that are dead are to be done by others at once: of a server
	// that has not been heard of, and of this one's life before. $1 this client
	// of the queue, $2 this server, $3 how old a heartbeat may be. River's own rescue comes
	// minutes later, and sees to those that have no attempt left.
	fromDeadJobs = `radial.river_job j
WHERE j.state = 'running' AND j.queue IN ('control', 'bulk') AND j.attempt < j.max_attempts
  AND j.attempted_by[array_upper(j.attempted_by, 1)] <> $1::text
  AND (split_part(j.attempted_by[array_upper(j.attempted_by, 1)], '#', 1) = $2::text OR NOT EXISTS (
      SELECT FROM radial.servers s
      WHERE s.id::text = split_part(j.attempted_by[array_upper(j.attempted_by, 1)], '#', 1)
        AND s.stopped_at IS NULL AND s.heartbeat_at > now() - make_interval(secs => $3::float8)))`
	sqlDeadJobs = `SELECT EXISTS (SELECT FROM ` + fromDeadJobs + `)`
	// What they had claimed is free.
	sqlRescueClaims = `
UPDATE radial.enforcements e
SET claimed_by = NULL, claimed_until = NULL
WHERE e.claimed_until > now() AND NOT starts_with(e.claimed_by, $1::text || '#')
  AND (split_part(e.claimed_by, '#', 1) = $2::text OR NOT EXISTS (
      SELECT FROM radial.servers s
      WHERE s.id::text = split_part(e.claimed_by, '#', 1)
        AND s.stopped_at IS NULL AND s.heartbeat_at > now() - make_interval(secs => $3::float8)))`
	sqlRescueJobs = `
UPDATE radial.river_job SET state = 'available', scheduled_at = now(), finalized_at = NULL
WHERE state = 'running' AND id IN (SELECT j.id FROM ` + fromDeadJobs + `)`
)

// queueClient inserts jobs and tells of them, and never runs any.
func (db *DB) queueClient() (*river.Client[pgx.Tx], error) {
	client, err := river.NewClient(riverpgxv5.New(db.pool), &river.Config{Schema: Schema})
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	return client, nil
}

// insertOpts is where and how often a job is tried.
func insertOpts(job aaa.Job) *river.InsertOpts {
	switch job.(type) {
	case aaa.FollowUser, aaa.FollowSession, aaa.EndSession, aaa.EndUser, aaa.LimitUser:
		return &river.InsertOpts{Queue: QueueControl, MaxAttempts: 6}
	case aaa.FollowMany:
		return &river.InsertOpts{Queue: QueueBulk, MaxAttempts: 25}
	}
	return &river.InsertOpts{MaxAttempts: 1} // periodic work: the next one comes anyway
}

// enqueue queues jobs in the change's transaction: they run if it commits. Those
// of control learn who has made the change, and their serials.
func (db *DB) enqueue(ctx context.Context, tx pgx.Tx, c Change, jobs []aaa.Job) error {
	if len(jobs) == 0 {
		return nil
	}
	jobs, err := number(ctx, tx, c, jobs)
	if err != nil {
		return err
	}
	_, err = db.insertJobs(ctx, tx, jobs, time.Time{})
	return err
}

// insertJobs queues jobs that are due at a time, the zero one: now.
func (db *DB) insertJobs(ctx context.Context, tx pgx.Tx, jobs []aaa.Job, due time.Time) ([]int64, error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	client, err := db.queueClient()
	if err != nil {
		return nil, err
	}
	params := make([]river.InsertManyParams, len(jobs))
	for i, job := range jobs {
		params[i] = river.InsertManyParams{Args: job, InsertOpts: insertOpts(job)}
		params[i].InsertOpts.ScheduledAt = due
	}
	inserted, err := client.InsertManyTx(ctx, tx, params)
	if err != nil {
		return nil, wrapErr("queue "+jobs[0].Kind(), err)
	}
	ids := make([]int64, len(inserted))
	for i, one := range inserted {
		ids[i] = one.Job.ID
	}
	return ids, nil
}

// UserSubject names the user of whom something is wished.
func UserSubject(user string) string { return "user:" + user }

// SessionSubject names the session of which something is wished.
func SessionSubject(radacctid int64) string { return "session:" + strconv.FormatInt(radacctid, 10) }

// number gives the jobs that follow something the serials of their wishes, and
// all of control the actor.
func number(ctx context.Context, tx pgx.Tx, c Change, jobs []aaa.Job) ([]aaa.Job, error) {
	var subjects []string
	for _, job := range jobs {
		switch j := job.(type) {
		case aaa.FollowUser:
			subjects = append(subjects, UserSubject(j.User))
		case aaa.FollowSession:
			subjects = append(subjects, SessionSubject(j.Session))
		}
	}
	serials, err := wish(ctx, tx, subjects, true)
	if err != nil {
		return nil, err
	}
	out := make([]aaa.Job, len(jobs))
	for i, job := range jobs {
		switch j := job.(type) {
		case aaa.FollowUser:
			j.Serial, j.Actor, j.Why = serials[UserSubject(j.User)], orText(j.Actor, c.Actor), orText(j.Why, c.Action)
			job = j
		case aaa.FollowSession:
			j.Serial, j.Actor, j.Why = serials[SessionSubject(j.Session)], orText(j.Actor, c.Actor), orText(j.Why, c.Action)
			job = j
		case aaa.EndSession:
			j.Actor, j.Why = orText(j.Actor, c.Actor), orText(j.Why, c.Action)
			job = j
		case aaa.LimitUser:
			j.Actor, j.Why = orText(j.Actor, c.Actor), orText(j.Why, c.Action)
			job = j
		case aaa.EndUser:
			j.Actor, j.Why = orText(j.Actor, c.Actor), orText(j.Why, c.Action)
			job = j
		}
		out[i] = job
	}
	return out, nil
}

// wish notes the last wish for each subject, and says by which serial it is
// known; one that is seen to anyway has none.
func wish(ctx context.Context, tx pgx.Tx, subjects []string, insist bool) (map[string]int64, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, sqlWish, subjects, insist)
	if err != nil {
		return nil, wrapErr("wish", err)
	}
	serials := make(map[string]int64, len(subjects))
	var subject string
	var serial int64
	_, err = pgx.ForEachRow(rows, []any{&subject, &serial}, func() error {
		serials[subject] = serial
		return nil
	})
	return serials, wrapErr("wish", err)
}

// followSoftly queues the jobs of subjects, by subject, as far as no other job
// will see to them.
func (db *DB) followSoftly(ctx context.Context, tx pgx.Tx, subjects []string, jobs map[string]aaa.Job) (int, error) {
	serials, err := wish(ctx, tx, subjects, false)
	if err != nil {
		return 0, err
	}
	var due []aaa.Job
	for _, subject := range subjects {
		serial, wanted := serials[subject]
		if !wanted {
			continue
		}
		switch j := jobs[subject].(type) {
		case aaa.FollowUser:
			j.Serial = serial
			due = append(due, j)
		case aaa.FollowSession:
			j.Serial = serial
			due = append(due, j)
		}
	}
	_, err = db.insertJobs(ctx, tx, due, time.Time{})
	return len(due), err
}

// TakeWish is what a job does before it looks: false says that a later wish has
// superseded its own.
func (db *DB) TakeWish(ctx context.Context, subject string, serial int64) (bool, error) {
	tag, err := db.pool.Exec(ctx, sqlWishTake, subject, serial)
	return tag.RowsAffected() > 0, wrapErr("wish for "+subject, err)
}

// RescueJobs makes the jobs of control that dead servers were doing available,
// and says how many. client is this server's name in the queue (ClientName).
func (db *DB) RescueJobs(ctx context.Context, client string) (int, error) {
	server, _, _ := strings.Cut(client, "#")
	var dead bool // mostly not: then not all that is known of sessions is looked through for claims
	if err := db.pool.QueryRow(ctx, sqlDeadJobs, client, server, AliveWithin.Seconds()).Scan(&dead); err != nil || !dead {
		return 0, wrapErr("jobs of dead servers", err)
	}
	if _, err := db.pool.Exec(ctx, sqlRescueClaims, client, server, AliveWithin.Seconds()); err != nil {
		return 0, wrapErr("claims of dead servers", err)
	}
	tag, err := db.pool.Exec(ctx, sqlRescueJobs, client, server, AliveWithin.Seconds())
	return int(tag.RowsAffected()), wrapErr("jobs of dead servers", err)
}
