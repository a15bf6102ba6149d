package faults

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"radial/store/storetest"
	"radial/test/harness"
)

// TestTornTail: a crash has cut the journal within its last record, at any byte
// of it. What was acknowledged before is drained, once, and nothing is made of
// the rest. Every byte in the long form.
func TestTornTail(t *testing.T) {
	stride := 37
	if *long {
		stride = 1
	}
	db := storetest.NewOwn(t)
	server := harness.Start(t, harness.Config{DatabaseURL: db.URL()})
	radial(t, server, "nas", "add", "127.0.0.1", "--secret", "kill-s3cret", "--type", "mikrotik")
	acct := func(kind, session string) {
		t.Helper()
		radial(t, server, "client", "acct", kind, "alice", "--session-id", session, "--server", server.Acct, "--secret", "kill-s3cret", "--tries", "10", "--timeout", "1s")
	}
	acct("start", "known") // by then the device is
	db.Exec(`DELETE FROM radacct`)
	db.Kill()
	for n := range 5 {
		acct("start", fmt.Sprint("s", n))
	}
	acct("stop", "s1")
	acct("start", "last")
	server.Kill(t)
	db.Start()

	files, err := filepath.Glob(filepath.Join(server.DataDir, "journal", "*.journal"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for at := 24; at < len(whole); at += 16 + int(binary.LittleEndian.Uint32(whole[at:])) {
		last = at
	}
	const before = "s0 f s1 t s2 f s3 f s4 f"
	for cut := last; cut < len(whole)+stride; cut += stride {
		cut := min(cut, len(whole))
		want := before
		if cut == len(whole) {
			want = "last f " + before
		}
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "journal"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "journal", filepath.Base(files[0])), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		out := server.Radial(t, "journal", "drain", "--data-dir", dir)
		if out.Code != 0 {
			t.Fatalf("cut at %d of %d: %s%s", cut, len(whole), out.Stdout, out.Stderr)
		}
		if got := strings.Join(flat(db.Rows(`SELECT acctsessionid, acctstoptime IS NOT NULL FROM radacct ORDER BY 1`)), " "); got != want {
			t.Errorf("cut at %d of %d: %q, want %q", cut, len(whole), got, want)
		}
		db.Exec(`DELETE FROM radacct`)
	}
	if n := db.Rows(`SELECT count(*) FROM radial.quarantine`)[0][0]; n != "0" {
		t.Errorf("%s records in quarantine", n)
	}
}
