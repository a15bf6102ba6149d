package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/ipam"
	"radial/nas"
	"radial/store"
	"radial/store/storetest"
)

// party is a server as far as addresses go: an allocator and a ledger on a
// database that others share.
type party interface {
	// login returns the prefixes leased, or a refusal's word.
	login(ctx context.Context, w partyLogin) (partyAnswer, error)
	record(ctx context.Context, r *aaa.Record) error
}

// partyLogin is what one login wants of its address space.
type partyLogin struct {
	VRF     int32
	Kinds   []ipam.Kind // of what is wanted
	Pools   []string    // for each of them
	Caller  ipam.Caller
	Session string
}

type partyAnswer struct {
	Leases  []netip.Prefix
	Refused string // full, unknown or inactive
}

// local is a party in this process.
type local struct {
	alloc  *ipam.Allocator
	ledger *store.Ledger
}

// newLocal makes a party, which runs until ctx ends, and then closes ended. The
// window is small, so that its memory is soon out of date.
func newLocal(ctx context.Context, db *store.DB, ended chan<- error) (*local, error) {
	ledger, err := store.NewLedger(db, store.LedgerOptions{}, store.NewLedgerMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now)
	if err != nil {
		return nil, err
	}
	go func() { ended <- ledger.Run(ctx) }()
	leases := store.NewLeases(db)
	// what it believes of a pool is a moment old at most
	alloc := ipam.NewAllocator(leases, ipam.AllocatorOptions{Window: 5, Seed: 7, PoolLife: time.Millisecond}, nil)
	leases.TellFreed(alloc.Freed)
	return &local{ledger: ledger, alloc: alloc}, nil
}

func (p *local) record(ctx context.Context, r *aaa.Record) error { return p.ledger.Record(ctx, r) }

func (p *local) login(ctx context.Context, w partyLogin) (partyAnswer, error) {
	var wants []ipam.Want
	for i, pool := range w.Pools {
		wants = append(wants, ipam.Want{Kind: w.Kinds[i], Pools: []string{pool}, VRF: w.VRF, Caller: w.Caller, SessionID: w.Session})
	}
	var out partyAnswer
	leases, err := p.alloc.Lease(ctx, wants)
	switch {
	case errors.Is(err, ipam.ErrPoolFull):
		out.Refused = "full"
	case errors.Is(err, ipam.ErrPoolUnknown):
		out.Refused = "unknown"
	case errors.Is(err, ipam.ErrPoolInactive):
		out.Refused = "inactive"
	case err != nil:
		return out, err
	}
	for _, l := range leases {
		out.Leases = append(out.Leases, l.Prefix)
	}
	return out, nil
}

// partyVariable names the database that a second process of the test serves.
const partyVariable = "RADIAL_TEST_PARTY"

// partyCall and partyReply are lines on the second process's standard input and
// output. Calls are served at once, each when it comes.
type partyCall struct {
	Number int
	Login  *partyLogin
	Record *aaa.Record
}

type partyReply struct {
	Number int
	Answer partyAnswer
	Error  string
}

// serveParty is the second process. It ends with its standard input.
func serveParty(url string) int {
	err := func() error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		db, err := store.Open(ctx, store.Options{URL: nas.Secret(url)}, zap.NewNop())
		if err != nil {
			return err
		}
		defer db.Close()
		ended := make(chan error, 1)
		p, err := newLocal(ctx, db, ended)
		if err != nil {
			return err
		}
		in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
		var mu sync.Mutex
		for {
			var call partyCall
			if err := in.Decode(&call); errors.Is(err, io.EOF) {
				cancel()
				return <-ended
			} else if err != nil {
				return err
			}
			go func() {
				reply := partyReply{Number: call.Number}
				var err error
				if call.Record != nil {
					err = p.record(ctx, call.Record)
				} else {
					reply.Answer, err = p.login(ctx, *call.Login)
				}
				if err != nil {
					reply.Error = err.Error()
				}
				mu.Lock()
				defer mu.Unlock()
				if err := out.Encode(reply); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			}()
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "second process:", err)
		return 1
	}
	return 0
}

// remote is a party in another process.
type remote struct {
	mu      sync.Mutex
	out     *json.Encoder
	number  int
	waiting map[int]chan partyReply
}

func startRemote(t *testing.T, db *storetest.DB) *remote {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), partyVariable+"="+db.URL())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &remote{out: json.NewEncoder(stdin), waiting: map[int]chan partyReply{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		r.hear(stdout)
	}()
	t.Cleanup(func() {
		if err := stdin.Close(); err != nil {
			t.Error(err)
		}
		<-read
		if err := cmd.Wait(); err != nil {
			t.Error("second process: ", err)
		}
	})
	return r
}

// hear hands replies to those who wait; when the process has ended, all hear it.
func (r *remote) hear(stdout io.Reader) {
	in := json.NewDecoder(stdout)
	for {
		var reply partyReply
		err := in.Decode(&reply)
		r.mu.Lock()
		if err != nil {
			for _, c := range r.waiting {
				c <- partyReply{Error: "the second process has ended: " + err.Error()}
			}
			r.mu.Unlock()
			return
		}
		r.waiting[reply.Number] <- reply
		delete(r.waiting, reply.Number)
		r.mu.Unlock()
	}
}

func (r *remote) call(ctx context.Context, c partyCall) (partyAnswer, error) {
	done := make(chan partyReply, 1)
	r.mu.Lock()
	r.number++
	c.Number = r.number
	r.waiting[c.Number] = done
	err := r.out.Encode(c)
	r.mu.Unlock()
	if err != nil {
		return partyAnswer{}, err
	}
	select {
	case reply := <-done:
		if reply.Error != "" {
			return partyAnswer{}, errors.New(reply.Error)
		}
		return reply.Answer, nil
	case <-ctx.Done():
		return partyAnswer{}, ctx.Err()
	}
}

func (r *remote) login(ctx context.Context, w partyLogin) (partyAnswer, error) {
	return r.call(ctx, partyCall{Login: &w})
}

func (r *remote) record(ctx context.Context, rec *aaa.Record) error {
	_, err := r.call(ctx, partyCall{Record: rec})
	return err
}
