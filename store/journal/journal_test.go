package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"radial/store/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, dir string, o journal.Options) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir, o, journal.NewMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func closed(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, j *journal.Journal, texts ...string) {
	t.Helper()
	var payloads [][]byte
	for _, s := range texts {
		payloads = append(payloads, []byte(s))
	}
	if err := j.Append(payloads...); err != nil {
		t.Fatal(err)
	}
}

// take reads up to limit records and leaves them there.
func take(t testing.TB, j *journal.Journal, limit int) ([]string, []journal.Record) {
	t.Helper()
	records, err := j.Read(limit)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, r := range records {
		texts = append(texts, string(r.Payload))
	}
	return texts, records
}

func drain(t testing.TB, j *journal.Journal, limit int) []string {
	t.Helper()
	texts, records := take(t, j, limit)
	if err := j.Advance(records); err != nil {
		t.Fatal(err)
	}
	return texts
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func expect(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// What was appended comes out in order, once it is drained no more, and a
// journal that is drained leaves no segment.
func TestInOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := open(t, dir, journal.Options{})
	add(t, j, "a", "b")
	add(t, j, "c")
	if s := j.Stats(); s.Records != 3 || s.Bytes != 3*17 || s.Oldest.IsZero() {
		t.Errorf("%+v", s)
	}
	expect(t, "first", drain(t, j, 2), "a", "b")
	closed(t, j)

	j = open(t, dir, journal.Options{})
	if s := j.Stats(); s.Records != 1 || s.Bytes != 17 {
		t.Errorf("after a restart %+v", s)
	}
	add(t, j, "d")
	expect(t, "not drained, so again", func() []string { got, _ := take(t, j, 9); return got }(), "c", "d")
	expect(t, "rest", drain(t, j, 9), "c", "d")
	if s := j.Stats(); s != (journal.Stats{}) || len(files(t, dir)) != 0 {
		t.Errorf("drained: %+v, %v", s, files(t, dir))
	}
	expect(t, "none", drain(t, j, 9))
	add(t, j, "e")
	closed(t, j)
	j = open(t, dir, journal.Options{})
	expect(t, "after it was empty", drain(t, j, 9), "e")
	closed(t, j)
	if j, err := os.Stat(dir); err != nil || j.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", j.Mode(), err)
	}
}

// Segments follow each other, and go one by one.
func TestSegments(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, journal.Options{SegmentBytes: 100})
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprintf("record %02d of twenty", i))
		add(t, j, want[i])
	}
	n := len(files(t, dir))
	if n < 5 {
		t.Fatalf("%d segments", n)
	}
	for _, name := range files(t, dir) {
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 || st.Size() > 100 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	got := drain(t, j, 7)
	if left := len(files(t, dir)); left >= n {
		t.Errorf("%d segments, after 7 records %d", n, left)
	}
	var seen []string
	stats, err := journal.Look(dir, func(r journal.Record) bool { seen = append(seen, string(r.Payload)); return len(seen) < 3 })
	if err != nil || stats.Records != 13 || stats.Bytes != j.Stats().Bytes || stats.Disk != j.Stats().Disk || !slices.Equal(seen, want[7:10]) {
		t.Errorf("looked at: %+v (journal %+v), %q, %v", stats, j.Stats(), seen, err)
	}
	closed(t, j)
	j = open(t, dir, journal.Options{SegmentBytes: 100})
	for j.Stats().Records > 0 {
		got = append(got, drain(t, j, 4)...)
	}
	expect(t, "all", got, want...)
	closed(t, j)
}

// A torn tail is cut wherever it was torn; the records before it stay, and
// what is appended later comes after them.
func TestTornTail(t *testing.T) {
	base := t.TempDir()
	j := open(t, base, journal.Options{})
	add(t, j, "first", "second")
	add(t, j, "the last one, whose every byte may be missing")
	closed(t, j)
	whole, err := os.ReadFile(files(t, base)[0])
	if err != nil {
		t.Fatal(err)
	}
	last := len(whole) - 16 - len("the last one, whose every byte may be missing")
	damage := map[string][]byte{}
	for n := last; n < len(whole); n++ {
		damage[fmt.Sprintf("cut at %d", n)] = whole[:n]
		damage[fmt.Sprintf("zeros from %d", n)] = append(bytes.Clone(whole[:n]), make([]byte, len(whole)-n+4096)...)
		for bit := range 8 {
			flipped := bytes.Clone(whole)
			flipped[n] ^= 1 << bit
			damage[fmt.Sprintf("bit %d of byte %d", bit, n)] = flipped
		}
	}
	for what, b := range damage {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(files(t, base)[0])), b, 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, dir, journal.Options{})
		add(t, j, "later")
		expect(t, what, drain(t, j, 9), "first", "second", "later")
		closed(t, j)
	}
}

// What the disk has lost in the middle costs what was there, not what follows.
func TestDamage(t *testing.T) {
	base := t.TempDir()
	j := open(t, base, journal.Options{})
	add(t, j, "first", "second", "third")
	closed(t, j)
	name := filepath.Base(files(t, base)[0])
	whole, err := os.ReadFile(filepath.Join(base, name))
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[n] ^= 1 << bit
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
			var want []string
			for i, end := range []int{24, 24 + 21, 24 + 21 + 22, len(whole)} {
				if i > 0 && (n < []int{0, 24, 45, 67}[i] || n >= end) {
					want = append(want, []string{"", "first", "second", "third"}[i])
				}
			}
			if n >= 20 && n < 24 { // reserved
				want = []string{"first", "second", "third"}
			}
			j := open(t, dir, journal.Options{})
			expect(t, fmt.Sprintf("bit %d of byte %d", bit, n), drain(t, j, 9), want...)
			closed(t, j)
		}
	}
}

// A later version's segment is not guessed at.
func TestLaterVersion(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "0000000000000001.journal"), journal.HeaderOf(1, 2), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(dir, journal.Options{}, journal.NewMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now); err == nil {
		t.Error("opened")
	}
}

// A cursor that was torn, or is gone, makes records come again, and no more.
func TestCursor(t *testing.T) {
	base := t.TempDir()
	j := open(t, base, journal.Options{})
	add(t, j, "a", "b", "c")
	drain(t, j, 1)
	drain(t, j, 1)
	closed(t, j)
	whole, err := os.ReadFile(filepath.Join(base, "cursor"))
	if err != nil {
		t.Fatal(err)
	}
	segment, err := os.ReadFile(files(t, base)[0])
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		dir := t.TempDir()
		err := errors.Join(os.WriteFile(filepath.Join(dir, "cursor"), whole[:n], 0o600), os.WriteFile(filepath.Join(dir, filepath.Base(files(t, base)[0])), segment, 0o600))
		if err != nil {
			t.Fatal(err)
		}
		j := open(t, dir, journal.Options{})
		got := drain(t, j, 9)
		if len(got) == 0 || !slices.Equal(got, []string{"a", "b", "c"}[3-len(got):]) || n == len(whole) && len(got) != 1 {
			t.Errorf("cursor of %d bytes: %q", n, got)
		}
		closed(t, j)
	}
}

// Many append at once, one drains: nothing is lost, doubled or out of its
// writer's order, and many share a sync.
func TestTogether(t *testing.T) {
	dir := t.TempDir()
	reg := prometheus.NewRegistry()
	j, err := journal.Open(dir, journal.Options{SegmentBytes: 4096}, journal.NewMetrics(reg), zap.NewNop(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 16, 200
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				if err := j.Append(fmt.Appendf(nil, "%d %d", w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	next := make([]int, writers)
	n := 0
	for ended := false; !ended || j.Stats().Records > 0; {
		select {
		case <-done:
			ended = true
		default:
		}
		for _, text := range drain(t, j, 50) {
			var w, i int
			if _, err := fmt.Sscan(text, &w, &i); err != nil {
				t.Fatal(err)
			}
			if i != next[w] {
				t.Fatalf("writer %d: %d came, want %d", w, i, next[w])
			}
			next[w]++
			n++
		}
	}
	if n != writers*each {
		t.Errorf("%d records, want %d", n, writers*each)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "radial_journal_sync_seconds" {
			if syncs := f.Metric[0].Histogram.GetSampleCount(); syncs == 0 || syncs > writers*each*2/3 {
				t.Errorf("%d syncs of %d records", syncs, n)
			}
		}
	}
	closed(t, j)
}

// At its bound the journal refuses; it takes again when it has been drained.
func TestBound(t *testing.T) {
	j := open(t, t.TempDir(), journal.Options{MaxBytes: journal.MinMaxBytes})
	payload := bytes.Repeat([]byte("x"), 10_000)
	n := 0
	var err error
	for ; err == nil; n++ {
		err = j.Append(payload)
	}
	if s := j.Stats(); !errors.Is(err, journal.ErrFull) || s.Disk > journal.MinMaxBytes || s.Disk < journal.MinMaxBytes*9/10 || s.Records != int64(n-1) {
		t.Errorf("after %d: %v, %+v", n, err, s)
	}
	drain(t, j, 20)
	add(t, j, "room again")
	if err := j.Append(nil); !errors.Is(err, journal.ErrTooLong) {
		t.Errorf("nothing: %v", err)
	}
	if err := j.Append(make([]byte, journal.MaxRecord+1)); !errors.Is(err, journal.ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
	closed(t, j)
}

// A disk that is full: refused, and what was half written is never read; when
// there is room it goes on.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("needs root for a small tmpfs: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	folder := filepath.Join(dir, "journal")
	j := open(t, folder, journal.Options{})
	var want []string
	var err error
	for i := 0; err == nil; i++ {
		text := fmt.Sprintf("%04d%s", i, bytes.Repeat([]byte("x"), 9_000))
		if err = j.Append([]byte(text)); err == nil {
			want = append(want, text)
		}
	}
	if !errors.Is(err, syscall.ENOSPC) || len(want) < 10 {
		t.Fatalf("after %d: %v", len(want), err)
	}
	if err := j.Append([]byte(want[0])); err == nil {
		t.Error("taken by a full disk")
	}
	expect(t, "half", drain(t, j, 5), want[:5]...)
	expect(t, "rest", drain(t, j, 100), want[5:]...)
	add(t, j, "room again")
	closed(t, j)
	j = open(t, folder, journal.Options{})
	expect(t, "afterwards", drain(t, j, 9), "room again")
	closed(t, j)
}

// Whatever is done in whatever order, crashes included: what was acknowledged
// and not drained is there, in order.
func TestAnyLife(t *testing.T) {
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := filepath.Join(base, fmt.Sprint(n))
		o := journal.Options{SegmentBytes: rapid.Int64Range(50, 400).Draw(t, "segment")}
		j, err := journal.Open(dir, o, journal.NewMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		written := 0
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				var payloads [][]byte
				for range rapid.IntRange(1, 5).Draw(t, "records") {
					text := fmt.Sprint("record ", written)
					written++
					want = append(want, text)
					payloads = append(payloads, []byte(text))
				}
				if err := j.Append(payloads...); err != nil {
					t.Fatal(err)
				}
			},
			"drain": func(t *rapid.T) {
				records, err := j.Read(rapid.IntRange(1, 7).Draw(t, "limit"))
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range records {
					if string(r.Payload) != want[i] {
						t.Fatalf("%q, want %q", r.Payload, want[i])
					}
				}
				if err := j.Advance(records); err != nil {
					t.Fatal(err)
				}
				want = want[len(records):]
			},
			"crash": func(t *rapid.T) {
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				if names, _ := filepath.Glob(filepath.Join(dir, "*.journal")); len(names) > 0 {
					f, err := os.OpenFile(names[len(names)-1], os.O_APPEND|os.O_WRONLY, 0)
					if err != nil {
						t.Fatal(err)
					}
					_, err = f.Write(rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "torn"))
					if err := errors.Join(err, f.Close()); err != nil {
						t.Fatal(err)
					}
				}
				if j, err = journal.Open(dir, o, journal.NewMetrics(prometheus.NewRegistry()), zap.NewNop(), time.Now); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				if s := j.Stats(); s.Records != int64(len(want)) || (s.Bytes == 0) != (len(want) == 0) {
					t.Fatalf("%+v, want %d records", s, len(want))
				}
			},
		})
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
