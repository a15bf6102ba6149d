package store_test

import (
	"fmt"
	"strings"
	"testing"

	"radial/store"
)

// Sessions that fell silent end with NAS-Reboot where something shows that their NAS has
// begun anew since, at the time when they were last heard of, and no sooner than others.
func TestSilentSessionsOfAReboot(t *testing.T) {
	s := newSilent(t, store.StaleRule{Intervals: 3})
	s.Exec(`INSERT INTO nas (nasname, shortname, type, secret) VALUES ('10.0.0.0/24', 'a', 'mikrotik', 'x'), ('10.0.0.7', 'b', 'cisco', 'x'), ('10.0.1.1', 'c', 'mikrotik', 'x')`)
	dead := map[string]string{ // by their Acct-Session-Id, and what is shown of them
		"81000001": "10.0.0.1", // its service has another boot's session since
		"82000002": "10.0.0.1", // another service of the same router
		"81000003": "10.0.0.2", // the same boot's session since
		"81000004": "10.0.0.7", // no router's id
		"81000005": "10.0.0.3", // another boot's session is older
		"x1000006": "10.0.0.1", // no such id
		"81000007": "10.0.1.1", // an Accounting-On that found no row
		"81000008": "10.0.0.5", // an Accounting-On of before
	}
	for id, nas := range dead {
		s.session(id, nas, 300, 0)
	}
	s.session("81500005", "10.0.0.3", 300, 0)
	s.Exec(`INSERT INTO radial.reboots (nas, received, at, status) VALUES ('10.0.0.5', now(), now() - interval '1 hour', 'on')`)
	s.run(5, nil)
	s.Exec(`INSERT INTO radial.reboots (nas, received, at, status) VALUES ('10.0.1.1', now(), now(), 'on')`)
	for id, nas := range map[string]string{"81A00001": "10.0.0.1", "81000013": "10.0.0.2", "81500004": "10.0.0.7"} {
		s.session(id, nas, 300, 0)
		s.Exec(`UPDATE radacct SET acctstarttime = now(), acctsessiontime = 0 WHERE acctsessionid = $1`, id)
	}
	alive := map[string]int{"81A00001": 0, "81000013": 0, "81500004": 0, "81500005": 0}
	s.run(10, alive)
	closed := map[string]int{}
	for id := range dead {
		closed[id] = 15
	}
	s.want(closed)
	rows := s.Rows(`SELECT acctsessionid, acctterminatecause, acctsessiontime, round(extract(epoch FROM now() - acctstoptime) / 60) FROM radacct WHERE acctstoptime IS NOT NULL ORDER BY 1`)
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprint(r))
	}
	want := strings.Fields(`81000001|NAS-Reboot 81000003|Lost-Carrier 81000004|Lost-Carrier 81000005|Lost-Carrier 81000007|NAS-Reboot 81000008|Lost-Carrier 82000002|Lost-Carrier x1000006|Lost-Carrier`)
	for i := range want {
		want[i] = "[" + strings.ReplaceAll(want[i], "|", " ") + " 3600 15]"
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("closed:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
