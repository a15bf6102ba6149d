package store_test

import (
	"net/netip"
	"strings"
	"testing"

	"radial/store"
	"radial/store/storetest"
)

// The history of a network is that of all in it and of itself, in pages by time.
func TestHistoryOfANetwork(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radial.address_history (at, vrf_id, address, action)
SELECT now() - n * interval '1 minute', 1, a.address::inet, 'bound'
FROM unnest('{10.29.255.255,10.30.0.0,10.30.0.7,10.30.0.255,10.30.1.0,2001:db8::/48,2001:db8::/56,2001:db8:0:7::/64,2001:db8:0:ff::9,2001:db8:0:100::/56}'::text[])
     WITH ORDINALITY AS a (address, n)`)
	for network, want := range map[string]string{
		"10.30.0.0/24":    "10.30.0.0/32 10.30.0.7/32 10.30.0.255/32",
		"10.30.0.0/30":    "10.30.0.0/32",
		"10.31.0.0/24":    "",
		"2001:db8::/56":   "2001:db8::/56 2001:db8:0:7::/64 2001:db8:0:ff::9/128",
		"2001:db8::/40":   "2001:db8::/48 2001:db8::/56 2001:db8:0:7::/64 2001:db8:0:ff::9/128 2001:db8:0:100::/56",
		"2001:db8:1::/64": "",
	} {
		var got []string
		for q := (store.HistoryQuery{Address: netip.MustParsePrefix(network), Limit: 2}); ; {
			page, err := db.AddressHistory(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page {
				got = append(got, c.Address.String())
			}
			if len(page) < q.Limit {
				break
			}
			q.Until = page[len(page)-1].At
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", network, got, want)
		}
	}
}
