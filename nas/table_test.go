package nas

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func device(id int64, prefix string) *Device {
	return &Device{Row: Row{ID: id, Name: prefix, Secret: "s"}, Prefix: mustPrefix(prefix), Learnt: new(Learnt)}
}

func TestTableFind(t *testing.T) {
	table, shadowed := NewTable([]*Device{
		device(1, "0.0.0.0/0"), device(2, "10.0.0.0/8"), device(3, "10.1.2.0/24"), device(4, "10.1.2.3/32"),
		device(5, "2001:db8::/32"), device(6, "2001:db8::5/128"), device(7, "10.1.2.3/32"), device(8, "::ffff:192.0.2.0/120"),
	})
	if len(shadowed) != 1 || shadowed[0].Device.ID != 7 || shadowed[0].By.ID != 4 {
		t.Fatalf("shadowed: %+v; want row 7 by row 4", shadowed)
	}
	for addr, id := range map[string]int64{
		"10.1.2.3": 4, "::ffff:10.1.2.3": 4, "10.1.2.4": 3, "10.9.9.9": 2, "172.16.0.1": 1, "192.0.2.7": 8,
		"2001:db8::5": 6, "2001:db8::6": 5, "2001:db9::1": 0, "fe80::1%eth0": 0,
	} {
		var got int64
		if dev := table.Find(netip.MustParseAddr(addr)); dev != nil {
			got = dev.ID
		}
		if got != id {
			t.Errorf("Find(%s) = row %d, want %d", addr, got, id)
		}
	}
	if table.Find(netip.Addr{}) != nil {
		t.Error("the zero address found a device")
	}
}

// The table is compared with the plain definition: of all prefixes that hold
// the address the longest, of equal ones the first.
func TestTableFindsLongestPrefix(t *testing.T) {
	prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		if rapid.Bool().Draw(t, "v6") {
			a := netip.AddrFrom16([16]byte{0x20, 1, rapid.Byte().Draw(t, "a") & 3, 15: rapid.Byte().Draw(t, "z") & 3})
			return netip.PrefixFrom(a, rapid.IntRange(0, 128).Draw(t, "bits")).Masked()
		}
		a := netip.AddrFrom4([4]byte{10, rapid.Byte().Draw(t, "b") & 3, 0, rapid.Byte().Draw(t, "d") & 3})
		return netip.PrefixFrom(a, rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
	})
	rapid.Check(t, func(t *rapid.T) {
		prefixes := rapid.SliceOfN(prefix, 0, 30).Draw(t, "prefixes")
		addr := prefix.Draw(t, "address").Addr()
		var devices []*Device
		var want *Device
		for i, p := range prefixes {
			dev := &Device{Row: Row{ID: int64(i + 1)}, Prefix: p}
			devices = append(devices, dev)
			if p.Contains(addr) && (want == nil || p.Bits() > want.Prefix.Bits()) {
				want = dev
			}
		}
		table, _ := NewTable(devices)
		if got := table.Find(addr); got != want {
			t.Fatalf("Find(%s) = %v, want %v", addr, got, want)
		}
	})
}

func TestTableFindDoesNotAllocate(t *testing.T) {
	table := bigTable()
	v4, v6 := netip.MustParseAddr("10.3.3.3"), netip.MustParseAddr("2001:db8::99")
	if n := testing.AllocsPerRun(100, func() { table.Find(v4); table.Find(v6) }); n != 0 {
		t.Errorf("Find allocates %v times", n)
	}
}

func bigTable() *Table {
	var devices []*Device
	for i := range 1000 {
		devices = append(devices, device(int64(i), fmt.Sprintf("10.%d.%d.%d/32", i%7, i/256, i%256)))
	}
	devices = append(devices, device(2000, "10.0.0.0/8"), device(2001, "10.3.0.0/16"), device(2002, "2001:db8::/32"))
	table, _ := NewTable(devices)
	return table
}

func BenchmarkTableFind(b *testing.B) {
	table, addr := bigTable(), netip.MustParseAddr("10.200.3.3")
	b.ReportAllocs()
	for b.Loop() {
		table.Find(addr)
	}
}
