package aaa

import (
	"fmt"
	"time"
)

// EventTime says which clock accounting goes by.
type EventTime uint8

// The clocks. A packet's Acct-Delay-Time is taken off the receive time in both.
const (
	EventTimePacket  EventTime = iota // Event-Timestamp where there is a plausible one
	EventTimeReceive                  // always when the packet came
)

// ParseEventTime reads packet or receive; empty means packet.
func ParseEventTime(s string) (EventTime, error) {
	switch s {
	case "", "packet":
		return EventTimePacket, nil
	case "receive":
		return EventTimeReceive, nil
	default:
		return EventTimePacket, fmt.Errorf("event time %q: want packet or receive", s)
	}
}

// The default sanity window of a NAS's clock. It is wide on the past side: a
// NAS may deliver what it kept for long, while a clock that was never set says
// 1970 or 2000. It is narrow on the other: a session that began by a clock that was
// ahead, and has been put right since, would look younger than its own Stop.
const (
	DefaultEventPast   = 5 * 365 * 24 * time.Hour
	DefaultEventFuture = 10 * time.Minute
)

// eventClock reckons when an event happened (radius-semantics "Time stamps").
type eventClock struct {
	mode         EventTime
	past, future time.Duration // sanity window around the receive time
}

// at returns the event time in whole seconds: Event-Timestamp (RFC 2869 §5.3;
// nil: none), unless it is implausible or not wanted, else the receive time
// less Acct-Delay-Time (RFC 2866 §5.2).
func (c eventClock) at(received time.Time, stamp *uint32, delay uint32) time.Time {
	received = time.Unix(received.Unix(), 0).UTC()
	if stamp != nil && c.mode == EventTimePacket {
		t := time.Unix(int64(*stamp), 0).UTC()
		if !t.Before(received.Add(-c.past)) && !t.After(received.Add(c.future)) {
			return t
		}
	}
	if d := time.Duration(delay) * time.Second; d <= c.past {
		return received.Add(-d)
	}
	return received
}
