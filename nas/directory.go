package nas

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Resolver looks host names up; *net.Resolver is one. Network is "ip".
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// DirectoryOptions say where a Directory gets what it needs. Resolver and, for
// Run, Rows must be set.
type DirectoryOptions struct {
	Resolver Resolver
	// Rows reads all rows of nas, ordered by id.
	Rows func(ctx context.Context) ([]Row, error)
	// Changed tells that rows have changed; several changes may be one signal.
	Changed <-chan struct{}
	// Told hears of every load that Run does: its report, or why there is none.
	Told func(Report, error)

	ResolveTimeout time.Duration // for one host name; 2 s when zero
	ResolveEvery   time.Duration // host names are looked up again; 1 minute when zero
	RetryEvery     time.Duration // after a failure to read the rows; 1 s when zero
}

// Directory holds the current Table and makes the next one. Find may be called
// by any number of goroutines at any time.
type Directory struct {
	opts  DirectoryOptions
	table atomic.Pointer[Table]

	mu      sync.Mutex // one load at a time; Find never takes it
	entries []*entry   // of the last load, in the order of the rows
}

// entry is what outlives a load of the table: what a row's device has taught
// us, and its host name's last good addresses.
type entry struct {
	row    Row
	name   Name
	addrs  []netip.Addr
	learnt *Learnt
	err    error // of the last resolution
}

// Report tells what came of a load.
type Report struct {
	Rows     int       // rows read
	Devices  int       // prefixes served
	Problems []Problem // in the order of the rows
}

// Problem is what is wrong with one row; all others are served.
type Problem struct {
	RowID  int64
	Name   string // nasname
	Err    error
	Served bool // a warning: the row is served all the same, perhaps in part or by old addresses
}

// NewDirectory makes a directory that knows no device yet.
func NewDirectory(opts DirectoryOptions) *Directory {
	if opts.ResolveTimeout == 0 {
		opts.ResolveTimeout = 2 * time.Second
	}
	if opts.ResolveEvery == 0 {
		opts.ResolveEvery = time.Minute
	}
	if opts.RetryEvery == 0 {
		opts.RetryEvery = time.Second
	}
	if opts.Told == nil {
		opts.Told = func(Report, error) {}
	}
	d := &Directory{opts: opts}
	empty, _ := NewTable(nil)
	d.table.Store(empty)
	return d
}

// Find returns the device whose prefix holds addr (the longest wins), or nil.
func (d *Directory) Find(addr netip.Addr) *Device { return d.table.Load().Find(addr) }

// Table returns the current snapshot.
func (d *Directory) Table() *Table { return d.table.Load() }

// Load makes rows the table. Addresses and networks are served at once, host
// names as soon as they resolve (before that by their last good addresses). A
// row that cannot be used is a Problem of the Report and stops no other. The
// error is the context's.
func (d *Directory) Load(ctx context.Context, rows []Row) (Report, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := make(map[int64]*entry, len(d.entries))
	for _, e := range d.entries {
		old[e.row.ID] = e
	}
	var unusable []Problem
	d.entries = make([]*entry, 0, len(rows))
	for _, row := range rows {
		name, err := checkRow(row)
		if err != nil {
			unusable = append(unusable, Problem{RowID: row.ID, Name: row.Name, Err: err})
			continue
		}
		d.entries = append(d.entries, renew(old[row.ID], row, name))
	}
	report := d.publish()
	if d.hasHosts() {
		if err := d.resolve(ctx); err != nil {
			return Report{}, err
		}
		report = d.publish()
	}
	report.Rows = len(rows)
	report.Problems = append(unusable, report.Problems...)
	return report, nil
}

// Run loads the rows at every signal of Changed, again after a failure, and
// looks host names up periodically, until ctx ends; then it returns nil. What
// was served stays served while rows cannot be read.
func (d *Directory) Run(ctx context.Context) error {
	changed := d.opts.Changed
	again := time.NewTicker(d.opts.ResolveEvery)
	defer again.Stop()
	retry := time.NewTimer(d.opts.RetryEvery)
	defer retry.Stop()
	retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-changed:
			if !open {
				changed = nil
				continue
			}
		case <-retry.C:
		case <-again.C:
			d.refreshHosts(ctx)
			continue
		}
		if !d.reload(ctx) {
			retry.Reset(d.opts.RetryEvery)
		}
	}
}

func (d *Directory) reload(ctx context.Context) bool {
	rows, err := d.opts.Rows(ctx)
	var report Report
	if err == nil {
		report, err = d.Load(ctx, rows)
	}
	if ctx.Err() != nil {
		return true // we are leaving: not a failure to tell of
	}
	if err != nil {
		err = fmt.Errorf("reload nas table: %w", err)
	}
	d.opts.Told(report, err)
	return err == nil
}

// refreshHosts looks all host names up again; it tells only of changes.
func (d *Directory) refreshHosts(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.hasHosts() {
		return
	}
	before := make([][]netip.Addr, len(d.entries))
	for i, e := range d.entries {
		before[i] = e.addrs
	}
	if d.resolve(ctx) != nil {
		return // the context's end, which Run sees
	}
	for i, e := range d.entries {
		if !slices.Equal(before[i], e.addrs) {
			report := d.publish()
			report.Rows = len(d.entries)
			d.opts.Told(report, nil)
			return
		}
	}
}

// publish makes a table of the entries and puts it in force.
func (d *Directory) publish() Report {
	var devices []*Device
	var report Report
	tell := func(e *entry, served bool, err error) {
		report.Problems = append(report.Problems, Problem{RowID: e.row.ID, Name: e.row.Name, Err: err, Served: served})
	}
	for _, e := range d.entries {
		if e.err != nil {
			tell(e, len(e.addrs) > 0, e.err)
		}
		if e.name.Kind != NameHost {
			devices = append(devices, &Device{Row: e.row, Prefix: e.name.Prefix, Learnt: e.learnt})
			continue
		}
		for _, a := range e.addrs {
			devices = append(devices, &Device{Row: e.row, Prefix: netip.PrefixFrom(a, a.BitLen()), Learnt: e.learnt})
		}
	}
	t, shadowed := NewTable(devices)
	for _, s := range shadowed {
		report.Problems = append(report.Problems, Problem{RowID: s.Device.ID, Name: s.Device.Name,
			Err: fmt.Errorf("%s is row %d's (%s) already; the first row is used", s.Prefix, s.By.ID, s.By.Name)})
	}
	report.Devices = len(t.devices)
	d.table.Store(t)
	return report
}

func (d *Directory) hasHosts() bool {
	return slices.ContainsFunc(d.entries, func(e *entry) bool { return e.name.Kind == NameHost })
}

// resolveAtOnce is how many host names are looked up at a time: a change of the
// rows waits for all of them, and a DNS server that is away answers none.
const resolveAtOnce = 256

// resolve looks all host names up, many at a time. A name that fails keeps its
// last good addresses.
func (d *Directory) resolve(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(resolveAtOnce)
	for _, e := range d.entries {
		if e.name.Kind != NameHost {
			continue
		}
		g.Go(func() error {
			one, cancel := context.WithTimeout(ctx, d.opts.ResolveTimeout)
			defer cancel()
			addrs, err := d.opts.Resolver.LookupNetIP(one, "ip", e.name.Host)
			if err == nil && len(addrs) == 0 {
				err = errors.New("no address")
			}
			if e.err = err; err != nil {
				e.err = fmt.Errorf("resolve host %s: %w", e.name.Host, err)
				return nil
			}
			e.addrs = canonical(addrs)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// canonical unmaps, sorts and removes doubles, so that the order in which DNS
// answers is no change.
func canonical(addrs []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		out[i] = a.Unmap().WithZone("")
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

func checkRow(row Row) (Name, error) {
	if row.Secret == "" {
		return Name{}, errors.New("no secret; a device without one cannot be answered")
	}
	return ParseName(row.Name)
}

// renew carries over what an earlier load knew of the row. Another name, secret
// or setting means another device: what was learnt of the old one is forgotten.
func renew(old *entry, row Row, name Name) *entry {
	e := &entry{row: row, name: name, learnt: new(Learnt)}
	if old == nil {
		return e
	}
	if old.name == name {
		e.addrs, e.err = old.addrs, old.err
		if old.row.Secret == row.Secret && sameSettings(old.row.Settings, row.Settings) {
			e.learnt = old.learnt
		}
	}
	return e
}

func sameSettings(a, b Settings) bool {
	x, y := a.RejectDelay, b.RejectDelay
	if (x == nil) != (y == nil) || x != nil && *x != *y {
		return false
	}
	a.RejectDelay, b.RejectDelay = nil, nil
	return a == b
}
