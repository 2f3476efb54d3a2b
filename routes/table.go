package routes

import "strings"

// Table finds the route of a path. It is not safe for concurrent change: the edge builds a new version of what it
// needs and swaps it, or guards it; Lookup alone may run concurrently with itself.
type Table struct {
	byPath map[string]*Route
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{byPath: make(map[string]*Route)} }

// Put adds r, or replaces the route with the same prefix.
func (t *Table) Put(r *Route) { t.byPath[tableKey(r.Prefix)] = r }

// Remove takes away the route of prefix, if there is one.
func (t *Table) Remove(prefix string) { delete(t.byPath, tableKey(prefix)) }

// Get returns the route of exactly prefix, or nil.
func (t *Table) Get(prefix string) *Route { return t.byPath[tableKey(prefix)] }

// Len is the number of routes.
func (t *Table) Len() int { return len(t.byPath) }

// Routes returns all routes in no particular order.
func (t *Table) Routes() []*Route {
	all := make([]*Route, 0, len(t.byPath))
	for _, r := range t.byPath {
		all = append(all, r)
	}
	return all
}

// Lookup finds the route with the longest prefix that holds the escaped path, comparing whole decoded segments byte for
// byte. It returns nil without an error if there is none (the control plane answers then), and ErrPath for a path that
// must be refused. slash is false when the path is the prefix without its last slash ("/user/alice"): redirect then.
func (t *Table) Lookup(escaped string) (r *Route, slash bool, err error) {
	segments, ends, err := Split(escaped)
	if err != nil {
		return nil, false, err
	}
	for n := len(segments); n > 0; n-- {
		r = t.byPath[strings.Join(segments[:n], "/")]
		if r != nil {
			return r, n < len(segments) || ends, nil
		}
	}
	return nil, true, nil
}

// tableKey is the decoded form of a checked prefix. Segments never hold a slash, so joining them is unambiguous.
func tableKey(prefix string) string {
	segments, _, err := Split(prefix)
	if err != nil {
		return ""
	}
	return strings.Join(segments, "/")
}
