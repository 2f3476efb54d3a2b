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

func newCatalog(children map[string][]string) *Catalog {
	c := &Catalog{reach: map[string][]string{NoScope: {NoScope}}}
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
