package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/nas"
	"radial/store"
)

func newSessionCmd(a *app) *cobra.Command {
	return nounOf("session", "Sessions of subscribers, by radacct", newSessionListCmd(a), newSessionShowCmd(a), newSessionHistoryCmd(a), newSessionTotalsCmd(a), newSessionExportCmd(a), newSessionArchiveCmd(a), newSessionDisconnectCmd(a), newSessionChangeCmd(a), newSessionReconcileCmd(a))
}

// sessionsAsked are the flags of session list.
type sessionsAsked struct {
	nas, address, since string
	watch               bool
	query               store.SessionQuery
}

func newSessionListCmd(a *app) *cobra.Command {
	var q sessionsAsked
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List open sessions, the newest first",
		Long: `Lists the sessions that are open, the newest first. Up is what came from the subscriber (acctinputoctets), down what went to him.
However many closed sessions radacct has, the list costs the same. With as many lines as --limit there may be more: --after with the last line's id goes on.`,
		Example: `  radial session list --nas bras1 --since 1h
  radial session list --package gold --watch
  radial session list --address 100.64.3.0/24 -o json`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error { return listSessions(cmd.Context(), a, q) },
	}
	fl := cmd.Flags()
	fl.StringVar(&q.query.User, "user", "", "of the user of that `name`")
	fl.StringVar(&q.nas, "nas", "", "of a device: its `NAME`, address or network")
	fl.StringVar(&q.query.Pool, "pool", "", "with an address of the pool of that `name`")
	fl.StringVar(&q.query.Package, "package", "", "of the users of the package (or group) of that `name`")
	fl.StringVar(&q.address, "address", "", "with that `address`, or one in that network")
	fl.StringVar(&q.since, "since", "", "begun at that `time` or later: \"2026-11-03 02:14 +01\", a date, or 2h for two hours ago")
	fl.IntVar(&q.query.Limit, "limit", 100, "at most so many")
	fl.Int64Var(&q.query.After, "after", 0, "those that come after the session with that `id` (the column id) in the list")
	fl.BoolVarP(&q.watch, "watch", "w", false, "show the list again every 2 seconds, on a terminal, until Ctrl-C")
	return cmd
}

// watchEvery is how often --watch looks.
const watchEvery = 2 * time.Second

func listSessions(ctx context.Context, a *app, q sessionsAsked) error {
	if err := checkPage(q.query.Limit, q.query.After); err != nil {
		return err
	}
	if q.watch && (a.format == formatJSON || !isTerminal(a.stdout)) {
		return usagef("--watch draws a table on a terminal: leave it out here, and ask again when it suits you")
	}
	var err error
	if q.address != "" {
		if q.query.Address, err = parseWhere(q.address); err != nil {
			return usagef("--address: %w", err)
		}
	}
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if q.query.Since, err = moment("since", q.since, zone, a.now()); err != nil {
		return err
	}
	if q.nas != "" {
		if q.query.NAS, err = networksOf(ctx, db, q.nas); err != nil {
			return err
		}
	}
	if q.watch && q.query.User != "" {
		if err := db.CheckUser(ctx, q.query.User); err != nil {
			return err
		}
	}
	if q.watch {
		return watchSessions(ctx, a, db, q.query, zone)
	}
	sessions, err := db.OpenSessions(ctx, q.query)
	if err != nil {
		return err
	}
	if len(sessions) == 0 && q.query.User != "" { // nothing of him, or a name that nobody has
		if err := db.CheckUser(ctx, q.query.User); err != nil {
			return err
		}
	}
	a.noteMore(sessions, q.query.Limit)
	return a.print(acctSessionViews(sessions, zone), func() string { return a.sessionTable(sessions, zone) })
}

// watchSessions draws the list again and again until ctx ends.
func watchSessions(ctx context.Context, a *app, db *store.DB, q store.SessionQuery, zone *time.Location) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		sessions, err := db.OpenSessions(ctx, q)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		head := fmt.Sprintf("%s: %d sessions", stamp(a.now(), zone), len(sessions))
		if len(sessions) == q.Limit {
			head += " (--limit)"
		}
		const clear = "\x1b[H\x1b[2J"
		if _, err := fmt.Fprint(a.stdout, clear+head+"\n\n"+a.sessionTable(sessions, zone)); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// networksOf are the networks of a device: an address or a network as it
// stands, else those of its rows in nas.
func networksOf(ctx context.Context, db *store.DB, name string) ([]netip.Prefix, error) {
	if p, err := parseWhere(name); err == nil {
		return []netip.Prefix{p}, nil
	}
	found, err := db.DevicesNamed(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("nas %q: %w: want an address, a network or a name that radial nas list has", name, aaa.ErrNotFound)
	}
	var all []netip.Prefix
	for _, d := range found {
		n, err := nas.ParseName(d.Name)
		if err != nil || n.Kind == nas.NameHost {
			return nil, usagef("--nas %s: the device's row has the host name %q: give its address", name, d.Name)
		}
		all = append(all, n.Prefix)
	}
	return all, nil
}

// checkPage judges --limit and --after of a listing.
func checkPage(limit int, after int64) error {
	if limit < 1 || limit > maxListed {
		return usagef("--limit %d: want 1 to %d", limit, maxListed)
	}
	if after < 0 {
		return usagef("--after %d: want the id of the last one of the page before", after)
	}
	return nil
}

// noteMore tells how to go on where there may be more.
func (a *app) noteMore(sessions []store.Session, limit int) {
	if len(sessions) == limit {
		a.note("there may be more than these %d: --after %d goes on, --limit shows more at once", limit, sessions[limit-1].RadacctID)
	}
}

func newSessionShowCmd(a *app) *cobra.Command {
	var user string
	var days int
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a session",
		Long: `Shows the session of an acctuniqueid, a radacctid (the column id of the lists) or an Acct-Session-Id; where several have it, they are listed.
radacct has no index on Acct-Session-Id: among closed sessions it is looked for with --user, or in what began in the last --days, all of which is
read for that (--days 0: not at all).`,
		Example: `  radial session show 674b249b95cac1666a274e053e769c4a
  radial session show 81a00007 --user alice`,
		Args: named("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if days < 0 || days > 36500 {
				return usagef("--days %d: want 0 (open ones alone) to 36500", days)
			}
			return showSession(cmd.Context(), a, args[0], user, days)
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "of the user of that `name`: all of his with that Acct-Session-Id")
	cmd.Flags().IntVar(&days, "days", 7, "how far back closed sessions are looked through for an Acct-Session-Id; 0: not at all")
	return cmd
}

func showSession(ctx context.Context, a *app, id, user string, days int) error {
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	var since time.Time
	if days > 0 {
		since = a.now().AddDate(0, 0, -days)
	}
	sessions, err := db.FindSessions(ctx, id, user, since)
	switch {
	case err != nil && len(sessions) > 0:
		a.note("there may be more: %s", errorText(err))
	case err != nil:
		return err
	}
	switch {
	case len(sessions) == 0 && user != "":
		return fmt.Errorf("session %q of %s: %w", id, user, aaa.ErrNotFound)
	case len(sessions) == 0:
		return fmt.Errorf("session %q: %w: no acctuniqueid or radacctid, and no Acct-Session-Id of an open session or of one that began in the last %d days (--user, --days)",
			id, aaa.ErrNotFound, days)
	case len(sessions) == 1:
		v := acctSessionViewOf(sessions[0], zone)
		return a.print([]acctSessionView{v}, func() string { return a.sessionText(sessions[0], zone) })
	}
	a.note("%d sessions have it", len(sessions))
	return a.print(acctSessionViews(sessions, zone), func() string { return a.historyTable(sessions, zone) })
}

func newSessionHistoryCmd(a *app) *cobra.Command {
	var q store.UserSessionsQuery
	var since, until string
	cmd := &cobra.Command{
		Use:   "history USER",
		Short: "List the sessions of a user, open and closed, the newest first",
		Long: `Lists the sessions of a user by their start, the newest first, by an index. The user is named as radacct has him (without his realm where
strip_realm takes it off). Up is what came from him, down what went to him.`,
		Example: `  radial session history alice --since 30d
  radial session history alice --after 4711`,
		Args: named("USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkPage(q.Limit, q.After); err != nil {
				return err
			}
			q.User = args[0]
			return sessionHistory(cmd.Context(), a, q, since, until)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&since, "since", "", "begun at that `time` or later: \"2026-11-03 02:14 +01\", a date, or 7d for seven days ago")
	fl.StringVar(&until, "until", "", "begun before that `time`")
	fl.IntVar(&q.Limit, "limit", 100, "at most so many")
	fl.Int64Var(&q.After, "after", 0, "those that come after the session with that `id` (the column id) in the list")
	return cmd
}

func sessionHistory(ctx context.Context, a *app, q store.UserSessionsQuery, since, until string) error {
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if q.Since, q.Until, err = period(since, until, zone, a.now()); err != nil {
		return err
	}
	sessions, err := db.UserSessions(ctx, q)
	if err == nil && len(sessions) == 0 {
		err = db.CheckUser(ctx, q.User)
	}
	if err != nil {
		return err
	}
	a.noteMore(sessions, q.Limit)
	return a.print(acctSessionViews(sessions, zone), func() string { return a.historyTable(sessions, zone) })
}

// addressesText are the addresses of a session for a cell.
func addressesText(all []netip.Prefix) string {
	texts := make([]string, len(all))
	for i, p := range all {
		texts[i] = addressText(p)
	}
	return orDash(strings.Join(texts, " "))
}

func idText(id int64) string { return strconv.FormatInt(id, 10) }
