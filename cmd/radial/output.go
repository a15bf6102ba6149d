package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// The output formats of -o.
const (
	formatTable = "table"
	formatJSON  = "json"
)

// formatFlag is the value of the global flag -o, --output.
type formatFlag struct{ app *app }

func (f formatFlag) String() string {
	if f.app == nil {
		return formatTable
	}
	return f.app.format
}

func (f formatFlag) Set(v string) error {
	if v != formatTable && v != formatJSON {
		return fmt.Errorf("%q is not an output format: table or json", v)
	}
	f.app.format = v
	return nil
}

func (formatFlag) Type() string { return "table|json" }

// grid is a table for people: column titles and rows of text.
type grid struct {
	titles []string
	rows   [][]string
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

// print writes v as JSON, or for people what show returns.
func (a *app) print(v any, show func() string) error {
	out := ""
	if a.format == formatJSON {
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return fmt.Errorf("print: %w", err)
		}
		out = string(data) + "\n"
	} else {
		out = show()
	}
	if _, err := fmt.Fprint(a.stdout, out); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// String renders the table: no borders, so that columns can be cut by scripts
// and pasted into tickets.
func (g *grid) String() string {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatUpper
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	if len(g.titles) > 0 {
		t.AppendHeader(cells(g.titles))
	}
	for _, r := range g.rows {
		t.AppendRow(cells(r))
	}
	return t.Render() + "\n"
}

func cells(texts []string) table.Row {
	row := make(table.Row, len(texts))
	for i, s := range texts {
		row[i] = printable(s)
	}
	return row
}

// printable keeps text from a database or a packet from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return '\uFFFD'
		}
		return r
	}, s)
}
