package routeros

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"radial/nas"
)

// Active is a session on a router.
type Active struct {
	Menu      string     `json:"menu"` // ppp or hotspot
	ID        string     `json:"id"`   // .id, as *1A
	User      string     `json:"user"`
	Service   string     `json:"service"` // pppoe, l2tp, …; of a hotspot its server
	CallerID  string     `json:"caller_id"`
	Address   netip.Addr `json:"address"`
	Uptime    Span       `json:"uptime"`
	SessionID string     `json:"session_id"` // Acct-Session-Id, where the router tells it
	Radius    bool       `json:"radius"`     // logged in by RADIUS, else by a secret of the router
	// Up and Down are octets from and to the subscriber: a hotspot's own counters,
	// of PPP those of its interface; -1 where the router does not tell.
	Up   int64 `json:"up"`
	Down int64 `json:"down"`
}

const (
	pathPPPActive     = "/ppp/active"
	pathHotspotActive = "/ip/hotspot/active"
)

func (a Active) path() string {
	if a.Menu == "hotspot" {
		return pathHotspotActive
	}
	return pathPPPActive
}

// Sessions are those on the router, PPP's and hotspots'. None is no error.
func Sessions(ctx context.Context, c *Conn) ([]Active, error) {
	reply, err := c.Run(ctx, pathPPPActive+"/print")
	if err != nil && !IsMissing(err) {
		return nil, err
	}
	all := []Active{}
	if err == nil {
		counters, err := pppCounters(ctx, c, reply.Rows)
		if err != nil {
			return nil, err
		}
		for _, r := range reply.Rows {
			a := pppActive(r)
			if n, has := counters["<"+a.Service+"-"+a.User+">"]; has {
				a.Up, a.Down = n[0], n[1]
			}
			all = append(all, a)
		}
	}
	reply, err = c.Run(ctx, pathHotspotActive+"/print")
	if IsMissing(err) {
		return all, nil // no hotspot package
	}
	if err != nil {
		return nil, err
	}
	for _, r := range reply.Rows {
		all = append(all, hotspotActive(r))
	}
	return all, nil
}

// pppCounters are octets up and down by the name of a session's interface.
func pppCounters(ctx context.Context, c *Conn, active []Row) (map[string][2]int64, error) {
	if len(active) == 0 {
		return nil, nil
	}
	reply, err := c.Run(ctx, "/interface/print", "=.proplist=name,rx-byte,tx-byte", "?dynamic=true")
	if err != nil {
		return nil, err
	}
	of := map[string][2]int64{}
	for _, r := range reply.Rows {
		d := decoder{row: r}
		of[r["name"]] = [2]int64{int64(d.count("rx-byte")), int64(d.count("tx-byte"))}
	}
	return of, nil
}

// pppActive reads a row as far as it can be read: one odd value does not hide
// the others' sessions.
func pppActive(r Row) Active {
	d := decoder{row: r}
	return Active{
		Menu: "ppp", ID: r[".id"], User: r["name"], Service: r["service"], CallerID: r["caller-id"], Address: d.address("address"),
		Uptime: d.duration("uptime"), SessionID: SessionIDOf(r["session-id"]), Radius: r["radius"] == "true", Up: -1, Down: -1,
	}
}

func hotspotActive(r Row) Active {
	d := decoder{row: r}
	return Active{
		Menu: "hotspot", ID: r[".id"], User: r["user"], Service: r["server"], CallerID: r["mac-address"], Address: d.address("address"),
		Uptime: d.duration("uptime"), SessionID: SessionIDOf(r["session-id"]), Radius: r["radius"] == "true",
		Up: int64(d.count("bytes-in")), Down: int64(d.count("bytes-out")),
	}
}

// SessionIDOf is the Acct-Session-Id of what the API calls session-id: the same
// hexadecimal digits without 0x, in capitals as accounting writes them.
func SessionIDOf(s string) string {
	return strings.ToUpper(strings.TrimPrefix(s, "0x"))
}

// Seat says which session on a router is meant. The Acct-Session-Id decides
// where the router tells it; else user and address.
type Seat struct {
	User      string
	SessionID string
	Address   netip.Addr
}

// sits tells whether a session is the one meant.
func (s Seat) sits(a Active) bool {
	if a.SessionID != "" && s.SessionID != "" {
		return strings.EqualFold(a.SessionID, s.SessionID)
	}
	return a.User == s.User && (!s.Address.IsValid() || !a.Address.IsValid() || a.Address == s.Address.Unmap())
}

// End takes a session off the router (/ppp/active/remove): its subscriber logs
// in again if he may. gone says that it was not there. It returns when the
// router does not list it any more.
func End(ctx context.Context, c *Conn, s Seat) (gone bool, err error) {
	return s.each(ctx, c, func(a Active) error { return EndOne(ctx, c, a) })
}

// each does something with the session that is meant; gone says that it is not
// there.
func (s Seat) each(ctx context.Context, c *Conn, do func(Active) error) (gone bool, err error) {
	all, err := Sessions(ctx, c)
	if err != nil {
		return false, err
	}
	gone = true
	for _, a := range all {
		if !s.sits(a) {
			continue
		}
		gone = false
		if err := do(a); err != nil {
			return false, err
		}
	}
	return gone, nil
}

// EndOne takes a session off the router that Sessions has just shown. One that
// has ended meanwhile is no error; one that the router lists still is.
func EndOne(ctx context.Context, c *Conn, a Active) error {
	if _, err := c.Run(ctx, a.path()+"/remove", "=.id="+a.ID); err != nil && !IsMissing(err) {
		return fmt.Errorf("end session %s of %q: %w", a.SessionID, a.User, err)
	}
	left, err := c.Run(ctx, a.path()+"/print", "=.proplist=.id", "?.id="+a.ID)
	if err != nil {
		return err
	}
	if len(left.Rows) > 0 {
		return fmt.Errorf("end session %s of %q: the router lists it still", a.SessionID, a.User)
	}
	return nil
}

// ErrFixedQueue is a session whose queue the router has made by itself: it
// cannot be changed by the API, and the session must be ended to get another.
var ErrFixedQueue = errors.New("the router made the session's queue by itself and lets nobody change it")

// SetRate gives a session another rate by its simple queue (/queue/simple/set):
// the one that is named after it, or whose target is its address. gone says
// that the session is not there; ErrFixedQueue that its queue is the router's.
func SetRate(ctx context.Context, c *Conn, s Seat, l nas.RateLimit) (gone bool, err error) {
	want := Row{
		"max-limit":       RatePair{l.Up.Rate, l.Down.Rate}.String(),
		"burst-limit":     RatePair{l.Up.Burst, l.Down.Burst}.String(),
		"burst-threshold": RatePair{l.Up.Threshold, l.Down.Threshold}.String(),
		"burst-time":      FormatDuration(l.Up.BurstTime) + "/" + FormatDuration(l.Down.BurstTime),
		"limit-at":        RatePair{l.Up.Min, l.Down.Min}.String(),
	}
	if l.Priority > 0 {
		want["priority"] = fmt.Sprintf("%d/%d", l.Priority, l.Priority)
	}
	return s.each(ctx, c, func(a Active) error {
		queue, err := queueOf(ctx, c, a)
		if err == nil {
			_, err = change(ctx, c, shapes[KindQueue].path, queue, want, false)
		}
		if err != nil {
			return fmt.Errorf("rate of %q: %w", a.User, err)
		}
		return nil
	})
}

// queueOf is the queue of a session that may be changed.
func queueOf(ctx context.Context, c *Conn, a Active) (Row, error) {
	reply, err := c.Run(ctx, shapes[KindQueue].path+"/print")
	if err != nil {
		return nil, err
	}
	link := "<" + a.Service + "-" + a.User + ">"
	fixed := false
	for _, r := range reply.Rows {
		target := r["target"]
		mine := target == link || r["name"] == link || a.Address.IsValid() && queueTarget(target) == queueTarget(a.Address.String())
		switch {
		case mine && r["dynamic"] == "true":
			fixed = true
		case mine && r["disabled"] != "true":
			return r, nil
		}
	}
	if fixed {
		return nil, ErrFixedQueue
	}
	return nil, ErrNoItem
}
