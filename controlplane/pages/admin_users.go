package pages

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// addUsersForm asks for the names of new users.
func (p *Pages) addUsersForm(v visit) error { return p.showAddUsers(v, http.StatusOK, AddUsersView{}) }

func (p *Pages) showAddUsers(v visit, status int, view AddUsersView) error {
	view.Page, view.MayAdmin, view.Passwords = p.page(v.w, v.r, v.Caller), v.Caller.Admin(), !p.NoPasswords
	return p.render.Render(v.w, status, AddUsersPage, view)
}

// addUsers makes users, and leads to them: the newest of the list. Who is there already is left as they are.
func (p *Pages) addUsers(v visit) error {
	form := AddUsersView{Names: v.r.PostFormValue("names"), NewAdmin: v.r.PostFormValue("admin") != ""}
	names := lines(form.Names)
	var made []userModel
	err := p.call(v, http.MethodPost, "/hub/api/users", map[string]any{"usernames": names, "admin": form.NewAdmin}, &made)
	if status, message := refusal(err); message != "" {
		form.Error = message
		return p.showAddUsers(v, status, form)
	}
	if err != nil {
		return err
	}
	if len(made) < len(names) {
		return p.showAddUsers(v, http.StatusOK, AddUsersView{Done: fmt.Sprintf("Added: %d. There already: %d.", len(made), len(names)-len(made))})
	}
	return redirect(v.w, UserFilter{Sort: "-id"}.URL())
}

// lines are the different lines of a text that are not empty.
func lines(text string) []string {
	all := []string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	return all
}

// userForm is the page about one user.
func (p *Pages) userForm(v visit) error { return p.showUser(v, http.StatusOK, nil, "") }

// showUser is the page about a user, with what was filled into its form, if it was, and why that was refused.
func (p *Pages) showUser(v visit, status int, form *UserForm, message string) error {
	m, err := p.readUser(v)
	if err != nil {
		return err
	}
	u, err := p.Accounts.Get(v.r.Context(), hub.UserName(m.Name))
	if err != nil {
		return err
	}
	res := access.Resource{User: m.Name, UserGroups: u.Groups}
	view := AdminUserView{Page: p.page(v.w, v.r, v.Caller), Form: UserForm{Name: m.Name, Admin: m.Admin}, Error: message, Created: orZero(m.Created),
		Account:   UserRow{Name: m.Name, Admin: m.Admin, LastActivity: orZero(m.LastActivity)},
		MayChange: v.Scopes.Allows("admin:users", res), MayDelete: v.Scopes.Allows("delete:users", res) && m.Name != string(v.User.Name)}
	if form != nil {
		view.Form = *form
	}
	for _, name := range m.Groups {
		view.Groups = append(view.Groups, GroupRef{name})
	}
	for _, name := range m.Roles {
		view.Roles = append(view.Roles, RoleRef{name})
	}
	if view.Account.Servers, err = p.serversOf(v, u); err != nil {
		return err
	}
	return p.render.Render(v.w, status, AdminUserPage, view)
}

// readUser is the user that the page's path names, as the visitor may see it.
func (p *Pages) readUser(v visit) (userModel, error) {
	var m userModel
	err := p.call(v, http.MethodGet, v.userInPath(), nil, &m)
	return m, err
}

// userInPath is the place in the API of the user that the page's path names.
func (v visit) userInPath() string { return userPath(hub.UserName(v.r.PathValue("user"))) }

// serversOf are the servers of a user that the visitor may see, the default one always first.
func (p *Pages) serversOf(v visit, u hub.User) ([]AdminServer, error) {
	records, err := p.Servers.OfUser(v.r.Context(), u.Name)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(records, func(s hub.Server) bool { return s.Name == "" }) {
		records = append([]hub.Server{{User: u.Name, State: hub.Stopped}}, records...)
	}
	var all []AdminServer
	for _, s := range records {
		if v.Scopes.Allows("read:servers", resource(u, s.Name)) {
			all = append(all, p.adminServer(v, u.Groups, s))
		}
	}
	return all, nil
}

// changeUser renames a user, and makes or ends an administrator. Only what differs is sent to the API.
func (p *Pages) changeUser(v visit) error {
	before, err := p.readUser(v)
	if err != nil {
		return err
	}
	form := UserForm{Name: strings.TrimSpace(v.r.PostFormValue("name")), Admin: v.r.PostFormValue("admin") != ""}
	change := map[string]any{}
	if form.Name != before.Name {
		change["name"] = form.Name
	}
	if form.Admin != before.Admin {
		change["admin"] = form.Admin
	}
	after := before
	if len(change) > 0 {
		err = p.call(v, http.MethodPatch, v.userInPath(), change, &after)
	}
	if status, message := refusal(err); message != "" {
		return p.showUser(v, status, &form, message)
	}
	if err != nil {
		return err
	}
	return redirect(v.w, adminUser(after.Name))
}

// deleteUser deletes a user, once the servers have stopped.
func (p *Pages) deleteUser(v visit) error {
	err := p.call(v, http.MethodDelete, v.userInPath(), nil, nil)
	if status, message := refusal(err); message != "" && status != http.StatusNotFound {
		return p.showUser(v, status, nil, message)
	}
	if err != nil {
		return err
	}
	return p.backToList(v)
}
