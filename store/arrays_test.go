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
	m, taught := pgtype.NewMap(), pgtype.NewMap()
	teachArrays(taught)
	four, six := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	strings := []string{"", "a", "ü"}
	nets := []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/56")}
	addrs := []*netip.Addr{&four, nil, &six}
	optional, some := []*netip.Prefix{&nets[1], nil, &nets[0]}, []*string{&strings[2], nil, &strings[0]}
	n, at := int64(-1)<<40, time.Date(2026, 11, 22, 5, 41, 0, 123456789, time.UTC)
	early := time.Date(1999, 12, 31, 23, 59, 59, 999_999_900, time.UTC)
	counts, moments := []*int64{&n, nil}, []*time.Time{nil, &at, &early}
	rows := []pgtype.TID{{BlockNumber: 1 << 20, OffsetNumber: 77, Valid: true}, {}}
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
		{pgtype.Int8ArrayOID, longs{n, 7}, []int64{n, 7}},
		{pgtype.Int4ArrayOID, integers{-1 << 30, 7}, []int32{-1 << 30, 7}},
		{pgtype.TIDArrayOID, spots(rows), rows},
		{pgtype.InetArrayOID, prefixes{{}, nets[0]}, []netip.Prefix{{}, nets[0]}},
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
		if got, err = taught.Encode(c.oid, pgtype.BinaryFormatCode, c.ours, []byte("before")); err != nil || !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("%T by itself: % x, %v\nwant % x", c.ours, got, err, want)
		}
		text, err := taught.Encode(c.oid, pgtype.TextFormatCode, c.ours, nil)
		if pgxs, e := m.Encode(c.oid, pgtype.TextFormatCode, c.pgxs, nil); err != nil || e != nil || !bytes.Equal(text, pgxs) {
			t.Errorf("%T as text: %s, %v; want %s, %v", c.ours, text, err, pgxs, e)
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
