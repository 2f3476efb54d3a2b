package access

import (
	"slices"
	"sync"
)

// Set is an immutable set of expanded scopes, made by [Expand], [Intersect] or
// [TokenScopes]. The zero Set is empty and allows nothing. Questions take one
// map lookup, however large the set is; only a group filter adds one lookup per
// group of the user in question.
type Set struct {
	held map[string]grant
	// text is what Strings returns, sorted once. It is nil in the zero Set.
	text *text
}

type text struct {
	once sync.Once
	list []string
}

// grant is how one scope is held: on everything, or on the resources that its
// filters name. It never has neither. Most grants have one filter, which needs
// no map.
type grant struct {
	all  bool
	one  filter
	more map[filter]struct{} // all of them if there are several, else nil
	// grouped says that one of the filters is a group.
	grouped bool
}

// filter names the resource of a kind.
type filter struct{ kind, value string }

func newSet(hint int) Set { return Set{held: make(map[string]grant, hint), text: &text{}} }

// add belongs to the making of a set. An unfiltered scope swallows the filtered
// forms of itself.
func (s Set) add(scope, kind, value string) {
	g := s.held[scope]
	switch {
	case g.all:
	case kind == "":
		g = grant{all: true}
	default:
		g = g.with(filter{kind, value})
	}
	s.held[scope] = g
}

// merge belongs to the making of a set: it adds all that another one holds.
func (s Set) merge(other Set) {
	for scope, g := range other.held {
		if g.all {
			s.add(scope, "", "")
		}
		for f := range g.filters {
			s.add(scope, f.kind, f.value)
		}
	}
}

// with belongs to the making of a grant.
func (g grant) with(f filter) grant {
	switch {
	case g.more != nil:
		g.more[f] = struct{}{}
	case g.one == filter{}:
		g.one = f
	case g.one != f:
		g.more = map[filter]struct{}{g.one: {}, f: {}}
	}
	g.grouped = g.grouped || f.kind == FilterGroup
	return g
}

// filters are those of a grant, in no order.
func (g grant) filters(yield func(filter) bool) {
	if g.more == nil && g.one != (filter{}) {
		yield(g.one)
	}
	for f := range g.more {
		if !yield(f) {
			return
		}
	}
}

// empty reports whether the grant is none: it has neither.
func (g grant) empty() bool { return !g.all && g.one == filter{} }

// on reports whether the grant names exactly this resource.
func (g grant) on(kind, value string) bool {
	if g.more == nil {
		return g.one == filter{kind, value}
	}
	_, ok := g.more[filter{kind, value}]
	return ok
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
// again gives a set that allows the same. The caller must not change it.
func (s Set) Strings() []string {
	if s.text == nil {
		return nil
	}
	s.text.once.Do(func() { s.text.list = s.strings() })
	return s.text.list
}

func (s Set) strings() []string {
	out := make([]string, 0, len(s.held))
	for scope, g := range s.held {
		if g.all {
			out = append(out, scope)
		}
		for f := range g.filters {
			out = append(out, Parsed{scope, f.kind, f.value}.String())
		}
	}
	slices.Sort(out)
	return out
}
