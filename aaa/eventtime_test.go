package aaa

import (
	"testing"
	"time"
)

func TestEventTime(t *testing.T) {
	const now = 1_795_000_000
	received := time.Unix(now, 900_000_000)
	u := func(n int64) *uint32 { v := uint32(n); return &v }
	tests := []struct {
		name  string
		mode  EventTime
		stamp *uint32
		delay uint32
		want  int64
	}{
		{"none", EventTimePacket, nil, 0, now},
		{"delay", EventTimePacket, nil, 7, now - 7},
		{"delay beyond reason", EventTimePacket, nil, 4_000_000_000, now},
		{"stamp wins over delay", EventTimePacket, u(now - 100), 7, now - 100},
		{"receive", EventTimeReceive, u(now - 100), 7, now - 7},
		{"clock never set", EventTimePacket, u(3600), 7, now - 7},
		{"clock of 2000", EventTimePacket, u(946684800), 0, now},
		{"kept for a month", EventTimePacket, u(now - 30*86400), 0, now - 30*86400},
		{"five minutes ahead", EventTimePacket, u(now + 300), 0, now + 300},
		{"an hour ahead", EventTimePacket, u(now + 3600), 0, now},
		{"two days ahead", EventTimePacket, u(now + 2*86400), 5, now - 5},
	}
	for _, tt := range tests {
		c := eventClock{mode: tt.mode, past: DefaultEventPast, future: DefaultEventFuture}
		if got := c.at(received, tt.stamp, tt.delay); got.Unix() != tt.want || got.Nanosecond() != 0 {
			t.Errorf("%s: %v, want %v", tt.name, got, time.Unix(tt.want, 0))
		}
	}
	if _, err := ParseEventTime("never"); err == nil {
		t.Error("event time never: no error")
	}
}
