package store

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
)

// admitting is a batch of logins being held to Simultaneous-Use, in a
// transaction that has locked their users.
type admitting struct {
	esc    Escaper
	logins []*ipam.Admission // in the batch's order, their texts storable; nil: held to nothing
	names  []string          // of their users, each once
	stored []string          // the same as radacct has them
	of     map[string]*admitted

	let []aaa.Admittance // of the logins that were let in, at their places
}

// admitted is what counts for a user: as it was found, and what became of it in
// this batch.
type admitted struct {
	open    []aaa.OpenSession
	waiting []aaa.WaitingLogin
	now     []aaa.WaitingLogin // waiting, less those renewed, and logins of this batch, whose id is -1 less their place
}

func newAdmitting(esc Escaper, logins []*ipam.Admission) *admitting {
	c := &admitting{esc: esc, logins: make([]*ipam.Admission, len(logins)), of: make(map[string]*admitted, len(logins))}
	for i, l := range logins {
		if l == nil {
			continue
		}
		kept := *l
		kept.User, kept.Caller, kept.SessionID = storableText(l.User), storable(l.Caller), storableText(l.SessionID)
		c.logins[i] = &kept
		if c.of[kept.User] == nil {
			c.of[kept.User] = &admitted{}
			c.names, c.stored = append(c.names, kept.User), append(c.stored, esc.EscapeUser(l.User))
		}
	}
	return c
}

// locks are the keys of the users, in order.
func (c *admitting) locks() []int64 {
	keys := make([]int64, len(c.names))
	for i, n := range c.names {
		keys[i] = userLock(n)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (c *admitting) queueLook(b *pgx.Batch) {
	b.Queue(sqlAdmissionLook, c.stored, c.names).Query(c.collect)
}

// collect reads the rows of sqlAdmissionLook.
func (c *admitting) collect(rows pgx.Rows) error {
	users := make(map[string]*admitted, 2*len(c.names))
	for i, n := range c.names {
		*c.of[n] = admitted{}
		users["s"+c.stored[i]], users["w"+n] = c.of[n], c.of[n]
	}
	var open bool
	var user, session, port, calling string
	var id int64
	var nas *netip.Addr
	var framed *netip.Prefix
	var since *time.Time
	var replaces []int64
	_, err := pgx.ForEachRow(rows, []any{&open, &user, &id, &session, &nas, &port, &calling, &framed, &since, &replaces}, func() error {
		at := ipam.Caller{Port: port, MAC: calling}
		if nas != nil {
			at.NAS = *nas
		}
		if !open {
			u := users["w"+user]
			u.waiting = append(u.waiting, aaa.WaitingLogin{
				ID: id, Caller: at, SessionID: session, Replaces: replaces, Made: timeOf(since),
			})
			return nil
		}
		u := users["s"+user]
		if u == nil {
			return nil // nobody asked for it: the column's collation takes Bob for bob
		}
		calling = c.esc.Unescape(calling)
		at.Port, at.MAC = c.esc.UnescapeTwice(port), ipam.NormaliseMAC(calling)
		u.open = append(u.open, aaa.OpenSession{
			ID: id, Caller: storable(at), SessionID: storableText(c.esc.Unescape(session)), Calling: calling, FramedIP: addrOf(framed), Start: timeOf(since),
		})
		return nil
	})
	return err
}

// begin forgets what was let in: the batch is decided anew.
func (c *admitting) begin() {
	c.let = make([]aaa.Admittance, len(c.logins))
	for _, u := range c.of {
		u.now = slices.Clone(u.waiting)
	}
}

// judge says what the rule makes of a login, after all that were let in before.
func (c *admitting) judge(i int) (aaa.Admittance, *ipam.LimitReached) {
	l := c.logins[i]
	u := c.of[l.User]
	v := aaa.Admit(l, u.open, u.now)
	if !v.OK {
		return v, &ipam.LimitReached{Open: v.Open, Waiting: v.Waiting}
	}
	return v, nil
}

// admit lets a login in, by what judge has said.
func (c *admitting) admit(i int, v aaa.Admittance) {
	l := c.logins[i]
	u := c.of[l.User]
	u.now = slices.DeleteFunc(u.now, func(w aaa.WaitingLogin) bool { return slices.Contains(v.Renews, w.ID) })
	made := v.Made
	if made.IsZero() {
		made = time.Now() // as far as this batch is concerned; the row has the database's
	}
	u.now = append(u.now, aaa.WaitingLogin{ID: -1 - int64(i), Caller: l.Caller, SessionID: l.SessionID, Replaces: v.ReplacedIDs(), Made: made})
	c.let[i] = v
}

// queueWrite adds the rows of the logins that were let in. Of several of one
// caller the last one stays.
func (c *admitting) queueWrite(b *pgx.Batch) {
	var renewed []int64
	var logins []*ipam.Admission
	var verdicts []*aaa.Admittance
	for i, l := range c.logins {
		v := &c.let[i]
		if l == nil || !v.OK {
			continue
		}
		for _, id := range v.Renews {
			if id > 0 {
				renewed = append(renewed, id)
			}
		}
		if slices.ContainsFunc(c.of[l.User].now, func(w aaa.WaitingLogin) bool { return w.ID == -1-int64(i) }) {
			logins, verdicts = append(logins, l), append(verdicts, v)
		}
	}
	if len(logins) == 0 {
		return
	}
	b.Queue(sqlAdmissionWrite, renewed,
		column(logins, func(l *ipam.Admission) string { return l.User }),
		column(logins, func(l *ipam.Admission) string { return l.Caller.User }),
		column(logins, func(l *ipam.Admission) *netip.Addr { return orNull(l.Caller.NAS) }),
		column(logins, func(l *ipam.Admission) string { return l.Caller.Port }),
		column(logins, func(l *ipam.Admission) string { return l.Caller.MAC }),
		column(logins, func(l *ipam.Admission) string { return l.SessionID }),
		column(verdicts, func(v *aaa.Admittance) string { return bigints(v.ReplacedIDs()) }),
		column(verdicts, func(v *aaa.Admittance) *time.Time { return nullTime(v.Made) }),
		column(logins, func(l *ipam.Admission) int64 { return l.Life.Microseconds() }))
}

// bigints is an array of PostgreSQL as text.
func bigints(ids []int64) string {
	out := []byte{'{'}
	for i, id := range ids {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendInt(out, id, 10)
	}
	return string(append(out, '}'))
}
