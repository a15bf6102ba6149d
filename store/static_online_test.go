package store_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"radial/aaa"
	"radial/ipam"
	"radial/store"
)

// Whoever is online with an address that stops being his own goes on with it:
// no pool gives it to another before that session is over.
func TestStaticTakenAwayWhileOnline(t *testing.T) {
	for name, c := range map[string]struct {
		carries map[ipam.Kind]netip.Prefix
		static  [2]string // attribute, value
		pool    string
	}{
		"address":          {map[ipam.Kind]netip.Prefix{ipam.IPv4: netip.MustParsePrefix("10.9.0.1/32")}, [2]string{"Framed-IP-Address", "10.9.0.1"}, "ipv4:small"},
		"delegated prefix": {map[ipam.Kind]netip.Prefix{ipam.DelegatedPrefix: netip.MustParsePrefix("2001:db9::/56")}, [2]string{"Delegated-IPv6-Prefix", "2001:db9::/56"}, "delegated_prefix:smallpd"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTies(t)
			makePool(t, w.DB, "small", "10.9.0.1/32")
			rawPool(t, w.DB, "smallpd", ipam.DelegatedPrefix, 56, "2001:db9::/56")
			name := store.NewEscaper(store.EscapingSafe).EscapeUser("user1")
			reply(w.DB, name, c.static[0], ":=", c.static[1])
			w.send("s1", aaa.StatusStart, 10, c.carries)
			w.Exec("DELETE FROM radreply")
			if got := w.rows(); !strings.Contains(got, " bound s1") {
				t.Errorf("rows are %q, want the address bound to its session", got)
			}
			if got, err := w.allocator.Lease(t.Context(), wants(2, "", c.pool)); err == nil {
				t.Errorf("another got %s", got[0].Prefix)
			}
			w.send("s1", aaa.StatusStop, 20, c.carries)
			w.want("its Stop frees it", "")
		})
	}
}

// A login that was answered with the address just before has no session yet.
func TestStaticTakenAwayCoolsOff(t *testing.T) {
	w := newTies(t)
	makePool(t, w.DB, "small", "10.9.0.1/32")
	reply(w.DB, "user1", "Framed-IP-Address", ":=", "10.9.0.1")
	w.Exec("DELETE FROM radreply")
	if got, err := w.allocator.Lease(t.Context(), wants(2, "", "ipv4:small")); err == nil {
		t.Errorf("another got %s at once", got[0].Prefix)
	}
	reply(w.DB, "user3", "Framed-IP-Address", ":=", "10.9.0.1") // an operator may say so
	w.want("the next owner", "10.9.0.1 reserved -")
}

// The same of a user's lease that was reserved for him, and is not any more.
func TestReservedReleasedWhileOnline(t *testing.T) {
	for name, release := range map[string]func(w *ties, a netip.Prefix) error{
		"release": func(w *ties, a netip.Prefix) error {
			_, _, err := w.ReleaseAddress(t.Context(), byTest("ip.release"), 0, a, "", false)
			return err
		},
		"import": func(w *ties, a netip.Prefix) error {
			line := store.AddressLine{Line: 1, Address: store.Address{VRF: 1, Address: a, State: "free"}}
			_, wrong, err := w.ImportAddresses(t.Context(), byTest("ip.import"), "file", []store.AddressLine{line})
			if len(wrong) > 0 {
				err = errors.Join(err, wrong[0])
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTies(t)
			got := w.login(1, "s1", ipam.IPv4)
			w.send("s1", aaa.StatusStart, 10, got)
			user := want(1, "").Caller.User
			if _, _, err := w.ReserveAddress(t.Context(), byTest("ip.reserve"), store.Reservation{Address: got[ipam.IPv4], User: user}); err != nil {
				t.Fatal(err)
			}
			if err := release(w, got[ipam.IPv4]); err != nil {
				t.Fatal(err)
			}
			w.want("released", strings.TrimSuffix(got[ipam.IPv4].String(), "/32")+" bound s1")
			w.send("s1", aaa.StatusStop, 20, got)
			w.want("its Stop frees it", "")
		})
	}
}
