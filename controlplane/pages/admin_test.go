package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// adminPosts are the forms of the administrators' pages, for alice's site.
var adminPosts = []string{"/hub/admin/add", "/hub/admin/user/bob", "/hub/admin/delete/bob", "/hub/admin/start/bob", "/hub/admin/start/bob/lab2",
	"/hub/admin/stop/bob", "/hub/admin/stop/bob/lab2", "/hub/admin/groups", "/hub/admin/group/staff/add", "/hub/admin/group/staff/remove",
	"/hub/admin/group/staff/delete"}

// people makes an administrator, a user and a group.
func (s *site) people() (root *browser, bob hub.User) {
	s.t.Helper()
	admin := s.user("root", true, "")
	bob = s.user("bob", false, "")
	if _, err := s.accounts.CreateGroups(s.t.Context(), []string{"staff"}, []hub.UserName{"bob"}); err != nil {
		s.t.Fatal(err)
	}
	return s.signedIn(admin), bob
}

// rows are the users whom the rows of the page’s tables are about.
func (v visited) rows() []string {
	v.t.Helper()
	var all []string
	for _, row := range elements(v.doc(), "tr") {
		if user, ok := attr(row, "data-user"); ok {
			all = append(all, user)
		}
	}
	return all
}

func TestAdminPagesAreForAdministrators(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	root, bob := s.people()
	s.running(bob, "")
	b := s.signedIn(bob)
	for _, path := range []string{"/hub/admin", "/hub/admin/add", "/hub/admin/user/root", "/hub/admin/user/nobody", "/hub/admin/groups", "/hub/admin/group/staff"} {
		b.get(path).wantText(http.StatusForbidden, "You need the scope admin-ui")
		b.with("Accept", "application/json").get(path).want(http.StatusForbidden)
		s.browser().get(path).wantTo(http.StatusFound, "/hub/login?next="+url.QueryEscape(path))
	}
	for _, path := range adminPosts {
		b.post(path, "name", "bobby", "names", "carol", "user", "bob", "admin", "1").wantText(http.StatusForbidden, "You need the scope admin-ui")
		root.do("POST", path, url.Values{}).wantText(http.StatusForbidden, "'_xsrf' argument missing from POST")
		root.do("POST", path, url.Values{"_xsrf": {b.xsrf()}}).wantText(http.StatusForbidden, "XSRF cookie does not match")
		root.with("Sec-Fetch-Site", "same-site").do("POST", path, url.Values{"_xsrf": {root.xsrf()}}).wantText(http.StatusForbidden, "another site")
		root.get(path + "?_xsrf=" + root.xsrf()) // a link changes nothing
	}
	if list := root.get("/hub/admin").wantText(http.StatusOK, "1 to 2 of 2").rows(); !slices.Equal(list, []string{"root", "bob"}) {
		t.Errorf("there are users %q", list)
	}
	if s.state(bob, "") != hub.Running || s.state(bob, "lab2") != hub.Stopped {
		t.Error("a server was started or stopped")
	}
	root.get("/hub/admin/group/staff").wantText(http.StatusOK, "bob")
	if v := b.get("/hub/home"); strings.Contains(v.body, `href="/hub/admin"`) {
		t.Error("bob is led to the page")
	}
	if v := root.get("/hub/home"); !strings.Contains(v.body, `href="/hub/admin"`) {
		t.Error("the administrator is not led to the page")
	}
}

func TestListOfUsers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	root, bob := s.people()
	names := make([]hub.UserName, 100)
	for i := range names {
		names[i] = hub.UserName(fmt.Sprintf("u%02d", i))
	}
	if _, err := s.accounts.CreateMany(t.Context(), names, false); err != nil {
		t.Fatal(err)
	}
	s.running(bob, "lab2")
	seen := map[string]bool{}
	var at visited
	for path, pages := "/hub/admin", 0; path != ""; pages++ {
		if at = root.get(path).want(http.StatusOK); pages > 2 {
			t.Fatal("no end of pages")
		}
		for _, name := range at.rows() {
			seen[name] = true
		}
		path = ""
		if next := at.byID("next"); next != nil {
			path, _ = attr(next, "href")
		}
	}
	at.wantText(http.StatusOK, "101 to 102 of 102", "First", "Previous")
	if len(seen) != 102 {
		t.Errorf("the pages together show %d users", len(seen))
	}
	back, _ := attr(at.byID("previous"), "href")
	root.get(back).wantText(http.StatusOK, "51 to 100 of 102")
	for query, want := range map[string]string{
		"name_filter=U9":              "1 to 10 of 10", // names are in lower case
		"state=active":                "1 to 1 of 1",
		"state=ready&sort=name":       "1 to 1 of 1",
		"state=inactive":              "1 to 50 of 101",
		"name_filter=nobody":          "Nobody is like that.",
		"name_filter=%25":             "Nobody is like that.",
		"sort=-last_activity":         "1 to 50 of 102",
		"offset=5000":                 "0 of 102",
		"offset=-1&cursor=":           "1 to 50 of 102",
		"name_filter=%3Cscript%3Ehi":  "Nobody is like that.",
		"name_filter=u&sort=-name":    "1 to 50 of 100",
		"state=active&name_filter=bo": "1 to 1 of 1",
	} {
		root.get("/hub/admin?"+query).wantText(http.StatusOK, want)
	}
	root.get("/hub/admin?state=nonsense").wantText(http.StatusBadRequest, "Unrecognized state filter")
	root.get("/hub/admin?sort=nonsense").wantText(http.StatusBadRequest, "Unrecognized sort")
	root.get("/hub/admin?cursor=bm9uc2Vuc2U").wantText(http.StatusBadRequest, "cursor is not from a page of this list.")
	v := root.get("/hub/admin?state=active&sort=-name&name_filter=%22%3E%3Cb")
	if v.value("name_filter") != `"><b` || v.value("state") != "active" || v.value("sort") != "-name" {
		t.Errorf("the form does not show what was asked for:\n%s", v.body)
	}
	v = root.get("/hub/admin?state=ready").wantText(http.StatusOK, "lab2", "Running", "Stopped")
	if !strings.Contains(v.body, `href="/user/bob/lab2/"`) || !strings.Contains(v.body, "/hub/admin/stop/bob/lab2?next=%2Fhub%2Fadmin%3Fstate%3Dready") {
		t.Errorf("the page does not lead to the server, or not back:\n%s", v.body)
	}
}

// A tutor's role shows what it is for, and no button of the page does more.
func TestAdminPageWithFewScopes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, bob := s.people()
	s.user("carol", false, "")
	s.running(bob, "")
	tutor := s.user("tutor", false, "")
	give := func(scopes ...string) {
		t.Helper()
		role := account.RoleConfig{Name: "tutor", Scopes: &scopes, Users: &[]string{"tutor"}}
		if err := s.accounts.Configure(t.Context(), account.Config{Roles: []account.RoleConfig{role}}); err != nil {
			t.Fatal(err)
		}
	}
	b := s.signedIn(tutor)
	give("admin-ui")
	b.get("/hub/admin").wantText(http.StatusForbidden, "requires any of [list:users]")
	b.get("/hub/admin/groups").wantText(http.StatusForbidden, "You need the scope list:groups")
	b.get("/hub/admin/group/staff").wantText(http.StatusNotFound, noAccess)
	give("admin-ui", "list:users!group=staff", "read:servers!group=staff", "list:groups!group=staff")
	v := b.get("/hub/admin").wantText(http.StatusOK, "1 to 1 of 1", "bob", "Running")
	if got := v.actions(); len(got) != 1 || got[0] != "/hub/admin" || strings.Contains(v.body, "/user/bob/") && strings.Contains(v.body, ">Open<") {
		t.Errorf("who may only look gets forms to %q, and buttons:\n%s", got, v.body)
	}
	b.get("/hub/admin/groups").wantText(http.StatusOK, "staff", "1 to 1 of 1")
	b.get("/hub/admin/group/staff").wantText(http.StatusOK, "You may not see them.")
	if got := b.get("/hub/admin/user/bob").wantText(http.StatusOK, "Running").actions(); len(got) != 0 {
		t.Errorf("who may only look gets forms to %q", got)
	}
	b.get("/hub/admin/user/carol").wantText(http.StatusNotFound, noAccess)
	for path, status := range map[string]int{"/hub/admin/add": 403, "/hub/admin/delete/bob": 403, "/hub/admin/start/bob": 404, "/hub/admin/stop/bob": 404,
		"/hub/admin/stop/carol": 404, "/hub/admin/stop/nobody": 404, "/hub/admin/groups": 403, "/hub/admin/group/staff/add": 403, "/hub/admin/group/staff/delete": 403,
		"/hub/admin/user/bob": 403, "/hub/admin/user/carol": 404} {
		b.post(path, "name", "x", "names", "x").want(status)
	}
	give("admin-ui", "list:users", "servers!group=staff")
	v = b.get("/hub/admin").wantText(http.StatusOK, "bob", "carol")
	if got := strings.Join(v.actions(), " "); !strings.Contains(got, "/hub/admin/stop/bob?") || strings.Contains(got, "/carol?") {
		t.Errorf("the list has forms to %q, want those for the servers of the group", got)
	}
	b.post("/hub/admin/stop/bob").wantTo(http.StatusFound, "/hub/admin")
	s.await(bob, "", hub.Stopped)
	b.post("/hub/admin/start/carol").want(http.StatusNotFound)
	give("admin-ui", "admin:users")
	b.post("/hub/admin/user/bob", "name", "bob", "admin", "1").wantText(http.StatusForbidden, "Only admins can grant admin permissions")
	b.post("/hub/admin/add", "names", "boss", "admin", "1").wantText(http.StatusForbidden, "Only admins can grant admin permissions")
	if u, err := s.accounts.Get(t.Context(), "bob"); err != nil || u.Admin {
		t.Errorf("bob is %+v, %v", u, err)
	}
}

func TestAddUsers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	root, _ := s.people()
	root.post("/hub/admin/add", "names", " Carol \r\n\r\ndora\ndora\n").wantTo(http.StatusFound, "/hub/admin?sort=-id")
	if got := root.get("/hub/admin?sort=-id").rows(); !slices.Equal(got, []string{"dora", "carol", "bob", "root"}) {
		t.Errorf("there are %q", got)
	}
	root.post("/hub/admin/add", "names", "bob\neve", "admin", "1").wantText(http.StatusOK, "Added: 1. There already: 1.")
	if u, err := s.accounts.Get(t.Context(), "eve"); err != nil || !u.Admin {
		t.Errorf("eve is %+v, %v", u, err)
	}
	for names, refused := range map[string]struct {
		status  int
		message string
	}{
		" \n ":                        {400, "Must specify at least one user to create"},
		"bob":                         {409, "All 1 users already exist"},
		"frank\n<script>alert(1)\n..": {400, "Invalid usernames: <script>alert(1), .."},
	} {
		v := root.post("/hub/admin/add", "names", names, "admin", "1").wantText(refused.status, refused.message)
		if v.value("names") != strings.TrimSpace(names) || !strings.Contains(v.body, "checked") || len(elements(v.byID("add-form"), "script")) > 0 {
			t.Errorf("after %q the form has %q", names, v.value("names"))
		}
	}
	if _, err := s.accounts.Get(t.Context(), "frank"); hub.KindOf(err) != hub.NotFound {
		t.Error("a refused form made a user")
	}
}

func TestChangeAndDeleteAUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	root, bob := s.people()
	root.get("/hub/admin/user/bob").wantText(http.StatusOK, "bob", "Never active.", "staff", "Roles: user", "Stopped")
	root.get("/hub/admin/user/nobody").want(http.StatusNotFound)
	root.get("/hub/admin/user/%3Cb%3E").want(http.StatusNotFound)
	for name, refused := range map[string]string{"root": "root already exists", "": "Invalid username", `"><b>`: `Invalid username: "><b>`} {
		v := root.post("/hub/admin/user/bob", "name", name, "admin", "1").want(http.StatusBadRequest)
		if !strings.Contains(text(v.doc()), refused) || v.value("name") != name || !strings.Contains(v.body, "checked") {
			t.Errorf("a new name %q: %q\n%s", name, v.value("name"), text(v.doc()))
		}
	}
	s.running(bob, "")
	root.post("/hub/admin/user/bob", "name", "bobby").want(http.StatusBadRequest) // a server runs
	root.post("/hub/admin/user/bob", "name", "bob", "admin", "1").wantTo(http.StatusFound, "/hub/admin/user/bob")
	root.post("/hub/admin/stop/bob").want(http.StatusFound)
	s.await(bob, "", hub.Stopped)
	root.post("/hub/admin/user/bob", "name", "Bobby", "admin", "1").wantTo(http.StatusFound, "/hub/admin/user/bobby")
	if u, err := s.accounts.Get(t.Context(), "bobby"); err != nil || !u.Admin || u.ID != bob.ID {
		t.Fatalf("bobby is %+v, %v", u, err)
	}
	root.post("/hub/admin/user/bobby", "name", "bobby").wantTo(http.StatusFound, "/hub/admin/user/bobby")
	if u, err := s.accounts.Get(t.Context(), "bobby"); err != nil || u.Admin {
		t.Errorf("bobby is %+v, %v", u, err)
	}
	if got := s.recorded()[0]; got != "root: PATCH /hub/api/users/{user}" {
		t.Errorf("the audit log has %q last", got)
	}
	root.post("/hub/admin/user/bobby", "name", "bobby").want(http.StatusFound)
	changes := len(s.recorded())
	root.post("/hub/admin/user/bobby", "name", "bobby").want(http.StatusFound)
	if len(s.recorded()) != changes {
		t.Error("a form without a change changed something")
	}
	if v := root.get("/hub/admin/user/root").want(http.StatusOK); v.byID("delete") != nil {
		t.Error("the page offers to delete oneself")
	}
	root.post("/hub/admin/delete/root").wantText(http.StatusBadRequest, "Cannot delete yourself!")
	root.post("/hub/admin/delete/bobby?next=%2F%2Fevil.example").wantTo(http.StatusFound, "/hub/admin")
	if got := s.recorded(); got[0] != "root: DELETE /hub/api/users/{user}" || len(got) != changes+1 {
		t.Errorf("the audit log has %q, want what the API did, once", got)
	}
	root.post("/hub/admin/delete/bobby").want(http.StatusNotFound)
	root.get("/hub/admin/user/bobby").want(http.StatusNotFound)
}

func TestStartAndStopForUsers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	root, bob := s.people()
	root.post("/hub/admin/start/bob?next=%2Fhub%2Fadmin%3Fstate%3Dactive").wantTo(http.StatusFound, "/hub/admin?state=active")
	s.await(bob, "", hub.Running)
	root.post("/hub/admin/start/bob?next=https%3A%2F%2Fevil.example").wantTo(http.StatusFound, "/hub/admin") // it runs: nothing to do
	root.post("/hub/admin/start/bob/lab2").want(http.StatusFound)
	s.await(bob, "lab2", hub.Running)
	root.post("/hub/admin/stop/bob").want(http.StatusFound)
	s.await(bob, "", hub.Stopped)
	if s.state(bob, "lab2") != hub.Running {
		t.Error("the other server was stopped, too")
	}
	root.post("/hub/admin/start/bob/Lab").want(http.StatusBadRequest)
	s.runtime.set(func(rt *runtime) { rt.fail = hub.Errorf(hub.Unavailable, "The disk is <full>.") })
	root.post("/hub/admin/start/bob").want(http.StatusFound)
	s.await(bob, "", hub.Stopped)
	root.get("/hub/admin/user/bob").wantText(http.StatusOK, "Failed", "The disk is <full>.", "lab2")
	if got := s.recorded(); !slices.Contains(got, "root: POST /hub/admin/start/{user}/{server}") || !slices.Contains(got, "root: POST /hub/admin/stop/{user}") {
		t.Errorf("the audit log has %q", got)
	}
}

func TestAdminGroups(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	root, _ := s.people()
	names := make([]hub.UserName, 60)
	for i := range names {
		names[i] = hub.UserName(fmt.Sprintf("u%02d", i))
	}
	if _, err := s.accounts.CreateMany(t.Context(), names, false); err != nil {
		t.Fatal(err)
	}
	root.post("/hub/admin/groups", "name", " Physics 101 & <b>co ").wantTo(http.StatusFound, "/hub/admin/group/Physics%20101%20%26%20%3Cb%3Eco")
	const group = "/hub/admin/group/Physics%20101%20%26%20%3Cb%3Eco"
	root.get("/hub/admin/groups").wantText(http.StatusOK, "Physics 101 & <b>co", "staff", "1 to 2 of 2")
	for name, status := range map[string]int{"staff": 409, "": 400, "a/b": 400, "..": 400} {
		if v := root.post("/hub/admin/groups", "name", name).want(status); v.value("name") != name || v.byID("group-error") == nil {
			t.Errorf("a group %q: the form has %q", name, v.value("name"))
		}
	}
	v := root.post(group+"/add", "names", "u00\nnobody").wantText(http.StatusBadRequest, "No such user: nobody", "There are none.")
	if v.value("names") != "u00\nnobody" {
		t.Errorf("the form has lost its names: %q", v.value("names"))
	}
	var all strings.Builder
	for _, name := range names {
		fmt.Fprintf(&all, "%s\r\n", name)
	}
	root.post(group+"/add", "names", all.String()).wantTo(http.StatusFound, group)
	v = root.get(group).wantText(http.StatusOK, "1 to 50 of 60", "u00", "u49")
	next, _ := attr(v.byID("next"), "href")
	if got := root.get(next).wantText(http.StatusOK, "51 to 60 of 60").rows(); len(got) != 10 || got[0] != "u50" {
		t.Errorf("the second page of members has %q", got)
	}
	root.post(group+"/remove", "user", "u00").wantTo(http.StatusFound, group)
	root.get(group).wantText(http.StatusOK, "1 to 50 of 59", "u50")
	root.get("/hub/admin/user/u01").wantText(http.StatusOK, "Physics 101 & <b>co")
	root.get(group+"?cursor=bm9uc2Vuc2U").wantText(http.StatusBadRequest, "cursor is not from a page of this list.")
	root.post(group+"/delete").wantTo(http.StatusFound, "/hub/admin/groups")
	root.get(group).wantText(http.StatusNotFound, "No such group")
	for _, path := range []string{group + "/add", group + "/remove", group + "/delete"} {
		root.post(path, "names", "u00", "user", "u00").want(http.StatusNotFound)
	}
}
