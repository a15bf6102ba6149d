package store_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
	"radial/store/storetest"
)

// ties is a server's accounting and addresses on one database.
type ties struct {
	*storetest.DB
	t         *testing.T
	ledger    *store.Ledger
	reg       *prometheus.Registry
	allocator *ipam.Allocator
}

// newTies has a pool of every kind: main, wan, pd and host.
func newTies(t *testing.T) *ties {
	db := storetest.New(t)
	rawPool(t, db, "main", ipam.IPv4, 32, "100.64.0.0/24")
	rawPool(t, db, "wan", ipam.IPv6Prefix, 64, "2001:db8::/48")
	rawPool(t, db, "pd", ipam.DelegatedPrefix, 56, "2001:db8:100::/40")
	rawPool(t, db, "host", ipam.IPv6Address, 128, "2001:db8:f00::/64")
	l, reg := newLedger(t, db, store.LedgerOptions{})
	return &ties{DB: db, t: t, ledger: l, reg: reg, allocator: ipam.NewAllocator(store.NewLeases(db.DB), ipam.AllocatorOptions{Seed: 1}, nil)}
}

// login leases for a subscriber, one of each of the kinds.
func (w *ties) login(n int, session string, kinds ...ipam.Kind) map[ipam.Kind]netip.Prefix {
	w.t.Helper()
	pools := map[ipam.Kind]string{ipam.IPv4: "main", ipam.IPv6Prefix: "wan", ipam.DelegatedPrefix: "pd", ipam.IPv6Address: "host"}
	var all []string
	for _, k := range kinds {
		all = append(all, k.String()+":"+pools[k])
	}
	got := map[ipam.Kind]netip.Prefix{}
	for i, p := range leaseAll(w.t, w.allocator, wants(n, session, all...)) {
		got[kinds[i]] = p
	}
	return got
}

// event is a record of a subscriber's session that carries addresses.
func (w *ties) event(n int, session string, st aaa.Status, at int64, carries map[ipam.Kind]netip.Prefix) *aaa.Record {
	c := want(n, session).Caller
	r := bareRecord(session, st, at, at, at)
	r.SessionID, r.User, r.Login, r.CallingStation, r.PortID, r.NAS = session, c.User, c.User, c.MAC, ptrTo(c.Port), c.NAS
	r.FramedIP, r.FramedIPv6 = carries[ipam.IPv4].Addr(), carries[ipam.IPv6Address].Addr()
	r.FramedIPv6Pfx, r.DelegatedPrefix = carries[ipam.IPv6Prefix], carries[ipam.DelegatedPrefix]
	if st == aaa.StatusStart {
		r.SessionTime, r.Input, r.Output = nil, nil, nil
	}
	return r
}

func (w *ties) record(r *aaa.Record) {
	w.t.Helper()
	if err := w.ledger.Record(w.t.Context(), r); err != nil {
		w.t.Fatal(err)
	}
}

// send records an event of subscriber 1's session.
func (w *ties) send(session string, st aaa.Status, at int64, carries map[ipam.Kind]netip.Prefix) {
	w.t.Helper()
	w.record(w.event(1, session, st, at, carries))
}

// rows are the address rows that are not free, with their sessions.
func (w *ties) rows() string {
	var texts []string
	for _, r := range w.Rows(`SELECT a.address::text, a.state, coalesce((SELECT acctsessionid FROM radacct r WHERE r.radacctid = a.radacctid), '-')
		FROM radial.addresses a WHERE a.state <> 'free' ORDER BY a.address`) {
		texts = append(texts, strings.TrimSuffix(r[0], "/32")+" "+r[1]+" "+r[2])
	}
	return strings.Join(texts, ", ")
}

func (w *ties) want(when, rows string) {
	w.t.Helper()
	// which address a pool gives, and so their order, is chance
	inOrder := func(text string) string { return strings.Join(slices.Sorted(strings.SplitSeq(text, ", ")), ", ") }
	if got := w.rows(); inOrder(got) != inOrder(rows) {
		w.t.Errorf("%s: %s\nwant %s", when, got, rows)
	}
}

func (w *ties) wantHistory(a netip.Prefix, want string) {
	w.t.Helper()
	var texts []string
	for _, r := range w.Rows("SELECT action, session_id FROM radial.address_history WHERE address = $1 ORDER BY id", a) {
		texts = append(texts, strings.Join(r, " "))
	}
	if got := strings.Join(texts, ", "); got != want {
		w.t.Errorf("history of %s: %s\nwant %s", a, got, want)
	}
}

var allKinds = []ipam.Kind{ipam.IPv4, ipam.IPv6Prefix, ipam.DelegatedPrefix, ipam.IPv6Address}

// only keeps some kinds of what a login got.
func only(got map[ipam.Kind]netip.Prefix, kinds ...ipam.Kind) map[ipam.Kind]netip.Prefix {
	some := map[ipam.Kind]netip.Prefix{}
	for _, k := range kinds {
		some[k] = got[k]
	}
	return some
}

// Whatever of its leases a NAS reports, and when, the session has them all from
// its Start to its Stop.
func TestSessionHasAllThatItsLoginGot(t *testing.T) {
	for name, kinds := range map[string][]ipam.Kind{
		"nothing": nil, "the IPv4 address": {ipam.IPv4}, "the prefixes": {ipam.IPv6Prefix, ipam.DelegatedPrefix}, "all": allKinds,
	} {
		t.Run("reports "+name, func(t *testing.T) {
			w := newTies(t)
			got := w.login(1, "s1", allKinds...)
			carries := only(got, kinds...)
			if p, ok := carries[ipam.DelegatedPrefix]; ok { // as some devices write it
				carries[ipam.DelegatedPrefix] = netip.PrefixFrom(p.Addr().Next(), p.Bits())
			}
			w.send("s1", aaa.StatusStart, 0, carries)
			var held []string
			for _, k := range allKinds {
				held = append(held, strings.TrimSuffix(got[k].String(), "/32")+" bound s1")
			}
			// in order of addresses: main, wan, host, pd
			all := strings.Join([]string{held[0], held[1], held[2], held[3]}, ", ")
			w.want("after the Start", all)
			w.Exec("UPDATE radial.addresses SET until = now() + interval '20 minutes' WHERE state = 'bound'")
			w.ledger, _ = newLedger(t, w.DB, store.LedgerOptions{}) // that has looked at the addresses would for some minutes not look again
			w.send("s1", aaa.StatusInterim, 300, carries)
			if n := w.Rows("SELECT count(*) FROM radial.addresses WHERE until > now() + interval '50 minutes'")[0][0]; n != "4" {
				t.Errorf("an interim renewed %s of 4 leases", n)
			}
			w.send("s1", aaa.StatusStop, 400, nil)
			w.want("after the Stop", "")
			for _, k := range allKinds {
				w.wantHistory(got[k], "bound s1, released s1")
			}
		})
	}
}

// A Start without an IPv4 address takes the offered one also where there is no
// IPv6 pool at all.
func TestStartWithoutAddressInIPv4Only(t *testing.T) {
	w := newTies(t)
	w.Exec("DELETE FROM radial.pools WHERE kind <> 'ipv4'")
	got := w.login(1, "s1", ipam.IPv4)
	w.send("s1", aaa.StatusStart, 0, nil)
	w.want("after the Start", got[ipam.IPv4].Addr().String()+" bound s1")
	w.send("s1", aaa.StatusInterim, 60, got) // now it says so
	w.want("after an interim", got[ipam.IPv4].Addr().String()+" bound s1")
	w.wantHistory(got[ipam.IPv4], "bound s1")
}

// What is offered to others, or for another session, is not taken along.
func TestStartTakesItsOwnOffersAlone(t *testing.T) {
	w := newTies(t)
	pd := func(n int, session string) string {
		return w.login(n, session, ipam.DelegatedPrefix)[ipam.DelegatedPrefix].String()
	}
	start := func(n int, session string, change func(*aaa.Record)) {
		t.Helper()
		r := w.event(n, session, aaa.StatusStart, 0, nil)
		change(r)
		w.record(r)
	}
	one, two, three, four, five, six := pd(1, "s1"), pd(2, "s2"), pd(3, ""), pd(4, ""), pd(5, "s5"), pd(6, "s6")
	start(1, "other", func(*aaa.Record) {})
	start(2, "s2", func(r *aaa.Record) { r.PortID = ptrTo("another port") })
	start(3, "s3", func(*aaa.Record) {})
	start(4, "s4", func(r *aaa.Record) { r.PortID = ptrTo("another port") })
	start(5, "s5", func(r *aaa.Record) { r.NAS = netip.MustParseAddr("10.0.0.2") })
	start(6, "s6", func(r *aaa.Record) { r.VRF = 7 })
	rows := []string{one + " offered -", two + " bound s2", three + " bound s3", four + " offered -", five + " offered -", six + " offered -"}
	slices.SortFunc(rows, func(a, b string) int {
		of := func(s string) netip.Addr { return netip.MustParsePrefix(strings.Fields(s)[0]).Addr() }
		return of(a).Compare(of(b))
	})
	w.want("after all Starts", strings.Join(rows, ", "))
}

// The caller is back before its Stop: whatever its new Start reports, it has all
// leases of before, and late packets of the old session change nothing.
func TestTakeOverOfAllLeases(t *testing.T) {
	for _, withID := range []bool{true, false} {
		for _, stopFirst := range []bool{true, false} {
			t.Run(fmt.Sprint("with id ", withID, ", Stop first ", stopFirst), func(t *testing.T) {
				w := newTies(t)
				kinds := []ipam.Kind{ipam.IPv4, ipam.DelegatedPrefix}
				id := map[bool]string{true: "s2"}[withID]
				first := w.login(1, "s1", kinds...)
				v4, pd := first[ipam.IPv4], first[ipam.DelegatedPrefix]
				carries := only(first, ipam.IPv4)
				w.send("s1", aaa.StatusStart, 0, carries)
				if again := w.login(1, id, kinds...); again[ipam.IPv4] != v4 || again[ipam.DelegatedPrefix] != pd {
					t.Fatalf("back with %v, had %v", again, first)
				}
				if stopFirst {
					w.send("s1", aaa.StatusStop, 50, carries)
				}
				w.send("s2", aaa.StatusStart, 100, carries)
				if !stopFirst {
					w.send("s1", aaa.StatusInterim, 90, carries)
					w.send("s1", aaa.StatusStop, 95, carries)
				}
				held := v4.Addr().String() + " bound s2, " + pd.String() + " bound s2"
				w.want("after all", held)
				w.send("s2", aaa.StatusStop, 200, carries)
				w.want("after the Stop", "")
			})
		}
	}
}

// Addresses change within a session: history tells of both. A record without
// addresses keeps them.
func TestAddressChangesWithinASession(t *testing.T) {
	w := newTies(t)
	got := w.login(1, "s1", ipam.IPv4, ipam.DelegatedPrefix)
	w.send("s1", aaa.StatusStart, 0, got)
	v4, pd := got[ipam.IPv4].Addr().String(), got[ipam.DelegatedPrefix].String()
	w.send("s1", aaa.StatusInterim, 60, nil)
	w.want("a record without addresses", v4+" bound s1, "+pd+" bound s1")

	part := netip.PrefixFrom(got[ipam.DelegatedPrefix].Addr(), 60)
	w.send("s1", aaa.StatusInterim, 90, map[ipam.Kind]netip.Prefix{ipam.DelegatedPrefix: part})
	w.want("a part of the prefix", v4+" bound s1, "+pd+" bound s1")

	moved := netip.MustParsePrefix("100.64.0.200/32")
	w.send("s1", aaa.StatusInterim, 120, map[ipam.Kind]netip.Prefix{ipam.IPv4: moved})
	w.want("another address", "100.64.0.200 bound s1, "+pd+" bound s1")
	w.wantHistory(got[ipam.IPv4], "bound s1, released s1")
	w.wantHistory(moved, "bound s1")
	if rows := w.Rows("SELECT reason FROM radial.address_history WHERE address = $1 AND action = 'released'", v4); rows[0][0] != "the session has another address" {
		t.Errorf("reason %v", rows)
	}
	w.send("s1", aaa.StatusInterim, 100, got) // late: it knows less
	w.want("a late record", "100.64.0.200 bound s1, "+pd+" bound s1")

	next := netip.MustParsePrefix("2001:db8:150::/56")
	w.send("s1", aaa.StatusInterim, 180, map[ipam.Kind]netip.Prefix{ipam.DelegatedPrefix: next})
	w.want("another prefix", "100.64.0.200 bound s1, 2001:db8:150::/56 bound s1")
	w.send("s1", aaa.StatusInterim, 240, map[ipam.Kind]netip.Prefix{ipam.IPv4: netip.MustParsePrefix("203.0.113.9/32")})
	w.want("an address of no pool", "2001:db8:150::/56 bound s1")
	w.send("s1", aaa.StatusStop, 300, nil)
	w.want("after the Stop", "")
	w.wantHistory(moved, "bound s1, released s1")
}

// A session that had an address before its login asked for another one keeps
// nothing of the new login's by an old record.
func TestMovedSessionLeavesItsRowToTheLogin(t *testing.T) {
	w := newTies(t)
	got := w.login(1, "s1", ipam.IPv4)
	w.send("s1", aaa.StatusStart, 0, got)
	w.login(1, "s2", ipam.IPv4) // the caller is back
	w.send("s1", aaa.StatusInterim, 60, map[ipam.Kind]netip.Prefix{ipam.IPv4: netip.MustParsePrefix("100.64.0.200/32")})
	w.want("the old session moved", got[ipam.IPv4].Addr().String()+" offered -, 100.64.0.200 bound s1")
	w.send("s2", aaa.StatusStart, 90, got)
	w.want("the new session", got[ipam.IPv4].Addr().String()+" bound s2, 100.64.0.200 bound s1")
}
