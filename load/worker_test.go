package load

import (
	"testing"
	"time"
)

// A worker rests where answers come late and one by one, and only there.
func TestLull(t *testing.T) {
	for _, c := range []struct {
		name string
		took time.Duration
		each int
		want time.Duration
	}{
		{"late, one by one", 12 * time.Millisecond, 1, 750 * time.Microsecond},
		{"very late", time.Second, 3, 10 * time.Millisecond},
		{"late, many at once", 12 * time.Millisecond, 30, 0},
		{"soon, one by one", time.Millisecond, 1, 0},
	} {
		var u lull
		for range 1000 {
			u.lag(c.took)
			u.woke(c.each)
			u.woke(0) // a waking by the clock tells nothing
		}
		if got := u.rest(); got < c.want*9/10 || got > c.want {
			t.Errorf("%s: rests for %v, want about %v", c.name, got, c.want)
		}
	}
}
