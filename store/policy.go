package store

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// maxPolicyBatch bounds the names in one trip.
const maxPolicyBatch = 500

const (
	// All rows of users: 1 radcheck, 2 radreply (by id), 3 radusergroup (by priority, then id). Schema radial has raw
	// names: 4 quotas, 5 top-ups, 6 the subscriber; days are counted since 1970-01-01. Of groups 7 is the walled garden, of the
	// group that has it as of the group that it is.
	sqlUserRows = `
SELECT 1 AS part, username::text, id::bigint, coalesce(attribute::text, ''), coalesce(op::text, ''), coalesce(value::text, ''), 0 AS priority
FROM radcheck WHERE username = ANY($1::text[])
UNION ALL
SELECT 2, username::text, id::bigint, coalesce(attribute::text, ''), coalesce(op::text, ''), coalesce(value::text, ''), 0
FROM radreply WHERE username = ANY($1::text[])
UNION ALL
SELECT 3, username::text, id::bigint, groupname::text, '', '', priority::int
FROM radusergroup WHERE username = ANY($1::text[]) AND groupname IS NOT NULL
UNION ALL
SELECT 4, name, id, period, counts, concat_ws(' ', octets, coalesce(rate_down, 0), coalesce(rate_up, 0), carry_over::int), 0
FROM radial.quotas WHERE subject = 'user' AND name = ANY($2::text[])
UNION ALL
SELECT 5, username, id, '', '', concat_ws(' ', octets, from_day - DATE '1970-01-01', coalesce(until_day - DATE '1970-01-01', 0)), 0
FROM radial.topups WHERE username = ANY($2::text[])
UNION ALL
SELECT 6, username, id, '', '', concat_ws(' ', coalesce(billing_day, 0),
    (created_at AT TIME ZONE (SELECT value FROM radial.settings WHERE key = 'timezone'))::date - DATE '1970-01-01'), 0
FROM radial.subscribers WHERE username = ANY($2::text[])
ORDER BY part, priority, 3`
	sqlGroupRows = `
SELECT 1 AS part, groupname::text, id::bigint, coalesce(attribute::text, ''), coalesce(op::text, ''), coalesce(value::text, '')
FROM radgroupcheck WHERE groupname = ANY($1::text[])
UNION ALL
SELECT 2, groupname::text, id::bigint, coalesce(attribute::text, ''), coalesce(op::text, ''), coalesce(value::text, '')
FROM radgroupreply WHERE groupname = ANY($1::text[])
UNION ALL
SELECT 4, name, id, period, counts, concat_ws(' ', octets, coalesce(rate_down, 0), coalesce(rate_up, 0), carry_over::int)
FROM radial.quotas WHERE subject = 'group' AND name = ANY($2::text[])
UNION ALL
SELECT 7, g.name, p.id, '', '', (SELECT string_agg(s, ' ') FROM jsonb_array_elements_text(p.walled -> 'for') s)
FROM unnest($2::text[]) AS g(name) JOIN radial.packages p ON p.name = regexp_replace(g.name, ':walled$', '') WHERE p.walled IS NOT NULL
ORDER BY part, 3`
)

// Policy reads what decides about users (aaa.PolicyReader); callers at the same
// time share a trip. Safe for concurrent use.
type Policy struct {
	db      *DB
	metrics *Metrics
	users   *Group[string, aaa.UserRows]
	groups  *Group[string, aaa.GroupRows]
}

var _ aaa.PolicyReader = (*Policy)(nil)

// NewPolicy makes a Policy.
func NewPolicy(db *DB, m *Metrics) *Policy {
	p := &Policy{db: db, metrics: m}
	p.users = NewGroup(maxPolicyBatch, p.readUsers)
	p.groups = NewGroup(maxPolicyBatch, p.readGroups)
	p.users.Runners, p.groups.Runners = 2, 2
	return p
}

// UserRows returns the rows of a user.
func (p *Policy) UserRows(ctx context.Context, user string) (aaa.UserRows, error) {
	rows, err := p.users.Do(ctx, user)
	return rows, wrapErr("user rows", err)
}

// GroupRows returns the rows of a group, named as in radusergroup.
func (p *Policy) GroupRows(ctx context.Context, group string) (aaa.GroupRows, error) {
	rows, err := p.groups.Do(ctx, group)
	return rows, wrapErr("group rows", err)
}

func (p *Policy) readUsers(ctx context.Context, users []string) ([]aaa.UserRows, error) {
	p.metrics.batch("users", len(users))
	places, stored, err := p.places(ctx, users, Escaper.EscapeUser, Escaper.UnescapeUser)
	if err != nil {
		return nil, err
	}
	rows, err := p.db.pool.Query(ctx, sqlUserRows, stored, places.raw)
	if err != nil {
		return nil, wrapErr("radcheck", err)
	}
	found := make([]aaa.UserRows, len(stored))
	var part int
	var name string
	var r aaa.Row
	var priority int32
	_, err = pgx.ForEachRow(rows, []any{&part, &name, &r.ID, &r.Attribute, &r.Op, &r.Value, &priority}, func() error {
		at, ok := places.find(part, name)
		if !ok {
			return nil // nobody asked for it: see places
		}
		u := &found[at]
		r.Op = strings.TrimRight(r.Op, " ") // char(2) in old schemas
		switch part {
		case 1:
			u.Check = append(u.Check, r)
		case 2:
			u.Reply = append(u.Reply, r)
		case partQuotas, partTopUps, partSubscriber:
			return readLimits(&u.Limits, part, r)
		default:
			u.Groups = append(u.Groups, aaa.Membership{ID: r.ID, Group: r.Attribute, Priority: priority})
		}
		return nil
	})
	if err != nil {
		return nil, wrapErr("radcheck", err)
	}
	return spread(found, places), nil
}

func (p *Policy) readGroups(ctx context.Context, groups []string) ([]aaa.GroupRows, error) {
	p.metrics.batch("groups", len(groups))
	places, stored, err := p.places(ctx, groups, Escaper.Escape, Escaper.Unescape)
	if err != nil {
		return nil, err
	}
	rows, err := p.db.pool.Query(ctx, sqlGroupRows, stored, places.raw)
	if err != nil {
		return nil, wrapErr("radgroupcheck", err)
	}
	found := make([]aaa.GroupRows, len(stored))
	var part int
	var name string
	var r aaa.Row
	_, err = pgx.ForEachRow(rows, []any{&part, &name, &r.ID, &r.Attribute, &r.Op, &r.Value}, func() error {
		at, ok := places.find(part, name)
		if !ok {
			return nil
		}
		g := &found[at]
		r.Op = strings.TrimRight(r.Op, " ")
		switch part {
		case 1:
			g.Check = append(g.Check, r)
		case partQuotas:
			q, err := readQuota(r)
			g.Quotas = append(g.Quotas, q)
			return err
		case partWalled:
			for _, state := range strings.Fields(r.Value) {
				g.Walled = append(g.Walled, aaa.WallState(state))
			}
		default:
			g.Reply = append(g.Reply, r)
		}
		return nil
	})
	if err != nil {
		return nil, wrapErr("radgroupcheck", err)
	}
	return spread(found, places), nil
}

// placing says where the answers of a batch go: several queries may ask for
// one name, and several names may be stored as one.
type placing struct {
	of    map[string]int // stored name -> its answer
	query []int          // query -> its answer
	raw   []string       // the names as schema radial has them, as far as it can
	ofRaw map[string]int // raw name -> its answer
}

// find returns the answer that a row of a part belongs to.
func (p *placing) find(part int, name string) (int, bool) {
	names := p.of
	if part >= partQuotas {
		names = p.ofRaw
	}
	at, ok := names[name]
	return at, ok
}

// places escapes the names of a batch and returns each once. Rows may come back
// under names that are not among them, where the column's collation takes Bob
// for bob: those are nobody's. Names are told apart as the cache tells them.
func (p *Policy) places(ctx context.Context, names []string, escape, unescape func(Escaper, string) string) (placing, []string, error) {
	esc, err := p.db.Escaper(ctx)
	if err != nil {
		return placing{}, nil, err
	}
	pl := placing{of: make(map[string]int, len(names)), query: make([]int, len(names)), ofRaw: make(map[string]int, len(names))}
	stored := make([]string, 0, len(names))
	pl.raw = make([]string, 0, len(names))
	for i, name := range names {
		s := escape(esc, name)
		at, ok := pl.of[s]
		if !ok {
			at = len(stored)
			pl.of[s] = at
			stored = append(stored, s)
			// not the name that was asked for: one with a NUL behind it is the same user
			if raw := unescape(esc, s); utf8.ValidString(raw) && !strings.ContainsRune(raw, 0) {
				pl.ofRaw[raw] = at
				pl.raw = append(pl.raw, raw)
			}
		}
		pl.query[i] = at
	}
	return pl, stored, nil
}

func spread[R any](found []R, pl placing) []R {
	out := make([]R, len(pl.query))
	for i, at := range pl.query {
		out[i] = found[at]
	}
	return out
}
