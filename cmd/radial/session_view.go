package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"radial/store"
)

// acctSessionView is a session in JSON.
type acctSessionView struct {
	RadacctID int64      `json:"radacctid"`
	UniqueID  string     `json:"acctuniqueid"`
	Session   string     `json:"session_id"`
	User      string     `json:"username"`
	Realm     string     `json:"realm"`
	NAS       string     `json:"nas"`
	NASName   string     `json:"nas_name"`
	Port      string     `json:"port"`
	MAC       string     `json:"mac"`    // Calling-Station-Id, as the device sent it
	Called    string     `json:"called"` // Called-Station-Id
	Addresses []string   `json:"addresses"`
	Open      bool       `json:"open"`
	Start     *time.Time `json:"start"`
	Updated   *time.Time `json:"updated"` // the last sign of life
	Stop      *time.Time `json:"stop"`
	Seconds   int64      `json:"seconds"` // from the start to the stop, or to the last sign of life
	Interval  *int64     `json:"interval"`
	Input     int64      `json:"input_octets"`  // from the subscriber: upload
	Output    int64      `json:"output_octets"` // to the subscriber: download
	Cause     string     `json:"cause"`
	Package   string     `json:"package"` // that the user has now
	Pools     []string   `json:"pools"`   // of its addresses, while it is open
}

func acctSessionViewOf(s store.Session, zone *time.Location) acctSessionView {
	v := acctSessionView{
		RadacctID: s.RadacctID, UniqueID: s.UniqueID, Session: s.Session, User: s.User, Realm: s.Realm, NAS: s.NAS.String(), NASName: s.NASName,
		Port: s.Port, MAC: s.MAC, Called: s.Called, Addresses: []string{}, Open: s.Stop.IsZero(), Start: inZone(s.Start, zone),
		Updated: inZone(s.Updated, zone), Stop: inZone(s.Stop, zone), Seconds: int64(lived(s) / time.Second), Interval: s.Interval,
		Input: s.Input, Output: s.Output, Cause: s.Cause, Package: s.Package, Pools: orEmpty(s.Pools),
	}
	for _, p := range s.Addresses {
		v.Addresses = append(v.Addresses, addressText(p))
	}
	return v
}

func acctSessionViews(all []store.Session, zone *time.Location) []acctSessionView {
	views := make([]acctSessionView, len(all))
	for i, s := range all {
		views[i] = acctSessionViewOf(s, zone)
	}
	return views
}

// lived is how long a session has lasted, as the device said, else by its times.
func lived(s store.Session) time.Duration {
	if s.Lived != nil && *s.Lived > 0 {
		return time.Duration(*s.Lived) * time.Second
	}
	end := s.Stop
	if end.IsZero() {
		end = s.Updated
	}
	if end.IsZero() || s.Start.IsZero() || end.Before(s.Start) {
		return 0
	}
	return end.Sub(s.Start)
}

// sessionTable is a list of open sessions.
func (a *app) sessionTable(all []store.Session, zone *time.Location) string {
	g := grid{titles: []string{"id", "user", "address", "nas", "port", "mac", "since", "last heard", "up", "down", "package", "pool"}}
	for _, s := range all {
		g.add(idText(s.RadacctID), orDash(s.User), addressesText(s.Addresses), nasText(s), orDash(s.Port), orDash(s.MAC), stamp(s.Start, zone),
			a.ago(s.Updated), octets(s.Input), octets(s.Output), orDash(s.Package), orDash(strings.Join(s.Pools, " ")))
	}
	return g.String()
}

// historyTable is a list of sessions, open and closed.
func (a *app) historyTable(all []store.Session, zone *time.Location) string {
	g := grid{titles: []string{"id", "user", "address", "nas", "port", "mac", "start", "stop", "time", "up", "down", "cause", "session"}}
	for _, s := range all {
		stop := "open"
		if !s.Stop.IsZero() {
			stop = stamp(s.Stop, zone)
		}
		g.add(idText(s.RadacctID), orDash(s.User), addressesText(s.Addresses), nasText(s), orDash(s.Port), orDash(s.MAC), stamp(s.Start, zone),
			stop, span(lived(s)), octets(s.Input), octets(s.Output), orDash(s.Cause), orDash(s.Session))
	}
	return g.String()
}

func (a *app) sessionText(s store.Session, zone *time.Location) string {
	g := grid{}
	g.add("id", idText(s.RadacctID)+" (radacctid)")
	g.add("acctuniqueid", s.UniqueID)
	g.add("session", orDash(s.Session))
	g.add("user", orDash(s.User))
	if s.Realm != "" {
		g.add("realm", s.Realm)
	}
	g.add("package", orDash(s.Package))
	g.add("address", addressesText(s.Addresses))
	g.add("pool", orDash(strings.Join(s.Pools, " ")))
	g.add("nas", nasText(s))
	g.add("port", orDash(s.Port))
	g.add("mac", orDash(s.MAC))
	g.add("called", orDash(s.Called))
	g.add("start", stamp(s.Start, zone))
	if s.Stop.IsZero() {
		g.add("stop", "open; last heard "+a.ago(s.Updated))
	} else {
		g.add("stop", stamp(s.Stop, zone)+" ("+orDash(s.Cause)+")")
	}
	g.add("time", span(lived(s)))
	if s.Interval != nil {
		g.add("interval", span(time.Duration(*s.Interval)*time.Second)+" between its last two updates")
	}
	g.add("up", fmt.Sprintf("%s from the subscriber (%d octets)", octets(s.Input), s.Input))
	g.add("down", fmt.Sprintf("%s to the subscriber (%d octets)", octets(s.Output), s.Output))
	return g.String()
}

// nasText is a device's name and address.
func nasText(s store.Session) string {
	if s.NASName == "" {
		return s.NAS.String()
	}
	return s.NASName + " " + s.NAS.String()
}

// ago is how long ago a time was.
func (a *app) ago(t time.Time) string {
	switch d := a.now().Sub(t); {
	case t.IsZero():
		return "-"
	case d < 0:
		return "in " + span(-d)
	default:
		return span(d) + " ago"
	}
}

// span is a length of time for people, to two places: 2d3h, 3h5m, 5m10s.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	day, hour := 24*time.Hour, time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/hour)
	case d >= hour:
		return fmt.Sprintf("%dh%dm", d/hour, d%hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// octets is an amount of data for people, in powers of 1000.
func octets(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n), 0
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	for f >= 999.5 && unit < len(units)-1 {
		f, unit = f/1000, unit+1
	}
	precision := 0
	if f < 99.95 {
		precision = 1
	}
	return strconv.FormatFloat(f, 'f', precision, 64) + " " + units[unit]
}
