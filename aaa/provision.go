package aaa

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Provisioner holds what the pure functions of provisioning need: what names
// and values mean, the zone that dates are written in, and the clock.
//
// Its methods are made for store.Change*: each gets what the database holds
// under a lock and returns what is to be written, or an error that is
// ErrConflict, ErrNotFound or ErrInvalid. They touch nothing.
type Provisioner struct {
	Rows RowChecker // a Compiler
	Zone *time.Location
	Now  func() time.Time
}

// RowChecker tells whether a row of the named table can be read: nil, or what
// is wrong with it and what would be right.
type RowChecker interface {
	Check(table string, row Row) error
}

// Job is queued work that goes with a change, in the change's own transaction:
// one of the structs of job.go.
type Job interface{ Kind() string }

// Audit is what an audit row says of a change: no secrets.
type Audit map[string]any

// Delta is what a change of a thing writes.
type Delta[T any] struct {
	Save   *T       // the row to write, or nil
	Remove bool     // the row goes
	Rows   RowDelta // of FreeRADIUS's tables
	Audit  Audit    // nil: nothing changes, so nothing is written
	// Garden is the package by which it was decided whether a subscriber who is kept
	// out is in a walled garden; nil where none had a say.
	Garden *Package
}

// AccountDelta is what a change of a subscriber writes.
type AccountDelta = Delta[Subscriber]

// PackageDelta is what a change of a package writes.
type PackageDelta = Delta[Package]

// DeviceDelta is what a change of a device writes.
type DeviceDelta = Delta[Device]

// RouterDelta is what a change of a router writes.
type RouterDelta = Delta[Router]

// audited is the delta with the audit of a change of a thing from one state to
// another: what differs, the secrets that it sets, and what it did to rows of others.
func (d Delta[T]) audited(before, after any, secrets ...string) (Delta[T], error) {
	audit, err := diff(before, after)
	if err != nil {
		return Delta[T]{}, err
	}
	for _, name := range secrets {
		audit[name] = "set"
	}
	audit.noteRows(&d.Rows)
	if len(audit) > 0 || !d.Rows.Empty() {
		d.Audit = audit
	}
	return d, nil
}

// synced is what a sync writes: rows alone.
func synced[T any](rows RowDelta) Delta[T] {
	d := Delta[T]{Rows: rows}
	if !rows.Empty() {
		d.Audit = Audit{"inserted": len(rows.Insert), "updated": len(rows.Update), "deleted": len(rows.Delete)}
		d.Audit.noteRows(&d.Rows)
	}
	return d
}

// diff lists the fields that differ between two states of a thing, by their
// JSON names, as [old, new]. A nil state has no fields.
func diff(before, after any) (Audit, error) {
	a, err := fields(before)
	if err != nil {
		return nil, err
	}
	b, err := fields(after)
	if err != nil {
		return nil, err
	}
	changes := Audit{}
	for name := range mergeKeys(a, b) {
		if string(a[name]) == string(b[name]) || name == "id" || strings.HasSuffix(name, "ated_at") {
			continue
		}
		changes[name] = []json.RawMessage{orNull(a[name]), orNull(b[name])}
	}
	return changes, nil
}

func fields(v any) (map[string]json.RawMessage, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return m, nil
}

func mergeKeys(a, b map[string]json.RawMessage) map[string]bool {
	keys := make(map[string]bool, len(a)+len(b))
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return keys
}

func orNull(v json.RawMessage) json.RawMessage {
	if v == nil {
		return json.RawMessage("null")
	}
	return v
}

// noteRows adds to an audit what a change did to rows of others: an operator
// who regrets it finds there what stood before.
func (a Audit) noteRows(d *RowDelta) {
	var taken []string
	for _, u := range d.Update {
		if !u.From.Ours() && u.From.ProjectedRow != u.To && !slices.Contains(d.Keep, u.From.ProjectedRow) {
			taken = append(taken, u.From.describe())
		}
	}
	for _, r := range d.Delete {
		if !r.Ours() && !slices.Contains(d.Keep, r.ProjectedRow) {
			taken = append(taken, r.describe())
		}
	}
	if len(taken) > 0 {
		a["replaced_rows_of_others"] = taken
	}
}

// describe prints a row for people; passwords are masked.
func (r ProjectedRow) describe() string {
	if r.Table == TableUserGroup {
		return fmt.Sprintf("%s: %s priority %d", r.Table, r.Group, r.Priority)
	}
	return fmt.Sprintf("%s: %s", r.Table, r.Item)
}

// mergeItems applies an operator's additions and removals to a list of items.
// An item that sets (":=", in replies also "=") takes the place of all of the
// same attribute; others are added unless they stand there.
func mergeItems(items, add []Item, del []string, replies bool) ([]Item, error) {
	out := make([]Item, 0, len(items)+len(add))
	out = append(out, items...)
	for _, name := range del {
		out = withoutAttribute(out, name)
	}
	for i, it := range add {
		if replaces(it, replies) {
			for _, before := range add[:i] {
				if strings.EqualFold(before.Attribute, it.Attribute) && replaces(before, replies) {
					return nil, fmt.Errorf("%s is given twice; use += for several values: %w", it.Attribute, ErrInvalid)
				}
			}
			out = withoutAttribute(out, it.Attribute)
		}
		if !hasItem(out, it) {
			out = append(out, it)
		}
	}
	return out, nil
}

func replaces(it Item, replies bool) bool { return it.Op == ":=" || replies && it.Op == "=" }

func hasItem(items []Item, one Item) bool {
	for _, it := range items {
		if it == one {
			return true
		}
	}
	return false
}

func withoutAttribute(items []Item, name string) []Item {
	out := items[:0:0]
	for _, it := range items {
		if !strings.EqualFold(it.Attribute, name) {
			out = append(out, it)
		}
	}
	return out
}

// claimItems puts the keys under which added and removed items stand into
// claims.
func claimItems(claims map[rowKey]bool, table Table, add []Item, del []string, replies bool) {
	for _, it := range add {
		if replaces(it, replies) {
			claims[rowKey{table, strings.ToLower(it.Attribute)}] = true
		}
	}
	for _, name := range del {
		claims[rowKey{table, strings.ToLower(name)}] = true
	}
}
