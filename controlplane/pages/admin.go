package pages

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

const (
	// pageSize is how many users or groups a page of a list shows, serversShown how many servers of each user.
	pageSize     = 50
	serversShown = 5
)

// admin makes a handler for those who may open the administrators' pages. What they may do there, further scopes say.
func (p *Pages) admin(next func(visit) error) func(visit) error {
	return func(v visit) error {
		if !v.Scopes.Has("admin-ui") {
			return hub.Errorf(hub.Forbidden, "This page is for administrators. You need the scope admin-ui to open it.")
		}
		return next(v)
	}
}

// userModel is what these pages read of the API's model of a user. What the visitor may not see is missing.
type userModel struct {
	Name         string
	Admin        bool
	Groups       []string
	Roles        []string
	Created      *time.Time
	LastActivity *time.Time `json:"last_activity"`
	Servers      map[string]serverModel
}

type serverModel struct {
	Pending string
	Ready   bool
}

func (s serverModel) state() hub.State {
	switch {
	case s.Pending == "stop":
		return hub.Stopping
	case s.Pending != "":
		return hub.Starting
	case s.Ready:
		return hub.Running
	}
	return hub.Stopped
}

// userList is a page of the API's users.
type userList struct {
	Items      []userModel
	Pagination struct {
		Total int
		Next  *struct {
			Offset int
			URL    string
		}
	} `json:"_pagination"`
}

// adminPage lists users: the page that the address asks for, in the API's own words.
func (p *Pages) adminPage(v visit) error {
	f := readFilter(v.r.URL.Query())
	q := f.query()
	q.Set("limit", strconv.Itoa(pageSize))
	q.Set("include_stopped_servers", "1")
	var list userList
	if err := p.call(v, http.MethodGet, withValues("/hub/api/users", q), nil, &list); err != nil {
		return err
	}
	users, err := p.Accounts.GetMany(v.r.Context(), list.names())
	if err != nil {
		return err
	}
	view := AdminView{Page: p.page(v.w, v.r, v.Caller), Filter: f, PageOf: list.page(f),
		CanAdd: v.Scopes.Has("admin:users"), CanGroups: v.Scopes.HasAny("list:groups")}
	for _, m := range list.Items {
		view.Users = append(view.Users, p.userRow(v, m, users[hub.UserName(m.Name)].Groups))
	}
	return p.render.Render(v.w, http.StatusOK, AdminPage, view)
}

func readFilter(q url.Values) UserFilter {
	offset, err := strconv.Atoi(q.Get("offset"))
	if err != nil || offset < 0 {
		offset = 0
	}
	return UserFilter{Name: q.Get("name_filter"), State: q.Get("state"), Sort: q.Get("sort"), Cursor: q.Get("cursor"), Offset: offset}
}

func (l *userList) names() []hub.UserName {
	names := make([]hub.UserName, len(l.Items))
	for i, m := range l.Items {
		names[i] = hub.UserName(m.Name)
	}
	return names
}

// page says where the list is. Back it goes by counting, forth by the cursor.
func (l *userList) page(f UserFilter) PageOf {
	at := PageOf{From: f.Offset + 1, To: f.Offset + len(l.Items), Total: l.Pagination.Total}
	if f.Offset > 0 {
		at.FirstURL, at.PreviousURL = f.at(0, ""), f.at(max(f.Offset-pageSize, 0), "")
	}
	if next := l.Pagination.Next; next != nil {
		if u, err := url.Parse(next.URL); err == nil {
			at.NextURL = f.at(next.Offset, u.Query().Get("cursor"))
		}
	}
	return at
}

// userRow is a user of the list, who is in these groups: the visitor may not be allowed to see them, but they count for what is.
func (p *Pages) userRow(v visit, m userModel, groups []string) UserRow {
	row := UserRow{Name: m.Name, Admin: m.Admin, LastActivity: orZero(m.LastActivity)}
	if m.Servers == nil {
		return row // the visitor may not see them
	}
	names := slices.Sorted(maps.Keys(m.Servers))
	if _, ok := m.Servers[""]; !ok {
		names = append([]string{""}, names...)
	}
	row.More = max(len(names)-serversShown, 0)
	for _, name := range names[:len(names)-row.More] {
		s := hub.Server{User: hub.UserName(m.Name), Name: hub.ServerName(name), State: m.Servers[name].state()}
		row.Servers = append(row.Servers, p.adminServer(v, groups, s))
	}
	return row
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// adminServer is a server of a user in these groups, with what the visitor may do with it.
func (p *Pages) adminServer(v visit, groups []string, s hub.Server) AdminServer {
	res := resource(hub.User{Name: s.User, Groups: groups}, s.Name)
	return AdminServer{
		ServerView: ServerView{ServerRef: ref(&s), URL: p.address(routes.UserPrefix(string(s.User), string(s.Name))), State: s.State, Failure: s.Failure},
		MayStart:   v.Scopes.Allows("start:servers", res), MayStop: v.Scopes.Allows("delete:servers", res), MayOpen: v.Scopes.Allows("access:servers", res),
	}
}

// startForUser starts a server and leads back to the list. It waits for nothing: the list shows how it goes on.
func (p *Pages) startForUser(v visit) error {
	u, s, err := p.record(v, "start:servers")
	if err == nil && !s.Active() {
		_, err = p.Servers.Start(v.r.Context(), u, s.Name, nil)
	}
	if err != nil {
		return err
	}
	return p.backToList(v)
}

// stopForUser stops a server and leads back to the list.
func (p *Pages) stopForUser(v visit) error {
	u, name, err := p.server(v, "delete:servers")
	if err == nil {
		_, err = p.Servers.Stop(v.r.Context(), u.Name, name)
	}
	if err != nil {
		return err
	}
	return p.backToList(v)
}

func (p *Pages) backToList(v visit) error {
	return redirect(v.w, cmp.Or(web.Next(v.r), "/hub/admin"))
}
