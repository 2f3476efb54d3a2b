package access

import "slices"

// Set is an immutable set of expanded scopes, made by [Expand], [Intersect] or
// [TokenScopes]. The zero Set is empty and allows nothing. Questions take one
// map lookup, however large the set is; only a group filter adds one lookup per
// group of the user in question.
type Set struct {
	held map[string]grant
}

// grant is how one scope is held: on everything, or on the named resources of
// each filter kind. It never has neither.
type grant struct {
	all bool
	by  map[string]names
}

type names map[string]struct{}

func newSet(hint int) Set { return Set{held: make(map[string]grant, hint)} }

// add belongs to the making of a set. An unfiltered scope swallows the filtered
// forms of itself.
func (s Set) add(scope, kind, value string) {
	g := s.held[scope]
	switch {
	case g.all:
	case kind == "":
		g = grant{all: true}
	default:
		g = g.with(kind, value)
	}
	s.held[scope] = g
}

// merge belongs to the making of a set: it adds all that another one holds.
func (s Set) merge(other Set) {
	for scope, g := range other.held {
		if g.all {
			s.add(scope, "", "")
		}
		for kind, values := range g.by {
			for value := range values {
				s.add(scope, kind, value)
			}
		}
	}
}

// with belongs to the making of a grant.
func (g grant) with(kind, value string) grant {
	if g.by == nil {
		g.by = make(map[string]names, 1)
	}
	if g.by[kind] == nil {
		g.by[kind] = make(names, 1)
	}
	g.by[kind][value] = struct{}{}
	return g
}

// Empty reports whether the set holds no scope at all.
func (s Set) Empty() bool { return len(s.held) == 0 }

// Has reports whether the scope, given without a filter, is held on everything.
func (s Set) Has(scope string) bool { return s.held[scope].all }

// HasAny reports whether the scope, given without a filter, is held on
// everything or on some resources. List endpoints ask this and then filter what
// they list with Allows.
func (s Set) HasAny(scope string) bool {
	_, ok := s.held[scope]
	return ok
}

// Strings returns the set as sorted scope strings, as clients see it. An
// unfiltered scope appears without its filtered forms. Expanding the result
// again gives a set that allows the same.
func (s Set) Strings() []string {
	out := make([]string, 0, len(s.held))
	for scope, g := range s.held {
		if g.all {
			out = append(out, scope)
		}
		for kind, values := range g.by {
			for value := range values {
				out = append(out, Parsed{scope, kind, value}.String())
			}
		}
	}
	slices.Sort(out)
	return out
}
