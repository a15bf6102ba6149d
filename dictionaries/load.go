package dictionaries

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed *.dict vendor/*.dict
var embeddedFiles embed.FS

// Load returns the embedded definitions and, on top of them, those of the
// operator's folders: in each folder the file `dictionary` if there is one
// (which includes others by $INCLUDE), else every `dictionary.*` and `*.dict`
// in order of name. An operator's file may repeat a definition of ours and add
// value names; giving a known name another number or type is an error. A
// second name for one of our numbers can be used to send, while a packet that
// comes in shows our name.
func Load(dirs ...string) (*Dictionary, error) {
	d := newDictionary()
	r := &reader{d: d, read: embeddedFiles.ReadFile, origin: embedded}
	files, err := embeddedNames()
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		if err := r.file(name); err != nil {
			return nil, fmt.Errorf("load embedded dictionary: %w", err)
		}
	}
	if err := r.finish(); err != nil {
		return nil, fmt.Errorf("load embedded dictionary: %w", err)
	}
	r = &reader{d: d, read: os.ReadFile, origin: operator}
	for _, dir := range dirs {
		if err := r.folder(dir); err != nil {
			return nil, fmt.Errorf("load dictionaries of %s: %w", dir, err)
		}
	}
	return d, nil
}

// LoadFile returns the definitions of one file and what it includes, without
// ours: a FreeRADIUS tree by FreeRADIUS's rules, where of two definitions of
// the same name and number the last one holds.
func LoadFile(path string) (*Dictionary, error) {
	r := &reader{d: newDictionary(), read: os.ReadFile, origin: tree}
	if err := r.file(path); err != nil {
		return nil, fmt.Errorf("load dictionary: %w", err)
	}
	if err := r.finish(); err != nil {
		return nil, fmt.Errorf("load dictionary: %w", err)
	}
	return r.d, nil
}

// embeddedNames lists our files: the standard ones first, since vendors may
// build on them, compat.dict before all, since of two names for one value the
// later one prints.
func embeddedNames() ([]string, error) {
	standard, err := fs.Glob(embeddedFiles, "*.dict")
	if err != nil {
		return nil, err
	}
	vendors, err := fs.Glob(embeddedFiles, "vendor/*.dict")
	if err != nil {
		return nil, err
	}
	return append(standard, vendors...), nil
}

// folder reads an operator's folder.
func (r *reader) folder(dir string) error {
	names := []string{filepath.Join(dir, "dictionary")}
	if info, err := os.Stat(names[0]); err != nil || info.IsDir() {
		if names, err = operatorFiles(dir); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := r.file(name); err != nil {
			return err
		}
	}
	return r.finish()
}

// operatorFiles lists `dictionary.*` and `*.dict` without what editors and
// package managers leave behind.
func operatorFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name, ext := e.Name(), filepath.Ext(e.Name())
		leftover := strings.HasSuffix(name, "~") ||
			slices.Contains([]string{".bak", ".orig", ".swp", ".rpmnew", ".rpmsave"}, ext) || strings.HasPrefix(ext, ".dpkg-")
		if e.IsDir() || leftover || !strings.HasPrefix(name, "dictionary.") && ext != ".dict" {
			continue
		}
		names = append(names, filepath.Join(dir, name))
	}
	return names, nil
}
