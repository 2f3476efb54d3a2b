package main

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// table prints rows in columns, one page after the other: the columns of a page are as wide as all pages before needed, so that
// a list of any length is printed as it comes and never held.
type table struct {
	w      io.Writer
	titles []string
	widths []int
}

// print prints some rows, the titles before the first. A list without any has its titles too.
func (t *table) print(rows [][]string) error {
	if t.widths == nil {
		rows = append([][]string{t.titles}, rows...)
		t.widths = make([]int, len(t.titles))
	}
	for _, row := range rows {
		for i := range row {
			row[i] = printable(row[i])
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		t.line(&text, row)
	}
	_, err := io.WriteString(t.w, text.String())
	return err
}

func (t *table) line(to *strings.Builder, row []string) {
	last := len(row) - 1
	for i, cell := range row[:last] {
		to.WriteString(cell)
		to.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(cell)+2))
	}
	to.WriteString(row[last] + "\n")
}

// printable is what others wrote, such as the note of a token, without what would talk to the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
