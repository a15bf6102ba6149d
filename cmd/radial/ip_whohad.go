package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"radial/ipam"
	"radial/store"
)

// whoHadView is the answer of ip whohad in JSON.
type whoHadView struct {
	Address string       `json:"address"`
	At      time.Time    `json:"at"`
	Held    bool         `json:"held"`
	Answers []tenureView `json:"answers"` // of each VRF, and each prefix that the address lay in; none: nobody knows of it

	zone *time.Location
	days int
}

// tenureView is a holder, or of a free address the last one.
type tenureView struct {
	Address   string       `json:"address"` // an address, or an IPv6 prefix
	VRF       string       `json:"vrf,omitempty"`
	Pool      string       `json:"pool,omitempty"`
	State     string       `json:"state"` // bound, reserved, offered, free, unknown
	Held      bool         `json:"held"`
	User      string       `json:"username,omitempty"`
	MAC       string       `json:"mac,omitempty"`
	NAS       string       `json:"nas,omitempty"`
	Port      string       `json:"port,omitempty"`
	Session   string       `json:"session_id,omitempty"`
	RadacctID int64        `json:"radacctid,omitempty"`
	Since     *time.Time   `json:"since"` // null: not on record
	Until     *time.Time   `json:"until"` // null: see still
	Still     bool         `json:"still"`
	End       string       `json:"ended_by,omitempty"`
	Reason    string       `json:"reason,omitempty"`
	Actor     string       `json:"actor,omitempty"`
	Source    string       `json:"source"` // history, lease, radacct
	Traffic   *trafficView `json:"accounting"`
}

// trafficView is the accounting of a session.
type trafficView struct {
	UniqueID string     `json:"acctuniqueid"`
	Session  string     `json:"session_id"`
	User     string     `json:"username"`
	MAC      string     `json:"callingstationid"`
	Port     string     `json:"nasportid"`
	Start    *time.Time `json:"start"`
	Updated  *time.Time `json:"updated"`
	Stop     *time.Time `json:"stop"`
	Cause    string     `json:"cause"`
	Input    int64      `json:"input_octets"`  // from the subscriber
	Output   int64      `json:"output_octets"` // to the subscriber
}

func newIPWhoHadCmd(a *app) *cobra.Command {
	var at, vrf string
	var days int
	cmd := &cobra.Command{
		Use:   "whohad ADDRESS",
		Short: "Say who had an address at a time",
		Long: `Says who had an address at a time, since when and until when, by the history and, for what is so still, by the lease itself.
An IPv6 address is found in the prefix that it lay in; a prefix that was leased may be asked for itself. That nobody had it is an answer too: the exit code is 0.
Of an address that was reserved, whoever used it all the same (radial ip conflicts) is told beside whom it was kept for. Of what neither knows
(an address of no pool, a time from before the history) radacct is asked. It has no index on addresses: all
sessions that began in the --days before are read, and all that are open; this takes seconds where these are millions.`,
		Example: `  radial ip whohad 100.64.3.7 --at "2026-11-03 02:14 +01"
  radial ip whohad 2001:db8:7::1f --at 2026-11-03T02:14:00+01:00 -o json`,
		Args: named("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, err := parseWhere(args[0])
			if err != nil || !asked.IsSingleIP() && asked.Addr().Is4() {
				return usagef("%q: want an address such as 100.64.3.7 or 2001:db8:7::1f, or a prefix that was leased (radial ip history --address takes networks)", args[0])
			}
			q := store.WhoHadQuery{Address: asked.Addr(), Lookback: time.Duration(days) * 24 * time.Hour}
			if !asked.IsSingleIP() {
				q.Bits = asked.Bits()
			}
			if days < 0 || days > 36500 {
				return usagef("--days %d: want 0 (radacct is not asked) to 36500", days)
			}
			return whoHad(cmd, a, q, at, vrf, days)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&at, "at", "now", "the `time`: \"2026-11-03 02:14 +01\", 2026-11-03T02:14:00+01:00, or without +01 by the clocks of the database's zone")
	fl.StringVar(&vrf, "vrf", "", "in the address space of that `name`; all of them if it is not given")
	fl.IntVar(&days, "days", 31, "how far before the time radacct is read where the history knows nothing; 0: not at all")
	return cmd
}

func whoHad(cmd *cobra.Command, a *app, q store.WhoHadQuery, at, vrf string, days int) error {
	ctx := cmd.Context()
	db, zone, done, err := a.dbInZone(ctx)
	if err != nil {
		return err
	}
	defer done()
	if q.At, err = moment("at", at, zone, a.now()); err != nil {
		return err
	}
	if q.At.IsZero() || q.At.After(a.now().Add(time.Minute)) { // clocks may differ a little
		return usagef("--at %q is yet to come: want a time that has been", at)
	}
	if vrf != "" {
		if q.VRF, err = db.VRF(ctx, vrf); err != nil {
			return err
		}
	}
	tenures, err := db.WhoHad(ctx, q)
	if err != nil {
		return err
	}
	vrfs, err := db.VRFNames(ctx)
	if err != nil {
		return err
	}
	address := q.Address.String()
	if q.Bits > 0 {
		address = netip.PrefixFrom(q.Address, q.Bits).String()
	}
	v := whoHadView{Address: address, At: q.At.In(zone), Answers: []tenureView{}, zone: zone, days: days}
	for _, t := range tenures {
		v.Answers = append(v.Answers, tenureViewOf(t, vrfs, zone))
		v.Held = v.Held || t.Held()
	}
	return a.print(v, v.text)
}

func tenureViewOf(t store.Tenure, vrfs map[int32]string, zone *time.Location) tenureView {
	v := tenureView{
		Address: addressText(t.Address), VRF: vrfs[t.VRF], Pool: t.Pool, State: string(t.State), Held: t.Held(), User: t.User, MAC: t.MAC,
		Port: t.Port, Session: t.Session, RadacctID: t.RadacctID, Since: inZone(t.Since, zone), Until: inZone(t.Until, zone), Still: t.Now,
		End: t.End, Reason: t.Reason, Actor: t.Actor, Source: t.Source,
	}
	if t.NAS.IsValid() {
		v.NAS = t.NAS.String()
	}
	if r := t.Traffic; r != nil {
		v.Traffic = &trafficView{
			UniqueID: r.UniqueID, Session: r.Session, User: r.User, MAC: r.MAC, Port: r.Port, Start: inZone(r.Start, zone), Updated: inZone(r.Updated, zone),
			Stop: inZone(r.Stop, zone), Cause: r.Cause, Input: r.Input, Output: r.Output,
		}
		if v.NAS == "" { // a reservation has nothing of its own
			v.NAS = r.NAS.String()
		}
		v.MAC, v.Port = cmp.Or(v.MAC, ipam.NormaliseMAC(r.MAC)), cmp.Or(v.Port, r.Port)
		if t.Held() {
			v.Session, v.RadacctID = cmp.Or(v.Session, r.Session), cmp.Or(v.RadacctID, r.RadacctID)
		}
	}
	return v
}

func inZone(t time.Time, zone *time.Location) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.In(zone)
	return &t
}

// text reads like an answer to whoever must ask: who, from when to when, by
// which device and session. Others than holders are told when there is none.
func (v whoHadView) text() string {
	var parts []string
	for _, t := range v.Answers {
		if t.Held == v.Held {
			parts = append(parts, v.answer(t))
		}
	}
	if len(parts) == 0 {
		text := fmt.Sprintf("%s at %s: nobody on record", v.Address, stamp(v.At, v.zone))
		if v.days > 0 {
			text += fmt.Sprintf(": no pool's history, and no session in radacct that began in the %d days before, or is open", v.days)
		}
		return text + "\n"
	}
	return strings.Join(parts, "\n")
}

func (v whoHadView) answer(t tenureView) string {
	who := printable(orDash(t.User))
	switch {
	case t.State == string(store.TenureUnknown):
		who = "not on record"
	case !t.Held:
		who = "nobody"
	case t.User == "":
		who = t.State + ", for no user by name"
	}
	g := grid{}
	if t.Held {
		g.add("who", orDash(t.User))
		g.add("how", t.how())
		g.add("from", v.when(t.Since, "not on record: the history that is kept begins later"))
	} else if t.State == string(store.TenureFree) {
		g.add("last had by", orDash(t.User))
		g.add("free from", v.when(t.Since, "not on record"))
	}
	if t.State != string(store.TenureUnknown) || t.Until != nil {
		g.add("to", v.end(t))
	}
	if t.State != string(store.TenureUnknown) {
		g.add("mac", orDash(t.MAC))
		g.add("nas", orDash(t.NAS))
		g.add("port", orDash(t.Port))
		g.add("session", t.session())
	}
	if r := t.Traffic; r != nil && t.Held {
		g.add("traffic start", v.when(r.Start, "not on record"))
		g.add("traffic stop", v.stop(r))
		g.add("octets", fmt.Sprintf("%d from the subscriber, %d to the subscriber", r.Input, r.Output))
	}
	g.add("address", t.Address)
	g.add("pool", orDash(t.Pool))
	g.add("vrf", orDash(t.VRF))
	g.add("told by", v.source(t))
	return fmt.Sprintf("%s at %s: %s\n\n%s", v.Address, stamp(v.At, v.zone), who, g.String())
}

func (t tenureView) how() string {
	text := t.State
	switch t.State {
	case string(store.TenureReserved):
		if t.Reason != "" {
			text += ", " + t.Reason
		}
		if t.User != "" && t.Traffic == nil {
			text += "; no session of this user had it then, by radacct"
		}
	case string(store.TenureOffered):
		text += ": the login was accepted, its session has not begun"
	}
	return text
}

func (t tenureView) session() string {
	if t.RadacctID != 0 {
		return fmt.Sprintf("%s (radacctid %d)", orDash(t.Session), t.RadacctID)
	}
	return orDash(t.Session)
}

func (v whoHadView) when(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return stamp(*t, v.zone)
}

func (v whoHadView) end(t tenureView) string {
	switch {
	case t.Until != nil && t.State == string(store.TenureUnknown):
		return stamp(*t.Until, v.zone) + " (what is on record begins here)"
	case t.Until != nil && t.End != "" && t.Held:
		return stamp(*t.Until, v.zone) + " (" + t.End + ")"
	case t.Until != nil:
		return stamp(*t.Until, v.zone)
	case t.Still:
		return "now"
	}
	return "not on record"
}

func (v whoHadView) stop(r *trafficView) string {
	switch {
	case r.Stop != nil && r.Cause != "":
		return stamp(*r.Stop, v.zone) + " (" + r.Cause + ")"
	case r.Stop != nil:
		return stamp(*r.Stop, v.zone)
	case r.Updated != nil:
		return "none yet; last heard of " + stamp(*r.Updated, v.zone)
	}
	return "none yet"
}

func (v whoHadView) source(t tenureView) string {
	if t.Source == store.SourceRadacct {
		return fmt.Sprintf("radacct: sessions that began in the %d days before, or are open", v.days)
	}
	return t.Source
}
