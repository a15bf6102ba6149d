package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"radial/aaa"
)

// fieldsWriter writes records as fieldsFile reads them.
type fieldsWriter struct {
	known []aaa.Field
	csv   *csv.Writer
	out   *bufio.Writer
	wrote bool
}

// exportFormat is the flag that says how a file is written.
func exportFormat(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "format", "csv", "csv or json")
	choices(cmd, "format", "csv", "json")
}

// writeFields writes a file of records in a format. An error among them ends it.
func writeFields(out io.Writer, format string, known []aaa.Field, records iter.Seq2[aaa.Fields, error]) error {
	if format != "json" && format != "csv" {
		return usagef("--format %q: csv or json", format)
	}
	w := &fieldsWriter{known: known, out: bufio.NewWriter(out)}
	if format == "csv" {
		w.csv = csv.NewWriter(w.out)
		if err := w.csv.Write(fieldNames(known)); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	for f, err := range records {
		if err != nil {
			return err
		}
		if err := w.write(f); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	if err := w.end(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

func (w *fieldsWriter) write(f aaa.Fields) error {
	if w.csv != nil {
		cells := make([]string, len(w.known))
		for i, k := range w.known {
			if cells[i] = f[k.Name]; !k.List {
				cells[i] = inOneLine(cells[i])
			}
		}
		return w.csv.Write(cells)
	}
	lead := "[\n "
	if w.wrote {
		lead = ",\n "
	}
	w.wrote = true
	var b bytes.Buffer
	b.WriteString(lead + "{")
	first := true
	for _, k := range w.known {
		if f[k.Name] == "" {
			continue
		}
		var value any = f[k.Name]
		if k.List {
			value = strings.Split(f[k.Name], "\n")
		}
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("write %s: %w", k.Name, err)
		}
		if !first {
			b.WriteString(", ")
		}
		first = false
		fmt.Fprintf(&b, "%q: %s", k.Name, text)
	}
	b.WriteString("}")
	_, err := w.out.Write(b.Bytes())
	return err
}

// end writes what is left.
func (w *fieldsWriter) end() error {
	if w.csv != nil {
		w.csv.Flush()
		return errors.Join(w.csv.Error(), w.out.Flush())
	}
	text := "\n]\n"
	if !w.wrote {
		text = "[]\n"
	}
	_, err := w.out.WriteString(text)
	return errors.Join(err, w.out.Flush())
}
