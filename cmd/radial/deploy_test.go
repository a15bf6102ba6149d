package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"radial/config"
	"radial/store/storetest"
)

// metric is what a server exports under one name.
type metric struct {
	name, help string
	labels     []string
}

// exported are the metrics of a server that was just built, by name, and by
// metric and label the values that it has from the start.
func exported(t *testing.T) (all map[string]metric, values map[string][]string) {
	t.Helper()
	c := config.Default()
	c.DataDir = t.TempDir()
	db := &database{DB: storetest.New(t).DB}
	base, err := layFoundation(t.Context(), c, db, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	m, err := build(t.Context(), c, db.DB, base, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	// A vector without children is not gathered, but described.
	ch := make(chan *prometheus.Desc)
	go func() {
		m.metrics.Describe(ch)
		close(ch)
	}()
	form := regexp.MustCompile(`fqName: "(radial_\w+)", help: "([^"]*)".*variableLabels: \{([^}]*)\}`)
	all = map[string]metric{}
	for d := range ch {
		if f := form.FindStringSubmatch(d.String()); f != nil {
			all[f[1]] = metric{f[1], f[2], strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })}
		}
	}
	if len(all) < 30 {
		t.Fatalf("a server has only %d metrics: is prometheus.Desc printed in another way now?", len(all))
	}
	families, err := m.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values = map[string][]string{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				key := f.GetName() + " " + l.GetName()
				values[key] = append(values[key], l.GetValue())
			}
		}
	}
	return all, values
}

// TestMetricsReference writes the table of docs/operating.md.
func TestMetricsReference(t *testing.T) {
	all, _ := exported(t)
	var b bytes.Buffer
	b.WriteString("| metric | labels | what it tells |\n|---|---|---|\n")
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, strings.Join(all[name].labels, ", "), all[name].help)
	}
	const begin, end = "<!-- metrics -->\n", "<!-- /metrics -->"
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(page), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("docs/operating.md lacks %q or %q", begin, end)
	}
	golden(t, "operating.md", []byte(head+begin+b.String()+end+tail))
}

// TestNamedMetricsExist holds the alerts and the documents to the metrics,
// labels and label values that a server has.
func TestNamedMetricsExist(t *testing.T) {
	all, values := exported(t)
	root := filepath.Join("..", "..")
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join(root, "README.md"), filepath.Join(root, "deploy", "prometheus-rules.yml"))
	name := regexp.MustCompile(`\b(radial_(?:radius|accounting|ipam|job|listener|logins|policy|postauth|known|routers|control)_\w+)(?:\{([^}]*)\})?`)
	matcher := regexp.MustCompile(`(\w+)(=~?)"([^"]*)"`)
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, hit := range name.FindAllStringSubmatch(string(text), -1) {
			seen++
			base := hit[1]
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
			m, ok := all[base]
			if !ok {
				t.Errorf("%s names %s, which no server exports", file, hit[1])
				continue
			}
			for _, l := range matcher.FindAllStringSubmatch(hit[2], -1) {
				if !slices.Contains(m.labels, l[1]) {
					t.Errorf("%s: %s has no label %s", file, base, l[1])
				}
				have := values[base+" "+l[1]]
				for want := range strings.SplitSeq(l[3], "|") {
					if len(have) > 0 && want != "…" && !slices.Contains(have, want) {
						t.Errorf("%s: %s{%s} never is %q; it is one of %q", file, base, l[1], want, slices.Compact(slices.Sorted(slices.Values(have))))
					}
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d metrics are named: does the pattern still find them?", seen)
	}
}

// TestExampleConfiguration: the file in deploy is good as it stands.
func TestExampleConfiguration(t *testing.T) {
	var out, errs bytes.Buffer
	a := newApp()
	a.stdout, a.stderr = &out, &errs
	if code := a.execute(t.Context(), newRoot(a), []string{"check-config", "--config", filepath.Join("..", "..", "deploy", "radial.yaml")}); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	if !strings.Contains(out.String(), "configuration is good") || strings.Contains(out.String(), "db1.example.net") {
		t.Error(out.String())
	}
}

// TestUnit asks systemd about its unit, where systemd is.
func TestUnit(t *testing.T) {
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd-analyze here: the unit is not checked")
		return
	}
	unit, err := os.ReadFile(filepath.Join("..", "..", "deploy", "radial.service"))
	if err != nil {
		t.Fatal(err)
	}
	// The program need not be installed, nor its user be there.
	unit = bytes.Replace(unit, []byte("/usr/local/bin/radial "), []byte("/bin/sh "), 1)
	file := filepath.Join(t.TempDir(), "radial.service")
	if err := os.WriteFile(file, unit, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path, "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "radial.service") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestInterrupted: a command that is called off says so and fails.
func TestInterrupted(t *testing.T) {
	t.Setenv("RADIAL_DATABASE_URL", storetest.New(t).URL())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	a := newApp()
	a.stdout, a.stderr = &out, &errs
	code := a.execute(ctx, newRoot(a), []string{"pool", "list"})
	if code != exitFailure || out.Len() > 0 || !strings.HasPrefix(errs.String(), "radial: interrupted: ") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out.String(), errs.String())
	}
}
