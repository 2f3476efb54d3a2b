package account

import (
	"encoding/base64"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// Window is the part of a list that somebody asks for: what comes behind Cursor, or, without one, behind the first Offset.
type Window struct {
	Offset int
	Limit  int
	// Cursor is the Next of the page before. A page that is found by it costs the same wherever it is.
	Cursor string
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T
	// Total is how many there are in the whole list.
	Total int
	// Next leads to the next page. It is empty on the last one.
	Next string
}

// cursor packs where a page ended, in a list of some order, into text for clients.
func cursor(order, place string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(order + ":" + place))
}

// place is where the page before ended, "" at the beginning. A cursor of a list in another order is Invalid.
func (w Window) place(order string) (string, error) {
	if w.Cursor == "" {
		return "", nil
	}
	data, err := base64.RawURLEncoding.DecodeString(w.Cursor)
	of, at, ok := strings.Cut(string(data), ":")
	if err != nil || !ok || of != order || at == "" || len(at) > 512 {
		return "", hub.Errorf(hub.Invalid, "cursor is not from a page of this list.")
	}
	return at, nil
}

// cut makes a page of all the items of a list, each of which has its own place, in order.
func cut[T any](w Window, order string, total int, items []T, place func(T) string) Page[T] {
	p := Page[T]{Items: items, Total: total}
	if len(items) > w.Limit {
		p.Items = items[:w.Limit]
		p.Next = cursor(order, place(p.Items[w.Limit-1]))
	}
	return p
}
