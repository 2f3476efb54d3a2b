package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
)

func accountAdmin(admin *bool) account.Change { return account.Change{Admin: admin} }

// Whatever is sent, the answer is a 4xx in JupyterHub's form: never a 500 (JupyterHub #5461), never a page that hangs.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.token(h.user("root", true))
	h.user("alice", false)
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
		"huge number":       `{"expires_in":1e400,"admin":1e400,"user_options":1e400,"usernames":1e400,"last_activity":1e400,"token":1e400,"activity":[{"at":1e400}]}`,
	}
	for _, rt := range (&API{}).table() {
		method, path, _ := strings.Cut(rt.pattern, " ")
		if method != "POST" && method != "PATCH" && method != "PUT" {
			continue
		}
		path = strings.NewReplacer("{user}", "alice", "{server}", "srv", "{prefix...}", "dash/", "{group}", "g").Replace(path)
		if rt.pattern == "POST /hub/api/users/{user}" {
			path = "/hub/api/users/carol"
		}
		for what, body := range bodies {
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
	var names []string
	for i := range 100_000 {
		names = append(names, fmt.Sprint("u", i))
	}
	h.do("POST", "/hub/api/users", toJSON(map[string]any{"usernames": names}), as(root)).
		wantError(400, "usernames: at most 10000 users can be created at once.")
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
