package main

import (
	"time"

	"github.com/spf13/cobra"

	"radial/store"
)

// changeView is a row of the history in JSON.
type changeView struct {
	At        time.Time `json:"at"`
	VRF       string    `json:"vrf"`
	Address   string    `json:"address"` // an address, or an IPv6 prefix
	Pool      string    `json:"pool"`
	Action    string    `json:"action"` // bound, released, expired, taken_over, reserved, unreserved
	User      string    `json:"username"`
	MAC       string    `json:"mac"`
	NAS       string    `json:"nas"`
	Port      string    `json:"port"`
	Session   string    `json:"session_id"`
	RadacctID int64     `json:"radacctid,omitempty"`
	Reason    string    `json:"reason"`
	Actor     string    `json:"actor"`
}

func changeViewOf(c store.AddressChange, vrfs map[int32]string, zone *time.Location) changeView {
	v := changeView{
		At: c.At.In(zone), VRF: vrfs[c.VRF], Address: addressText(c.Address), Pool: c.Pool, Action: c.Action, User: c.User, MAC: c.MAC,
		Port: c.Port, Session: c.Session, RadacctID: c.RadacctID, Reason: c.Reason, Actor: c.Actor,
	}
	if c.NAS.IsValid() {
		v.NAS = c.NAS.String()
	}
	return v
}

// historyAsked are the flags of ip history.
type historyAsked struct {
	address, since, until, vrf string
	query                      store.HistoryQuery
}

// historyDays is how far a question goes back that no index serves.
const historyDays = 31

func newIPHistoryCmd(a *app) *cobra.Command {
	var h historyAsked
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List changes of holders, the newest first",
		Long: `Lists who got and who lost which address, the newest change first. Addresses, users and MACs are found by an index; a question for
none of them, or for a network wider than /16 (IPv6: /32), goes back 31 days unless --since says how far. --session takes an Acct-Session-Id, or an acctuniqueid, which is found at once.`,
		Example: `  radial ip history --user alice --since 7d
  radial ip history --address 100.64.3.7 --since "2026-11-03 00:00 +01" --until "2026-11-04 00:00 +01"`,
		Args: named(),
		RunE: func(cmd *cobra.Command, _ []string) error { return listHistory(cmd, a, h) },
	}
	fl := cmd.Flags()
	fl.StringVar(&h.address, "address", "", "of an `address` (IPv6: also of the prefixes that it lay in), or of a network, which is it and all in it")
	fl.StringVar(&h.query.User, "user", "", "of the user of that `name`")
	fl.StringVar(&h.query.MAC, "mac", "", "of a `MAC`, in any spelling")
	fl.StringVar(&h.query.Session, "session", "", "of a session by its `ID`: Acct-Session-Id or acctuniqueid")
	fl.StringVar(&h.since, "since", "", "from that `time` on: \"2026-11-03 02:14 +01\", a date, or 7d for seven days ago")
	fl.StringVar(&h.until, "until", "", "before that `time`")
	fl.StringVar(&h.vrf, "vrf", "", "in the address space of that `name`; all of them if it is not given")
	fl.IntVar(&h.query.Limit, "limit", 100, "at most so many")
	return cmd
}

func listHistory(cmd *cobra.Command, a *app, h historyAsked) error {
	ctx := cmd.Context()
	if h.query.Limit < 1 || h.query.Limit > 1_000_000 {
		return usagef("--limit %d: want 1 to 1000000", h.query.Limit)
	}
	var err error
	if h.address != "" {
		if h.query.Address, err = parseWhere(h.address); err != nil {
			return usagef("--address: %w", err)
		}
	}
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if h.query.Since, h.query.Until, err = period(h.since, h.until, zone, a.now()); err != nil {
		return err
	}
	if h.query.Since.IsZero() && !h.indexed() {
		end := h.query.Until
		if end.IsZero() {
			end = a.now()
		}
		h.query.Since = end.AddDate(0, 0, -historyDays)
		a.note("the %d days before %s; --since goes back farther", historyDays, stamp(end, zone))
	}
	if h.vrf != "" {
		if h.query.VRF, err = db.VRF(ctx, h.vrf); err != nil {
			return err
		}
	}
	rows, err := db.AddressHistory(ctx, h.query)
	if err != nil {
		return err
	}
	vrfs, err := db.VRFNames(ctx)
	if err != nil {
		return err
	}
	if len(rows) == h.query.Limit {
		a.note("the newest %d are listed; --limit, or --until the last line's time, shows more", len(rows))
	}
	return printHistory(a, rows, vrfs, zone)
}

// indexed tells whether an index leads to the rows.
func (h historyAsked) indexed() bool {
	few := 16 // a network so wide, or wider ones, are most of the history
	if h.query.Address.Addr().Is6() {
		few = 32
	}
	return h.address != "" && h.query.Address.Bits() >= few || h.query.User != "" || h.query.MAC != "" || len(h.query.Session) == 32
}

func printHistory(a *app, rows []store.AddressChange, vrfs map[int32]string, zone *time.Location) error {
	views := make([]changeView, len(rows))
	for i, c := range rows {
		views[i] = changeViewOf(c, vrfs, zone)
	}
	return a.print(views, func() string {
		g := grid{titles: []string{"at", "vrf", "address", "action", "user", "mac", "nas", "port", "session", "reason", "by"}}
		for _, v := range views {
			g.add(stamp(v.At, zone), v.VRF, v.Address, v.Action, orDash(v.User), orDash(v.MAC), orDash(v.NAS), orDash(v.Port), orDash(v.Session),
				orDash(v.Reason), orDash(v.Actor))
		}
		return g.String()
	})
}
