package store_test

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"radial/aaa"
	"radial/store"
	"radial/store/storetest"
)

// What cannot be read or written for one session is that session's trouble
// alone, and ends neither the shard nor the process.
func TestLedgerOneSessionsTrouble(t *testing.T) {
	for name, trouble := range map[string]string{
		"a time that is none":         `INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctupdatetime) VALUES ('bad', $1, 'x', '10.0.0.1', '-infinity', 'infinity')`,
		"a trigger that renames rows": `SELECT $1::text`,
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.New(t)
			bad := acctRecord("bad", aaa.StatusStart, 0, -1, -1)
			db.Exec(trouble, bad.UniqueID)
			if name == "a trigger that renames rows" {
				db.Exec(`CREATE FUNCTION rename() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.acctuniqueid = upper(NEW.acctuniqueid) || 'X'; RETURN NEW; END $$`)
				db.Exec(`CREATE TRIGGER rename BEFORE INSERT ON radacct FOR EACH ROW WHEN (NEW.acctsessionid = 'bad') EXECUTE FUNCTION rename()`)
			}
			l, reg := newLedger(t, db, store.LedgerOptions{})
			batch := []*aaa.Record{bad}
			for i := range 9 {
				batch = append(batch, acctRecord(fmt.Sprintf("good%d", i), aaa.StatusStart, int64(i), -1, -1))
			}
			if err := errors.Join(l.Apply(t.Context(), batch...)...); err != nil {
				t.Error(err)
			}
			if n := db.Rows(`SELECT count(*)::text FROM radacct WHERE acctsessionid LIKE 'good%'`)[0][0]; n != "9" {
				t.Errorf("%s neighbours stored, want 9", n)
			}
			if n := counterOf(t, reg, "radial_accounting_quarantined_total"); n != 1 {
				t.Errorf("quarantined %v, want 1", n)
			}
		})
	}
}

// A column's type changes under a server that has the statement prepared: at
// most a record or two are silent, and no connection stays broken.
func TestLedgerSchemaChanges(t *testing.T) {
	for _, pooler := range []string{store.PoolerNone, store.PoolerTransaction} {
		t.Run(pooler, func(t *testing.T) {
			db := storetest.New(t, storetest.WithOptions(store.Options{Pooler: pooler}))
			l, _ := newLedger(t, db, store.LedgerOptions{Shards: 3})
			send := func(n int64) error {
				var g errgroup.Group
				for i := range 30 {
					g.Go(func() error { return l.Record(t.Context(), acctRecord(fmt.Sprint("s", i), aaa.StatusInterim, n, n, n)) })
				}
				return g.Wait()
			}
			if err := send(10); err != nil {
				t.Fatal(err)
			}
			db.Exec(`ALTER TABLE radacct ALTER acctsessiontime TYPE integer, ALTER connectinfo_stop TYPE varchar(32)`)
			var err error
			for n := range int64(8) {
				if err = send(20 + n); err == nil {
					break
				}
				t.Log(err)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}
