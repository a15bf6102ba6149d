package storetest_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"radial/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEachTestHasItsOwn(t *testing.T) {
	a, b := storetest.New(t), storetest.New(t)
	a.Exec(`INSERT INTO radcheck (username, attribute, op, value) VALUES ('alice', 'Cleartext-Password', ':=', $1)`, "wonderland")
	if rows := a.Rows(`SELECT username, value, NULL FROM radcheck`); len(rows) != 1 || rows[0][1] != "wonderland" || rows[0][2] != "NULL" {
		t.Errorf("rows = %v", rows)
	}
	if rows := b.Rows(`SELECT * FROM radcheck`); len(rows) != 0 {
		t.Errorf("b sees %v", rows)
	}
	if err := a.CheckSchema(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEmpty(t *testing.T) {
	db := storetest.Empty(t)
	if rows := db.Rows(`SELECT relname FROM pg_class WHERE relname = 'radcheck' OR relnamespace = to_regnamespace('radial')`); len(rows) != 0 {
		t.Errorf("there is %v", rows)
	}
}

func TestDurable(t *testing.T) {
	for want, options := range map[string][]storetest.Option{"on": {storetest.Durable}, "off": nil} {
		db := storetest.New(t, options...)
		if got := db.Rows(`SHOW fsync`)[0][0]; got != want {
			t.Errorf("fsync = %s, want %s", got, want)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	storetest.New(b)
	start := time.Now()
	for b.Loop() {
		storetest.New(b)
	}
	b.ReportMetric(float64(time.Since(start).Milliseconds())/float64(b.N), "ms/db")
}
