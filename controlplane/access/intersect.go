package access

import "slices"

// Intersect returns what both sets hold: every filter of one side that the
// other side covers. A server is covered by its owner, a server or user by a
// group with the user in it; groupsOf answers that and may be nil, which means
// nobody is in any group.
//
// The result allows a resource only if a and b both do. The reverse has one
// gap, as in JupyterHub: "!group=g" and "!group=h" share nothing, although a
// user may be in both, because no filter can say so.
func Intersect(a, b Set, groupsOf func(user string) []string) Set {
	groupsOf = remember(groupsOf)
	out := newSet(min(len(a.held), len(b.held)))
	for scope, ga := range a.held {
		gb, ok := b.held[scope]
		if !ok {
			continue
		}
		if g := meet(ga, gb, groupsOf); !g.empty() {
			out.held[scope] = g
		}
	}
	return out
}

// Excess lists the scopes of the requested set that the holder does not hold in
// full. A token may be created only if there are none.
func Excess(requested, held Set, groupsOf func(user string) []string) []string {
	common := Intersect(requested, held, groupsOf).Strings()
	var excess []string
	for _, scope := range requested.Strings() {
		if _, ok := slices.BinarySearch(common, scope); !ok {
			excess = append(excess, scope)
		}
	}
	return excess
}

// meet shares the maps of its arguments where it can; grants do not change.
func meet(a, b grant, groupsOf func(string) []string) grant {
	switch {
	case a.all:
		return b
	case b.all:
		return a
	}
	return a.keep(b, groupsOf, b.keep(a, groupsOf, grant{}))
}

// keep adds to out the filters of g that the other grant covers.
func (g grant) keep(other grant, groupsOf func(string) []string, out grant) grant {
	for f := range g.filters {
		if other.covers(f.kind, f.value, groupsOf) {
			out = out.with(f)
		}
	}
	return out
}

// remember asks for each user's groups once: all scopes of a set tend to name
// the same few users.
func remember(groupsOf func(string) []string) func(string) []string {
	if groupsOf == nil {
		return func(string) []string { return nil }
	}
	known := make(map[string][]string, 1)
	return func(user string) []string {
		groups, ok := known[user]
		if !ok {
			groups = groupsOf(user)
			known[user] = groups
		}
		return groups
	}
}
