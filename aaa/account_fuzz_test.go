package aaa

import (
	"net/netip"
	"testing"
	"time"
	"unicode/utf8"

	"radial/dictionaries"
	"radial/nas"
)

// FuzzRecord reads accounting attributes with values of any bytes and length:
// first byte the attribute, second the length, then the value. Whatever they
// are, the record is one that the state machine and the ledger can take.
func FuzzRecord(f *testing.F) {
	f.Add([]byte{0, 4, 0, 0, 0, 2, 1, 3, 'b', 'o', 'b', 7, 4, 0, 0, 0, 9})
	f.Add([]byte{20, 18, 0, 64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 19, 1, 0, 21, 0})
	d, err := dictionaries.Load()
	if err != nil {
		f.Fatal(err)
	}
	a, err := NewAccounting(d, nil, AccountingOptions{StripRealm: true, StoreClass: true}, time.Now)
	if err != nil {
		f.Fatal(err)
	}
	at := &a.attrs
	attrs := []*dictionaries.Attribute{
		at.statusType, at.user, at.sessionID, at.sessionTime, at.delayTime, at.eventTimestamp, at.inputOctets, at.inputGigawords,
		at.outputOctets, at.outputGigawords, at.authentic, at.terminateCause, at.connectInfo, at.class, at.calledStation,
		at.callingStation, at.serviceType, at.framedProtocol, at.nasIP, at.nasIPv6, at.framedIPv6Prefix, at.interfaceID,
		at.delegatedPrefix, at.nasIdentifier, at.port, at.portID, at.portType, at.framedIP, at.framedIPv6,
	}
	received := time.Unix(1_795_000_000, 0)
	f.Fuzz(func(t *testing.T, data []byte) {
		var ps dictionaries.Pairs
		for len(data) >= 2 {
			n := min(int(data[1]), len(data)-2)
			ps = append(ps, dictionaries.Pair{Attr: attrs[int(data[0])%len(attrs)], Value: data[2 : 2+n]})
			data = data[2+n:]
		}
		r := a.Record(&Request{Device: &nas.Device{}, Source: netip.MustParseAddrPort("[fe80::1%eth0]:1"), Received: received, Pairs: ps})
		if len(r.UniqueID) != 32 || !utf8.ValidString(r.UniqueID) {
			t.Errorf("acctuniqueid %q", r.UniqueID)
		}
		if r.NAS.Zone() != "" || r.At.Before(received.Add(-DefaultEventPast)) || r.At.After(received.Add(DefaultEventFuture)) {
			t.Errorf("NAS %v, time %v", r.NAS, r.At)
		}
		for _, n := range []*int64{r.SessionTime, r.Input, r.Output} {
			if n != nil && *n < 0 {
				t.Errorf("a counter below 0: %d", *n)
			}
		}
		row := Next(nil, r)
		Next(&row.Row, r)
	})
}
