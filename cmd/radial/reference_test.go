package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"radial/aaa"
	"radial/config"
)

// The references in docs are made from the code; a change of a command, a
// setting or a reason without them is found here.

func TestCLIReference(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Commands\n\nMade from the commands themselves (`make generate`). Names are positional; `-o json` gives stable JSON; the exit code is 0 on\nsuccess, 2 for wrong usage or a value that cannot be right, else 1 (`radial client`: 1 for a refusal, 3 for no answer).\n\n")
	root := newRoot(newApp())
	b.WriteString("Flags of every command:\n\n")
	writeFlags(&b, root.PersistentFlags())
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden || sub.Name() == "help" || sub.Name() == "completion" {
				continue
			}
			if sub.HasSubCommands() {
				fmt.Fprintf(&b, "\n## %s\n\n%s.\n", sub.CommandPath(), sub.Short)
				walk(sub)
				continue
			}
			level := "###"
			if c == root {
				level = "##"
			}
			fmt.Fprintf(&b, "\n%s %s\n\n%s.\n\n", level, strings.TrimSuffix(sub.UseLine(), " [flags]"), strings.TrimSuffix(sub.Short, "."))
			if sub.Long != "" {
				b.WriteString(strings.TrimSpace(sub.Long) + "\n\n")
			}
			if sub.Example != "" {
				b.WriteString("```\n" + strings.TrimRight(sub.Example, "\n") + "\n```\n\n")
			}
			writeFlags(&b, sub.LocalNonPersistentFlags())
		}
	}
	walk(root)
	golden(t, "cli.md", b.Bytes())
}

func writeFlags(b *bytes.Buffer, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		short := ""
		if f.Shorthand != "" {
			short = "-" + f.Shorthand + ", "
		}
		fmt.Fprintf(b, "- `%s` %s", strings.TrimSpace(short+"--"+f.Name+" "+name), usage)
		if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" {
			fmt.Fprintf(b, " (default `%s`)", f.DefValue)
		}
		b.WriteString("\n")
	})
}

func TestConfigurationReference(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Settings\n\nMade from `config/settings.go` (`make generate`). Defaults < file (`--config`, else `./radial.yaml`, else\n`/etc/radial/radial.yaml`) < environment < flags (`--set key=value`). Unknown keys and bad values are errors, all told at once:\n`radial check-config`.\n\n```yaml\nradius:\n  auth_listen: [\"192.0.2.1:1812\", \"[2001:db8::1]:1812\"]\ndatabase:\n  url: postgres://radial@db1,db2/radius?target_session_attrs=read-write\n```\n\n")
	if err := config.WriteReference(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "configuration.md", b.Bytes())
}

// TestReasonReference: every reason of refusal is told in docs/refusals.md.
func TestReasonReference(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "refusals.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range aaa.Reasons {
		_, row, ok := strings.Cut(string(text), "\n| `"+string(r)+"` |")
		row, _, _ = strings.Cut(row, "\n")
		if !ok || r.LookAt() == "" || !strings.HasSuffix(row, "| "+r.LookAt()+" |") {
			t.Errorf("docs/refusals.md does not tell what %s means and where to look, as radial user explain does: %q", r, r.LookAt())
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/%s is not what the code says; run make generate:\n%s", name, diff)
	}
}
