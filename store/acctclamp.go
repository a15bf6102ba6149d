package store

import (
	"context"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
)

// sqlAcctLimits reads the lengths of radacct's texts: FreeRADIUS's own schema
// has none, but databases of older versions have varchar columns.
const sqlAcctLimits = `
SELECT attname::text, atttypmod - 4
FROM pg_attribute
WHERE attrelid = 'radacct'::regclass AND attnum > 0 AND NOT attisdropped
  AND atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND atttypmod > 4`

// sqlAcctPlain tells whether rows of radacct are as they are written: no
// trigger of anybody's changes them before.
const sqlAcctPlain = `
SELECT NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = 'radacct'::regclass AND NOT t.tgisinternal AND t.tgtype & 3 = 3 AND t.tgenabled <> 'D')`

// conventions are how a database keeps the texts of a record.
type conventions struct {
	escape Escaper
	plain  bool           // see sqlAcctPlain
	limits map[string]int // in characters, by column; what is not there has none
}

// texts returns the conventions, reading them when they are first needed.
func (l *Ledger) texts(ctx context.Context) (*conventions, error) {
	l.mu.Lock()
	c := l.conventions
	l.mu.Unlock()
	if c != nil {
		return c, nil
	}
	esc, err := l.db.Escaper(ctx)
	if err != nil {
		return nil, err
	}
	c = &conventions{escape: esc, limits: map[string]int{}}
	rows, err := l.db.pool.Query(ctx, sqlAcctLimits)
	if err != nil {
		return nil, err
	}
	var column string
	var limit int
	if _, err = pgx.ForEachRow(rows, []any{&column, &limit}, func() error {
		c.limits[column] = limit
		return nil
	}); err != nil {
		return nil, err
	}
	if err := l.db.pool.QueryRow(ctx, sqlAcctPlain).Scan(&c.plain); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.conventions = c
	l.mu.Unlock()
	return c, nil
}

// writer turns the texts of one record into what stands in radacct.
type writer struct {
	*conventions
	metrics *LedgerMetrics
}

// write sets rec to raw with its texts escaped, and cut where the column is too
// short for them.
func (w writer) write(rec *aaa.Record, raw *aaa.Record) {
	*rec = *raw
	esc := w.escape
	rec.SessionID = w.text("acctsessionid", raw.SessionID, esc.Escape)
	rec.User = w.text("username", raw.User, esc.EscapeUser)
	rec.Realm = w.optional("realm", raw.Realm, esc.Escape)
	rec.PortID = w.optional("nasportid", raw.PortID, esc.EscapeTwice)
	rec.PortType = w.text("nasporttype", raw.PortType, esc.Escape)
	rec.Authentic = w.text("acctauthentic", raw.Authentic, esc.Escape)
	rec.ConnectInfo = w.text("connectinfo_start", raw.ConnectInfo, esc.Escape)
	rec.CalledStation = w.text("calledstationid", raw.CalledStation, esc.Escape)
	rec.CallingStation = w.text("callingstationid", raw.CallingStation, esc.Escape)
	rec.TerminateCause = w.text("acctterminatecause", raw.TerminateCause, esc.Escape)
	rec.ServiceType = w.text("servicetype", raw.ServiceType, esc.Escape)
	rec.FramedProtocol = w.text("framedprotocol", raw.FramedProtocol, esc.Escape)
	rec.InterfaceID = w.optional("framedinterfaceid", raw.InterfaceID, esc.Escape)
	rec.Class = w.optional("class", raw.Class, esc.Escape)
	if !rec.NAS.IsValid() { // as FreeRADIUS 3.2.11
		rec.NAS = netip.IPv4Unspecified()
	}
}

func (w writer) text(column, s string, escape func(string) string) string {
	if s == "" {
		return s
	}
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		w.metrics.clamped.WithLabelValues(column).Inc()
	}
	s = escape(s)
	limit, ok := w.limits[column]
	if column == "connectinfo_start" { // the text may go to either
		if other, too := w.limits["connectinfo_stop"]; too && (!ok || other < limit) {
			limit, ok = other, true
		}
	}
	if !ok || len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	w.metrics.clamped.WithLabelValues(column).Inc()
	return string([]rune(s)[:limit])
}

func (w writer) optional(column string, s *string, escape func(string) string) *string {
	if s == nil {
		return nil
	}
	t := w.text(column, *s, escape)
	if t == *s {
		return s
	}
	return new(t)
}
