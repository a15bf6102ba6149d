package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"radial/store/storetest"
)

// acctColumns are FreeRADIUS's columns of radacct but its serial.
var acctColumns = []string{
	"acctsessionid", "acctuniqueid", "username", "realm", "nasipaddress", "nasportid", "nasporttype", "acctstarttime",
	"acctupdatetime", "acctstoptime", "acctinterval", "acctsessiontime", "acctauthentic", "connectinfo_start",
	"connectinfo_stop", "acctinputoctets", "acctoutputoctets", "calledstationid", "callingstationid",
	"acctterminatecause", "servicetype", "framedprotocol", "framedipaddress", "framedipv6address", "framedipv6prefix",
	"framedinterfaceid", "delegatedipv6prefix", "class",
}

// acctRow is a row of radacct by column, as text; NULL is "<null>".
type acctRow map[string]string

// acctRows reads radacct, ordered by start time and id.
func acctRows(db *storetest.DB) []acctRow {
	cols := make([]string, len(acctColumns))
	for i, c := range acctColumns {
		cols[i] = c + "::text"
		if strings.HasSuffix(c, "time") && c != "acctsessiontime" {
			cols[i] = fmt.Sprintf("to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')", c)
		}
		cols[i] = "coalesce(" + cols[i] + ", '<null>')"
	}
	var rows []acctRow
	for _, r := range db.Rows("SELECT " + strings.Join(cols, ", ") + " FROM radacct ORDER BY acctstarttime, radacctid") {
		row := acctRow{}
		for i, c := range acctColumns {
			row[c] = r[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// difference is what one column holds under FreeRADIUS 3.2.1 and under Radial
// where that is intended.
type difference struct{ theirs, ours string }

// compareRows checks that both wrote the same rows but for the given
// differences, each of which must be there on both sides: row number, column.
func compareRows(t *testing.T, theirs, ours []acctRow, want map[string]difference) {
	t.Helper()
	if len(theirs) != len(ours) {
		t.Errorf("FreeRADIUS wrote %d rows, Radial %d:\n%v\n%v", len(theirs), len(ours), theirs, ours)
		return
	}
	seen := map[string]bool{}
	for i := range theirs {
		for _, c := range acctColumns {
			key := fmt.Sprintf("%d.%s", i, c)
			d, intended := want[key]
			switch {
			case intended:
				seen[key] = true
				if theirs[i][c] != d.theirs || ours[i][c] != d.ours {
					t.Errorf("%s: FreeRADIUS %q, Radial %q; the list of differences says %q and %q", key, theirs[i][c], ours[i][c], d.theirs, d.ours)
				}
			case theirs[i][c] != ours[i][c]:
				t.Errorf("%s: FreeRADIUS %q, Radial %q", key, theirs[i][c], ours[i][c])
			}
		}
	}
	for key := range want {
		if !seen[key] {
			t.Errorf("%s is in the list of differences and in no row", key)
		}
	}
}

// attrs joins the lines of a packet for radclient.
func attrs(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

// base is what each packet of a session has.
func base(more ...string) string {
	return attrs(slices.Concat([]string{
		`User-Name = "bob"`, `Acct-Session-Id = "81000001"`, `NAS-IP-Address = 10.0.0.9`, `NAS-Identifier = "mt1"`,
		`NAS-Port-Id = "ether1"`, `NAS-Port = 15728640`, `NAS-Port-Type = Ethernet`, `Service-Type = Framed-User`,
		`Framed-Protocol = PPP`, `Called-Station-Id = "pppoe1"`, `Calling-Station-Id = "AA:BB:CC:DD:EE:FF"`,
		`Acct-Authentic = RADIUS`,
	}, more)...)
}
