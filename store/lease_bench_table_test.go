package store_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// report gives the medians of the rounds.
func (m *leaseBench) report(b *testing.B, fill, callers int, ours, theirs []measured) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ours, rateOf), "leases/s")
	b.ReportMetric(median(ours, cpuOf), "µs-cpu/lease")
	b.ReportMetric(median(ours, func(m measured) float64 { return m.own }), "µs-of-it-in-Go")
	if *leasePeer == "none" {
		return
	}
	ratios := make([]measured, len(ours))
	for i := range ours {
		ratios[i] = measured{rate: ours[i].rate / theirs[i].rate, cpu: theirs[i].cpu / ours[i].cpu}
	}
	b.ReportMetric(median(theirs, rateOf), "sqlippool/s")
	b.ReportMetric(median(theirs, cpuOf), "sqlippool-µs-cpu")
	b.ReportMetric(median(ratios, rateOf), "ratio")
	b.ReportMetric(median(ratios, cpuOf), "cpu-ratio")
	m.table = append(m.table, fmt.Sprintf("| %d | %d %% | %d | %.0f | %.0f | %.1f | %.0f | %.0f | %.1f |\n", 1<<*leaseBits, fill, callers,
		median(ours, rateOf), median(theirs, rateOf), median(ratios, rateOf), median(ours, cpuOf), median(theirs, cpuOf), median(ratios, cpuOf)))
}

// writeTable puts the table between its marks in the documentation.
func (m *leaseBench) writeTable() {
	if !*leaseWrite {
		return
	}
	const path = "../docs/performance.md"
	text, err := os.ReadFile(path)
	if err != nil {
		m.b.Fatal(err)
	}
	mark := fmt.Sprintf("leases %d -->\n", *leaseBits)
	before, rest, ok := strings.Cut(string(text), "<!-- "+mark)
	_, after, ended := strings.Cut(rest, "<!-- /"+mark)
	if !ok || !ended {
		m.b.Fatalf("%s has no place for a table of %d bits", path, *leaseBits)
	}
	head := fmt.Sprintf("%s, %d processors, medians of %d rounds of %v.\n\n", time.Now().Format(time.DateOnly), runtime.NumCPU(), *leaseRounds, *leaseTime) +
		"| addresses | held | callers | Radial /s | sqlippool /s | ratio | Radial CPU µs | sqlippool CPU µs | ratio |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
	out := before + "<!-- " + mark + head + strings.Join(m.table, "") + "<!-- /" + mark + after
	if err := os.WriteFile(path, []byte(out), 0o644); err != nil {
		m.b.Fatal(err)
	}
}

func rateOf(m measured) float64 { return m.rate }

func cpuOf(m measured) float64 { return m.cpu }

func median(list []measured, of func(measured) float64) float64 {
	values := make([]float64, len(list))
	for i, m := range list {
		values[i] = of(m)
	}
	slices.Sort(values)
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}

func numbers(b *testing.B, text string) (list []int) {
	for part := range strings.SplitSeq(text, ",") {
		var n int
		if _, err := fmt.Sscan(part, &n); err != nil {
			b.Fatalf("%q: %v", text, err)
		}
		list = append(list, n)
	}
	return list
}
