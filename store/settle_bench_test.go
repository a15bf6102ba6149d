package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// BenchmarkLeasedSessions measures what a Start, an interim and a Stop cost of sessions
// that have a leased address, in batches of a given size on one connection of a
// database that syncs to disk: the processor's time of PostgreSQL and of ours, and pages touched.
func BenchmarkLeasedSessions(b *testing.B) {
	for _, size := range []int{16, 64, 256} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			if b.N > 1 {
				b.Skip("one run is all sessions")
			}
			m := &leaseBench{b: b, db: storetest.New(b, storetest.Durable)}
			m.makeOffered(leasedSessions)
			l, _ := newLedger(b, m.db, store.LedgerOptions{})
			for _, status := range []aaa.Status{aaa.StatusStart, aaa.StatusInterim, aaa.StatusStop} {
				m.applyAll(l, status, size)
			}
		})
	}
}

const leasedSessions = 20_000

// makeOffered makes a pool whose addresses have been offered to as many users.
func (m *leaseBench) makeOffered(n int) {
	m.db.Exec(`INSERT INTO radial.pools (vrf_id, name) VALUES (1, 'main')`)
	m.db.Exec(`INSERT INTO radial.subnets (pool_id, vrf_id, network, first, last) SELECT id, 1, '10.0.0.0/15', '10.0.0.0', '10.1.255.255' FROM radial.pools`)
	m.db.Exec(`INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id, state, username, mac, nas, port, session_id, until, since)
		SELECT 1, '10.0.0.0'::inet + i, p.id, s.id, CASE WHEN i < $1 THEN 'offered' ELSE 'free' END, 'u' || i, 'aa:bb:00:' || substr(md5(i::text), 1, 8), '10.254.0.1',
		       'ether' || i, CASE WHEN i < $1 THEN 's' || i ELSE '' END, CASE WHEN i < $1 THEN now() + interval '1 hour' END, now()
		FROM generate_series(0, 130000) i, radial.pools p, radial.subnets s`, n)
	m.db.Exec(`VACUUM ANALYZE radial.addresses`)
	m.db.Exec(`CHECKPOINT`)
	own, err := statOf("/proc/" + m.db.Rows(`SELECT pg_backend_pid()`)[0][0] + "/stat")
	if err != nil {
		m.b.Fatal(err)
	}
	m.postmaster = own[1]
}

// applyAll has the ledger store a record of each session, in batches.
func (m *leaseBench) applyAll(l *store.Ledger, status aaa.Status, size int) {
	macs := m.db.Rows(`SELECT mac FROM radial.addresses ORDER BY address LIMIT $1`, leasedSessions)
	began := time.Now().Truncate(time.Second).Add(-time.Hour)
	records := make([]*aaa.Record, leasedSessions)
	for i := range records {
		k := i * 7919 % leasedSessions // logins get addresses in no order
		user := "u" + strconv.Itoa(k)
		r := acctRecord("s"+strconv.Itoa(k), status, 0, -1, -1)
		r.UniqueID = fmt.Sprintf("%08x%024x", uint32(k)*2654435761, k)
		r.User, r.Login, r.Realm, r.NAS, r.PortID = user, user, nil, netip.MustParseAddr("10.254.0.1"), new(string)
		*r.PortID = "ether" + strconv.Itoa(k)
		r.CallingStation, r.FramedIP = macs[k][0], netip.AddrFrom4([4]byte{10, byte(k >> 16), byte(k >> 8), byte(k)})
		r.FramedIPv6, r.FramedIPv6Pfx, r.DelegatedPrefix, r.InterfaceID = netip.Addr{}, netip.Prefix{}, netip.Prefix{}, nil
		r.At = began
		if lived := int64(60 * (status - aaa.StatusStart)); status != aaa.StatusStart {
			r.At, r.SessionTime, r.Input, r.Output = began.Add(time.Duration(lived)*time.Second), &lived, ptrTo(lived*1000), ptrTo(lived*2000)
		}
		r.Received = r.At
		records[i] = r
	}
	m.findBackends()
	pages, pg, own := m.pages(), m.postgres(), ownTime(m.b)
	for len(records) > 0 {
		n := min(size, len(records))
		if err := errors.Join(l.Apply(m.b.Context(), records[:n]...)...); err != nil {
			m.b.Fatal(err)
		}
		records = records[n:]
	}
	m.findBackends()
	spent, ours := m.postgres()-pg, ownTime(m.b)-own
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / leasedSessions }
	m.b.ReportMetric(each(spent), fmt.Sprintf("pg-µs/%s", status))
	m.b.ReportMetric(each(ours), fmt.Sprintf("own-µs/%s", status))
	m.b.ReportMetric(float64(m.pages()-pages)/leasedSessions, fmt.Sprintf("pages/%s", status))
}

// pages is how many pages of buffers PostgreSQL has touched for the database.
func (m *leaseBench) pages() int64 {
	m.db.Pool().Reset() // a connection tells at its end, else after ten seconds
	eventually(m.b, "the end of the connections", func() bool {
		return m.db.Rows(`SELECT count(*) FROM pg_stat_activity WHERE application_name = 'radial' AND datname = current_database() AND pid <> pg_backend_pid()`)[0][0] == "0"
	})
	n, err := strconv.ParseInt(m.db.Rows(`SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()`)[0][0], 10, 64)
	if err != nil {
		m.b.Fatal(err)
	}
	return n
}
