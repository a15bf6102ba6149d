package store

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Our arrays reach PostgreSQL as pgx's own slices do, byte for byte.
func TestArraysEncode(t *testing.T) {
	m := pgtype.NewMap()
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	strings := []string{"", "a", "ü"}
	nets := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/56")}
	addrs := []*netip.Addr{&four, nil, &six}
	optional, some := []*netip.Prefix{&nets[1], nil, &nets[0]}, []*string{&strings[2], nil, &strings[0]}
	n, at := int64(-1)<<40, time.Date(2026, 11, 22, 5, 41, 0, 123456789, time.UTC)
	counts, moments := []*int64{&n, nil}, []*time.Time{nil, &at}
	for _, c := range []struct {
		oid        uint32
		ours, pgxs any
	}{
		{pgtype.TextArrayOID, texts(strings), strings},
		{pgtype.TextArrayOID, texts{}, []string{}},
		{pgtype.InetArrayOID, prefixes(nets), nets},
		{pgtype.InetArrayOID, hosts(addrs), addrs},
		{pgtype.InetArrayOID, optionals(optional), optional},
		{pgtype.TextArrayOID, words(some), some},
		{pgtype.Int8ArrayOID, wholes(counts), counts},
		{pgtype.TimestamptzArrayOID, times(moments), moments},
	} {
		got, err := m.Encode(c.oid, pgtype.BinaryFormatCode, c.ours, nil)
		if err != nil {
			t.Fatalf("%T: %v", c.ours, err)
		}
		want, err := m.Encode(c.oid, pgtype.BinaryFormatCode, c.pgxs, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%T: % x\nwant % x", c.ours, got, want)
		}
	}
}

// An element costs no memory of its own.
func TestArraysAllocate(t *testing.T) {
	m := pgtype.NewMap()
	four := netip.MustParseAddr("192.0.2.1")
	list, nets, addrs := make(texts, 1000), make(prefixes, 1000), make(hosts, 1000)
	for i := range list {
		list[i], nets[i], addrs[i] = "aa:bb:cc:dd:ee:ff", netip.PrefixFrom(four, 32), &four
	}
	buf := make([]byte, 0, 1<<16)
	for _, c := range []struct {
		oid uint32
		a   any
	}{{pgtype.TextArrayOID, list}, {pgtype.InetArrayOID, nets}, {pgtype.InetArrayOID, addrs}} {
		n := testing.AllocsPerRun(10, func() {
			if _, err := m.Encode(c.oid, pgtype.BinaryFormatCode, c.a, buf); err != nil {
				t.Fatal(err)
			}
		})
		if n > 50 {
			t.Errorf("%T of 1000: %.0f allocations", c.a, n)
		}
	}
}
