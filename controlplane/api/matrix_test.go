package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/web"
)

func TestEveryRouteStatesAScope(t *testing.T) {
	t.Parallel()
	known := access.All()
	for _, rt := range (&API{}).table() {
		if len(rt.scopes) == 0 {
			t.Errorf("%s states no scope", rt.pattern)
		}
		for _, s := range rt.scopes {
			if s != public && !slices.Contains(known, s) {
				t.Errorf("%s states %q, which is no scope", rt.pattern, s)
			}
		}
	}
}

// Public routes check credentials by themselves or need none. Whoever adds one has to say so here too.
func TestPublicRoutes(t *testing.T) {
	t.Parallel()
	var got []string
	for _, rt := range (&API{}).table() {
		if rt.scopes[0] == public {
			got = append(got, rt.pattern)
		}
	}
	want := []string{"GET /hub/api", "GET /hub/api/{$}", "GET /hub/api/health", "GET /hub/api/openapi.json", "GET /hub/api/docs", "GET /hub/api/user",
		"GET /hub/api/authorizations/token/{secret}", "POST /hub/api/authorizations/token", "POST /hub/api/users/{user}/tokens",
		"POST /hub/api/edge/exchange", "POST /hub/api/edge/renew", "POST /hub/api/edge/redeem", "POST /hub/api/edge/activity"}
	if !slices.Equal(got, want) {
		t.Errorf("public routes are %q, want %q", got, want)
	}
}

// Status that the matrix expects. A handler is reached only with passed.
const (
	passed  = http.StatusTeapot
	refused = http.StatusForbidden
	hidden  = http.StatusNotFound
)

// target is what the matrix asks every route about: alice's server srv, in group g.
var target = strings.NewReplacer("{user}", "alice", "{server}", "srv", "{token}", "a1", "{$}", "", "{group}", "g", "{service}", "svc", "{owner}", "bob")

// expectation says what the holder of one scope of a route, limited by a filter, gets there. It is the whole rule: a filter
// must name the user, a group of the user, or, for a server, that server; routes about no user refuse all filters, but for
// lists, which apply them, and those about a service, which must be named.
func expectation(rt route, filter string) int {
	server := "alice/"
	if strings.Contains(rt.pattern, "{server}") {
		server += "srv"
	}
	switch {
	case filter == "":
		return passed
	case lists(rt.pattern):
		return passed
	case strings.HasPrefix(filter, "!server=") && rt.scopes[0] == "read:users:shares":
		return refused // a server filter drops what speaks of users
	case strings.Contains(rt.pattern, "{group}") && filter == "!group=g", strings.Contains(rt.pattern, "{service}") && filter == "!service=svc":
		return passed
	case strings.Contains(rt.pattern, "{group}"), strings.Contains(rt.pattern, "{service}"):
		return hidden
	case !strings.Contains(rt.pattern, "{user}"):
		return refused
	case filter == "!user=alice", filter == "!group=g":
		return passed
	case filter == "!server="+server && aboutServer(rt.pattern):
		return passed
	}
	return hidden
}

var filters = []string{"", "!user=alice", "!user=bob", "!group=g", "!group=h", "!server=alice/", "!server=alice/srv", "!server=bob/srv", "!service=svc", "!service=other", "!group=grp"}

// Every route × {no credentials, bad ones, every other scope, each of its scopes with each filter, everything}.
func TestScopesOpenExactlyTheirRoutes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.user("root", true)
	h.user("alice", false, "g")
	h.user("bob", false, "h")
	a := &API{Options: h.opts}
	mux := http.NewServeMux()
	adapter := web.Adapter{Log: h.opts.Log, WriteError: web.JSONError}
	table := a.table()
	for _, rt := range table {
		rt.handler = func(w http.ResponseWriter, _ *http.Request, c *account.Caller) error {
			w.WriteHeader(passed)
			return nil
		}
		mux.Handle(rt.pattern, adapter.Handle(a.guard(rt)))
	}
	secrets := map[string]string{}
	secret := func(scopes ...string) string {
		key := strings.Join(scopes, " ")
		if secrets[key] == "" {
			secrets[key] = h.token(root, scopes...)
		}
		return secrets[key]
	}
	for _, rt := range table {
		if rt.scopes[0] == public {
			continue
		}
		check := func(what, secret string, want int) {
			t.Helper()
			method, path, _ := strings.Cut(target.Replace(rt.pattern), " ")
			w := httptest.NewRecorder()
			r := httptest.NewRequest(method, path, nil).WithContext(t.Context())
			as(secret)(r)
			mux.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s with %s = %d %s, want %d", rt.pattern, what, w.Code, w.Body, want)
			}
		}
		check("no credentials", "", refused)
		check("a token that nobody issued", "00000000000000000000000000000000", refused)
		others := refused
		if slices.Contains(rt.scopes, "read:users:name") {
			others = hidden // every token may read the name of its owner, who is not alice
		}
		check("every scope but its own", secret(scopesWithout(rt.scopes)...), others)
		check("everything", secret("inherit"), passed)
		for _, scope := range rt.scopes {
			for _, filter := range filters {
				check(scope+filter, secret(scope+filter), expectation(rt, filter))
			}
		}
	}
}

// scopesWithout are all built-in scopes that do not contain one of these.
func scopesWithout(scopes []string) []string {
	var out []string
	for _, s := range access.All() {
		if !reaches(s, scopes) {
			out = append(out, s)
		}
	}
	return out
}

func reaches(scope string, scopes []string) bool {
	return slices.Contains(scopes, scope) ||
		slices.ContainsFunc(access.Contains(scope), func(child string) bool { return reaches(child, scopes) })
}

// What filtered scopes reach through the handlers themselves: the list shows, and bulk creation makes, nothing else.
func TestFilteredScopesInHandlers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.user("root", true)
	h.user("alice", false, "g")
	h.user("bob", false, "h")
	for filter, want := range map[string]string{
		"": "root alice bob", "!user=alice": "alice", "!group=g": "alice", "!group=none": "", "!user=nobody": "",
	} {
		var users []struct{ Name string }
		h.do("GET", "/hub/api/users", "", as(h.token(root, "list:users"+filter))).want(200).into(&users)
		var names []string
		for _, u := range users {
			names = append(names, u.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("list:users%s lists %q, want %q", filter, got, want)
		}
	}
	for _, filter := range []string{"!user=carol", "!group=g"} {
		secret := as(h.token(root, "admin:users"+filter))
		h.do("POST", "/hub/api/users", `{"usernames":["carol","dave"]}`, secret).
			wantError(403, "Action is not authorized with current scopes; requires any of [admin:users]")
	}
	h.do("POST", "/hub/api/users/dave", "", as(h.token(root, "admin:users!group=g"))).wantError(404, noAccess)
	h.do("POST", "/hub/api/users/carol", "", as(h.token(root, "admin:users!user=carol"))).want(201)
}

func TestTokensOfPeopleAndServicesAndServers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, alice := h.user("root", true), h.user("alice", false)
	h.user("bob", false)
	h.running(alice, "")
	_, server, err := h.tokens.Issue(t.Context(), hubToken(alice, "alice/", "users:activity!user", "access:servers!server"))
	if err != nil {
		t.Fatal(err)
	}
	const at = `{"last_activity":"2020-01-01T00:00:00Z"}`
	for _, test := range []struct {
		who, secret, request string
		status               int
	}{
		{"alice", h.token(alice), "GET users/alice", 200},
		{"alice", h.token(alice), "GET users/bob", 404},
		{"alice", h.token(alice), "GET users", 403},
		{"root", h.token(root), "GET users/bob", 200},
		{"service", h.service(), "GET users/bob", 200},
		{"service", h.service(), "GET users", 200},
		{"server", server, "POST users/alice/activity", 200},
		{"server", server, "POST users/bob/activity", 404},
		{"server", server, "GET users/alice/server", 403},
		{"server", server, "DELETE users/alice/server", 403},
		{"server", server, "POST users/alice/tokens", 403},
		{"root, narrow", h.token(root, "read:users!user=alice"), "GET users/bob", 404},
		{"alice, wider than alice", h.token(alice, "admin:users", "list:users"), "GET users", 403},
	} {
		method, path, _ := strings.Cut(test.request, " ")
		body := ""
		if strings.HasSuffix(path, "activity") {
			body = at
		}
		a := h.do(method, "/hub/api/"+path, body, as(test.secret))
		a.what = fmt.Sprintf("%s as %s", test.request, test.who)
		a.want(test.status)
	}
}

func TestRightsOfATokenFollowItsOwner(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	admin := as(h.token(h.user("root", true)))
	carol := as(h.token(h.user("carol", true)))
	h.do("GET", "/hub/api/users", "", carol).want(200)
	h.do("PATCH", "/hub/api/users/carol", `{"admin":false}`, admin).want(200)
	h.do("GET", "/hub/api/users", "", carol).want(403)
	h.do("GET", "/hub/api/users/carol", "", carol).want(200)
}
