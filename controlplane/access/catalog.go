package access

import (
	"maps"
	"regexp"
	"slices"
)

// Catalog knows every scope name of one hub and what each contains: the
// built-in ones and the custom ones of its configuration. The functions of the
// same names in this package use the built-in scopes only.
type Catalog struct {
	// reach holds, for each name, the name itself and all it contains.
	reach map[string][]string
	memo  *memo
}

var builtin = newCatalog(contained)

var customName = regexp.MustCompile(`^custom:[a-z0-9][a-z0-9_\-*:]+[a-z0-9_*]$`)

// NewCatalog adds custom scopes, each with its direct children, to the built-in
// ones. A custom scope may contain custom scopes only, all of them defined in
// the same call; otherwise configuring a service could hand out the hub's own
// rights. The error is an [*Error].
func NewCatalog(custom map[string][]string) (*Catalog, error) {
	all := maps.Clone(contained)
	for _, name := range slices.Sorted(maps.Keys(custom)) {
		if err := checkCustom(custom, name); err != nil {
			return nil, err
		}
		all[name] = custom[name]
	}
	return newCatalog(all), nil
}

func checkCustom(custom map[string][]string, name string) error {
	if !customName.MatchString(name) {
		return &Error{name, `is not a valid custom scope: it starts with "custom:", then come lower-case letters,` +
			` digits and any of "_-:*", the first a letter or digit, the last neither "-" nor ":"`}
	}
	for _, child := range custom[name] {
		if _, ok := custom[child]; !ok {
			return &Error{name, "contains " + child + ", which is not a custom scope defined beside it"}
		}
	}
	return nil
}

// Builtin returns the catalog of a hub without custom scopes.
func Builtin() *Catalog { return newCatalog(contained) }

// Names lists every scope of the catalog, sorted. The metascopes and (no_scope) are not among them.
func (c *Catalog) Names() []string {
	names := slices.Sorted(maps.Keys(c.reach))
	return slices.DeleteFunc(names, func(name string) bool { return name == NoScope })
}

// Reaches reports whether holders of the raw scope hold the other one too, on something. Self reaches what it stands for.
func (c *Catalog) Reaches(raw, scope string) bool {
	p, err := c.parse(raw)
	if err != nil {
		return false
	}
	if p.Name != Self {
		return slices.Contains(c.reach[p.Name], scope)
	}
	return slices.ContainsFunc(selfScopes, func(name string) bool { return slices.Contains(c.reach[name], scope) })
}

// CheckRole says, as an [*Error], what is wrong with the scopes of a role, if anything. inherit is for the role token.
func (c *Catalog) CheckRole(scopes []string) error {
	for _, scope := range scopes {
		if scope == Inherit {
			continue
		}
		if _, err := c.parse(scope); err != nil {
			return err
		}
	}
	return nil
}

// Demand is the set that somebody must hold to hand out these scopes to anybody: self and the short forms count for everyone
// whom they may come to stand for.
func (c *Catalog) Demand(scopes []string) (Set, error) {
	out := newSet(len(scopes))
	for _, scope := range scopes {
		if scope == Inherit {
			continue // what the owner of a token has anyway
		}
		p, err := c.parse(scope)
		switch {
		case err != nil:
			return Set{}, err
		case p.Name == Self:
			for _, name := range selfScopes {
				c.add(out, Parsed{Name: name})
			}
		case p.Short():
			c.add(out, Parsed{Name: p.Name})
		default:
			c.add(out, p)
		}
	}
	return out, nil
}

func newCatalog(children map[string][]string) *Catalog {
	c := &Catalog{reach: map[string][]string{NoScope: {NoScope}}, memo: &memo{sets: map[string]Set{}}}
	for name := range children {
		c.reach[name] = descend(children, name, nil)
	}
	return c
}

// descend appends name and what it contains to seen, each once, so that custom
// scopes that contain each other come to an end.
func descend(children map[string][]string, name string, seen []string) []string {
	if slices.Contains(seen, name) {
		return seen
	}
	seen = append(seen, name)
	for _, child := range children[name] {
		seen = descend(children, child, seen)
	}
	return seen
}
