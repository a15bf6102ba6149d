package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"radial/load"
	"radial/store"
)

// loadTotals are sums over sessions.
type loadTotals struct {
	Sessions int    `json:"sessions"` // that have a row, or of which a record was acknowledged
	Stops    int    `json:"stops"`
	Octets   uint64 `json:"octets"`
}

func (t *loadTotals) add(stopped bool, octets uint64) {
	t.Sessions++
	if stopped {
		t.Stops++
	}
	t.Octets += octets
}

// loadVerified holds what was acknowledged against what is stored. Stored are
// only rows of sessions of which something was acknowledged; more than that may
// be stored up to what was sent, since an answer can be lost.
type loadVerified struct {
	Acknowledged loadTotals `json:"acknowledged"`
	Stored       loadTotals `json:"stored"`
	Missing      int        `json:"missing_sessions"`
	MissingStops int        `json:"missing_stops"`
	LessOctets   int        `json:"sessions_with_less_octets"` // than acknowledged
	MoreOctets   int        `json:"sessions_with_more_octets"` // than sent
	Double       int        `json:"sessions_with_two_rows"`
	examples     []string
}

func (v *loadVerified) failed() bool {
	return v.Missing+v.MissingStops+v.LessOctets+v.MoreOctets+v.Double > 0
}

func (v *loadVerified) bad(count *int, format string, args ...any) {
	*count++
	if len(v.examples) < 5 {
		v.examples = append(v.examples, fmt.Sprintf(format, args...))
	}
}

// compare adds one session and its rows.
func (v *loadVerified) compare(want load.SessionState, rows []store.StoredSession) {
	v.Acknowledged.add(want.Stopped, want.Input+want.Output)
	if len(rows) == 0 {
		v.bad(&v.Missing, "session %s of %s was acknowledged and is not stored", want.SessionID, want.User)
		return
	}
	got := rows[0]
	v.Stored.add(got.Stopped, uint64(got.Input)+uint64(got.Output))
	if len(rows) > 1 {
		v.bad(&v.Double, "session %s of %s has %d rows", want.SessionID, want.User, len(rows))
	}
	if want.Stopped && !got.Stopped {
		v.bad(&v.MissingStops, "the Stop of session %s of %s was acknowledged and is not stored", want.SessionID, want.User)
	}
	if uint64(got.Input) < want.Input || uint64(got.Output) < want.Output {
		v.bad(&v.LessOctets, "session %s of %s: %d + %d octets were acknowledged, %d + %d are stored", want.SessionID, want.User, want.Input, want.Output, got.Input, got.Output)
	}
	if uint64(got.Input) > want.SentInput || uint64(got.Output) > want.SentOutput {
		v.bad(&v.MoreOctets, "session %s of %s: %d + %d octets were sent, %d + %d are stored", want.SessionID, want.User, want.SentInput, want.SentOutput, got.Input, got.Output)
	}
}

// verifyPause is how long a difference may be mended before the next look.
const verifyPause = 500 * time.Millisecond

// verifyLoad compares the run's sessions with radacct, again and again for a
// while where something is missing: a server that has journalled records
// during an outage may still be storing them.
func (a *app) verifyLoad(ctx context.Context, o load.Options, res *load.Result, patience time.Duration) (v *loadVerified, err error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, c, zap.NewNop())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.close(ctx)) }()
	for end := a.now().Add(patience); ; {
		stored := map[string][]store.StoredSession{}
		err := db.SessionsOfPrefix(ctx, o.SessionPrefix(), func(s store.StoredSession) error {
			stored[s.SessionID] = append(stored[s.SessionID], s)
			return nil
		})
		if err != nil {
			return nil, err
		}
		v := &loadVerified{}
		for _, s := range res.Sessions {
			v.compare(s, stored[s.SessionID])
		}
		if !v.failed() || !a.now().Before(end) {
			return v, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(verifyPause):
		}
	}
}

func verifiedTable(v *loadVerified) string {
	g := &grid{titles: []string{"accounting", "sessions", "stops", "octets"}}
	row := func(name string, t loadTotals) {
		g.add(name, fmt.Sprint(t.Sessions), fmt.Sprint(t.Stops), fmt.Sprint(t.Octets))
	}
	row("acknowledged", v.Acknowledged)
	row("stored", v.Stored)
	return fmt.Sprintf("\n%s\nof what was acknowledged there are missing: %d sessions, %d stops, octets of %d sessions; more than was sent: octets of %d sessions; two rows: %d sessions\n",
		g, v.Missing, v.MissingStops, v.LessOctets, v.MoreOctets, v.Double)
}
