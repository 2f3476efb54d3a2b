package pages

import (
	"net/http"
	"strings"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// groupsPage lists the groups that the visitor may list, by their names only: a group may have all users.
func (p *Pages) groupsPage(v visit) error { return p.showGroups(v, http.StatusOK, GroupsView{}) }

func (p *Pages) showGroups(v visit, status int, view GroupsView) error {
	if !v.Scopes.HasAny("list:groups") {
		return hub.Errorf(hub.Forbidden, "You need the scope list:groups to see groups.")
	}
	f := readFilter(v.r.URL.Query())
	win := account.Window{Offset: f.Offset, Cursor: f.Cursor, Limit: pageSize}
	var list account.Page[hub.Group]
	var err error
	if v.Scopes.Has("list:groups") {
		list, err = p.Accounts.ListGroups(v.r.Context(), win)
	} else {
		list, err = p.Accounts.ListGroupsOf(v.r.Context(), v.Scopes.FilteredTo("list:groups", access.FilterGroup), win)
	}
	if err != nil {
		return err
	}
	for _, g := range list.Items {
		view.Names = append(view.Names, GroupRef{g.Name})
	}
	view.Page, view.PageOf = p.page(v.w, v.r, v.Caller), pageOf("/hub/admin/groups", f, len(list.Items), list.Total, list.Next)
	view.MayCreate = v.Scopes.Has("admin:groups")
	return p.render.Render(v.w, status, GroupsPage, view)
}

// pageOf says where a list is that has no filters: n items of total, and the cursor of the next page.
func pageOf(path string, f UserFilter, n, total int, next string) PageOf {
	at := PageOf{From: f.Offset + 1, To: f.Offset + n, Total: total}
	if f.Offset > 0 {
		at.FirstURL = path
	}
	if next != "" {
		at.NextURL = withValues(path, UserFilter{Offset: f.Offset + n, Cursor: next}.query())
	}
	return at
}

// createGroup makes a group and leads to it.
func (p *Pages) createGroup(v visit) error {
	name := strings.TrimSpace(v.r.PostFormValue("name"))
	err := p.call(v, http.MethodPost, "/hub/api/groups", map[string]any{"groups": []string{name}}, nil)
	if status, message := refusal(err); message != "" {
		return p.showGroups(v, status, GroupsView{NewName: name, Error: message})
	}
	if err != nil {
		return err
	}
	return redirect(v.w, GroupRef{name}.URL())
}

// groupPage is the page about one group.
func (p *Pages) groupPage(v visit) error { return p.showGroup(v, http.StatusOK, GroupView{}) }

func (p *Pages) showGroup(v visit, status int, view GroupView) error {
	name := v.r.PathValue("group")
	res := access.Resource{Group: name}
	if !v.Scopes.Allows("read:groups:name", res) {
		return hub.Errorf(hub.NotFound, "No access to resources or resources not found")
	}
	if _, err := p.Accounts.Group(v.r.Context(), name); err != nil {
		return err
	}
	view.Page, view.GroupRef = p.page(v.w, v.r, v.Caller), GroupRef{name}
	view.MaySee, view.MayChange, view.MayDelete = v.Scopes.Allows("read:groups", res), v.Scopes.Allows("groups", res), v.Scopes.Allows("delete:groups", res)
	if view.MaySee {
		f := readFilter(v.r.URL.Query())
		list, err := p.Accounts.ListMembers(v.r.Context(), name, account.Window{Cursor: f.Cursor, Limit: pageSize})
		if err != nil {
			return err
		}
		for _, member := range list.Items {
			view.Members = append(view.Members, MemberRef{string(member)})
		}
		view.PageOf = pageOf(view.URL(), f, len(list.Items), list.Total, list.Next)
	}
	return p.render.Render(v.w, status, GroupPage, view)
}

// groupInPath is the place in the API of the group that the page's path names.
func (v visit) groupInPath() string {
	return "/hub/api/groups/" + routes.EscapeSegment(v.r.PathValue("group"))
}

// addMembers puts users into a group.
func (p *Pages) addMembers(v visit) error {
	names := v.r.PostFormValue("names")
	return p.changeMembers(v, http.MethodPost, lines(names), GroupView{NewMembers: names})
}

// removeMember takes a user out of a group.
func (p *Pages) removeMember(v visit) error {
	return p.changeMembers(v, http.MethodDelete, []string{v.r.PostFormValue("user")}, GroupView{})
}

// changeMembers leads back to the group. refused is the page if the API does not do it.
func (p *Pages) changeMembers(v visit, method string, users []string, refused GroupView) error {
	err := p.call(v, method, v.groupInPath()+"/users", map[string]any{"users": users}, nil)
	if status, message := refusal(err); message != "" && status != http.StatusNotFound {
		refused.Error = message
		return p.showGroup(v, status, refused)
	}
	if err != nil {
		return err
	}
	return redirect(v.w, GroupRef{v.r.PathValue("group")}.URL())
}

// deleteGroup removes a group. Its members stay.
func (p *Pages) deleteGroup(v visit) error {
	if err := p.call(v, http.MethodDelete, v.groupInPath(), nil, nil); err != nil {
		return err
	}
	return redirect(v.w, "/hub/admin/groups")
}
