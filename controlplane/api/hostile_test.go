package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/edgehub/edgehub/controlplane/account"
)

func accountAdmin(admin *bool) account.Change { return account.Change{Admin: admin} }

// Whatever is sent, the answer is a 4xx in JupyterHub's form: never a 500 (JupyterHub #5461), never a page that hangs.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.token(h.user("root", true))
	h.user("alice", false)
	h.do("POST", "/hub/api/groups/g", "", as(root)).want(201)
	h.do("POST", "/hub/api/roles/teach", "", as(root)).want(201)
	long := strings.Repeat("x", 1<<20)
	bodies := map[string]string{
		"not JSON":          `{"a":`,
		"a number":          `7`,
		"a list":            `[]`,
		"a string":          `"x"`,
		"two values":        `{} {}`,
		"rubbish after it":  `{}}`,
		"deep nesting":      strings.Repeat(`{"a":`, 50_000) + "1" + strings.Repeat("}", 50_000),
		"deep lists":        strings.Repeat("[", 100_000),
		"too large":         `{"note":"` + long + `"}`,
		"NUL":               "\x00",
		"wrong types":       `{"usernames":7,"admin":"x","note":7,"expires_in":"x","scopes":7,"servers":7,"user_options":7,"token":7,"last_activity":7,"groups":7,"activity":7}`,
		"wrong inner types": `{"admin":{},"usernames":[7],"scopes":[{}],"servers":{"":7},"user_options":[],"groups":[7],"token":[],"activity":[7]}`,
		"not UTF-8":         "{\"name\":\"\xff\",\"usernames\":[\"\xed\xa0\x80\"]}",
		"huge number":       `{"expires_in":1e400,"admin":1e400,"user_options":1e400,"usernames":1e400,"last_activity":1e400,"token":1e400,"activity":[{"at":1e400}]}`,
	}
	for _, rt := range (&API{}).table() {
		method, path, _ := strings.Cut(rt.pattern, " ")
		if method != "POST" && method != "PATCH" && method != "PUT" && !(method == "DELETE" && takesNames(path)) {
			continue
		}
		if method == "POST" && strings.HasSuffix(path, "}") {
			path = path[:strings.LastIndex(path, "{")] + "carol" // what is made is not there
		}
		path = strings.NewReplacer("{user}", "alice", "{server}", "srv", "{prefix...}", "dash/", "{group}", "g", "{role}", "teach").Replace(path)
		for what, body := range bodies {
			if strings.HasSuffix(path, "/properties") && strings.HasPrefix(what, "wrong ") || strings.HasSuffix(path, "/properties") && what == "huge number" {
				continue // they are any object
			}
			kind := "application/json"
			if len(body)%2 == 0 {
				kind = "text/plain" // the type of a token's request makes no difference
			}
			a := h.do(method, path, body, as(root), header("Content-Type", kind))
			if a.status < 400 || a.status >= 500 || !strings.HasPrefix(a.body, `{"status":4`) {
				t.Errorf("%s %s with %s = %d %s, want 4xx", method, path, what, a.status, a.body)
			}
		}
	}
}

// takesNames says that a DELETE has a body, with who or what goes out of something.
func takesNames(path string) bool {
	return strings.HasSuffix(path, "/users") || strings.HasSuffix(path, "}/groups") || strings.HasSuffix(path, "}/services")
}

// withLists are all calls with lists of names or scopes.
var withLists = []struct{ call, body string }{
	{"POST /hub/api/users", `{"usernames":[%s]}`},
	{"PATCH /hub/api/users/alice", `{"groups":[%s]}`},
	{"PATCH /hub/api/users/alice", `{"roles":["user",%s]}`},
	{"POST /hub/api/groups", `{"groups":[%s]}`},
	{"POST /hub/api/groups", `{"groups":["made"],"users":[%s]}`},
	{"POST /hub/api/groups/made", `{"users":[%s]}`},
	{"POST /hub/api/groups/g/users", `{"users":[%s]}`},
	{"DELETE /hub/api/groups/g/users", `{"users":[%s]}`},
	{"POST /hub/api/roles/made", `{"scopes":[%s]}`},
	{"POST /hub/api/roles/made", `{"groups":[%s]}`},
	{"POST /hub/api/roles/made", `{"services":[%s]}`},
	{"PUT /hub/api/roles/teach", `{"groups":[%s]}`},
	{"POST /hub/api/roles/teach/users", `{"users":[%s]}`},
	{"DELETE /hub/api/roles/teach/users", `{"users":[%s]}`},
	{"POST /hub/api/roles/teach/groups", `{"groups":[%s]}`},
	{"POST /hub/api/roles/teach/services", `{"services":[%s]}`},
	{"POST /hub/api/services/made", `{"users":[%s],"protect":true,"url":"http://127.0.0.1:9"}`},
	{"POST /hub/api/services/made", `{"groups":[%s],"protect":true,"url":"http://127.0.0.1:9"}`},
	{"POST /hub/api/services/made", `{"scopes":[%s]}`},
	{"POST /hub/api/services/made", `{"oauth_client_allowed_scopes":[%s]}`},
	{"PUT /hub/api/routes/dash/", `{"target":"http://127.0.0.1:9","users":[%s]}`},
	{"PUT /hub/api/routes/dash/", `{"target":"http://127.0.0.1:9","groups":[%s]}`},
	{"POST /hub/api/users/alice/tokens", `{"scopes":[%s]}`},
	{"POST /hub/api/users/alice/tokens", `{"roles":[%s]}`},
	{"POST /hub/api/shares/alice/", `{"group":"g","scopes":[%s]}`},
	{"POST /hub/api/share-codes/alice/", `{"scopes":[%s]}`},
}

// named is a hub with somebody and something, and a check that hostile requests have made nothing.
func named(t *testing.T) (h *testHub, root with, unchanged func()) {
	t.Helper()
	h = newHub(t)
	root = as(h.token(h.user("root", true)))
	h.user("alice", false)
	h.do("POST", "/hub/api/groups/g", "", root).want(201)
	h.do("POST", "/hub/api/roles/teach", "", root).want(201)
	all := func() string {
		var text strings.Builder
		for _, path := range []string{"users", "groups", "services", "routes", "roles", "users/alice/tokens", "shares/alice", "share-codes/alice"} {
			text.WriteString(h.do("GET", "/hub/api/"+path, "", root).want(200).body + "\n")
		}
		return text.String()
	}
	all() // the first request is activity
	before := all()
	return h, root, func() {
		t.Helper()
		if after := all(); after != before {
			t.Errorf("before:\n%safter:\n%s", before, after)
		}
	}
}

func TestHugeLists(t *testing.T) {
	t.Parallel()
	h, root, unchanged := named(t)
	var names []string
	for i := range 100_000 {
		names = append(names, fmt.Sprintf("%q", fmt.Sprint("u", i)))
	}
	huge := strings.Join(names, ",")
	h.do("POST", "/hub/api/users", fmt.Sprintf(`{"usernames":[%s]}`, huge), root).
		wantError(400, "usernames: at most 10000 users can be created at once.")
	h.do("PATCH", "/hub/api/users/alice", fmt.Sprintf(`{"groups":[%s]}`, huge), root). // not one of them is looked for
												wantError(400, "groups: a user can be in at most 500.")
	for _, l := range withLists {
		method, path, _ := strings.Cut(l.call, " ")
		a := h.do(method, path, fmt.Sprintf(l.body, huge), root)
		if a.status < 400 || a.status >= 500 || len(a.body) > 600 {
			t.Errorf("%s with %s = %d %.200s, want a short 4xx", l.call, l.body, a.status, a.body)
		}
	}
	unchanged()
}

// Names that could be taken for another, break a path or a scope, or confuse a log, are refused wherever a body has names.
func TestHostileNamesInBodies(t *testing.T) {
	t.Parallel()
	h, root, unchanged := named(t)
	calls := append([]struct{ call, body string }{
		{"PATCH /hub/api/users/alice", `{"name":%s}`},
		{"POST /hub/api/shares/alice/", `{"user":%s}`},
		{"POST /hub/api/shares/alice/", `{"group":%s}`},
	}, withLists...)
	for _, name := range []string{
		`""`, `" "`, `"."`, `".."`, `"a/b"`, `"/"`, `"a\\b"`, `"%2e%2e"`, `"a%2fb"`, `"a\u0000b"`, `"a\r\nb"`, `"a\u001b[31mb"`, `"a\u007f"`,
		`"a?b"`, `"a#b"`, `"a!group=b"`, `" alice"`, `"alice "`, `"alice\u00a0"`, `"\u202ealice"`, `"al\u200bice"`, `"\ufeffalice"`, `"e\u0301"`,
		`"\ud800"`, `"\ufffd"`, `"` + strings.Repeat("a", 300) + `"`, `"` + strings.Repeat("ä", 300) + `"`,
	} {
		for _, c := range calls {
			method, path, _ := strings.Cut(c.call, " ")
			a := h.do(method, path, fmt.Sprintf(c.body, name), root)
			if a.status < 400 || a.status >= 500 || len(a.body) > 600 {
				t.Errorf("%s with "+c.body+" = %d %.300s, want a short 4xx", c.call, name, a.status, a.body)
			}
			if strings.ContainsFunc(a.body, unicode.IsControl) || strings.Contains(a.body, "\u202e") {
				t.Errorf("%s with "+c.body+" echoes what no log may have: %q", c.call, name, a.body)
			}
		}
	}
	unchanged()
}

func TestOptionsOfAStartAreBounded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	secret := as(h.token(h.user("alice", false)))
	large := strings.Repeat("<", 60_000) // six bytes each when they are stored
	for _, body := range []string{`{"user_options":{"a":"` + large + `"}}`, `{"a":"` + large + `"}`} {
		h.do("POST", "/hub/api/users/alice/server", body, secret).wantError(400, "user_options are too large: at most 64 KiB")
	}
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := as(h.token(h.user("root", true)))
	h.user("alice", false)
	for _, name := range []string{
		"%2e%2e", "a%20b", "%ff", "%00", "%0d%0a", "a%2fb", "a%5cb", "%25", strings.Repeat("a", 129), "%E2%80%AE", "ALICE", "hub", "-a", "..%2f..",
	} {
		for _, method := range []string{"GET", "POST", "PATCH", "DELETE"} {
			for _, rest := range []string{"", "/server", "/tokens", "/servers/x", "/server/progress", "/activity"} {
				a := h.do(method, "/hub/api/users/"+name+rest, "", root)
				if a.status < 400 && a.status/100 != 3 || a.status >= 500 {
					t.Errorf("%s users/%s%s = %d %s", method, name, rest, a.status, a.body)
				}
				if strings.ContainsAny(a.body, "\x00\r") {
					t.Errorf("%s users/%s%s echoes control characters: %q", method, name, rest, a.body)
				}
			}
		}
	}
	for _, name := range []string{"%2e%2e", "A", "-", "a--b", "a-", "9", "lab", "api", strings.Repeat("a", 31), "%ff", "a%20"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			a := h.do(method, "/hub/api/users/alice/servers/"+name, "", root)
			if a.status < 400 && a.status/100 != 3 || a.status >= 500 {
				t.Errorf("%s server %s = %d %s", method, name, a.status, a.body)
			}
		}
	}
	if all, err := h.servers.OfUser(t.Context(), "alice"); err != nil || len(all) != 0 {
		t.Errorf("servers = %+v, %v", all, err)
	}
}

func TestAnswersNameTheirRequest(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a, b := h.do("GET", "/hub/api/user", ""), h.do("GET", "/hub/api/user", "")
	var body struct {
		RequestID string `json:"request_id"`
	}
	a.into(&body)
	if id := a.header.Get("X-Request-Id"); id == "" || id != body.RequestID || id == b.header.Get("X-Request-Id") {
		t.Errorf("request ids %q and %q, in the body %q", id, b.header.Get("X-Request-Id"), body.RequestID)
	}
}

func TestHealthNeedsNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, method := range []string{"GET", "HEAD"} {
		if a := h.do(method, "/hub/api/health", "").want(http.StatusOK); a.body != "" {
			t.Errorf("%s health = %q", method, a.body)
		}
	}
}
