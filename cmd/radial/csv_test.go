package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"radial/store"
)

// readAll reads a CSV, each record behind its line, and what is wrong as such.
func readAll(t interface{ Fatal(...any) }, text string, lists ...bool) []string {
	r, err := newCSVReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.lists = lists
	var all []string
	for {
		cells, err := r.read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if wrong, ok := errors.AsType[store.LineError](err); ok {
			all = append(all, wrong.Error())
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%d %q", r.line, cells))
	}
}

func TestCSV(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"one line", "a,b", []string{`1 ["a" "b"]`}},
		{"empty cells", "a,\n,b\n\"\",\n", []string{`1 ["a" ""]`, `2 ["" "b"]`}},
		{"mark, semicolons, CRLF", "\xef\xbb\xbfa;b\r\n\"d;e\";f,g\r\n;;\r\ng;h", []string{`1 ["a" "b"]`, `2 ["d;e" "f,g"]`, `4 ["g" "h"]`}},
		{"quotes that are meant", "a,b\n5\" pipe,\"say \"\"no\"\"\"\n", []string{`1 ["a" "b"]`, `2 ["5\" pipe" "say \"no\""]`}},
		{"a list", "a,b\nx,\"1\n2\r\n\"\"3\"\ny,4\n", []string{`1 ["a" "b"]`, `2 ["x" "1\n2\n\"3"]`, `5 ["y" "4"]`}},
		{"not closed", "a,b\n\"x,1\ny,2\n", []string{`1 ["a" "b"]`, `line 2: cell 1: the quote before "x,1" is not closed in its line`, `3 ["y" "2"]`}},
		{"closed by another line's", "a,b\n\"x,1\ny\",2\n", []string{`1 ["a" "b"]`, `line 2: cell 1: the quote before "x,1" is not closed in its line`, `3 ["y\"" "2"]`}},
		{"a list not closed", "a,b\nx,\"1\ny,2\nz,3", []string{`1 ["a" "b"]`, `line 2: cell 2: the quote before "1" is not closed`, `3 ["y" "2"]`, `4 ["z" "3"]`}},
		{"a list closed by another line's", "a,b\nx,\"1\ny,\"2\"\nz,3", []string{
			`1 ["a" "b"]`,
			`line 2: cell 2: "2\"" stands behind the quote that ends it: want "," or the end of the line there; a quote that is meant is written twice`,
			`3 ["y" "2"]`, `4 ["z" "3"]`,
		}},
		{"more cells than the header", "a,b\n1,2,\"x\n", []string{`1 ["a" "b"]`, `line 2: cell 3: the quote before "x" is not closed in its line`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, readAll(t, test.text, false, true)); diff != "" {
				t.Errorf("%s\nread as (-want +got)\n%s", test.text, diff)
			}
		})
	}
}

// What is written as a list or in one line is read as it was written.
func TestCSVRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("a,;\"\r\n é\t")), 0, 8, -1), 3, 3), 1, 6).Draw(t, "rows")
		var b strings.Builder
		w := csv.NewWriter(&b)
		w.Write([]string{"one", "two", "list"})
		want := []string{`1 ["one" "two" "list"]`}
		line := 2
		for _, cells := range rows {
			cells[0], cells[1] = "k"+inOneLine(cells[0]), inOneLine(cells[1])
			cells[2] = strings.ReplaceAll(cells[2], "\r", "")
			w.Write(cells)
			want = append(want, fmt.Sprintf("%d %q", line, cells))
			line += 1 + strings.Count(cells[2], "\n")
		}
		w.Flush()
		if diff := cmp.Diff(want, readAll(t, b.String(), false, false, true)); diff != "" {
			t.Fatalf("%s\n%s", b.String(), diff)
		}
	})
}

// FuzzCSV: each line of a file belongs to one record or one error at most, and
// none is told out of order.
func FuzzCSV(f *testing.F) {
	f.Add("address,reason\n10.30.0.4,\"a\n10.30.0.5,b\n")
	f.Add("a;b\n\"x\ny\";\"\"\r\n\"\"\"")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := newCSVReader(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		r.lists = []bool{true, false}
		last := 0
		for {
			cells, err := r.read()
			if errors.Is(err, io.EOF) {
				break
			}
			if r.line <= last || err == nil && len(cells) == 0 {
				t.Fatalf("line %d behind line %d: %q, %v", r.line, last, cells, err)
			}
			if last = r.line; last > strings.Count(text, "\n")+1 {
				t.Fatalf("line %d is not in %q", last, text)
			}
		}
	})
}
