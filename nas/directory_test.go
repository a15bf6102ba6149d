package nas

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// names is a resolver that knows what a test tells it.
type names struct {
	mu    sync.Mutex
	hosts map[string][]string
	hang  bool
}

func (n *names) set(host string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[host] = addrs
}

func (n *names) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	hang, texts := n.hang, n.hosts[host]
	n.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if len(texts) == 0 {
		return nil, errors.New("no such host")
	}
	var addrs []netip.Addr
	for _, s := range texts {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs, nil
}

func row(id int64, name string) Row { return Row{ID: id, Name: name, Secret: "s3cret"} }

func found(d *Directory, addr string) int64 {
	if dev := d.Find(netip.MustParseAddr(addr)); dev != nil {
		return dev.ID
	}
	return 0
}

func load(t *testing.T, d *Directory, rows ...Row) Report {
	t.Helper()
	report, err := d.Load(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestDirectoryServesAllGoodRows(t *testing.T) {
	d := NewDirectory(DirectoryOptions{Resolver: &names{hosts: map[string][]string{"bras.example": {"192.0.2.1", "::ffff:192.0.2.2", "2001:db8::1"}}}})
	noSecret := row(5, "10.5.0.1")
	noSecret.Secret = ""
	report := load(t, d, row(1, "10.0.0.1"), row(2, "10.0.0.1"), row(3, "10.0.0.300"), row(4, "bras.example"), noSecret, row(6, "gone.example"), row(7, "10.0.0.0/8"))

	for addr, want := range map[string]int64{"10.0.0.1": 1, "192.0.2.1": 4, "192.0.2.2": 4, "2001:db8::1": 4, "10.5.0.1": 7, "192.0.2.3": 0} {
		if got := found(d, addr); got != want {
			t.Errorf("%s is row %d, want %d", addr, got, want)
		}
	}
	problems := map[int64]string{}
	for _, p := range report.Problems {
		problems[p.RowID] = p.Err.Error()
		if p.Served {
			t.Errorf("row %d counts as served: %v", p.RowID, p.Err)
		}
	}
	for id, part := range map[int64]string{2: "row 1's", 3: "10.0.0.300", 5: "no secret", 6: "gone.example"} {
		if !strings.Contains(problems[id], part) {
			t.Errorf("problem of row %d is %q, want it to say %q", id, problems[id], part)
		}
	}
	if len(problems) != 4 || report.Rows != 7 || report.Devices != 5 {
		t.Errorf("report %+v", report)
	}
}

func TestDirectoryKeepsLastGoodResolution(t *testing.T) {
	dns := &names{hosts: map[string][]string{"bras.example": {"192.0.2.1"}}}
	d := NewDirectory(DirectoryOptions{Resolver: dns})
	load(t, d, row(1, "bras.example"))
	dns.set("bras.example")
	report := load(t, d, row(1, "bras.example"), row(2, "10.0.0.1"))
	if found(d, "192.0.2.1") != 1 || found(d, "10.0.0.1") != 2 {
		t.Error("a failed look-up took the device away")
	}
	if len(report.Problems) != 1 || !report.Problems[0].Served {
		t.Errorf("problems %+v; want one warning", report.Problems)
	}
	dns.set("bras.example", "192.0.2.9")
	load(t, d, row(1, "bras.example"))
	if found(d, "192.0.2.1") != 0 || found(d, "192.0.2.9") != 1 {
		t.Error("a new address was not taken")
	}
}

func TestDirectoryServesAddressesBeforeNamesResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDirectory(DirectoryOptions{Resolver: &names{hang: true}, ResolveTimeout: 5 * time.Second})
		loaded := make(chan Report)
		go func() {
			report, _ := d.Load(t.Context(), []Row{row(1, "slow.example"), row(2, "10.0.0.1")})
			loaded <- report
		}()
		synctest.Wait() // the resolver hangs
		if found(d, "10.0.0.1") != 2 {
			t.Error("a slow DNS holds back rows that need none")
		}
		if report := <-loaded; len(report.Problems) != 1 || !errors.Is(report.Problems[0].Err, context.DeadlineExceeded) {
			t.Errorf("report %+v", report)
		}
	})
}

// With DNS away, a change of the rows is in force soon all the same.
func TestDirectoryManyDeadNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDirectory(DirectoryOptions{Resolver: &names{hang: true}})
		var rows []Row
		for i := range int64(500) {
			rows = append(rows, row(i+1, fmt.Sprintf("nas%d.example.net", i)))
		}
		began := time.Now()
		if report := load(t, d, rows...); len(report.Problems) != 500 {
			t.Errorf("%d problems", len(report.Problems))
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("500 dead names held the rows up for %s", took)
		}
	})
}

func TestLearntSurvivesReload(t *testing.T) {
	d := NewDirectory(DirectoryOptions{Resolver: &names{hosts: map[string][]string{"bras.example": {"192.0.2.1", "192.0.2.2"}}}})
	load(t, d, row(1, "10.0.0.1"), row(2, "bras.example"))
	one, two := d.Find(netip.MustParseAddr("192.0.2.1")), d.Find(netip.MustParseAddr("192.0.2.2"))
	if one.Learnt != two.Learnt {
		t.Error("the addresses of one row learn apart")
	}
	learnt := func() *Learnt { return d.Find(netip.MustParseAddr("10.0.0.1")).Learnt }
	first := learnt()
	first.RequireMessageAuthenticator.Store(uint32(Yes))

	same := row(1, "10.0.0.1")
	same.Description = "moved to the attic"
	delay := time.Second
	load(t, d, same)
	if learnt() != first {
		t.Error("a description made us forget")
	}
	for what, change := range map[string]func(*Row){
		"policy": func(r *Row) { r.Settings.RequireMessageAuthenticator = No },
		"secret": func(r *Row) { r.Secret = "another" },
		"delay":  func(r *Row) { r.Settings.RejectDelay = &delay },
	} {
		load(t, d, same)
		before, changed := learnt(), same
		change(&changed)
		load(t, d, changed)
		if learnt() == before {
			t.Errorf("another %s, and what was learnt of the old device stays", what)
		}
	}
}

func TestDirectoryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &names{hosts: map[string][]string{"bras.example": {"192.0.2.1"}}}
		var mu sync.Mutex
		var rows []Row
		var broken error
		var told []error
		changed := make(chan struct{}, 1)
		d := NewDirectory(DirectoryOptions{
			Resolver: dns, Changed: changed, ResolveEvery: time.Minute, RetryEvery: time.Second,
			Rows: func(context.Context) ([]Row, error) {
				mu.Lock()
				defer mu.Unlock()
				return rows, broken
			},
			Told: func(_ Report, err error) { told = append(told, err) },
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()
		set := func(err error, r ...Row) {
			mu.Lock()
			rows, broken = r, err
			mu.Unlock()
		}

		set(nil, row(1, "10.0.0.1"), row(2, "bras.example"))
		changed <- struct{}{}
		synctest.Wait()
		if found(d, "10.0.0.1") != 1 || found(d, "192.0.2.1") != 2 {
			t.Fatal("a signal did not load the rows")
		}

		set(errors.New("database is away"))
		changed <- struct{}{}
		synctest.Wait()
		if found(d, "10.0.0.1") != 1 || told[len(told)-1] == nil {
			t.Fatal("a failure was not told, or took the devices away")
		}
		set(nil, row(3, "10.0.0.3"), row(2, "bras.example"))
		time.Sleep(1500 * time.Millisecond) // synctest's clock: the retry comes by itself
		synctest.Wait()
		if found(d, "10.0.0.3") != 3 || found(d, "10.0.0.1") != 0 {
			t.Fatal("no retry after a failure")
		}

		dns.set("bras.example", "192.0.2.7")
		time.Sleep(time.Minute)
		synctest.Wait()
		if found(d, "192.0.2.7") != 2 {
			t.Fatal("host names are not looked up again")
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}
