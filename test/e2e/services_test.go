package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// showHeaders is a web app that knows nothing of hubs: it shows what it is asked with, to anybody who reaches it.
const showHeaders = `import http.server, json, os, sys
class Show(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"path": self.path, "secret": os.environ.get("EDGEHUB_TICKET_SECRET", ""), "headers": dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Show).serve_forever()
`

// seen is what the app was asked with.
type seen struct {
	Path    string
	Secret  string
	Headers map[string]string
}

// TestServices has two apps that the hub runs: one behind the edge's protection, one that gets whatever comes.
func TestServices(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		host := env.NewAddress()
		script := filepath.Join(t.TempDir(), "app.py")
		if err := os.WriteFile(script, []byte(showHeaders), 0o644); err != nil {
			t.Fatal(err)
		}
		python := filepath.Join(env.Peer(t, env.Jupyter), "python3")
		w := env.New(t, env.Options{Edge: e, Config: fmt.Sprintf(`
services:
  - name: app
    url: http://%[1]s:9001
    protect: true
    users: [alice]
    groups: [staff]
    command: [%[2]q, %[3]q, %[1]q, "9001"]
  - name: own
    url: http://%[1]s:9002
    command: [%[2]q, %[3]q, %[1]q, "9002"]
`, host, python, script)})
		for _, name := range []string{"alice", "bob", "carol"} { // alice was on the list before there was such a user
			w.AddUser(t, name)
		}
		w.AddAdmin(t, "root")
		env.Eventually(t, "the apps run", 30*time.Second, func() error {
			for _, port := range []string{"9001", "9002"} {
				conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
				if err != nil {
					return err
				}
				_ = conn.Close()
			}
			return nil
		})
		t.Run("who may visit", func(t *testing.T) { whoMayVisitTheApp(t, w) })
		t.Run("identity", func(t *testing.T) { whatTheAppSees(t, w) })
		t.Run("open", func(t *testing.T) { anOpenService(t, w) })
		t.Run("at run time", func(t *testing.T) { aServiceAtRunTime(t, w, "http://"+host+":9002") })
		t.Run("browser", func(t *testing.T) { signInForAService(t, w) })
	})
}

func whoMayVisitTheApp(t *testing.T, w *env.World) {
	status, body := w.API(t, http.MethodPatch, "/users/carol", map[string]any{"groups": []string{"staff"}})
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	alice, bob, carol, root := w.Login(t, "alice"), w.Login(t, "bob"), w.Login(t, "carol"), w.Login(t, "root")
	for _, test := range []struct {
		who    string
		client *env.Client
		page   int
		api    int
	}{
		{"nobody", w.Anonymous(), 302, 403},
		{"alice, by name", alice, 200, 200},
		{"alice's token", w.Bearer(alice.Token(t).Secret), 200, 200},
		{"alice's token for her server", w.Bearer(alice.Token(t, "access:servers!user=alice").Secret), 403, 403},
		{"bob", bob, 403, 403},
		{"carol, by group", carol, 200, 200},
		{"an administrator", root, 200, 200},
		{"an administrator's token for it", w.Bearer(root.Token(t, "access:services!service=app").Secret), 200, 200},
		{"an administrator's token for another", w.Bearer(root.Token(t, "access:services!service=own").Secret), 403, 403},
		{"an administrator's token for servers", w.Bearer(root.Token(t, "access:servers").Secret), 403, 403},
	} {
		opened := test.client.Do(t, http.MethodGet, "/services/app/x?y=z", page(), nil)
		if opened.Status != test.page || test.page == 302 && opened.Header.Get("Location") != "/hub/login?next=%2Fservices%2Fapp%2Fx%3Fy%3Dz" {
			t.Errorf("%s: page: got %s to %q, want %d", test.who, opened, opened.Header.Get("Location"), test.page)
		}
		if asked := test.client.Get(t, "/services/app/x"); asked.Status != test.api {
			t.Errorf("%s: got %s, want %d", test.who, asked, test.api)
		}
	}
	if moved := alice.Do(t, http.MethodGet, "/services/app", page(), nil); moved.Header.Get("Location") != "/services/app/" {
		t.Errorf("without the slash: %s to %q", moved, moved.Header.Get("Location"))
	}
}

func whatTheAppSees(t *testing.T, w *env.World) {
	alice := w.Login(t, "alice")
	var got seen
	alice.Do(t, http.MethodGet, "/services/app/x", http.Header{"X-Edgehub-User": {"root"}, "X-Edgehub-Admin": {"true"}}, nil).JSON(t, &got)
	for name, want := range map[string]string{"X-Edgehub-User": "alice", "X-Edgehub-Admin": "false", "X-Edgehub-Groups": "", "Authorization": "", "Cookie": ""} {
		if got.Headers[name] != want {
			t.Errorf("%s: %q, want %q", name, got.Headers[name], want)
		}
	}
	if got.Path != "/services/app/x" || got.Headers["X-Edgehub-User-Id"] == "" {
		t.Errorf("the app saw %+v", got)
	}
	// The app can check the ticket with what it was told at its start.
	ticket := got.Headers["X-Edgehub-Ticket"]
	signed, mac, _ := strings.Cut(strings.TrimPrefix(ticket, "edgehub-visitor."), ".")
	h := hmac.New(sha256.New, []byte(got.Secret))
	h.Write([]byte("edgehub-visitor." + signed))
	if got.Secret == "" || base64.RawURLEncoding.EncodeToString(h.Sum(nil)) != mac {
		t.Errorf("the ticket %s is not signed with the app's secret", ticket)
	}
}

// anOpenService gets everything but the hub's own cookies: it signs people in itself.
func anOpenService(t *testing.T, w *env.World) {
	var got seen
	w.Anonymous().Get(t, "/services/own/x").JSON(t, &got)
	if got.Headers["Authorization"] != "" || got.Headers["X-Edgehub-User"] != "" {
		t.Errorf("of nobody it saw %v", got.Headers)
	}
	alice := w.Login(t, "alice")
	alice.Do(t, http.MethodGet, "/services/own/x", http.Header{"Authorization": {"token of its own"}, "X-Edgehub-User": {"root"}}, nil).JSON(t, &got)
	if got.Headers["Authorization"] != "token of its own" || got.Headers["X-Edgehub-User"] != "" || strings.Contains(got.Headers["Cookie"], "edgehub") {
		t.Errorf("of alice it saw %v", got.Headers)
	}
}

// aServiceAtRunTime comes and goes by the API. What is open is cut when it goes.
func aServiceAtRunTime(t *testing.T, w *env.World, target string) {
	create := map[string]any{"url": target, "protect": true, "users": []string{"bob"}}
	if status, body := w.API(t, http.MethodPost, "/services/later", create); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	bob := w.Login(t, "bob")
	answers := func(want int) func() error {
		return func() error {
			if resp := bob.Get(t, "/services/later/x"); resp.Status != want {
				return fmt.Errorf("%s", resp)
			}
			return nil
		}
	}
	env.Eventually(t, "bob may visit", 10*time.Second, answers(http.StatusOK))
	if resp := w.Login(t, "alice").Get(t, "/services/later/x"); resp.Status != http.StatusForbidden {
		t.Errorf("alice: %s", resp)
	}
	if status, body := w.API(t, http.MethodDelete, "/services/later", nil); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	env.Eventually(t, "the service is gone", second, answers(http.StatusFound)) // the hub's own answer to what has no route
}

func signInForAService(t *testing.T, w *env.World) {
	b := env.OpenBrowser(t)
	b.Go(w.URL("/services/app/page"))
	b.WaitPath("/hub/login")
	b.Click("#username_input")
	b.Type("alice")
	b.Click("#password_input")
	b.Type(w.Password("alice"))
	b.Click("#login_submit")
	b.WaitPath("/services/app/page")
	b.Wait("the app knows who it is", `document.body.innerText.includes('"X-Edgehub-User": "alice"')`)
	b.Shot("app")
}

// TestIdleCuller runs the program as its manual says, as a managed service with just its scopes: it ends an idle server and
// removes an idle user, and leaves those whom it should.
func TestIdleCuller(t *testing.T) {
	t.Parallel()
	bin := env.Peer(t, env.Jupyter)
	culler := filepath.Join(bin, "jupyterhub-idle-culler")
	if _, err := os.Stat(culler); errors.Is(err, os.ErrNotExist) {
		if kind, _ := os.ReadFile(filepath.Join(bin, "..", "kind")); strings.TrimSpace(string(kind)) == "debian" {
			t.Skip("Debian has no jupyterhub-idle-culler, and this machine's Jupyter is Debian's because PyPI could not be reached")
		}
		t.Fatalf("%s is missing: make setup", culler)
	}
	w := env.New(t, env.Options{Jupyter: true, Config: fmt.Sprintf(`
services:
  - name: jupyterhub-idle-culler
    command: [%q, --timeout=15, --cull-every=3, --cull-users=true, --cull-admin-users=false, --api-page-size=1]
    scopes: [list:users, "read:users:activity", read:servers, delete:servers, admin:users]
`, culler)})
	w.AddAdmin(t, "root")
	for _, name := range []string{"idle", "idle2", "idle3"} {
		w.AddUser(t, name)
	}
	status, body := w.API(t, http.MethodPost, "/users/root/server", nil)
	if status != http.StatusCreated && status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	w.AwaitServer(t, "root")
	env.Eventually(t, "the idle users are gone, and the idle server is", 90*time.Second, func() error {
		for _, name := range []string{"idle", "idle2", "idle3"} {
			if status, _ := w.API(t, http.MethodGet, "/users/"+name, nil); status != http.StatusNotFound {
				return fmt.Errorf("%s is there: %d", name, status)
			}
		}
		if s := w.Server(t, "root"); !s.Stopped {
			return fmt.Errorf("the server is %+v", s)
		}
		return nil
	})
	for _, line := range w.HubRequests(t) {
		if strings.HasSuffix(line, " 403") || strings.HasSuffix(line, " 500") {
			t.Errorf("%s", line)
		}
	}
	if status, _ := w.API(t, http.MethodGet, "/users/root", nil); status != http.StatusOK {
		t.Errorf("the administrator is gone: %d", status)
	}
}
