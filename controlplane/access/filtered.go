package access

import (
	"maps"
	"slices"
)

// FilteredTo are the names that a scope is limited to by one kind of filter, in order. A scope that is held on everything is limited
// to none.
func (s Set) FilteredTo(scope, kind string) []string {
	return slices.Sorted(maps.Keys(s.held[scope].by[kind]))
}
