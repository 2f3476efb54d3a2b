package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

func TestServicesAtRunTime(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.token(h.user("root", true))
	alice := h.token(h.user("alice", false))
	const path, secret = "/hub/api/services/stats", "0123456789abcdef-stats"
	body := `{"url":"http://127.0.0.1:9000","api_token":"` + secret + `","info":{"k":1},"display":false,"oauth_client_allowed_scopes":["read:users:name!user"],"environment":{},"cwd":null,"user":null}`
	h.do("POST", path, body, as(alice)).want(http.StatusForbidden)
	h.do("POST", path, body, as(root)).wantJSON(http.StatusCreated, `{"kind":"service","name":"stats","admin":false,"roles":[],
		"url":"http://127.0.0.1:9000","prefix":"/services/stats/","command":[],"pid":0,"info":{"k":1},"display":false}`)
	h.do("POST", path, body, as(root)).wantError(http.StatusConflict, "Service stats already exists")

	s, err := h.accounts.Service(t.Context(), "stats")
	if err != nil || s.ClientID != "service-stats" || s.RedirectURI != "/services/stats/oauth_callback" || s.FromConfig {
		t.Errorf("stored: %+v %v", s, err)
	}
	edges := store.NewTable[routes.Route](h.opts.Store, routes.RoutesTree, "route")
	r, err := edges.Get(t.Context(), store.ID("/services/stats/"))
	if err != nil || r.Value.Auth != routes.AuthPass || r.Value.Service != "stats" || r.Value.Target != "http://127.0.0.1:9000" {
		t.Errorf("route: %+v %v", r, err)
	}

	h.do("GET", "/hub/api/user", "", as(secret)).wantJSON(http.StatusOK, `{"kind":"service","name":"stats","admin":false,
		"scopes":[],"token_id":"<token id>","session_id":null}`)
	h.do("GET", "/hub/api/services", "", as(secret)).want(http.StatusForbidden)
	h.do("GET", "/hub/api/services", "", as(root)).want(http.StatusOK)
	h.do("GET", path, "", as(h.token(h.user("admin2", true), "read:services:name!service=stats"))).wantJSON(http.StatusOK,
		`{"kind":"service","name":"stats","admin":false}`)
	h.do("GET", "/hub/api/services/none", "", as(root)).wantError(http.StatusNotFound, "No such service: none")

	h.do("DELETE", path, "", as(root)).want(http.StatusOK)
	h.do("DELETE", path, "", as(root)).want(http.StatusNotFound)
	h.do("GET", "/hub/api/user", "", as(secret)).want(http.StatusForbidden)
	if _, err := edges.Get(t.Context(), store.ID("/services/stats/")); hub.KindOf(err) != hub.NotFound {
		t.Errorf("the route of a deleted service: %v", err)
	}
}

func TestServicesFilteredList(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	u := h.user("root", true)
	root := h.token(u)
	for _, name := range []string{"a", "b"} {
		h.do("POST", "/hub/api/services/"+name, `{}`, as(root)).want(http.StatusCreated)
	}
	h.do("GET", "/hub/api/services", "", as(h.token(u, "list:services!service=b"))).wantJSON(http.StatusOK, `{"b":{"kind":"service","name":"b","admin":false}}`)
}

func TestBadServices(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.token(h.user("root", true))
	h.do("PUT", "/hub/api/routes/services/hand/", `{"target":"http://127.0.0.1:9000"}`, as(root)).want(http.StatusCreated)
	h.do("POST", "/hub/api/services/there", `{"url":"http://127.0.0.1:9000"}`, as(root)).want(http.StatusCreated)
	for _, c := range []struct{ name, body, says string }{
		{"a", `{"command":["x"]}`, "A service with a command can only be in the configuration file."},
		{"a", `{"comand":["x"]}`, "Unknown key 'comand'"},
		{"a", `{"url":"http://127.0.0.1:1/path"}`, "The url must be http://HOST:PORT"},
		{"a", `{"url":7}`, "url"},
		{"a", `{"api_token":"short"}`, "The api_token must have 16 to 256"},
		{"a", `{"protect":true}`, "A protected service needs a url"},
		{"a", `{"users":["alice"]}`, "users and groups are for services with protect: true"},
		{"a", `{"url":"http://h:1","protect":true,"users":["a/b"]}`, "Invalid username"},
		{"a", `{"oauth_client_id":"jupyterhub-user-alice"}`, "Invalid oauth_client_id"},
		{"a", `{"oauth_redirect_uri":"javascript:alert(1)"}`, "Invalid oauth_redirect_uri"},
		{"a", `{"oauth_redirect_uri":"https://h/x#y"}`, "Invalid oauth_redirect_uri"},
		{"a", `{"oauth_redirect_uri":"//h/x"}`, "Invalid oauth_redirect_uri"},
		{"a", `{"scopes":["nope"]}`, "nope"},
		{"a", `{"oauth_client_allowed_scopes":["inherit"]}`, "inherit"},
		{"a", `{"name":"b"}`, "The name in the body is not that of the address."},
		{"Upper", `{}`, "Invalid service name"},
		{"-a", `{}`, "Invalid service name"},
		{"bootstrap", `{}`, "The service bootstrap is that of bootstrap_token_file"},
	} {
		a := h.do("POST", "/hub/api/services/"+c.name, c.body, as(root)).want(http.StatusBadRequest)
		if !strings.Contains(a.body, c.says) {
			t.Errorf("%s %s: %s, want %q", c.name, c.body, a.body, c.says)
		}
	}
	h.do("POST", "/hub/api/services/a", `{"oauth_client_id":"service-there"}`, as(root)).want(http.StatusConflict)
	h.do("POST", "/hub/api/services/hand", `{"url":"http://127.0.0.1:9001"}`, as(root)).want(http.StatusConflict)
	h.do("PUT", "/hub/api/routes/services/there/", `{"target":"http://127.0.0.1:9000"}`, as(root)).want(http.StatusConflict)
	h.do("PUT", "/hub/api/routes/services/other/", `{"target":"http://127.0.0.1:9000"}`, as(root)).want(http.StatusCreated)
	var all map[string]any
	h.do("GET", "/hub/api/services", "", as(root)).want(http.StatusOK).into(&all)
	if len(all) != 1 {
		t.Errorf("bad services left something: %v", all)
	}
}

// TestServiceTokenOfSomebodyElse is about a service that cannot have the token that it asks for: nothing is left.
func TestServiceTokenOfSomebodyElse(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.token(h.user("alice", false))
	root := h.token(h.user("root", true))
	h.do("POST", "/hub/api/services/thief", `{"api_token":"`+alice+`"}`, as(root)).want(http.StatusConflict)
	h.do("GET", "/hub/api/services/thief", "", as(root)).want(http.StatusNotFound)
	h.do("GET", "/hub/api/user", "", as(alice)).want(http.StatusOK)
}

// TestNobodyGivesServicesMoreThanTheyHave is about the holder of admin:services who is no administrator.
func TestNobodyGivesServicesMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	const secret = "0123456789abcdef-manager"
	_, err := h.accounts.CreateService(t.Context(), hub.Service{Name: "manager", Scopes: []string{"admin:services", "list:users"}}, secret)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]int{
		`{"admin":true}`: http.StatusForbidden, `{"scopes":["admin:users"]}`: http.StatusBadRequest,
		`{"oauth_client_allowed_scopes":["servers"]}`: http.StatusBadRequest, `{"url":"http://h:1"}`: http.StatusForbidden,
		`{"scopes":["list:users"]}`: http.StatusCreated,
	} {
		h.do("POST", "/hub/api/services/child", body, as(secret)).want(want)
	}
}

func TestServicesOfTheFileAreNotForTheAPI(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.token(h.user("root", true))
	if err := h.accounts.SyncServices(t.Context(), []account.ServiceSpec{{Service: hub.Service{Name: "jobs", Command: []string{"x"}}}}); err != nil {
		t.Fatal(err)
	}
	h.do("DELETE", "/hub/api/services/jobs", "", as(root)).want(http.StatusMethodNotAllowed)
	h.do("POST", "/hub/api/services/jobs", `{}`, as(root)).want(http.StatusConflict)
	h.do("GET", "/hub/api/services/jobs", "", as(root)).wantJSON(http.StatusOK, `{"kind":"service","name":"jobs","admin":false,"roles":[],
		"url":"","prefix":"","command":["x"],"pid":0,"info":{},"display":false}`)
}
