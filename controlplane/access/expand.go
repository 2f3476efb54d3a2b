package access

import "strings"

// Owner is who holds a role or a token. It gives the short filter forms and
// the metascope self their meaning.
type Owner struct {
	// User is the owning user, empty for a service.
	User string
	// Service is the owning service, or the service that issued an OAuth token
	// of User.
	Service string
	// Server is the server a token belongs to or whose OAuth client issued it,
	// as USER/SERVER, "alice/" for the default one. Otherwise it is empty.
	Server string
	// Groups are the groups of User. TokenScopes uses them when it is given no
	// other way to look up membership.
	Groups []string
}

// Expand is [Catalog.Expand] with the built-in scopes.
func Expand(owner Owner, raw ...string) (Set, error) { return builtin.Expand(owner, raw...) }

// Expand adds to the raw scopes all they contain, with the same filter, and
// fills in the owner's name for self, "!user", "!server" and "!service".
//
// A short form the owner has no name for, and self on a service, is dropped:
// see [Unresolved]. On a server filter the scopes beginning with read:user are
// dropped too, because they speak of users. Everything else that cannot be
// expanded is an [*Error]: an unknown scope or filter kind, a filtered self,
// inherit, which only TokenScopes understands, and its old name all.
func (c *Catalog) Expand(owner Owner, raw ...string) (Set, error) {
	out := newSet(len(raw))
	for _, scope := range raw {
		p, err := c.parse(scope)
		if err != nil {
			return Set{}, err
		}
		if p.Name == Self {
			c.addSelf(out, owner)
			continue
		}
		if p, ok := resolve(p, owner); ok {
			c.add(out, p)
		}
	}
	return out, nil
}

// Unresolved lists the raw scopes that Expand drops without an error, because
// the owner has no name to fill in. They are worth a line in the log.
func Unresolved(owner Owner, raw ...string) []string {
	var dropped []string
	for _, scope := range raw {
		p, err := Parse(scope)
		if err != nil {
			continue
		}
		if _, ok := resolve(p, owner); !ok || p.Name == Self && owner.User == "" {
			dropped = append(dropped, scope)
		}
	}
	return dropped
}

// parse is Parse for names that exist and mean something outside a token.
func (c *Catalog) parse(scope string) (Parsed, error) {
	p, err := Parse(scope)
	if err != nil {
		return p, err
	}
	switch {
	case p.Name == Self && p.FilterKind == "":
		return p, nil
	case p.Name == Self:
		return p, &Error{scope, "takes no filter"}
	case p.Name == Inherit:
		return p, &Error{scope, "is only for tokens and takes no filter"}
	case p.Name == "all":
		return p, &Error{scope, `does not exist; the old name "all" is now "inherit"`}
	}
	if _, ok := c.reach[p.Name]; !ok {
		return p, &Error{scope, "does not exist"}
	}
	return p, nil
}

// resolve fills in the value of a short form. It reports false if the owner has
// none.
func resolve(p Parsed, owner Owner) (Parsed, bool) {
	if !p.Short() {
		return p, true
	}
	switch p.FilterKind {
	case FilterUser:
		p.FilterValue = owner.User
	case FilterServer:
		p.FilterValue = owner.Server
	case FilterService:
		p.FilterValue = owner.Service
	}
	return p, p.FilterValue != ""
}

func (c *Catalog) addSelf(out Set, owner Owner) {
	if owner.User == "" {
		return
	}
	for _, name := range selfScopes {
		c.add(out, Parsed{name, FilterUser, owner.User})
	}
}

func (c *Catalog) add(out Set, p Parsed) {
	for _, name := range c.reach[p.Name] {
		if p.FilterKind == FilterServer && strings.HasPrefix(name, "read:user") {
			continue
		}
		out.add(name, p.FilterKind, p.FilterValue)
	}
}

// ExpandKnown is Expand for scopes that were good when they were stored. What is not a scope any more, because a custom
// scope has left the configuration, grants nothing and takes nothing else with it.
func (c *Catalog) ExpandKnown(owner Owner, raw ...string) Set {
	return c.memo.get(memoKey(owner, raw), func() Set {
		out := newSet(len(raw))
		for _, scope := range raw {
			if one, err := c.Expand(owner, scope); err == nil {
				out.merge(one)
			}
		}
		return out
	})
}
