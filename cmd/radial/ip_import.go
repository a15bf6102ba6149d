package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"radial/aaa"
	"radial/store"
)

const importHelp = `Take addresses of a CSV file (or of stdin: -) over into the pools: by columns, in any order, of
  address, vrf, pool, state, username, mac, nas, port, session_id, since, until, reason
as radial ip export writes them. Comma, semicolon or tab; a byte order mark does not matter. Only address is needed; a line without a
state is a reservation.

  reserved   keeps the address out of its pool, for username and mac if they are there; reason is for people
  free       ends a reservation; username and mac are the last holder, who gets the address again (stickiness)
  bound, offered, cooling   a lease of another system: until (else the pool's times) says how long without a session of it; bound and offered
             want a username or a mac

since and until are times as in radial ip whohad: "2026-11-03 02:14 +01", or without +01 by the clocks of the database's zone; since
is not yet to come, and before until.

Sessions here go before a file: addresses that they have are left to them, and counted. Static addresses come with their users
(radial user set --ip). All lines are checked before anything is written, and what is wrong is told by line number, also a
quote that is not closed in its line. Up to 5,000 lines are one transaction; of more, each 5,000. An import that was cut short is said
again: what is there already is unchanged.`

// maxLineErrors bounds what is told of a file.
const maxLineErrors = 100

// addressImport is an import under way.
type addressImport struct {
	*ipDesk
	file   *os.File
	name   string
	ignore []string
	change store.Change
	count  store.Imported
	wrong  []store.LineError
}

func newIPImportCmd(a *app) *cobra.Command {
	var dryRun bool
	var ignore []string
	cmd := &cobra.Command{
		Use:     "import FILE",
		Short:   "Take reservations and leases over from a CSV file",
		Long:    importHelp,
		Example: "  radial ip import addresses.csv --dry-run\n  radial ip export --pool main | ssh other radial ip import -",
		Args:    named("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := a.seekable(args[0])
			if err != nil {
				return err
			}
			err = a.withAddresses(cmd.Context(), func(d *ipDesk) error {
				im := addressImport{ipDesk: d, file: file, name: filepath.Base(args[0]), ignore: ignore, change: a.by("ip.import", dryRun)}
				return im.run(cmd.Context())
			})
			return errors.Join(err, file.Close())
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "check everything and write nothing")
	cmd.Flags().StringSliceVar(&ignore, "ignore", nil, "`columns` that are of no interest")
	return cmd
}

// seekable opens a file, or keeps stdin in one that has no name: it is read
// twice.
func (a *app) seekable(name string) (*os.File, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usagef("%w", err)
		}
		return f, nil
	}
	f, err := os.CreateTemp("", "radial-import-*")
	if err != nil {
		return nil, fmt.Errorf("keep stdin: %w", err)
	}
	_, err = io.Copy(f, a.stdin)
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return nil, errors.Join(fmt.Errorf("keep stdin: %w", err), f.Close())
	}
	return f, nil
}

func (im *addressImport) run(ctx context.Context) error {
	bar := im.progress("lines checked")
	err := im.each(ctx, bar, func(lines []store.AddressLine) error {
		n, wrong, err := im.db.CheckAddresses(ctx, lines)
		im.count, im.wrong = im.count.Plus(n), append(im.wrong, wrong...)
		return err
	})
	bar.done()
	if err != nil {
		return err
	}
	if len(im.wrong) > 0 {
		return im.refused("nothing was changed")
	}
	if !im.change.DryRun && im.count.Changed() > 0 {
		if err := im.write(ctx); err != nil {
			return err
		}
	}
	v := struct {
		store.Imported
		DryRun bool `json:"dry_run"`
	}{im.count, im.change.DryRun}
	note := ""
	if im.change.DryRun {
		note = " (dry run: nothing was written)"
	}
	return im.say(v, "%d reserved, %d released, %d leased, %d noted as last holders; %d unchanged, %d left to the sessions that have them%s",
		v.Reserved, v.Released, v.Leased, v.Noted, v.Unchanged, v.Left, note)
}

// write does what was checked, batch by batch.
func (im *addressImport) write(ctx context.Context) error {
	im.count = store.Imported{}
	bar := im.progress("lines written")
	done := 0 // the last line that is in
	err := im.each(ctx, bar, func(lines []store.AddressLine) error {
		n, wrong, err := im.db.ImportAddresses(ctx, im.change, im.name, lines)
		if im.wrong = append(im.wrong, wrong...); err != nil || len(wrong) > 0 {
			return cmp.Or(err, errStop)
		}
		im.count, done = im.count.Plus(n), lines[len(lines)-1].Line
		return nil
	})
	bar.done()
	state := "nothing was changed"
	if done > 0 {
		state = fmt.Sprintf("lines up to %d are in; mend the rest and import the file again", done)
	}
	if errors.Is(err, errStop) {
		return im.refused(state)
	}
	if err != nil {
		return fmt.Errorf("%w; %s", err, state)
	}
	return nil
}

// errStop ends the reading of a file.
var errStop = errors.New("stop")

// each reads the file from its beginning and hands on its lines in batches;
// lines that are wrong are kept in im.wrong.
func (im *addressImport) each(ctx context.Context, bar *progress, f func([]store.AddressLine) error) error {
	if _, err := im.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	file, err := newAddressFile(im.file, im.vrfs, im.zone, im.now(), im.ignore)
	if err != nil {
		return err
	}
	type key struct {
		vrf     int32
		address netip.Prefix
	}
	seen := map[key]int{}
	batch := make([]store.AddressLine, 0, store.ImportBatch)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := f(batch)
		batch = batch[:0]
		return err
	}
	for n := 1; ctx.Err() == nil && len(im.wrong) <= maxLineErrors; n++ {
		l, err := file.next()
		if errors.Is(err, io.EOF) {
			return flush()
		}
		if bad, ok := errors.AsType[store.LineError](err); ok {
			im.wrong = append(im.wrong, bad)
			continue
		}
		if err != nil {
			return err
		}
		at := key{l.VRF, l.Address.Address}
		if first := seen[at]; first > 0 {
			im.wrong = append(im.wrong, store.LineError{Line: l.Line, Err: fmt.Errorf("address %s is in line %d already", addressText(at.address), first)})
			continue
		}
		seen[at] = l.Line
		if batch = append(batch, l); len(batch) == cap(batch) {
			if err := flush(); err != nil {
				return err
			}
		}
		if n%100 == 0 {
			bar.set(n)
		}
	}
	return ctx.Err()
}

// refused tells what is wrong with the lines.
func (im *addressImport) refused(state string) error {
	slices.SortFunc(im.wrong, func(a, b store.LineError) int { return a.Line - b.Line })
	var errs []error
	for i, w := range im.wrong {
		if i == maxLineErrors {
			errs = append(errs, errors.New("and more"))
			break
		}
		errs = append(errs, fmt.Errorf("line %d: %s", w.Line, strings.ReplaceAll(errorText(w.Err), "\n", "; ")))
	}
	errs = append(errs, fmt.Errorf("%s: %w", state, aaa.ErrInvalid))
	return fmt.Errorf("%s: %w", im.name, errors.Join(errs...))
}

func newIPExportCmd(a *app) *cobra.Command {
	var s ipSelection
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write addresses to stdout as CSV, as import reads it",
		Example: "  radial ip export --pool main > main.csv\n  radial ip export --state reserved",
		Args:    named(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAddresses(cmd.Context(), func(d *ipDesk) error { return d.export(cmd.Context(), &s) })
		},
	}
	s.register(cmd)
	return cmd
}

// export writes page by page: no table is too large.
func (d *ipDesk) export(ctx context.Context, s *ipSelection) error {
	const page = 5000
	if err := s.read(ctx, d.db); err != nil {
		return err
	}
	w := csv.NewWriter(d.stdout)
	if err := w.Write(addressColumns()); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	for after := (store.AddressKey{}); ; {
		rows, err := d.db.Addresses(ctx, s.filter, after, page)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := w.Write(addressCells(r, d.vrfs)); err != nil {
				return fmt.Errorf("export: %w", err)
			}
		}
		if w.Flush(); w.Error() != nil {
			return fmt.Errorf("export: %w", w.Error())
		}
		if len(rows) < page {
			return nil
		}
		after = rows[len(rows)-1].Key()
	}
}
