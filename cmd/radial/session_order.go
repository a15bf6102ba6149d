package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"radial/jobs"
	"radial/store"
)

// orderView is a bulk order in JSON.
type orderView struct {
	Asked    string         `json:"asked"`
	Sessions int            `json:"sessions"`
	Job      int64          `json:"job,omitempty"`
	DryRun   bool           `json:"dry_run"`
	Finished bool           `json:"finished"`
	Results  map[string]int `json:"results,omitempty"`
	Trouble  []troubleView  `json:"trouble,omitempty"` // the first hundred
}

// troubleView is a session of which not all is well.
type troubleView struct {
	Session int64  `json:"id"`
	User    string `json:"user"`
	NAS     string `json:"nas"`
	Result  string `json:"result"` // "" while it is tried again
	Detail  string `json:"detail"`
}

// orderPatience is how long a bulk order that does not get on is waited for.
const orderPatience = 15 * time.Second

// awaitOrder shows how far an order is until it is done, or does not get on.
func (a *app) awaitOrder(ctx context.Context, db *store.DB, made store.Ordered) error {
	bar := a.progress(fmt.Sprintf("of %d sessions", made.Total))
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last, moved := 0, a.now()
	for {
		b, err := db.Bulk(ctx, made.Bulk)
		if err != nil {
			return err
		}
		n := b.Total - b.Results[""]
		if bar.set(n); n != last {
			last, moved = n, a.now()
		}
		if b.Finished != nil || a.now().Sub(moved) > orderPatience {
			bar.done()
			return a.tellOrder(ctx, db, b, made.Job)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// tellOrder prints what has come of an order. It is an error when not all is
// well.
func (a *app) tellOrder(ctx context.Context, db *store.DB, b store.Bulk, job int64) error {
	v, err := orderViewOf(ctx, db, b, job)
	if err != nil {
		return err
	}
	if err := a.print(v, func() string { return orderText(&v) }); err != nil {
		return err
	}
	bad := 0
	for result, n := range b.Results {
		switch result {
		case "done", "gone", "nothing", "over", "":
		default:
			bad += n
		}
	}
	switch {
	case b.Finished == nil:
		row, err := db.Job(ctx, job)
		if err != nil {
			return err
		}
		return fmt.Errorf("not all is done yet, and it does not get on (%s): radial job show %d tells how it goes on", soFar(&v, &row), job)
	case bad > 0:
		return fmt.Errorf("%d of %s not as they should be", bad, sessionsText(b.Total))
	}
	return nil
}

// soFar is what is known of an order that does not get on: of the first session
// that is still to be done, else of its job.
func soFar(v *orderView, job *store.Job) string {
	for _, t := range v.Trouble {
		if t.Result == "" && t.Detail != "" {
			return oneLine(t.Detail) + "; it is tried again"
		}
	}
	if len(job.By) == 0 {
		return "no server has begun yet: the job is " + job.State
	}
	return "no device has answered yet: the job is " + job.State
}

func orderViewOf(ctx context.Context, db *store.DB, b store.Bulk, job int64) (orderView, error) {
	trouble, err := db.BulkTrouble(ctx, b.ID, 100)
	v := orderView{Asked: b.Asked, Sessions: b.Total, Job: job, Finished: b.Finished != nil, Results: map[string]int{}}
	for result, n := range b.Results {
		v.Results[cmp.Or(result, jobs.BulkToBeDone)] = n
	}
	for _, t := range trouble {
		v.Trouble = append(v.Trouble, troubleView{t.Session, t.User, t.NAS.String(), t.Result, t.Detail})
	}
	return v, err
}

// orderText is an order for people: how many of each, and then what is not well.
func orderText(v *orderView) string {
	parts := []string{fmt.Sprintf("%s of %s", sessionsText(v.Sessions), printable(v.Asked))}
	for _, result := range jobs.BulkResults() {
		result = cmp.Or(result, jobs.BulkToBeDone)
		if n := v.Results[result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, resultText(result)))
		}
	}
	out := strings.Join(parts, ", ") + "\n"
	if len(v.Trouble) == 0 {
		return out
	}
	g := grid{titles: []string{"id", "user", "nas", "result", "why"}}
	for _, t := range v.Trouble {
		g.add(idText(t.Session), printable(t.User), t.NAS, resultText(cmp.Or(t.Result, jobs.BulkToBeDone)), oneLine(t.Detail))
	}
	return out + "\n" + g.String()
}

// resultText is a result in words.
func resultText(result string) string {
	switch result {
	case "gone":
		return "unknown to their device"
	case "nothing":
		return "as they should be"
	case "over":
		return "over already"
	case "unknown":
		return "without an answer"
	case "unsupported":
		return "cannot be done"
	}
	return result
}

func sessionsText(n int) string {
	if n == 1 {
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", n)
}
