package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"radial/aaa"
)

// JobOutput is what a job of control leaves with its row.
type JobOutput struct {
	Outcome  string       `json:"outcome"`
	Sessions []JobSession `json:"sessions,omitempty"`
}

// JobSession is what a job has done to a session.
type JobSession struct {
	User    string `json:"user"`
	Session string `json:"session"` // acctuniqueid
	NAS     string `json:"nas"`
	Do      string `json:"do"`
	Result  string `json:"result"`
	Detail  string `json:"detail,omitempty"`
}

// Job is a row of the queue.
type Job struct {
	ID        int64
	Kind      string
	Queue     string
	State     string // available, running, retryable, scheduled, completed, cancelled, discarded
	Args      json.RawMessage
	Attempt   int
	Attempts  int // at most
	Created   time.Time
	Scheduled time.Time
	Attempted *time.Time
	Finalized *time.Time
	By        []string // who has tried it
	Errors    []JobError
	Output    JobOutput
}

// JobError is why an attempt failed.
type JobError struct {
	At      time.Time
	Attempt int
	Error   string
}

// JobQuery chooses jobs; empty fields choose all.
type JobQuery struct {
	States []string
	Kinds  []string
	Queues []string
	Limit  int
}

// JobStates are the states that a job can be in.
func JobStates() []string {
	var all []string
	for _, s := range rivertype.JobStates() {
		all = append(all, string(s))
	}
	return all
}

// Jobs lists jobs, the newest first.
func (db *DB) Jobs(ctx context.Context, q JobQuery) ([]Job, error) {
	client, err := db.queueClient()
	if err != nil {
		return nil, err
	}
	p := river.NewJobListParams().First(q.Limit).OrderBy(river.JobListOrderByID, river.SortOrderDesc)
	if len(q.States) > 0 {
		states := make([]rivertype.JobState, len(q.States))
		for i, s := range q.States {
			states[i] = rivertype.JobState(s)
		}
		p = p.States(states...)
	}
	if len(q.Kinds) > 0 {
		p = p.Kinds(q.Kinds...)
	}
	if len(q.Queues) > 0 {
		p = p.Queues(q.Queues...)
	}
	res, err := client.JobList(ctx, p)
	if err != nil {
		return nil, wrapErr("jobs", err)
	}
	all := make([]Job, len(res.Jobs))
	for i, row := range res.Jobs {
		all[i] = jobOf(row)
	}
	return all, nil
}

// Job returns one job; aaa.ErrNotFound where there is none.
func (db *DB) Job(ctx context.Context, id int64) (Job, error) {
	client, err := db.queueClient()
	if err != nil {
		return Job{}, err
	}
	row, err := client.JobGet(ctx, id)
	if err != nil {
		return Job{}, jobErr(id, err)
	}
	return jobOf(row), nil
}

// RetryJob makes a job available now, whatever came of it before; one that runs is left
// alone. Of a bulk order those sessions are done again with which not all is well.
// Of one that is completed, and all is well, there is nothing to retry:
// aaa.ErrConflict.
func (db *DB) RetryJob(ctx context.Context, c Change, id int64) (Job, error) {
	return db.changeJob(ctx, c, id, func(client *river.Client[pgx.Tx], tx pgx.Tx) (*rivertype.JobRow, error) {
		row, err := client.JobGetTx(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if err := unfinished(ctx, tx, row); err != nil {
			return nil, err
		}
		if row, err = client.JobRetryTx(ctx, tx, id); err != nil {
			return nil, err
		}
		if bulk := bulkOfJob(row); bulk != 0 {
			_, err = tx.Exec(ctx, sqlBulkAgain, bulk)
		}
		return row, err
	})
}

// unfinished refuses a job that is completed, unless it is a bulk order of which
// not all is well.
func unfinished(ctx context.Context, tx pgx.Tx, row *rivertype.JobRow) error {
	if row.State != rivertype.JobStateCompleted {
		return nil
	}
	if bulk := bulkOfJob(row); bulk != 0 {
		var left bool
		if err := tx.QueryRow(ctx, sqlBulkUnwell, bulk).Scan(&left); err != nil || left {
			return err
		}
	}
	return fmt.Errorf("it is completed, nothing to retry: %w", aaa.ErrConflict)
}

// bulkOfJob is the bulk order that a job works at; 0: none.
func bulkOfJob(row *rivertype.JobRow) int64 {
	var args aaa.FollowMany
	if row.Kind != args.Kind() || json.Unmarshal(row.EncodedArgs, &args) != nil {
		return 0
	}
	return args.Bulk
}

// CancelJob gives a job up; what it is doing just now, it may finish.
func (db *DB) CancelJob(ctx context.Context, c Change, id int64) (Job, error) {
	return db.changeJob(ctx, c, id, func(client *river.Client[pgx.Tx], tx pgx.Tx) (*rivertype.JobRow, error) {
		row, err := client.JobCancelTx(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if bulk := bulkOfJob(row); bulk != 0 {
			_, err = tx.Exec(ctx, sqlBulkCancel, bulk, c.Actor)
		}
		return row, err
	})
}

func (db *DB) changeJob(ctx context.Context, c Change, id int64, f func(*river.Client[pgx.Tx], pgx.Tx) (*rivertype.JobRow, error)) (Job, error) {
	client, err := db.queueClient()
	if err != nil {
		return Job{}, err
	}
	var job Job
	err = db.change(ctx, c, fmt.Sprint(id), func(tx pgx.Tx) (written, error) {
		row, err := f(client, tx)
		if err != nil {
			return written{}, jobErr(id, err)
		}
		job = jobOf(row)
		return written{audit: aaa.Audit{"kind": row.Kind, "args": json.RawMessage(row.EncodedArgs), "state": string(row.State)}}, nil
	})
	return job, err
}

// RunJob queues a job now.
func (db *DB) RunJob(ctx context.Context, c Change, job aaa.Job) (int64, error) {
	var id int64
	err := db.change(ctx, c, job.Kind(), func(tx pgx.Tx) (written, error) {
		jobs, err := number(ctx, tx, c, []aaa.Job{job})
		if err != nil {
			return written{}, err
		}
		ids, err := db.insertJobs(ctx, tx, jobs, time.Time{})
		if err != nil {
			return written{}, err
		}
		id = ids[0]
		return written{audit: aaa.Audit{"job": id}}, nil
	})
	return id, err
}

func jobErr(id int64, err error) error {
	if errors.Is(err, rivertype.ErrNotFound) {
		return fmt.Errorf("job %d: %w", id, aaa.ErrNotFound)
	}
	return wrapErr(fmt.Sprintf("job %d", id), err)
}

func jobOf(row *rivertype.JobRow) Job {
	j := Job{
		ID: row.ID, Kind: row.Kind, Queue: row.Queue, State: string(row.State), Args: row.EncodedArgs, Attempt: row.Attempt, Attempts: row.MaxAttempts,
		Created: row.CreatedAt, Scheduled: row.ScheduledAt, Attempted: row.AttemptedAt, Finalized: row.FinalizedAt, By: row.AttemptedBy,
	}
	for _, e := range row.Errors {
		j.Errors = append(j.Errors, JobError{At: e.At, Attempt: e.Attempt, Error: strings.TrimPrefix(e.Error, "JobCancelError: ")})
	}
	if output := row.Output(); output != nil && json.Unmarshal(output, &j.Output) != nil {
		j.Output = JobOutput{Outcome: string(output)} // another version's
	}
	return j
}
