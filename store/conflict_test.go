package store_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
)

const leaseEvents = "radial_accounting_lease_events_total"

// A session at another's address: nothing is stolen, and it is written down who,
// when, how often, and who has it.
func TestConflictsAreRecorded(t *testing.T) {
	w := newTies(t)
	got := w.login(1, "s1", allKinds...)
	w.send("s1", aaa.StatusStart, 0, got)
	held := w.rows()
	w.record(w.event(2, "thief", aaa.StatusStart, 10, got))
	w.record(w.event(2, "thief", aaa.StatusInterim, 70, got))
	w.record(w.event(2, "thief", aaa.StatusInterim, 70, got)) // again: nothing that was not known
	w.record(w.event(2, "thief", aaa.StatusInterim, 130, got))
	w.want("after a stranger's records", held)
	const sqlNotes = `SELECT address::text, username, mac, host(nas), session_id, state, holder_username, holder_mac, host(holder_nas), holder_session_id,
		holder_radacctid = (SELECT radacctid FROM radacct WHERE acctsessionid = 's1'), radacctid = (SELECT radacctid FROM radacct WHERE acctsessionid = 'thief'),
		times, extract(epoch FROM first_at)::bigint - 1790000000, extract(epoch FROM last_at)::bigint - 1790000000
		FROM radial.address_conflicts ORDER BY address`
	var want [][]string
	for _, k := range allKinds {
		want = append(want, []string{
			got[k].String(), "user2", "00:00:00:00:00:02", "10.0.0.1", "thief", "bound", "user1", "00:00:00:00:00:01", "10.0.0.1", "s1", "t", "t", "3", "10", "130",
		})
	}
	want[2], want[3] = want[3], want[2] // by address
	if want[2][0] > want[3][0] {
		want[2], want[3] = want[3], want[2]
	}
	if d := cmp.Diff(want, w.Rows(sqlNotes)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for outcome, n := range map[string]float64{"bound": 4, "conflict": 12, "released": 0} {
		if got := counterOf(t, w.reg, leaseEvents, outcome); got != n {
			t.Errorf("%v counted as %s, want %v", got, outcome, n)
		}
	}
	w.record(w.event(2, "thief", aaa.StatusStop, 190, got))
	w.want("after the stranger's Stop", held)
	w.send("s1", aaa.StatusStop, 200, got)
	if got := counterOf(t, w.reg, leaseEvents, "released"); got != 4 {
		t.Errorf("%v released, want 4", got)
	}
}

// An offer that is not run out is nobody else's either; when its holder is gone,
// who reports the address gets it, and the conflict is history.
func TestConflictWithAnOffer(t *testing.T) {
	w := newTies(t)
	got := w.login(1, "s1", ipam.IPv4)
	w.record(w.event(2, "thief", aaa.StatusStart, 0, got))
	w.want("an offer", got[ipam.IPv4].Addr().String()+" offered -")
	if rows := w.Rows("SELECT state, holder_radacctid IS NULL FROM radial.address_conflicts"); fmt.Sprint(rows) != "[[offered t]]" {
		t.Errorf("%v", rows)
	}
	w.Exec("UPDATE radial.addresses SET until = now() - interval '1 second' WHERE state = 'offered'")
	w.record(w.event(2, "thief", aaa.StatusInterim, 60, got))
	w.want("the offer has run out", got[ipam.IPv4].Addr().String()+" bound thief")
}

// Who uses an address that is reserved for somebody else, or for nobody, is told; whose static address it is, by
// whatever spelling his rows have of it and of him, is not. The rows stay reserved.
func TestConflictWithAReservation(t *testing.T) {
	for way, plain := range map[string]bool{"plain": true, "looked at": false} {
		t.Run(way, func(t *testing.T) {
			w := newTies(t)
			if plain {
				w.Exec("DELETE FROM radial.pools WHERE kind <> 'ipv4'")
			}
			esc := store.NewEscaper(store.EscapingSafe)
			reply(w.DB, "user1", "framed-ip-address", "+=", " 100.64.0.71/32 ")
			reply(w.DB, esc.EscapeUser("o'brien"), "Framed-IP-Address", ":=", "100.64.0.72")
			w.Exec("INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('g', 'Framed-IP-Address', ':=', '100.64.0.73')")
			reserve := func(address, user, mac string) {
				t.Helper()
				if _, _, err := w.ReserveAddress(t.Context(), by("ip.reserve"), store.Reservation{Address: netip.MustParsePrefix(address + "/32"), User: user, MAC: mac}); err != nil {
					t.Fatal(err)
				}
			}
			reserve("100.64.0.74", "", "")
			reserve("100.64.0.75", "promised", "")
			reserve("100.64.0.76", "", want(1, "").Caller.MAC)
			n := int64(0)
			for _, c := range []struct{ what, login, user, address, holder string }{
				{"his own", "user1", "user1", "100.64.0.71", ""},
				{"his own, with a realm that is taken off", "user1@isp", "user1", "100.64.0.71", ""},
				{"his own, with a realm that is not", "user1@isp", "user1@isp", "100.64.0.71", "user1"},
				{"another's", "ob", "ob", "100.64.0.71", "user1"},
				{"his own, escaped", "o'brien", "o'brien", "100.64.0.72", ""},
				{"another's, escaped", "o=27brien", "o=27brien", "100.64.0.72", "o'brien"},
				{"a group's", "user1", "user1", "100.64.0.73", ""},
				{"reserved for nobody", "user1", "user1", "100.64.0.74", "-"},
				{"promised", "promised", "promised", "100.64.0.75", ""},
				{"promised to another", "user1", "user1", "100.64.0.75", "promised"},
				{"kept for the device", "user1", "user1", "100.64.0.76", ""},
			} {
				w.Exec("TRUNCATE radial.address_conflicts")
				before := counterOf(t, w.reg, leaseEvents, "conflict")
				n += 1000
				session := fmt.Sprint("s", n)
				for i, st := range []aaa.Status{aaa.StatusStart, aaa.StatusInterim, aaa.StatusStop} {
					r := w.event(1, session, st, n+int64(i)*10, map[ipam.Kind]netip.Prefix{ipam.IPv4: netip.MustParsePrefix(c.address + "/32")})
					r.Login, r.User = c.login, c.user
					w.record(r)
				}
				var want [][]string
				times := 0.0
				if c.holder != "" {
					want, times = [][]string{{c.address, c.login, session, "reserved", strings.TrimPrefix(c.holder, "-"), "2"}}, 2
				}
				got := w.Rows("SELECT host(address), username, session_id, state, coalesce(holder_username, ''), times FROM radial.address_conflicts")
				if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
					t.Errorf("%s (-want +got):\n%s", c.what, d)
				}
				if got := counterOf(t, w.reg, leaseEvents, "conflict") - before; got != times {
					t.Errorf("%s: %v conflicts counted, want %v", c.what, got, times)
				}
			}
			if n := w.Rows("SELECT count(*) FROM radial.addresses WHERE state = 'reserved'")[0][0]; n != "5" {
				t.Errorf("%s addresses are reserved, want 5", n)
			}
		})
	}
}

// A storm of conflicts is one line in a minute.
func TestConflictsAreToldOnceAMinute(t *testing.T) {
	w := newTies(t)
	core, logs := observer.New(zap.WarnLevel)
	clock := acctAt(1000)
	l, err := store.NewLedger(w.DB.DB, store.LedgerOptions{}, store.NewLedgerMetrics(prometheus.NewRegistry()), zap.New(core), func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	got := w.login(1, "s1", ipam.IPv4)
	apply := func(events ...*aaa.Record) {
		t.Helper()
		for _, err := range l.Apply(context.Background(), events...) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	apply(w.event(1, "s1", aaa.StatusStart, 0, got))
	var storm []*aaa.Record
	for n := range 20 {
		storm = append(storm, w.event(n+2, fmt.Sprint("thief", n), aaa.StatusStart, 10, got))
	}
	apply(storm...)
	apply(w.event(30, "late", aaa.StatusStart, 20, got))
	clock = clock.Add(59 * time.Second)
	apply(w.event(31, "later", aaa.StatusStart, 30, got))
	clock = clock.Add(time.Second)
	apply(w.event(32, "next", aaa.StatusStart, 40, got))
	var lines []string
	for _, e := range logs.All() {
		m := e.ContextMap()
		lines = append(lines, fmt.Sprint(m["address"], " ", m["holder"], " ", m["holder_session"], " ", m["since_last_line"]))
	}
	a := got[ipam.IPv4].String()
	if want := a + " user1 s1 20; " + a + " user1 s1 3"; strings.Join(lines, "; ") != want {
		t.Errorf("lines %q, want %q", lines, want)
	}
}

// An address that is in no pool, or that nobody may give, is accounting and
// nothing else (radius-semantics 3.2, defects 1 and 2): every record is answered
// and stored.
func TestAddressesOfNoPool(t *testing.T) {
	w := newTies(t)
	w.Exec("UPDATE radial.addresses SET state = 'reserved', reason = 'static', username = 'user1' WHERE address = '100.64.0.77'")
	w.Exec(`INSERT INTO radial.exclusions (subnet_id, first, last)
		SELECT id, '2001:db8:1ff:ff00::', '2001:db8:1ff:ffff:ffff:ffff:ffff:ffff' FROM radial.subnets WHERE network = '2001:db8:100::/40'`)
	w.Exec("UPDATE radial.subnets SET gateway = '2001:db8:f00::1' WHERE network = '2001:db8:f00::/64'")
	p := netip.MustParsePrefix
	for i, carries := range []map[ipam.Kind]netip.Prefix{
		nil,
		{ipam.IPv4: p("203.0.113.5/32")},
		{ipam.IPv4: p("100.64.0.77/32")}, // static
		{ipam.IPv4: p("0.0.0.0/32")},
		{ipam.IPv6Prefix: p("2001:db8:9999::/64"), ipam.IPv6Address: p("fe80::1/128"), ipam.DelegatedPrefix: p("::/0")},
		{ipam.DelegatedPrefix: p("2001:db8:100::/48")},      // no lease of the pool has that length
		{ipam.DelegatedPrefix: p("2001:db8:1ff:ff00::/56")}, // excluded
		{ipam.IPv6Address: p("2001:db8:f00::1/128")},        // the gateway
		{ipam.IPv6Address: p("2001:db8:f00::/128")},         // the subnet's routers
		{ipam.IPv6Prefix: p("100.64.0.5/32")},               // no IPv6 prefix at all
		{ipam.IPv6Prefix: p("2001:db8:100::1/56")},          // of another pool's kind
	} {
		session := fmt.Sprint("static", i)
		n := int64(i * 1000)
		for _, st := range []aaa.Status{aaa.StatusStart, aaa.StatusInterim, aaa.StatusInterim, aaa.StatusStop} {
			r := w.event(1, session, st, n, carries)
			r.SessionTime = ptrTo(n - int64(i*1000))
			w.record(r)
			n += 100
			if i != 10 { // whatever the attribute is called, the prefix is the pool's
				w.want(fmt.Sprint(session, " ", st), "100.64.0.77 reserved -")
			}
		}
		if rows := w.Rows("SELECT acctsessiontime, acctstoptime IS NOT NULL FROM radacct WHERE acctsessionid = $1", session); fmt.Sprint(rows) != "[[300 t]]" {
			t.Errorf("%v: radacct has %v", carries, rows)
		}
	}
	if rows := w.Rows("SELECT count(*) FROM radial.quarantine"); rows[0][0] != "0" {
		t.Errorf("%v records in quarantine", rows)
	}
}

// A session may report a prefix whose row is not there: begun under another
// server, or before the pool was made. It is bound all the same, so that nobody
// else is given it.
func TestReportedPrefixWithoutARow(t *testing.T) {
	w := newTies(t)
	w.Exec("UPDATE radial.subnets SET first = '2001:db8:100::', last = '2001:db8:100:1ff:ffff:ffff:ffff:ffff', network = '2001:db8:100::/55' WHERE network = '2001:db8:100::/40'")
	taken := netip.MustParsePrefix("2001:db8:100:100::/56")
	w.send("s1", aaa.StatusInterim, 100, map[ipam.Kind]netip.Prefix{ipam.DelegatedPrefix: taken})
	w.want("an interim", taken.String()+" bound s1")
	if got := w.login(2, "s2", ipam.DelegatedPrefix)[ipam.DelegatedPrefix]; got.Overlaps(taken) {
		t.Errorf("another got %s", got)
	}
	if _, err := w.allocator.Lease(t.Context(), wants(3, "s3", "delegated_prefix:pd")); err == nil {
		t.Error("the pool has a third prefix of two")
	}
	w.send("s1", aaa.StatusStop, 200, nil)
	w.wantHistory(taken, "bound s1, released s1")
}

// An address whose holder ends while another open session reports it goes to
// nobody else: it waits until that session is heard of again, and is then its own.
func TestContestedAddressIsNotGivenOn(t *testing.T) {
	w := newTies(t)
	got := w.login(1, "s1", ipam.IPv4)
	w.send("s1", aaa.StatusStart, 0, got)
	w.record(w.event(2, "other", aaa.StatusStart, 10, got))
	w.send("s1", aaa.StatusStop, 60, got)
	const sqlState = `SELECT state, coalesce(username, ''), until > now() + interval '59 minutes' FROM radial.addresses WHERE address = host($1::inet)::inet`
	if d := cmp.Diff([][]string{{"cooling", "", "t"}}, w.Rows(sqlState, got[ipam.IPv4].Addr())); d != "" {
		t.Errorf("released under an open conflict (-want +got):\n%s", d)
	}
	w.record(w.event(2, "other", aaa.StatusInterim, 310, got))
	if d := cmp.Diff([][]string{{"bound", "user2", "t"}}, w.Rows(sqlState, got[ipam.IPv4].Addr())); d != "" {
		t.Errorf("after the other's interim (-want +got):\n%s", d)
	}
	w.record(w.event(2, "other", aaa.StatusStop, 400, got))
	if d := cmp.Diff([][]string{{"free", "user2", "NULL"}}, w.Rows(sqlState, got[ipam.IPv4].Addr())); d != "" {
		t.Errorf("after the other's Stop (-want +got):\n%s", d)
	}
}
