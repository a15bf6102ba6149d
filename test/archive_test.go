package test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"radial/store/storetest"
	"radial/test/harness"
)

// radial session archive is killed (-9) in the middle, again and again: each
// session is there once at any time, and the last run finishes the work.
func TestArchiveIsKilled(t *testing.T) {
	db := storetest.New(t)
	const sessions = 60_000
	db.Exec(`INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctstoptime, acctinputoctets)
		SELECT i, md5(i::text), 'u' || i % 100, '192.0.2.1', now() - make_interval(days => 60 + i % 90), CASE WHEN i % 10 > 0 THEN now() - make_interval(days => 59) END, i
		FROM generate_series(1, $1::int) i`, sessions)
	total := func() string {
		return fmt.Sprint(db.Rows(`SELECT count(*), count(DISTINCT radacctid), sum(acctinputoctets) FROM radial.radacct_all`))
	}
	archived := func() string { return db.Rows(`SELECT count(*) FROM radial.radacct_archive`)[0][0] }
	want := total()
	env := []string{"RADIAL_DATABASE_URL=" + db.URL(), "RADIAL_DATA_DIR=" + t.TempDir()}
	killed := 0
	for range 4 {
		cmd := exec.CommandContext(t.Context(), harness.Binary(t), "session", "archive", "--before", "40d")
		cmd.Env = append(os.Environ(), env...)
		before := archived()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, patience, "a batch is done", func() bool { return archived() != before })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			killed++
		}
		if got := total(); got != want {
			t.Fatalf("after kill -9 with %s archived: sessions, different ones, octets: %s, want %s", archived(), got, want)
		}
	}
	if left := archived(); killed == 0 || left == fmt.Sprint(sessions*9/10) {
		t.Errorf("killed %d times, %s archived by then: the test shows nothing", killed, left)
	}
	out := harness.CLI(t, env, "session", "archive", "--before", "40d", "-o", "json")
	if out.Code != 0 {
		t.Fatalf("%+v", out)
	}
	if got := archived(); got != fmt.Sprint(sessions*9/10) || total() != want {
		t.Errorf("%s archived of %d; sessions, different ones, octets: %s, want %s", got, sessions*9/10, total(), want)
	}
}
