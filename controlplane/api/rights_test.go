package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/audit"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// ofRights are the routes of roles, sessions and the audit log, which TestRightsEndpoints is about.
func ofRights(pattern string) bool {
	return strings.Contains(pattern, "/roles") || strings.Contains(pattern, "/sessions") || strings.HasSuffix(pattern, "/audit")
}

func withAudit(o *Options) { o.Audit = audit.New(o.Store, nil, o.Log) }

func roleJSON(name, description, scopes, groups, services, managed string) string {
	return fmt.Sprintf(`{"kind":"role","name":%q,"description":%q,"scopes":%s,"groups":%s,"services":%s,"managed_by":%q}`,
		name, description, scopes, groups, services, managed)
}

// The story of a role from its making to its end, with the answers and errors of every route about roles.
func TestRightsEndpoints(t *testing.T) {
	t.Parallel()
	h := newHub(t, withAudit)
	alice := h.user("alice", false)
	secrets := map[string]string{"root": h.token(h.user("root", true)), "alice": h.token(alice), "nobody": ""}
	if err := h.accounts.Configure(t.Context(), account.Config{
		Roles: []account.RoleConfig{{Name: "fixed", Scopes: &[]string{"read:hub"}, Users: &[]string{"alice"}, Groups: &[]string{}}},
	}); err != nil {
		t.Fatal(err)
	}
	teacher := roleJSON("teacher", "", `["list:users!group=class"]`, `[]`, `[]`, "api")
	const inFile = "The role fixed is in the configuration file. Change it there."
	seen := map[string]bool{}
	for i, s := range []step{
		{"nobody", "GET /hub/api/roles", "", 403, "", noCredentials},
		{"alice", "GET /hub/api/roles", "", 403, "", "Action is not authorized with current scopes; requires any of [read:roles]"},
		{"alice", "POST /hub/api/roles/teacher", "", 403, "", "Action is not authorized with current scopes; requires any of [admin:users]"},
		{"root", "GET /hub/api/roles/teacher", "", 404, "", "No such role: teacher"},
		{"root", "POST /hub/api/roles/teacher", `{"scopes":["list:users!group=class"]}`, 201, teacher, ""},
		{"root", "POST /hub/api/roles/teacher", `{}`, 409, "", "Role teacher already exists"},
		{"root", "POST /hub/api/roles/T", `{}`, 400, "", "Invalid role name: T. It has 3 to 255 of a-z, 0-9 and -_~. and begins with a letter and ends with a letter or digit."},
		{"root", "POST /hub/api/roles/other", `{"scopes":["nope"]}`, 400, "", `scope "nope" does not exist`},
		{"root", "POST /hub/api/roles/other", `{"scopes":["inherit"]}`, 400, "", `scope "inherit" is only for the role token`},
		{"root", "POST /hub/api/roles/other", `{"scope":[]}`, 400, "", "Unknown key 'scope': known are [description, scopes, groups, services]."},
		{"root", "POST /hub/api/roles/other", `{"scopes":"all"}`, 400, "", "scopes has the wrong type: got a JSON string."},
		{"root", "POST /hub/api/roles/other", `{"groups":[""]}`, 400, "", badGroup("")},
		{"root", "GET /hub/api/roles/teacher", "", 200, teacher, ""},
		{"root", "GET /hub/api/roles/admin", "", 200, roleJSON("admin", "Elevated privileges (can do anything)", quoted(adminScopes()), `[]`, `[]`, "default"), ""},
		{"root", "PUT /hub/api/roles/teacher", `{"description":"Of a class"}`, 200, roleJSON("teacher", "Of a class", `["list:users!group=class"]`, `[]`, `[]`, "api"), ""},
		{"root", "PUT /hub/api/roles/helper", `{"groups":["b","a","b"]}`, 201, roleJSON("helper", "", `[]`, `["a","b"]`, `[]`, "api"), ""},
		{"root", "PUT /hub/api/roles/fixed", `{"scopes":[]}`, 409, "", inFile},
		{"root", "PUT /hub/api/roles/user", `{"scopes":[]}`, 409, "", "The default role user can only be changed in the configuration file."},
		{"root", "DELETE /hub/api/roles/fixed", "", 409, "", "The role fixed is in the configuration file. Remove it there."},
		{"root", "DELETE /hub/api/roles/user", "", 409, "", "The default role user cannot be deleted."},
		{"root", "DELETE /hub/api/roles/nope", "", 404, "", "No such role: nope"},

		{"root", "GET /hub/api/roles/teacher/users", "", 200, `[]`, ""},
		{"root", "GET /hub/api/roles/fixed/users", "", 200, `["alice"]`, ""},
		{"root", "POST /hub/api/roles/teacher/users", `{"users":["alice"]}`, 200, roleJSON("teacher", "Of a class", `["list:users!group=class"]`, `[]`, `[]`, "api"), ""},
		{"root", "POST /hub/api/roles/teacher/users", `{"users":["nobody"]}`, 400, "", "No such user: nobody"},
		{"root", "POST /hub/api/roles/teacher/users", `{"users":["no body"]}`, 400, "", "Invalid username: no body"},
		{"root", "POST /hub/api/roles/teacher/users", `{"users":[]}`, 400, "", "Must specify users to add or remove, and nothing else"},
		{"root", "POST /hub/api/roles/teacher/users", `{"users":["alice"],"groups":["g"]}`, 400, "", "Must specify users to add or remove, and nothing else"},
		{"root", "POST /hub/api/roles/nope/users", `{"users":["alice"]}`, 404, "", "No such role: nope"},
		{"root", "POST /hub/api/roles/fixed/users", `{"users":["root"]}`, 409, "", "The users of role fixed are in the configuration file. Change them there."},
		{"root", "POST /hub/api/roles/admin/users", `{"users":["alice"]}`, 400, "", "Make a user an administrator with the field admin, not with the role."},
		{"root", "GET /hub/api/roles/teacher/users", "", 200, `["alice"]`, ""},
		{"alice", "GET /hub/api/users", "", 200, `[]`, ""}, // a list, of nobody yet
		{"root", "DELETE /hub/api/roles/teacher/users", `{"users":["alice"]}`, 200, roleJSON("teacher", "Of a class", `["list:users!group=class"]`, `[]`, `[]`, "api"), ""},
		{"alice", "GET /hub/api/users", "", 403, "", "Action is not authorized with current scopes; requires any of [list:users]"},

		{"root", "POST /hub/api/roles/teacher/groups", `{"groups":["staff"]}`, 200, roleJSON("teacher", "Of a class", `["list:users!group=class"]`, `["staff"]`, `[]`, "api"), ""},
		{"root", "POST /hub/api/roles/fixed/groups", `{"groups":["staff"]}`, 409, "", "The groups of role fixed are in the configuration file. Change them there."},
		{"root", "DELETE /hub/api/roles/teacher/groups", `{"groups":["staff"]}`, 200, roleJSON("teacher", "Of a class", `["list:users!group=class"]`, `[]`, `[]`, "api"), ""},
		{"root", "POST /hub/api/roles/teacher/services", `{"services":["grader"]}`, 200, roleJSON("teacher", "Of a class", `["list:users!group=class"]`, `[]`, `["grader"]`, "api"), ""},
		{"root", "DELETE /hub/api/roles/teacher/services", `{"services":["grader"]}`, 200, roleJSON("teacher", "Of a class", `["list:users!group=class"]`, `[]`, `[]`, "api"), ""},
		{"root", "DELETE /hub/api/roles/teacher", "", 204, "", ""},
		{"root", "GET /hub/api/roles/teacher", "", 404, "", "No such role: teacher"},

		{"alice", "GET /hub/api/users/alice/sessions", "", 200, `{"sessions":[]}`, ""},
		{"alice", "GET /hub/api/users/root/sessions", "", 404, "", noAccess},
		{"alice", "DELETE /hub/api/users/alice/sessions/x", "", 404, "", "No such session x for user alice"},
		{"alice", "DELETE /hub/api/users/alice/sessions", "", 204, "", ""},
		{"alice", "GET /hub/api/audit", "", 403, "", "Action is not authorized with current scopes; requires any of [admin:users]"},
		{"root", "GET /hub/api/audit?limit=0", "", 400, "", "limit must be a number from 1 to 1000"},
		{"root", "GET /hub/api/audit?before=../users", "", 400, "", "This is no id of a record: ../users"},
		{"root", "GET /hub/api/audit?limit=1", "", 200, `{"items":[{"id":"<text>","time":"<any time>","actor":"alice","kind":"user","token":"<token id>",
			"action":"DELETE /hub/api/users/{user}/sessions","path":"/hub/api/users/alice/sessions","status":204,"address":"127.0.0.1","request_id":"<text>"}],
			"next":"<text>"}`, ""},
	} {
		method, path, _ := strings.Cut(s.request, " ")
		a := h.do(method, path, s.send, as(secrets[s.who]))
		a.what = fmt.Sprintf("step %d: %s as %s with %s", i, s.request, s.who, s.send)
		switch {
		case s.message != "":
			a.wantError(s.status, s.message)
		case s.body != "":
			a.wantJSON(s.status, s.body)
		default:
			a.want(s.status)
		}
		seen[routeOf(h, method, path)] = true
	}
	for _, rt := range (&API{Options: h.opts}).table() {
		if ofRights(rt.pattern) && !seen[rt.pattern] {
			t.Errorf("the story has no request for %s", rt.pattern)
		}
	}
}

func adminScopes() []string { return access.DefaultRoles()[1].Scopes }

func quoted(list []string) string { return `["` + strings.Join(list, `","`) + `"]` }

// scopesOf are the scopes that whoami shows.
func (h *testHub) scopesOf(secret string) []string {
	h.t.Helper()
	var me struct{ Scopes []string }
	h.do("GET", "/hub/api/user", "", as(secret)).want(200).into(&me)
	return me.Scopes
}

// A role reaches its holders, and their tokens, with the next request: given directly, by a group, in the configuration and by
// a service; and so does its end.
func TestARoleTakesEffectWithTheNextRequest(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, alice := as(h.token(h.user("root", true))), h.user("alice", false, "staff")
	inherits, narrow := h.token(alice), h.token(alice, "read:hub", "self")
	has := func(what string, want bool) {
		t.Helper()
		for name, secret := range map[string]string{"a token that inherits": inherits, "a token with read:hub": narrow} {
			if got := slices.Contains(h.scopesOf(secret), "read:hub"); got != want {
				t.Errorf("%s: %s has read:hub: %t, want %t", what, name, got, want)
			}
		}
	}
	has("at first", false)
	h.do("POST", "/hub/api/roles/reader", `{"scopes":["read:hub"]}`, root).want(201)
	has("a role that she does not have", false)
	h.do("POST", "/hub/api/roles/reader/users", `{"users":["alice"]}`, root).want(200)
	has("given", true)
	h.do("PUT", "/hub/api/roles/reader", `{"scopes":[]}`, root).want(200)
	has("the role has no scopes any more", false)
	h.do("PUT", "/hub/api/roles/reader", `{"scopes":["read:hub"]}`, root).want(200)
	has("the role has it again", true)
	h.do("DELETE", "/hub/api/roles/reader/users", `{"users":["alice"]}`, root).want(200)
	has("taken", false)
	h.do("POST", "/hub/api/roles/reader/groups", `{"groups":["staff"]}`, root).want(200)
	has("given to her group", true)
	h.do("PATCH", "/hub/api/users/alice", `{"groups":[]}`, root).want(200)
	has("not in the group", false)
	h.do("PATCH", "/hub/api/users/alice", `{"roles":["user","reader"]}`, root).want(200)
	has("given with PATCH", true)
	h.do("DELETE", "/hub/api/roles/reader", "", root).want(204)
	has("the role is deleted", false)
	h.do("POST", "/hub/api/roles/reader", `{"scopes":["read:hub"]}`, root).want(201)
	has("a later role of the name", false)

	h.service()
	auto := h.roleToken("robot")
	if got := h.scopesOf(auto); len(got) != 0 {
		t.Errorf("a service without a role has %q", got)
	}
	h.do("POST", "/hub/api/roles/reader/services", `{"services":["robot"]}`, root).want(200)
	if got := h.scopesOf(auto); !slices.Contains(got, "read:hub") {
		t.Errorf("a service with the role has %q", got)
	}
}

// Nobody hands out what they do not hold, by no way that a role or a group offers.
func TestRolesDoNotGrowRights(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	all, alice := h.user("root", true), h.user("alice", false)
	root := as(h.token(all))
	narrow := as(h.token(all, "admin:users", "admin:groups", "admin:services", "read:roles"))
	own := as(h.token(alice))
	h.do("POST", "/hub/api/roles/operators", `{"scopes":["shutdown"],"groups":["ops"]}`, root).want(201)
	h.do("POST", "/hub/api/roles/lists", `{"scopes":["list:users"]}`, root).want(201)
	for _, s := range []struct {
		request, body string
		status        int
	}{
		{"POST /hub/api/roles/mine", `{"scopes":["shutdown"]}`, 403},
		{"POST /hub/api/roles/mine", `{"scopes":["self"]}`, 403},
		{"POST /hub/api/roles/mine", `{"scopes":["servers!user"]}`, 403},
		{"PUT /hub/api/roles/mine", `{"scopes":["proxy"]}`, 403},
		{"PUT /hub/api/roles/lists", `{"scopes":["proxy"]}`, 403},
		{"PUT /hub/api/roles/operators", `{"scopes":[]}`, 403},
		{"DELETE /hub/api/roles/operators", "", 403},
		{"POST /hub/api/roles/operators/users", `{"users":["alice"]}`, 403},
		{"DELETE /hub/api/roles/operators/users", `{"users":["alice"]}`, 403},
		{"POST /hub/api/roles/operators/groups", `{"groups":["all"]}`, 403},
		{"POST /hub/api/roles/operators/services", `{"services":["robot"]}`, 403},
		{"PATCH /hub/api/users/alice", `{"groups":["ops"]}`, 403},
		{"PATCH /hub/api/users/alice", `{"roles":["operators"]}`, 403},
		{"PATCH /hub/api/users/alice", `{"groups":["other"],"roles":["lists"]}`, 200},
		{"POST /hub/api/roles/lists/users", `{"users":["alice"]}`, 200},
		{"PUT /hub/api/roles/lists", `{"scopes":["read:users:name"]}`, 200},
		{"POST /hub/api/roles/mine", `{"scopes":["read:users!group=x","read:roles:users"]}`, 201},
	} {
		method, path, _ := strings.Cut(s.request, " ")
		a := h.do(method, path, s.body, narrow)
		a.what += " with " + s.body
		a.want(s.status)
		h.do(method, path, s.body, own).want(403)
	}
	h.do("PATCH", "/hub/api/users/alice", `{"groups":["ops"],"roles":["operators"]}`, root).want(200)
}

// POST of a token is open to name and password, and to nobody without either.
func TestATokenForNameAndPassword(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, name := range []string{"alice", "bob"} {
		h.user(name, false)
		password := "correct horse of " + name
		if _, err := h.accounts.Update(t.Context(), h.get(name).Name, account.Change{Password: &password}); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []struct {
		user, body string
		status     int
	}{
		{"alice", `{"auth":{"username":"alice","password":"correct horse of alice"}}`, 201},
		{"alice", `{"auth":{"username":"Alice","password":"correct horse of alice"},"scopes":["read:users:name!user"]}`, 201},
		{"alice", `{"auth":{"username":"alice","password":"correct horse of bob"}}`, 403},
		{"bob", `{"auth":{"username":"alice","password":"correct horse of alice"}}`, 403},
		{"nobody", `{"auth":{"username":"alice","password":"correct horse of alice"}}`, 403},
		{"alice", `{"auth":{}}`, 403},
		{"alice", `{"auth":null}`, 403},
		{"alice", `{"auth":"alice"}`, 400},
		{"alice", `{`, 400},
		{"alice", ``, 403},
	} {
		a := h.do("POST", "/hub/api/users/"+s.user+"/tokens", s.body)
		a.what += " with " + s.body
		a.want(s.status)
		if s.status != 201 {
			continue
		}
		var made tokenAnswer
		a.into(&made)
		h.do("GET", "/hub/api/users/alice", "", as(made.Token)).want(200)
		if made.Note != "Requested via api" {
			t.Errorf("%s: note %q", a.what, made.Note)
		}
	}
}

// Who may make tokens for whom, by the scope tokens with each filter.
func TestTokensScopeIsCheckedInTheBody(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.user("root", true)
	h.user("alice", false, "g")
	for _, filter := range filters {
		want := 403
		if filter == "" || filter == "!user=alice" || filter == "!group=g" {
			want = 201
		}
		for user, status := range map[string]int{"alice": want, "nobody": 403} {
			a := h.do("POST", "/hub/api/users/"+user+"/tokens", `{"scopes":["read:tokens!user"]}`, as(h.token(root, "tokens"+filter, "read:users")))
			a.what += " with tokens" + filter
			a.want(status)
		}
	}
	h.do("POST", "/hub/api/users/alice/tokens", `{"scopes":[]}`, as(h.token(root, "read:tokens"))).
		wantError(403, "Action is not authorized with current scopes; requires any of [tokens]")
}

func TestLongestLifeOfATokenIsAlsoTheDefault(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.MaxTokenLife = time.Hour })
	alice := as(h.token(h.user("alice", false)))
	const url = "/hub/api/users/alice/tokens"
	for body, want := range map[string]time.Duration{`{}`: time.Hour, `{"expires_in":null}`: time.Hour, `{"expires_in":60}`: time.Minute, `{"expires_in":3600}`: time.Hour} {
		var made tokenAnswer
		h.do("POST", url, body, alice).want(201).into(&made)
		expires, err := time.Parse(time.RFC3339, made.Expires)
		if left := time.Until(expires); err != nil || left > want || left < want-time.Minute {
			t.Errorf("%s expires %q, want in %s", body, made.Expires, want)
		}
	}
	h.do("POST", url, `{"expires_in":3601}`, alice).wantError(400, "expires_in: 3601 must not exceed 3600")
	h.do("POST", url, `{"expires_in":0}`, alice).wantError(400, "expires_in must be a positive number of seconds, at most ten years.")
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	root := as(h.token(h.user("root", true)))
	type session struct {
		ID, Address        string
		Agent              string `json:"user_agent"`
		Used               string `json:"last_activity"`
		Current            bool
		Created, ExpiresAt string
	}
	var list struct{ Sessions []session }
	var cookies []string
	for range 3 {
		_, secret, err := h.tokens.StartSession(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		cookies = append(cookies, secret)
	}
	in := func(i int) with {
		return func(r *http.Request) {
			cookie("edgehub-session", cookies[i])(r)
			r.Header.Set("User-Agent", "Browser "+fmt.Sprint(i)+"\u202e"+strings.Repeat("x", 300))
			r.Header.Set("X-Forwarded-For", "6.6.6.6, 192.0.2.7")
		}
	}
	h.do("GET", "/hub/api/user", "", in(0)).want(200)
	h.do("GET", "/hub/api/users/alice/sessions", "", in(1)).want(200).into(&list)
	if len(list.Sessions) != 3 {
		t.Fatalf("sessions: %+v, want three", list.Sessions)
	}
	var mine session
	for _, s := range list.Sessions {
		if s.Current {
			mine = s
		}
	}
	if mine.Address != "192.0.2.7" || !strings.HasPrefix(mine.Agent, "Browser 1?xxx") || len(mine.Agent) != 200 || mine.Used == "" {
		t.Errorf("the session that asks is %+v", mine)
	}
	caused := hubToken(alice, "", "inherit")
	caused.Session = mine.ID
	_, secret, err := h.tokens.Issue(t.Context(), caused)
	if err != nil {
		t.Fatal(err)
	}
	other := h.token(alice)
	h.do("DELETE", "/hub/api/users/alice/sessions/"+mine.ID, "", as(h.token(h.user("bob", false)))).wantError(404, noAccess)
	h.do("GET", "/hub/api/user", "", as(secret)).want(200)
	h.do("DELETE", "/hub/api/users/alice/sessions/"+mine.ID, "", root).want(204)
	h.do("DELETE", "/hub/api/users/alice/sessions/"+mine.ID, "", root).want(404)
	h.do("GET", "/hub/api/user", "", in(1)).want(403)
	h.do("GET", "/hub/api/user", "", in(0)).want(200)
	h.do("GET", "/hub/api/user", "", as(secret)).want(403) // it was the session's
	h.do("GET", "/hub/api/user", "", as(other)).want(200)
	h.do("DELETE", "/hub/api/users/alice/sessions", "", as(other)).want(204)
	h.do("GET", "/hub/api/user", "", in(0)).want(403)
	h.do("GET", "/hub/api/user", "", as(other)).want(200)
}

// get is a user by name.
func (h *testHub) get(name string) hub.User {
	h.t.Helper()
	u, err := h.accounts.Get(h.t.Context(), hub.UserName(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

// roleToken makes a service without rights and returns the secret of a token that may do all that it may.
func (h *testHub) roleToken(name string) string {
	h.t.Helper()
	services := store.NewTable[hub.Service](h.opts.Store, store.Services, "service")
	if err := services.Create(h.t.Context(), store.ID(name), hub.Service{Schema: hub.Schema, Name: name}); err != nil {
		h.t.Fatal(err)
	}
	_, secret, err := h.tokens.Issue(h.t.Context(), hub.Token{Service: name, Scopes: []string{"inherit"}})
	if err != nil {
		h.t.Fatal(err)
	}
	return secret
}

// Groups carry roles: who fills one must hold what its roles give, and a later group of a name does not have the roles of an
// earlier one.
func TestGroupsWithRoles(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	all := h.user("root", true)
	alice := h.user("alice", false)
	root, narrow := as(h.token(all)), as(h.token(all, "admin:groups"))
	inherits := h.token(alice)
	h.do("POST", "/hub/api/roles/operators", `{"scopes":["shutdown"],"groups":["ops"]}`, root).want(201)
	h.do("POST", "/hub/api/groups/ops", `{"users":["alice"]}`, narrow).want(403)
	h.do("POST", "/hub/api/groups", `{"groups":["ops"],"users":["alice"]}`, narrow).want(403)
	h.do("POST", "/hub/api/groups/ops", "", narrow).want(201)
	h.do("POST", "/hub/api/groups/ops/users", `{"users":["alice"]}`, narrow).want(403)
	if slices.Contains(h.scopesOf(inherits), "shutdown") {
		t.Fatal("alice got the role from somebody who does not hold it")
	}
	var group struct{ Roles []string }
	h.do("POST", "/hub/api/groups/ops/users", `{"users":["alice"]}`, root).want(200).into(&group)
	if !slices.Equal(group.Roles, []string{"operators"}) || !slices.Contains(h.scopesOf(inherits), "shutdown") {
		t.Errorf("roles of the group %q, scopes of its member %q", group.Roles, h.scopesOf(inherits))
	}
	h.do("DELETE", "/hub/api/groups/ops/users", `{"users":["alice"]}`, narrow).want(200)
	h.do("POST", "/hub/api/groups/ops/users", `{"users":["alice"]}`, root).want(200)
	h.do("DELETE", "/hub/api/groups/ops", "", root).want(204)
	h.do("POST", "/hub/api/groups/ops", `{"users":["alice"]}`, root).want(201).into(&group)
	if len(group.Roles) != 0 || slices.Contains(h.scopesOf(inherits), "shutdown") {
		t.Errorf("a later group of the name has roles %q", group.Roles)
	}
}
