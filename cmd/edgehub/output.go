package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// output prints what a verb has to say: a table or a line for people, JSON for programs.
type output struct {
	w io.Writer
	// errs is for what people want to know and programs that read the output do not.
	errs io.Writer
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

// note prints one line for people that is not what they asked for.
func (o output) note(format string, args ...any) {
	_, _ = fmt.Fprintf(o.errs, format+"\n", args...)
}

// say prints one line for people.
func (o output) say(format string, args ...any) error {
	_, err := fmt.Fprintf(o.w, format+"\n", args...)
	return err
}

// table prints rows below their titles.
func (o output) table(titles []string, rows [][]string) error {
	return (&table{w: o.w, titles: titles}).print(rows)
}

// details prints one thing, a line for each of its parts.
func (o output) details(parts [][2]string) error {
	for _, part := range parts {
		if err := o.say("%-12s %s", part[0]+":", orDash(printable(part[1]))); err != nil {
			return err
		}
	}
	return nil
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
