package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/jobs"
	"radial/store"
)

// jobView is a job in JSON.
type jobView struct {
	ID        int64              `json:"id"`
	Kind      string             `json:"kind"`
	Queue     string             `json:"queue"`
	State     string             `json:"state"`
	Args      json.RawMessage    `json:"args"`
	Attempt   int                `json:"attempt"`
	Attempts  int                `json:"max_attempts"`
	Created   time.Time          `json:"created_at"`
	Scheduled time.Time          `json:"scheduled_at"`
	Attempted *time.Time         `json:"attempted_at"`
	Finalized *time.Time         `json:"finalized_at"`
	By        []string           `json:"attempted_by"`
	Outcome   string             `json:"outcome"`
	Sessions  []store.JobSession `json:"sessions,omitempty"`
	Errors    []jobErrorView     `json:"errors,omitempty"`
	Order     *orderView         `json:"order,omitempty"` // of follow_many
}

type jobErrorView struct {
	At      time.Time `json:"at"`
	Attempt int       `json:"attempt"`
	Error   string    `json:"error"`
}

func jobViewOf(j store.Job, zone *time.Location) jobView {
	v := jobView{
		ID: j.ID, Kind: j.Kind, Queue: j.Queue, State: j.State, Args: j.Args, Attempt: j.Attempt, Attempts: j.Attempts, Created: j.Created.In(zone), Scheduled: j.Scheduled.In(zone),
		Attempted: timeIn(j.Attempted, zone), Finalized: timeIn(j.Finalized, zone), By: j.By, Outcome: j.Output.Outcome, Sessions: j.Output.Sessions,
	}
	for _, e := range j.Errors {
		v.Errors = append(v.Errors, jobErrorView{e.At.In(zone), e.Attempt, e.Error})
	}
	return v
}

func timeIn(t *time.Time, zone *time.Location) *time.Time {
	if t == nil {
		return nil
	}
	in := t.In(zone)
	return &in
}

// said is what has come of a job, or why it has not.
func (v *jobView) said() string {
	if len(v.Errors) > 0 && v.State != "completed" {
		return oneLine(v.Errors[len(v.Errors)-1].Error)
	}
	return v.Outcome
}

func newJobCmd(a *app) *cobra.Command {
	return nounOf("job", "The queue: what is done for changes, and what is due", newJobListCmd(a), newJobShowCmd(a), newJobRetryCmd(a), newJobCancelCmd(a), newJobRunCmd(a))
}

func newJobListCmd(a *app) *cobra.Command {
	var q store.JobQuery
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List jobs, the newest first",
		Long: `Lists jobs, the newest first: those of control (what is done to sessions for a change), and with --all the periodic ones too. Done ones are kept for a day,
those that failed for good for a week.`,
		Example: `  radial job list --state retryable,discarded
  radial job list --kind follow_user -o json`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range q.States {
				if !slices.Contains(store.JobStates(), s) {
					return usagef("--state %q: one of %s", s, strings.Join(store.JobStates(), ", "))
				}
			}
			if err := checkPage(q.Limit, 0); err != nil {
				return err
			}
			if !all && len(q.Kinds) == 0 {
				q.Queues = []string{store.QueueControl, store.QueueBulk}
			}
			return listJobs(cmd.Context(), a, q)
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&q.States, "state", nil, "in one of these `states`")
	fl.StringSliceVar(&q.Kinds, "kind", nil, "of one of these `kinds`")
	fl.IntVar(&q.Limit, "limit", 50, "at most so many")
	fl.BoolVar(&all, "all", false, "the periodic ones too")
	choices(cmd, "state", store.JobStates()...)
	return cmd
}

func listJobs(ctx context.Context, a *app, q store.JobQuery) error {
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	found, err := db.Jobs(ctx, q)
	if err != nil {
		return err
	}
	views := make([]jobView, len(found))
	g := grid{titles: []string{"id", "made", "kind", "for", "by", "state", "tries", "outcome"}}
	for i, j := range found {
		v := jobViewOf(j, zone)
		views[i] = v
		subject, actor := subjectOf(v.Args)
		g.add(strconv.FormatInt(v.ID, 10), stamp(v.Created, zone), v.Kind, orDash(subject), orDash(actor), v.State, fmt.Sprintf("%d/%d", v.Attempt, v.Attempts), orDash(v.said()))
	}
	return a.print(views, g.String)
}

// subjectOf is whom a job is for, and who has asked for it.
func subjectOf(args json.RawMessage) (subject, actor string) {
	var f struct {
		User    string `json:"user"`
		Session int64  `json:"session"`
		Asked   string `json:"asked"`
		Actor   string `json:"actor"`
	}
	if json.Unmarshal(args, &f) != nil {
		return "", ""
	}
	switch {
	case f.User != "":
		subject = printable(f.User)
	case f.Session != 0:
		subject = "session " + idText(f.Session)
	case f.Asked != "":
		subject = printable(f.Asked)
	}
	return subject, printable(f.Actor)
}

func newJobShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a job: what came of it, for each session, and why attempts failed",
		Args:  named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withJob(cmd.Context(), a, args[0], func(ctx context.Context, db *store.DB, id int64) (store.Job, error) { return db.Job(ctx, id) })
		},
	}
}

func newJobRetryCmd(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "retry ID",
		Short: "Have a job that failed, or waits, done now",
		Long: `Has a job done now that waits for its next try, or was given up. One that is completed is not done again, except an order: of it those sessions with which not
all is well. radial job run has a periodic job done once more.`,
		Args: named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withJob(cmd.Context(), a, args[0], func(ctx context.Context, db *store.DB, id int64) (store.Job, error) {
				job, err := db.RetryJob(ctx, a.by("job.retry", dryRun), id)
				return job, retryHint(ctx, db, id, err)
			})
		},
	}
	dryRunFlag(cmd, &dryRun)
	return cmd
}

// retryHint says of a periodic job that is completed how it is done once more.
func retryHint(ctx context.Context, db *store.DB, id int64, err error) error {
	if !errors.Is(err, aaa.ErrConflict) {
		return err
	}
	job, found := db.Job(ctx, id)
	if found != nil {
		return err // it has been cleared away meanwhile
	}
	if periodic, _ := jobs.Periodic(job.Kind); periodic == nil {
		return err
	}
	return fmt.Errorf("%w (radial job run %s does it once more)", err, job.Kind)
}

func newJobCancelCmd(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Give a job up; of an order what is left of it",
		Args:  named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withJob(cmd.Context(), a, args[0], func(ctx context.Context, db *store.DB, id int64) (store.Job, error) {
				return db.CancelJob(ctx, a.by("job.cancel", dryRun), id)
			})
		},
	}
	dryRunFlag(cmd, &dryRun)
	return cmd
}

// withJob does something with a job and shows it.
func withJob(ctx context.Context, a *app, text string, f func(context.Context, *store.DB, int64) (store.Job, error)) error {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return usagef("job %q: want its number, as radial job list has it", text)
	}
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	job, err := f(ctx, db, id)
	if err != nil {
		return err
	}
	v := jobViewOf(job, zone)
	var many aaa.FollowMany
	if job.Kind == many.Kind() && json.Unmarshal(job.Args, &many) == nil {
		if b, err := db.Bulk(ctx, many.Bulk); err == nil { // else it has been forgotten
			o, err := orderViewOf(ctx, db, b, job.ID)
			if err != nil {
				return err
			}
			v.Order = &o
		}
	}
	return a.print(v, func() string { return jobText(&v, zone) })
}

func jobText(v *jobView, zone *time.Location) string {
	g := grid{}
	g.add("job", fmt.Sprintf("%d %s, queue %s", v.ID, v.Kind, v.Queue))
	g.add("state", fmt.Sprintf("%s, %d of %d tries", v.State, v.Attempt, v.Attempts))
	g.add("args", printable(string(v.Args)))
	g.add("made", stamp(v.Created, zone))
	if v.Finalized != nil {
		g.add("ended", stamp(*v.Finalized, zone))
	} else {
		g.add("due", stamp(v.Scheduled, zone))
	}
	if len(v.By) > 0 {
		g.add("tried by", strings.Join(v.By, " "))
	}
	g.add("outcome", orDash(v.Outcome))
	for _, e := range v.Errors {
		g.add("error", fmt.Sprintf("try %d, %s: %s", e.Attempt, stamp(e.At, zone), oneLine(e.Error)))
	}
	out := g.String()
	if len(v.Sessions) > 0 {
		s := grid{titles: []string{"user", "session", "nas", "do", "result", "why"}}
		for _, one := range v.Sessions {
			s.add(printable(one.User), one.Session, one.NAS, one.Do, one.Result, orDash(oneLine(one.Detail)))
		}
		out += "\n" + s.String()
	}
	if v.Order != nil {
		out += "\n" + orderText(v.Order)
	}
	return out
}

func newJobRunCmd(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:     "run KIND",
		Short:   "Have a periodic job done now",
		Example: `  radial job run close_stale`,
		Args:    named("KIND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			job, kinds := jobs.Periodic(args[0])
			if job == nil {
				return usagef("job run %q: no periodic job of that kind; one of %s", args[0], strings.Join(kinds, ", "))
			}
			db, done, err := a.db(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			id, err := db.RunJob(cmd.Context(), a.by("job.run", dryRun), job)
			if err != nil {
				return err
			}
			if !dryRun {
				if _, err := a.serverAlive(cmd.Context(), db); err != nil {
					return err
				}
			}
			return a.did("job", fmt.Sprintf("%d %s", id, args[0]), "queued", dryRun, nil)
		},
	}
	dryRunFlag(cmd, &dryRun)
	_, kinds := jobs.Periodic("")
	cmd.ValidArgs = kinds
	return cmd
}
