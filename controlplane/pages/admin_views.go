package pages

import (
	"net/url"
	"strconv"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// AdminView is a page of the users whom an administrator may list.
type AdminView struct {
	Page
	Filter UserFilter
	Users  []UserRow
	PageOf
	// CanAdd and CanGroups say which links there are.
	CanAdd, CanGroups bool
}

// UserFilter is which users the page is about, by the names that JupyterHub's page has.
type UserFilter struct {
	// Name is a part of their names. State and Sort are the API's.
	Name, State, Sort string
	Cursor            string
	Offset            int
}

// Any reports whether some users may be left out.
func (f UserFilter) Any() bool { return f.Name != "" || f.State != "" }

func (f UserFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"name_filter": f.Name, "state": f.State, "sort": f.Sort, "cursor": f.Cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Offset > 0 {
		q.Set("offset", strconv.Itoa(f.Offset))
	}
	return q
}

// URL is the page itself.
func (f UserFilter) URL() string {
	return withValues("/hub/admin", f.query())
}

// at is the same list elsewhere.
func (f UserFilter) at(offset int, cursor string) string {
	f.Offset, f.Cursor = offset, cursor
	return f.URL()
}

func withValues(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// Choice is one of a form's options.
type Choice struct{ Value, Label string }

// States are the choices of State.
func (f UserFilter) States() []Choice {
	return []Choice{{"", "All"}, {"active", "With a server that is not stopped"}, {"ready", "With a running server"}, {"inactive", "Without one"}}
}

// Sorts are the choices of Sort.
func (f UserFilter) Sorts() []Choice {
	return []Choice{{"", "Oldest first"}, {"-id", "Newest first"}, {"name", "Name, A to Z"}, {"-name", "Name, Z to A"},
		{"-last_activity", "Active last first"}, {"last_activity", "Idle longest first"}}
}

// PageOf says which part of a list is shown.
type PageOf struct {
	// From and To count from 1. To is 0 for an empty page.
	From, To, Total int
	// FirstURL, PreviousURL and NextURL are empty where there is none.
	FirstURL, PreviousURL, NextURL string
}

// Shown reports whether there is anything on the page.
func (p PageOf) Shown() bool { return p.To >= p.From }

// UserRow is one user of the list.
type UserRow struct {
	Name  string
	Admin bool
	// LastActivity is not shown when it is zero.
	LastActivity time.Time
	Servers      []AdminServer
	// More is how many servers the list leaves out.
	More int
}

// URL is the page about the user.
func (u UserRow) URL() string { return adminUser(u.Name) }

func adminUser(name string) string { return "/hub/admin/user/" + routes.EscapeSegment(name) }

// AdminServer is a server with what the administrator may do with it.
type AdminServer struct {
	ServerView
	MayStart, MayStop, MayOpen bool
}

// AdminStartURL takes the POST that starts it.
func (s AdminServer) AdminStartURL() string { return s.path("admin/start") }

// AdminStopURL takes the POST that stops it.
func (s AdminServer) AdminStopURL() string { return s.path("admin/stop") }

// serverRow is what the template of one server needs: the forms' XSRF token, and where they lead back to.
type serverRow struct {
	Server     AdminServer
	XSRF, Back string
}

// newServerRow is the function "row" of templates.
func newServerRow(page interface{ token() string }, s AdminServer, back string) serverRow {
	return serverRow{Server: s, XSRF: page.token(), Back: back}
}

// AddUsersView asks for the names of new users.
type AddUsersView struct {
	Page
	// Names are one a line. Error says why they were refused, Done what became of them.
	Names       string
	NewAdmin    bool
	Error, Done string
	MayAdmin    bool
	// Passwords says that users may sign in with one, which somebody must set.
	Passwords bool
}

// AdminUserView is about one user.
type AdminUserView struct {
	Page
	// Account is the user, with all servers.
	Account UserRow
	Groups  []GroupRef
	Roles   []RoleRef
	// Created is not shown when it is zero.
	Created time.Time
	// Form has what was filled in, Error why it was refused.
	Form      UserForm
	Error     string
	MayChange bool
	MayDelete bool
}

// DeleteURL takes the POST that deletes the user.
func (v AdminUserView) DeleteURL() string {
	return "/hub/admin/delete/" + routes.EscapeSegment(v.Account.Name)
}

// RoleRef is a role by its name.
type RoleRef struct{ Name string }

// UserForm changes a user.
type UserForm struct {
	Name  string
	Admin bool
}

// GroupsView is a page of the groups that an administrator may list.
type GroupsView struct {
	Page
	Names []GroupRef
	PageOf
	// NewName is what was filled in, Error why it was refused.
	NewName, Error string
	MayCreate      bool
}

// GroupRef is a group by its name.
type GroupRef struct{ Name string }

// URL is the page about the group.
func (g GroupRef) URL() string { return "/hub/admin/group/" + routes.EscapeSegment(g.Name) }

// AddURL takes the POST that adds members.
func (g GroupRef) AddURL() string { return g.URL() + "/add" }

// RemoveURL takes the POST that removes one.
func (g GroupRef) RemoveURL() string { return g.URL() + "/remove" }

// DeleteURL takes the POST that deletes the group.
func (g GroupRef) DeleteURL() string { return g.URL() + "/delete" }

// GroupView is about one group.
type GroupView struct {
	Page
	GroupRef
	Members []MemberRef
	PageOf
	// NewMembers is what was filled in, Error why it was refused.
	NewMembers, Error            string
	MaySee, MayChange, MayDelete bool
}

// MemberRef is a user by name.
type MemberRef struct{ Name string }

// URL is the page about the user.
func (m MemberRef) URL() string { return adminUser(m.Name) }
