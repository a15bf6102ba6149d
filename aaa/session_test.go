package aaa

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func sec(n int64) time.Time { return time.Unix(n, 0).UTC() }

func num(n int64) *int64 { return &n }

func str(s string) *string { return &s }

const testID = "674b249b95cac1666a274e053e769c4a"

// event makes a record of one session; session time and octets below 0 are absent.
func event(st Status, at, session, octets int64) *Record {
	r := &Record{Status: st, UniqueID: testID, At: sec(at)}
	if session >= 0 {
		r.SessionTime = num(session)
	}
	if octets >= 0 {
		r.Input, r.Output = num(octets), num(2*octets)
	}
	return r
}

func with(r *Record, f func(*Record)) *Record {
	f(r)
	return r
}

// fold applies events to no row and returns the row of the id and the retired
// ones, oldest first.
func fold(events ...*Record) (row *Session, retired []Session, last Outcome) {
	for _, ev := range events {
		t := Next(row, ev)
		last = t.Outcome
		if t.Retired != nil {
			retired = append(retired, *t.Retired)
		}
		if t.Earlier {
			retired, last = foldEarlier(row, retired, ev)
		}
		if row != nil || t.Row.UniqueID != "" {
			row = &t.Row
		}
	}
	return row, retired, last
}

// foldEarlier applies the Stop of an earlier session.
func foldEarlier(row *Session, retired []Session, ev *Record) ([]Session, Outcome) {
	retired = slices.Clone(retired)
	before := make([]*Session, len(retired))
	for i := range retired {
		before[i] = &retired[i]
	}
	switch of, t := Earlier(row, before, ev); {
	case of >= 0:
		retired[of] = t.Row
		return retired, t.Outcome
	case t.Outcome == Closed:
		return append(retired, t.Row), t.Outcome
	default:
		return retired, t.Outcome
	}
}

func TestNext(t *testing.T) {
	ipA, ipB := netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("100.64.0.2")
	start := func(at int64) *Record {
		return with(event(StatusStart, at, -1, -1), func(r *Record) { r.ConnectInfo, r.FramedIP = "up", ipA })
	}
	stop := func(at, session, octets int64) *Record {
		return with(event(StatusStop, at, session, octets), func(r *Record) {
			r.TerminateCause, r.ConnectInfo = "User-Request", "down"
		})
	}
	open := Session{
		UniqueID: testID, Start: sec(100), Update: sec(100), SessionTime: num(0), Input: num(0), Output: num(0),
		ConnectInfoStart: str("up"), FramedIP: ipA,
	}
	edit := func(s Session, f func(*Session)) Session { f(&s); return s }
	closed := edit(open, func(s *Session) {
		s.Stop, s.Update, s.SessionTime, s.Input, s.Output = sec(200), sec(200), num(100), num(7), num(14)
		s.ConnectInfoStop, s.TerminateCause = str("down"), str("User-Request")
	})
	tests := []struct {
		name    string
		events  []*Record
		want    Session
		retired []Session
		outcome Outcome
	}{
		{"start, none", []*Record{start(100)}, open, nil, Opened},
		{"start, open, the same", []*Record{start(100), start(100)}, open, nil, Duplicate},
		{"start, open, new time stamp", []*Record{start(100), with(start(110), func(r *Record) { r.ConnectInfo, r.FramedIP = "again", ipB })},
			edit(open, func(s *Session) { s.Start, s.Update, s.ConnectInfoStart = sec(110), sec(110), str("again") }), nil, Updated},
		{"start, open, older", []*Record{start(110), start(100)},
			edit(open, func(s *Session) { s.Start, s.Update = sec(110), sec(110) }), nil, Stale},
		{"interim, open", []*Record{start(100), event(StatusInterim, 160, 60, 5)},
			edit(open, func(s *Session) {
				s.Update, s.Interval, s.SessionTime, s.Input, s.Output = sec(160), num(60), num(60), num(5), num(10)
			}), nil, Updated},
		{"interim, open, without anything", []*Record{start(100), event(StatusInterim, 160, 60, 5), event(StatusInterim, 200, -1, -1)},
			edit(open, func(s *Session) {
				s.Update, s.Interval, s.SessionTime, s.Input, s.Output = sec(200), num(40), num(60), num(5), num(10)
			}), nil, Updated},
		{"interim, open, another address", []*Record{start(100), with(event(StatusInterim, 160, 60, 5), func(r *Record) { r.FramedIP = ipB })},
			edit(open, func(s *Session) {
				s.Update, s.Interval, s.SessionTime, s.Input, s.Output, s.FramedIP = sec(160), num(60), num(60), num(5), num(10), ipB
			}), nil, Updated},
		{"interim, open, older than another", []*Record{start(100), event(StatusInterim, 260, 160, 9),
			with(event(StatusInterim, 160, 60, 5), func(r *Record) { r.FramedIP = ipB })},
			edit(open, func(s *Session) {
				s.Update, s.Interval, s.SessionTime, s.Input, s.Output = sec(260), num(160), num(160), num(9), num(18)
			}), nil, Duplicate},
		{"interim, none", []*Record{with(event(StatusInterim, 160, 50, 5), func(r *Record) { r.ConnectInfo, r.FramedIP = "up", ipA })},
			edit(open, func(s *Session) {
				s.Start, s.Update, s.SessionTime, s.Input, s.Output = sec(110), sec(160), num(50), num(5), num(10)
			}), nil, Opened},
		{"interim, none, without session time or octets", []*Record{event(StatusInterim, 160, -1, -1)},
			Session{UniqueID: testID, Start: sec(160), Update: sec(160), Input: num(0), Output: num(0), ConnectInfoStart: str("")}, nil, Opened},
		{"interim, closed", []*Record{start(100), stop(200, 100, 7), event(StatusInterim, 260, 160, 9)}, closed, nil, Stale},
		{"start, row made by an interim", []*Record{with(event(StatusInterim, 160, 50, 5), func(r *Record) { r.FramedIP = ipA }), start(100)},
			edit(open, func(s *Session) {
				s.Update, s.SessionTime, s.Input, s.Output = sec(160), num(50), num(5), num(10)
			}), nil, Updated},
		{"start, row made by an interim that guessed right", []*Record{event(StatusInterim, 160, 60, 5), start(100)},
			edit(open, func(s *Session) {
				s.Update, s.SessionTime, s.Input, s.Output, s.FramedIP = sec(160), num(60), num(5), num(10), netip.Addr{}
			}), nil, Updated},
		{"the same once more", []*Record{event(StatusInterim, 160, 60, 5), start(100), start(100)},
			edit(open, func(s *Session) {
				s.Update, s.SessionTime, s.Input, s.Output, s.FramedIP = sec(160), num(60), num(5), num(10), netip.Addr{}
			}), nil, Duplicate},
		{"start after its stop that guessed right", []*Record{stop(200, 100, 7), start(100)},
			edit(closed, func(s *Session) { s.ConnectInfoStop, s.FramedIP = nil, netip.Addr{} }), nil, Corrected},
		{"stop, open", []*Record{start(100), stop(200, 100, 7)}, closed, nil, Closed},
		{"stop, open, without session time", []*Record{start(100), stop(200, -1, 7)}, closed, nil, Closed},
		{"stop, open, session time 0", []*Record{start(100), stop(200, 0, 7)},
			edit(closed, func(s *Session) { s.SessionTime = num(0) }), nil, Closed},
		{"stop, open, without octets or cause", []*Record{start(100), event(StatusInterim, 160, 60, 7), event(StatusStop, 200, 100, -1)},
			edit(closed, func(s *Session) { s.Interval, s.TerminateCause, s.ConnectInfoStop = num(60), str(""), str("") }), nil, Closed},
		{"stop, open, counters went back", []*Record{start(100), event(StatusInterim, 160, 60, 7), stop(200, 50, 3)},
			edit(closed, func(s *Session) { s.Interval, s.SessionTime = num(60), num(60) }), nil, Closed},
		{"stop, none", []*Record{stop(200, 100, 7)},
			edit(closed, func(s *Session) { s.ConnectInfoStart, s.ConnectInfoStop, s.FramedIP = str("down"), nil, netip.Addr{} }), nil, Closed},
		{"stop, none, without session time", []*Record{stop(200, -1, -1)},
			edit(closed, func(s *Session) {
				s.Start, s.ConnectInfoStart, s.ConnectInfoStop, s.FramedIP = sec(200), str("down"), nil, netip.Addr{}
				s.SessionTime, s.Input, s.Output = nil, num(0), num(0)
			}), nil, Closed},
		{"start after its stop", []*Record{stop(200, 90, 7), start(100)},
			edit(closed, func(s *Session) { s.SessionTime, s.ConnectInfoStop, s.FramedIP = num(90), nil, netip.Addr{} }), nil, Corrected},
		{"stop, closed, identical", []*Record{start(100), stop(200, 100, 7), stop(200, 100, 7)}, closed, nil, Duplicate},
		{"stop, closed, older", []*Record{start(100), stop(200, 100, 7), stop(190, 90, 9)}, closed, nil, Duplicate},
		{"stop, closed, newer", []*Record{start(100), stop(200, 100, 7), with(stop(210, 110, 9), func(r *Record) { r.TerminateCause = "Lost-Carrier" })},
			edit(closed, func(s *Session) {
				s.Stop, s.Update, s.SessionTime, s.Input, s.Output = sec(210), sec(210), num(110), num(9), num(18)
				s.TerminateCause = str("Lost-Carrier")
			}), nil, Corrected},
		{"start, closed, later: id reused", []*Record{start(100), stop(200, 100, 7), start(300)},
			edit(open, func(s *Session) { s.Start, s.Update = sec(300), sec(300) }), []Session{closed}, Reused},
		{"start, closed, not later", []*Record{start(100), stop(200, 100, 7), start(150)}, closed, nil, Duplicate},
		{"interim of a session whose start was lost, closed", []*Record{start(100), stop(200, 100, 7), event(StatusInterim, 400, 60, 1)},
			Session{UniqueID: testID, Start: sec(340), Update: sec(400), SessionTime: num(60), Input: num(1), Output: num(2), ConnectInfoStart: str("")},
			[]Session{closed}, Reused},
		{"start, open, stop was lost", []*Record{start(100), event(StatusInterim, 160, 60, 7), start(300)},
			edit(open, func(s *Session) { s.Start, s.Update = sec(300), sec(300) }),
			[]Session{edit(closed, func(s *Session) {
				s.Update, s.Stop, s.Interval, s.SessionTime = sec(160), sec(160), num(60), num(60)
				s.ConnectInfoStop, s.TerminateCause = nil, str(CauseNASReboot)
			})}, Reused},
		{"start, row made by an interim long before", []*Record{with(event(StatusInterim, 160, 60, 7), func(r *Record) { r.ConnectInfo, r.FramedIP = "up", ipA }), start(300)},
			edit(open, func(s *Session) { s.Start, s.Update = sec(300), sec(300) }),
			[]Session{edit(closed, func(s *Session) {
				s.Update, s.Stop, s.SessionTime = sec(160), sec(160), num(60)
				s.ConnectInfoStop, s.TerminateCause = nil, str(CauseNASReboot)
			})}, Reused},
		{"late stop of the session before", []*Record{start(100), event(StatusInterim, 160, 60, 7), start(300), stop(200, 100, 7)},
			edit(open, func(s *Session) { s.Start, s.Update = sec(300), sec(300) }),
			[]Session{edit(closed, func(s *Session) { // which keeps the id that it was retired with
				s.Interval, s.UniqueID = num(60), RetiredID(&Session{UniqueID: testID, Start: sec(100), Stop: sec(160)})
			})}, Corrected},
		{"stop a second older than its start", []*Record{start(100), stop(99, 0, 0)},
			edit(closed, func(s *Session) {
				s.Stop, s.Update, s.SessionTime, s.Input, s.Output = sec(100), sec(100), num(0), num(0), num(0)
			}), nil, Closed},
		{"nas on", []*Record{start(100), event(StatusInterim, 160, 60, 5), event(StatusOn, 200, -1, -1)},
			edit(closed, func(s *Session) {
				s.Interval, s.Input, s.Output, s.ConnectInfoStop, s.TerminateCause = num(60), num(5), num(10), nil, str(CauseNASReboot)
			}), nil, Closed},
		{"nas off with a cause", []*Record{start(100), with(event(StatusOff, 200, -1, -1), func(r *Record) { r.TerminateCause = "Admin-Reboot" })},
			edit(closed, func(s *Session) {
				s.Input, s.Output, s.ConnectInfoStop, s.TerminateCause = num(0), num(0), nil, str("Admin-Reboot")
			}), nil, Closed},
		{"stop after nas on, of before", []*Record{start(100), event(StatusInterim, 160, 60, 5), event(StatusOn, 200, -1, -1), stop(190, 90, 9)},
			edit(closed, func(s *Session) {
				s.Interval, s.Input, s.Output, s.ConnectInfoStop, s.TerminateCause = num(60), num(9), num(18), nil, str(CauseNASReboot)
			}), nil, Corrected},
		{"nas on, started later", []*Record{start(100), event(StatusOn, 99, -1, -1)}, open, nil, Ignored},
		{"nas on, lived on", []*Record{start(100), event(StatusInterim, 400, 300, 5), event(StatusOn, 200, -1, -1)},
			edit(open, func(s *Session) {
				s.Update, s.Interval, s.SessionTime, s.Input, s.Output = sec(400), num(300), num(300), num(5), num(10)
			}), nil, Ignored},
		{"an old start, row made by an interim", []*Record{start(100), stop(200, 100, 7), event(StatusInterim, 400, 60, 1), start(100)},
			Session{UniqueID: testID, Start: sec(340), Update: sec(400), SessionTime: num(60), Input: num(1), Output: num(2), ConnectInfoStart: str("")},
			[]Session{closed}, Stale},
		{"an old start after a stop that came first", []*Record{start(100), stop(200, 100, 7), with(stop(400, 60, 1), func(r *Record) { r.FramedIP = ipA }), start(100)},
			edit(closed, func(s *Session) {
				s.Start, s.Stop, s.Update, s.SessionTime, s.Input, s.Output = sec(340), sec(400), sec(400), num(60), num(1), num(2)
				s.ConnectInfoStart, s.ConnectInfoStop = str("down"), nil
			}), []Session{closed}, Stale},
		{"start long before a stop that tells no time", []*Record{stop(5000, -1, 7), start(100)},
			edit(closed, func(s *Session) {
				s.Stop, s.Update, s.SessionTime, s.ConnectInfoStop, s.FramedIP = sec(5000), sec(5000), nil, nil, netip.Addr{}
			}), nil, Corrected},
		{"an old start, nas off with a cause", []*Record{start(300), with(event(StatusOff, 400, -1, -1), func(r *Record) { r.TerminateCause = "Admin-Reboot" }), start(100)},
			edit(closed, func(s *Session) {
				s.Start, s.Stop, s.Update, s.Input, s.Output, s.ConnectInfoStop, s.TerminateCause = sec(300), sec(400), sec(400), num(0), num(0), nil, str("Admin-Reboot")
			}), nil, Stale},
		{"start after nas on, of before", []*Record{start(100), event(StatusOn, 200, -1, -1), start(100)},
			edit(closed, func(s *Session) {
				s.Input, s.Output, s.ConnectInfoStop, s.TerminateCause = num(0), num(0), nil, str(CauseNASReboot)
			}), nil, Duplicate},
	}
	opts := cmp.Options{cmpopts.IgnoreFields(Session{}, "First"), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			row, retired, outcome := fold(tt.events...)
			if d := cmp.Diff(tt.want, *row, opts); d != "" {
				t.Errorf("row (-want +got):\n%s", d)
			}
			for i := range tt.retired {
				if tt.retired[i].UniqueID == testID {
					tt.retired[i].UniqueID = RetiredID(&tt.retired[i])
				}
			}
			if d := cmp.Diff(tt.retired, retired, opts); d != "" {
				t.Errorf("retired (-want +got):\n%s", d)
			}
			if outcome != tt.outcome {
				t.Errorf("outcome %v, want %v", outcome, tt.outcome)
			}
		})
	}
}

func TestRetiredID(t *testing.T) {
	a := Session{UniqueID: testID, Start: sec(100), Stop: sec(200)}
	b := a
	b.Stop = sec(201)
	if id := RetiredID(&a); len(id) != 32 || id == testID || id == RetiredID(&b) || id != RetiredID(&a) {
		t.Errorf("retired id %q of %v, %q of %v: want distinct ids of 32 digits", id, a.Stop, RetiredID(&b), b.Stop)
	}
}
