package jobs

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"radial/aaa"
	"radial/store"
)

// Ten thousand more or less: all are done, at the pace asked for, and those that
// could not be are told.
func TestBulkDisconnect(t *testing.T) {
	r := newRoom(t)
	for i := range 300 {
		r.open(fmt.Sprintf("s%03d", i), fmt.Sprintf("u%d", i%100))
	}
	r.Exec(`UPDATE radacct SET acctstoptime = now() WHERE acctsessionid = 's007'`)
	r.Exec(`INSERT INTO radusergroup (username, groupname) SELECT 'u' || n, 'gold' FROM generate_series(0, 99) n`)
	r.way.answer = func(d aaa.Deed) (aaa.Effect, error) {
		switch d.Session.SessionID {
		case "s011":
			return aaa.Effect{Result: aaa.ResultRefused, Cause: 501, Detail: "told not to"}, nil
		case "s012":
			return aaa.Effect{Result: aaa.ResultGone, Cause: 503}, nil
		}
		return aaa.Effect{Result: aaa.ResultDone}, nil
	}
	begin := time.Now()
	made, err := r.OrderBulk(t.Context(), store.Change{Actor: "cli:test", Action: "session.order"}, store.BulkOrder{Verb: store.BulkDisconnect, Asked: "package gold", Why: "test", Rate: 200, Groups: []string{"gold"}})
	if err != nil || made.Total != 299 {
		t.Fatalf("%+v, %v", made, err)
	}
	stop, other := r.serve(serverA+"#1"), r.serve(serverB+"#1")
	until(t, "end of the order", func() bool { b, err := r.Bulk(t.Context(), made.Bulk); return err == nil && b.Finished != nil })
	took := time.Since(begin)
	stop()
	other()
	b, err := r.Bulk(t.Context(), made.Bulk)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"done": 297, "gone": 1, "refused": 1}, b.Results); diff != "" {
		t.Error(diff)
	}
	if took < 1200*time.Millisecond {
		t.Errorf("300 at 200 a second took %s", took)
	}
	trouble, err := r.BulkTrouble(t.Context(), made.Bulk, 10)
	if err != nil || len(trouble) != 1 || trouble[0].User != "u11" || trouble[0].Detail != "told not to" {
		t.Errorf("trouble %+v, %v", trouble, err)
	}
	if n := r.Rows(`SELECT count(*) FROM radial.audit WHERE action = 'session.disconnect' AND actor = 'cli:test'`)[0][0]; n != "299" {
		t.Errorf("%s audit rows", n)
	}
	if r.way.both {
		t.Error("two acted on one session at once")
	}
}

// A device that does not answer holds up nobody but its own sessions.
func TestBulkBesideDeadDevice(t *testing.T) {
	r := newRoom(t)
	for i := range 200 {
		r.open(fmt.Sprintf("s%03d", i), "alice")
	}
	r.Exec(`UPDATE radacct SET nasipaddress = '10.0.0.2' WHERE radacctid % 2 = 0`)
	tried := make(chan struct{}) // closed when the tries of the dead one are over
	r.way.answer = func(d aaa.Deed) (aaa.Effect, error) {
		if d.Session.NAS.String() == "10.0.0.2" {
			<-tried
			return aaa.Effect{Result: aaa.ResultUnknown, Detail: "no answer"}, nil
		}
		return aaa.Effect{Result: aaa.ResultDone}, nil
	}
	made, err := r.OrderBulk(t.Context(), store.Change{Actor: "cli:test", Action: "session.order"}, store.BulkOrder{Verb: store.BulkDisconnect, Asked: "user alice", Why: "test", Rate: 500, Users: []string{"alice"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.serve("server#1")()
	over := sync.OnceFunc(func() { close(tried) })
	defer over() // before the server's end, which waits for it
	var b store.Bulk
	until(t, "all of the living device", func() bool { b, err = r.Bulk(t.Context(), made.Bulk); return err == nil && b.Results["done"] == 100 })
	over()
	until(t, "word of the dead one", func() bool {
		trouble, err := r.BulkTrouble(t.Context(), made.Bulk, 200)
		return err == nil && len(trouble) > 0 && trouble[0].Detail == "no answer" && trouble[0].Result == ""
	})
	if n := len(r.way.done()); n > 100+bulkToOne+quietAfter {
		t.Errorf("%d deeds: the dead device was asked for each of its sessions", n)
	}
	if _, err := r.CancelJob(t.Context(), store.Change{Actor: "cli:test", Action: "job.cancel"}, made.Job); err != nil {
		t.Fatal(err)
	}
	if b, err = r.Bulk(t.Context(), made.Bulk); err != nil || b.Results["cancelled"] != 100 || b.Cancelled != "cli:test" {
		t.Errorf("cancelled: %+v, %v", b, err)
	}
}
