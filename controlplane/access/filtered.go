package access

import "slices"

// FilteredTo are the names that a scope is limited to by one kind of filter, in order. A scope that is held on everything is limited
// to none.
func (s Set) FilteredTo(scope, kind string) []string {
	var names []string
	for f := range s.held[scope].filters {
		if f.kind == kind {
			names = append(names, f.value)
		}
	}
	slices.Sort(names)
	return names
}
