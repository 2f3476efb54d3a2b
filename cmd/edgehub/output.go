package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// output prints what a verb has to say: a table or a line for people, JSON for programs.
type output struct {
	w    io.Writer
	json bool
}

// value prints v as JSON, or calls people.
func (o output) value(v any, people func() error) error {
	if !o.json {
		return people()
	}
	enc := json.NewEncoder(o.w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// say prints one line for people.
func (o output) say(format string, args ...any) error {
	_, err := fmt.Fprintf(o.w, format+"\n", args...)
	return err
}

// table prints rows below their titles.
func (o output) table(titles []string, rows [][]string) error {
	t := tabwriter.NewWriter(o.w, 0, 8, 2, ' ', 0)
	for _, row := range append([][]string{titles}, rows...) {
		if _, err := fmt.Fprintln(t, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// orDash is what a table shows for nothing.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// moment is a time for people, in their own zone.
func moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
