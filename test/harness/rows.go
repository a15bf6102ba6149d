package harness

import (
	"fmt"
	"strings"
	"time"

	"radial/store/storetest"
	"radial/test/scenario"
)

// WriteCase puts a scenario's rows into the tables, in place of all that is
// there.
func WriteCase(db *storetest.DB, c scenario.Case) {
	db.Exec(`TRUNCATE radcheck, radreply, radgroupcheck, radgroupreply, radusergroup, radacct, nasreload, radpostauth`)
	for _, table := range []string{
		"radial.subscribers", "radial.packages", "radial.projection", "radial.admissions", "radial.quotas", "radial.topups", "radial.orders",
		"radial.usage_session", "radial.usage_daily",
	} {
		db.Exec(`DELETE FROM ` + table) // what commands of an earlier case have made
	}
	for _, r := range c.Rows {
		name := "username"
		if strings.HasPrefix(r.Table, "radgroup") {
			name = "groupname"
		}
		db.Exec(fmt.Sprintf(`INSERT INTO %s (%s, attribute, op, value) VALUES ($1, $2, $3, $4)`, r.Table, name), r.Name, r.Attribute, r.Op, r.Value)
	}
	for _, m := range c.Groups {
		db.Exec(`INSERT INTO radusergroup (username, groupname, priority) VALUES ($1, $2, $3)`, m.User, m.Group, m.Priority)
	}
	start := time.Now().Add(-time.Hour)
	for i, s := range c.Sessions {
		nas := s.NAS
		if nas == "" {
			nas = "127.0.0.1"
		}
		if s.Used {
			now := time.Now()
			db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, callingstationid, acctstarttime, acctupdatetime,
				acctsessiontime, acctinputoctets, acctoutputoctets) VALUES ($1, $1, $2, $3::inet, $4, $5, $6, $7, $8, $9)`, fmt.Sprintf("s%d", i), s.User, nas, s.Calling,
				now.Add(-time.Duration(s.Time)*time.Second), now, s.Time, s.Up, s.Down)
			continue
		}
		db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, callingstationid, acctstarttime, acctupdatetime)
			VALUES ($1, $1, $2, $3::inet, $4, $5, $5)`, fmt.Sprintf("s%d", i), s.User, nas, s.Calling, start.Add(time.Duration(i)*time.Minute))
	}
	for _, r := range c.Reloads {
		db.Exec(`INSERT INTO nasreload (nasipaddress, reloadtime) VALUES ($1::inet, $2)`, r.NAS, start.Add(time.Duration(r.Before)*time.Minute-time.Second))
	}
}
