package routeros

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Queue is a simple queue.
type Queue struct {
	Name           string       `json:"name"`
	Target         []string     `json:"target"` // addresses, networks or interfaces
	Parent         string       `json:"parent"` // "" is none
	MaxLimit       RatePair     `json:"max_limit"`
	LimitAt        RatePair     `json:"limit_at"`
	BurstLimit     RatePair     `json:"burst_limit"`
	BurstThreshold RatePair     `json:"burst_threshold"`
	BurstTime      DurationPair `json:"burst_time"`
	Priority       IntPair      `json:"priority"` // 1 (best) to 8; 0 is 8
	Disabled       bool         `json:"disabled"`
}

// DurationPair is a duration for each direction.
type DurationPair struct {
	Up   Span `json:"up"`
	Down Span `json:"down"`
}

// IntPair is a number for each direction.
type IntPair struct {
	Up   int `json:"up"`
	Down int `json:"down"`
}

// Kind is KindQueue.
func (q Queue) Kind() Kind { return KindQueue }

// Identity is the name.
func (q Queue) Identity() (name, scope string) { return q.Name, "" }

// Row has the fields of /queue/simple; those with two directions are written
// upload/download.
func (q Queue) Row() (Row, error) {
	e := newEncoder()
	e.name(q.Name)
	if len(q.Target) == 0 {
		e.wrong("target", "", "an address, a network or an interface at least")
	}
	targets := make([]string, len(q.Target))
	for i, t := range q.Target {
		targets[i] = queueTarget(t)
		if t == "" || strings.ContainsAny(t, ", ") {
			e.wrong("target", t, "an address, a network or an interface")
		}
	}
	e.text("target", strings.Join(targets, ","))
	e.text("parent", q.Parent)
	if q.Parent == "" {
		e.row["parent"] = "none"
	}
	e.rates("max-limit", q.MaxLimit)
	e.rates("limit-at", q.LimitAt)
	e.rates("burst-limit", q.BurstLimit)
	e.rates("burst-threshold", q.BurstThreshold)
	if q.BurstTime.Up < 0 || q.BurstTime.Down < 0 {
		e.wrong("burst-time", fmt.Sprintf("%d/%d", q.BurstTime.Up, q.BurstTime.Down), "durations not below 0")
	}
	e.row["burst-time"] = FormatDuration(time.Duration(q.BurstTime.Up)) + "/" + FormatDuration(time.Duration(q.BurstTime.Down))
	up, down := q.Priority.Up, q.Priority.Down
	for _, p := range []*int{&up, &down} {
		if *p == 0 {
			*p = 8
		}
		if *p < 1 || *p > 8 {
			e.wrong("priority", strconv.Itoa(*p), "1 (best) to 8")
		}
	}
	e.row["priority"] = fmt.Sprintf("%d/%d", up, down)
	e.flag("disabled", q.Disabled)
	return e.done("queue " + q.Name)
}

// queueTarget gives an address the mask with which the router prints it.
func queueTarget(t string) string {
	if a, err := netip.ParseAddr(t); err == nil {
		return netip.PrefixFrom(a, a.BitLen()).String()
	}
	return t
}

// QueueOf reads a queue.
func QueueOf(i Item) (Queue, error) {
	if err := wrongKind(i, KindQueue); err != nil {
		return Queue{}, err
	}
	d := decoder{row: i.Fields}
	q := Queue{
		Name: i.Name, Target: d.words("target"), Parent: d.text("parent"), MaxLimit: d.rates("max-limit"), LimitAt: d.rates("limit-at"),
		BurstLimit: d.rates("burst-limit"), BurstThreshold: d.rates("burst-threshold"), Disabled: d.flag("disabled"),
	}
	if q.Parent == "none" {
		q.Parent = ""
	}
	up, down := ParsePair(i.Fields["burst-time"])
	for into, text := range map[*Span]string{&q.BurstTime.Up: up, &q.BurstTime.Down: down} {
		t, err := ParseDuration(text)
		d.failed("burst-time", err)
		*into = Span(t)
	}
	if text := i.Fields["priority"]; text != "" {
		var err error
		up, down := ParsePair(text)
		q.Priority.Up, err = strconv.Atoi(up)
		d.failed("priority", err)
		q.Priority.Down, err = strconv.Atoi(down)
		d.failed("priority", err)
	}
	return q, d.done("queue " + i.Name)
}
