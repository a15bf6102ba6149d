package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"radial/aaa"
	"radial/config"
	"radial/store"
)

// examineRouters tells of routers that do not answer, and of a key that does not
// open their passwords. It dials nobody: the last look counts.
func examineRouters(ctx context.Context, c *config.Config, db *store.DB) []store.Finding {
	all, err := db.Routers(ctx)
	if err != nil {
		return []store.Finding{problem("routers", err, "")}
	}
	if len(all) == 0 {
		return nil
	}
	findings := []store.Finding{examineKey(ctx, c, db)}
	var silent, loose []string
	for _, r := range all {
		if r.Status == aaa.RouterError {
			silent = append(silent, r.Name)
		}
		if r.NASID != 0 && r.NAS == "" {
			loose = append(loose, r.Name)
		}
	}
	known := ok("routers", fmt.Sprintf("known: %d", len(all)))
	if len(silent) > 0 {
		known = store.Finding{Name: "routers", Severity: store.Advice, Value: fmt.Sprintf("known: %d; at the last look these did not answer: %s", len(all), strings.Join(silent, ", ")), Mend: "radial router health NAME says why"}
	}
	findings = append(findings, known)
	if len(loose) > 0 {
		findings = append(findings, store.Finding{Name: "routers", Severity: store.Advice, Value: "the device of these is gone from nas: " + strings.Join(loose, ", "), Mend: "radial router set NAME --nas DEVICE"})
	}
	return findings
}

// examineKey compares this host's key with the database's, and makes none.
func examineKey(ctx context.Context, c *config.Config, db *store.DB) store.Finding {
	if _, err := os.Stat(filepath.Join(c.DataDir, "key")); err != nil && os.Getenv("RADIAL_SECRET_KEY") == "" {
		return problem("key", errors.New("this host has no key for the secrets in the database: no file key in data_dir, no RADIAL_SECRET_KEY"), "copy the file out of data_dir of a host that has it")
	}
	_, fingerprint, err := newSealer(c.DataDir)
	if err == nil {
		err = checkKey(ctx, db, fingerprint)
	}
	if err != nil {
		return problem("key", err, "copy the file key out of data_dir of a host that has the right one")
	}
	return ok("key", "of the secrets in the database: "+fingerprint)
}
