package access

import "strings"

// Resource is what a request is about. Fill in User and UserGroups for a user,
// these and Server for a server, and Group or Service alone for those. The zero
// Resource stands for the hub as a whole, or for a whole list: only an
// unfiltered scope allows it.
type Resource struct {
	// User is the user in question, or the owner of the server. User names hold
	// no slash.
	User string
	// UserGroups are all groups User is a member of now.
	UserGroups []string
	// Server is the name of one of User's servers, "" for the default one. It is
	// nil if the request is not about a server.
	Server *string
	// Group is the group in question.
	Group string
	// Service is the service in question.
	Service string
}

// Allows reports whether the set holds the scope, given without a filter, on
// the resource: on everything, on exactly this resource, on the user who owns
// the server, or on a group the user or owner is a member of. A scope held on a
// server only does not reach the owner's other resources.
func (s Set) Allows(scope string, res Resource) bool {
	g, ok := s.held[scope]
	if !ok {
		return false
	}
	return g.all ||
		res.User != "" && g.allowsUserOrServer(res) ||
		g.on(FilterGroup, res.Group) ||
		g.on(FilterService, res.Service)
}

func (g grant) allowsUserOrServer(res Resource) bool {
	if res.Server != nil && g.on(FilterServer, res.User+"/"+*res.Server) {
		return true
	}
	return g.on(FilterUser, res.User) || g.onAny(res.UserGroups)
}

// onAny reports whether the grant names one of the groups.
func (g grant) onAny(groups []string) bool {
	if !g.grouped {
		return false
	}
	for _, group := range groups {
		if g.on(FilterGroup, group) {
			return true
		}
	}
	return false
}

// covers reports whether the grant allows all that the filter kind=value
// allows. It is what Allows is for resources, asked of another grant's filter.
func (g grant) covers(kind, value string, groupsOf func(user string) []string) bool {
	if g.all || g.on(kind, value) {
		return true
	}
	user := value
	switch kind {
	case FilterUser:
	case FilterServer:
		user, _, _ = strings.Cut(value, "/")
		if g.on(FilterUser, user) {
			return true
		}
	default:
		return false
	}
	return g.grouped && g.onAny(groupsOf(user))
}
