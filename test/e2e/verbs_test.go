package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// TestVerbs shows what operators do to a hub that runs, with each front door.
func TestVerbs(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := echo(t, env.Options{Edge: e}, "alice")
		w.AddUser(t, "bob")
		t.Run("a route by hand", func(t *testing.T) { routeByHand(t, w) })
		t.Run("rotation", func(t *testing.T) { rotation(t, w) })
		t.Run("emergency rotation", func(t *testing.T) { emergencyRotation(t, w) })
	})
}

// operator runs one command against the hub of w and returns what it prints.
func operator(t *testing.T, w *env.World, args ...string) string {
	t.Helper()
	args = append(args, "--url", strings.TrimSuffix(w.URL("/"), "/"), "--token-file", w.TokenFile())
	cmd := exec.CommandContext(t.Context(), env.Binary(t), args...)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("edgehub %q: %v: %s", args, err, out)
	}
	return string(out)
}

// routeByHand puts a program that knows nothing of hubs behind the front door, for alice only.
func routeByHand(t *testing.T, w *env.World) {
	dashboard := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(rw).Encode(r.Header)
	}))
	defer dashboard.Close()
	operator(t, w, "route", "set", "/dash/", "--target", dashboard.URL, "--user", "alice")
	alice, bob := w.Login(t, "alice"), w.Login(t, "bob")
	awaitStatus(t, alice, "/dash/", http.StatusOK)
	var seen http.Header
	alice.Page(t, "/dash/x").JSON(t, &seen)
	if seen.Get("X-Edgehub-User") != "alice" || seen.Get("X-Edgehub-Ticket") == "" || strings.Contains(seen.Get("Cookie"), "edgehub") {
		t.Errorf("the program got %v", seen)
	}
	for who, c := range map[string]struct {
		client *env.Client
		want   int
	}{"bob": {bob, http.StatusForbidden}, "an administrator": {w.Bearer(w.AdminToken), http.StatusOK}, "nobody": {w.Anonymous(), http.StatusFound}} {
		if resp := c.client.Page(t, "/dash/x"); resp.Status != c.want {
			t.Errorf("%s: got %s, want %d", who, resp, c.want)
		}
	}
	operator(t, w, "route", "rm", "/dash/")
	awaitStatus(t, alice, "/dash/", http.StatusFound) // the hub answers, with /hub/dash/
}

// awaitStatus waits until the front door has heard of a change.
func awaitStatus(t *testing.T, c *env.Client, path string, want int) {
	t.Helper()
	env.Eventually(t, "the front door answers "+path, 20*second, func() error {
		if resp := c.Page(t, path); resp.Status != want {
			return fmt.Errorf("%s, want %d", resp, want)
		}
		return nil
	})
}

// rotation shows that nobody notices a planned one.
func rotation(t *testing.T, w *env.World) {
	alice := w.Login(t, "alice")
	talking := talk(t, alice.WebSocket(t, "/user/alice/ws"))
	visiting := visits(t, alice, "/user/alice/x", instance(t, alice, "alice"))
	operator(t, w, "key", "rotate")
	if out := operator(t, w, "key", "list"); !strings.Contains(out, "active") || !strings.Contains(out, "next") {
		t.Errorf("keys:\n%s", out)
	}
	talking.mustGoOn(t, "the WebSocket goes on")
	visiting.mustGoOn(t, "requests go on")
}

// emergencyRotation shows that everybody is out at once, and that running servers and API tokens stay.
func emergencyRotation(t *testing.T, w *env.World) {
	alice := w.Login(t, "alice")
	program := w.Bearer(alice.Token(t).Secret)
	before := instance(t, program, "alice")
	browser, api := talk(t, alice.WebSocket(t, "/user/alice/ws")), talk(t, program.WebSocket(t, "/user/alice/ws"))
	since := time.Now()
	operator(t, w, "key", "rotate", "--emergency", "--yes")
	browser.mustBreak(t, "the browser's WebSocket", since, 10*time.Second)
	api.mustBreak(t, "the program's WebSocket", since, 10*time.Second)
	for _, path := range []string{"/user/alice/x", "/hub/home"} {
		if resp := alice.Page(t, path); resp.Status != http.StatusFound || !strings.HasPrefix(resp.Header.Get("Location"), "/hub/login") {
			t.Errorf("%s with the old session: %s, want the login page", path, resp)
		}
	}
	if after := instance(t, program, "alice"); after != before {
		t.Errorf("the API token reaches instance %s, was %s", after, before)
	}
	if after := instance(t, w.Login(t, "alice"), "alice"); after != before {
		t.Errorf("after signing in again: instance %s, was %s", after, before)
	}
}
