package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"radial/aaa"
)

// documents are the texts that tell people what to type and where to look, by
// path from the root of the tree.
func documents(t *testing.T) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..")
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "deploy/*", "docker-compose.yml"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, file)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(text)
		}
	}
	for _, r := range aaa.Reasons {
		texts["reason "+string(r)] = r.LookAt()
	}
	return texts
}

// TestNamedCommandsExist: every command and flag that the documents name is
// there.
func TestNamedCommandsExist(t *testing.T) {
	typed := regexp.MustCompile("(?m)(?:`|^ *|-u radial |&& )radial ([a-z][a-z-]*(?: [^`\n|;&]*)?)")
	flag := regexp.MustCompile(`(?:^| )--([a-z][a-z0-9-]*)`)
	root := newRoot(newApp())
	root.InitDefaultCompletionCmd("completion")
	seen := 0
	for name, text := range documents(t) {
		for _, hit := range typed.FindAllStringSubmatch(text, -1) {
			line, _, _ := strings.Cut(hit[1], "#")
			words := strings.Fields(line)
			if strings.HasSuffix(name, ".yml") && strings.HasSuffix(words[0], ":") {
				continue
			}
			cmd := commandOf(root, words)
			if cmd == root || cmd.HasSubCommands() && len(words) > 1 && words[1][0] >= 'a' && words[1][0] <= 'z' && cmd.Name() == words[0] {
				t.Errorf("%s: no command radial %s", name, line)
				continue
			}
			seen++
			for _, f := range flag.FindAllStringSubmatch(line, -1) {
				if cmd.Flags().Lookup(f[1]) == nil && cmd.InheritedFlags().Lookup(f[1]) == nil {
					t.Errorf("%s: %s has no flag --%s", name, cmd.CommandPath(), f[1])
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d commands found: does the pattern still fit?", seen)
	}
}

// commandOf walks down as far as words name commands.
func commandOf(cmd *cobra.Command, words []string) *cobra.Command {
	for _, w := range words {
		next := cmd
		for _, sub := range cmd.Commands() {
			if sub.Name() == w {
				next = sub
			}
		}
		if next == cmd {
			return cmd
		}
		cmd = next
	}
	return cmd
}

// TestNamedFilesExist: every file that the documents name is in the tree.
func TestNamedFilesExist(t *testing.T) {
	path := regexp.MustCompile("`([a-z]+/[\\w./*-]+|[\\w-]+\\.(?:go|md|sql|txt|service))`|\\]\\(([\\w./-]+\\.md)\\)")
	seen := 0
	for name, text := range documents(t) {
		for _, hit := range path.FindAllStringSubmatch(text, -1) {
			file := hit[1] + hit[2]
			if strings.Contains(file, "x.") || strings.Contains(file, "_x") || file == "setup.sql" || file == "procedure.sql" {
				continue // a name that a reader chooses; a file of FreeRADIUS
			}
			room, _, inside := strings.Cut(file, "/")
			if _, err := os.Stat(filepath.Join("..", "..", room)); inside && err != nil {
				continue // a package of Go's library
			}
			seen++
			found := false
			for _, base := range []string{".", filepath.Dir(name), "cmd/radial", "store", "aaa", "nas", "radius", "ipam"} {
				if m, err := filepath.Glob(filepath.Join("..", "..", base, file)); err == nil && len(m) > 0 {
					found = true
				}
			}
			if !found {
				t.Errorf("%s names %s, which is not there", name, file)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d files found: does the pattern still fit?", seen)
	}
}

// TestNamedTargetsExist: every target of make that the documents name is there.
func TestNamedTargetsExist(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	typed := regexp.MustCompile("(?m)(?:`|^ *)make ([a-z][a-z0-9-]*)")
	seen := 0
	for name, text := range documents(t) {
		for _, hit := range typed.FindAllStringSubmatch(text, -1) {
			seen++
			if !strings.Contains(string(makefile), "\n"+hit[1]+":") {
				t.Errorf("%s: no target make %s", name, hit[1])
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d targets found: does the pattern still fit?", seen)
	}
}
