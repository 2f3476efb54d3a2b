package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// pageType is how JupyterHub's clients ask for a list in pages.
const pageType = "application/jupyterhub-pagination+json"

// maxPage is how many things a page has at most.
const maxPage = 200

// page is one page of a list.
type page struct {
	Items      []json.RawMessage `json:"items"`
	Pagination struct {
		Total int `json:"total"`
		Next  *struct {
			URL string `json:"url"`
		} `json:"next"`
	} `json:"_pagination"`
}

// pages visits the pages of a list, limit things of it, or all if limit is 0. Only one page is in memory.
func (c *client) pages(ctx context.Context, path string, query url.Values, limit int) iter.Seq2[[]json.RawMessage, error] {
	return func(yield func([]json.RawMessage, error) bool) {
		query.Set("limit", strconv.Itoa(pageSize(limit)))
		raw, left := query.Encode(), limit
		for {
			var p page
			if err := c.call(ctx, http.MethodGet, path+"?"+raw, nil, &p); err != nil {
				yield(nil, err)
				return
			}
			if limit > 0 {
				p.Items = p.Items[:min(left, len(p.Items))]
				left -= len(p.Items)
			}
			if !yield(p.Items, nil) || p.Pagination.Next == nil || limit > 0 && left == 0 {
				return
			}
			next, err := url.Parse(p.Pagination.Next.URL)
			if err != nil || next.RawQuery == raw {
				yield(nil, fmt.Errorf("%s does not say where the list goes on", c.base))
				return
			}
			raw = next.RawQuery // the path stays, and so does the host: it gets our token
		}
	}
}

func pageSize(limit int) int {
	if limit <= 0 {
		return maxPage
	}
	return min(limit, maxPage)
}

// column is a title with what it shows of a thing.
type column[T any] struct {
	title string
	show  func(T) string
}

// printList prints the pages of a list as they come: in columns, or as one JSON array of what the hub says.
func printList[T any](o output, pages iter.Seq2[[]json.RawMessage, error], columns ...column[T]) error {
	if o.json {
		return o.array(pages)
	}
	t := newTable(o, columns)
	for items, err := range pages {
		if err != nil {
			return err
		}
		rows, err := rowsOf(items, columns)
		if err == nil {
			err = t.print(rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func newTable[T any](o output, columns []column[T]) *table {
	t := &table{w: o.w}
	for _, c := range columns {
		t.titles = append(t.titles, c.title)
	}
	return t
}

func rowsOf[T any](items []json.RawMessage, columns []column[T]) ([][]string, error) {
	rows := make([][]string, len(items))
	for i, item := range items {
		var thing T
		if err := json.Unmarshal(item, &thing); err != nil {
			return nil, fmt.Errorf("the hub's answer cannot be read: %w", err)
		}
		for _, c := range columns {
			rows[i] = append(rows[i], c.show(thing))
		}
	}
	return rows, nil
}

// array prints a JSON array. If the list breaks off, so does the array: no program takes a part for the whole.
func (o output) array(pages iter.Seq2[[]json.RawMessage, error]) error {
	between := "[\n  "
	for items, err := range pages {
		if err != nil {
			return err
		}
		for _, item := range items {
			var text bytes.Buffer
			text.WriteString(between)
			if err := json.Indent(&text, item, "  ", "  "); err != nil {
				return err
			}
			if _, err := o.w.Write(text.Bytes()); err != nil {
				return err
			}
			between = ",\n  "
		}
	}
	if between == "[\n  " {
		return o.say("[]")
	}
	return o.say("\n]")
}

// whole is a list that the hub has in one piece.
func whole(items []json.RawMessage) iter.Seq2[[]json.RawMessage, error] {
	return func(yield func([]json.RawMessage, error) bool) { yield(items, nil) }
}

// one prints one thing as a list of one, or as the JSON object that it is.
func one[T any](o output, item json.RawMessage, columns ...column[T]) error {
	return o.value(item, func() error { return printList(o, whole([]json.RawMessage{item}), columns...) })
}
