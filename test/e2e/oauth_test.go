package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// jupyters are the Jupyters of this machine with the version of their jupyterhub-singleuser.
func jupyters(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, bin := range append(filepath.SplitList(os.Getenv(env.JupyterOlder)), env.Peer(t, env.Jupyter)) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "jupyterhub-singleuser"), "--version").Output()
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimSpace(string(out))] = bin
	}
	return found
}

// TestOAuthSingleuser has unmodified jupyterhub-singleusers of several years do what they do under JupyterHub: send the browser
// to the hub, redeem the code that it brings, and ask the hub who that is.
func TestOAuthSingleuser(t *testing.T) {
	for version, bin := range jupyters(t) {
		t.Run(version, func(t *testing.T) {
			w := env.New(t, env.Options{Jupyter: true, JupyterBin: bin, Config: "spawner: {auth: pass}"})
			for _, name := range []string{"alice", "bob"} {
				w.AddUser(t, name)
			}
			w.AddAdmin(t, "root")
			startOAuth(t, w, "alice")
			alice := w.Login(t, "alice")
			visitByOAuth(t, alice)
			strangersByOAuth(t, w)
			tokensInHeaders(t, w, alice)
			logoutByOAuth(t, w, alice)
			stopEndsTokens(t, w)
		})
	}
}

// startOAuth starts a server that lets everybody in as far as its own sign-in.
func startOAuth(t *testing.T, w *env.World, user string) {
	t.Helper()
	if status, body := w.API(t, http.MethodPost, "/users/"+user+"/server", nil); status != http.StatusCreated && status != http.StatusAccepted {
		t.Fatalf("start: %d %s", status, body)
	}
	nobody := w.Anonymous()
	env.Eventually(t, "the server answers", 90*time.Second, func() error {
		resp := nobody.Get(t, "/user/"+user+"/api")
		if resp.Status != http.StatusOK || !strings.Contains(string(resp.Body), "version") {
			return fmt.Errorf("%s", resp)
		}
		return nil
	})
}

// walk opens a page as a browser does, following redirects, and returns the last answer with the addresses on the way.
func walk(t *testing.T, c *env.Client, path string) (*env.Response, []string) {
	t.Helper()
	var way []string
	for range 12 {
		resp := c.Page(t, path)
		way = append(way, path)
		to := resp.Header.Get("Location")
		if resp.Status != http.StatusFound && resp.Status != http.StatusSeeOther {
			return resp, way
		}
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		path = u.RequestURI()
	}
	t.Fatalf("too many redirects: %q", way)
	return nil, nil
}

func visited(way []string, path string) bool {
	return slices.ContainsFunc(way, func(s string) bool { return s == path || strings.HasPrefix(s, path+"?") })
}

func visitByOAuth(t *testing.T, alice *env.Client) {
	t.Helper()
	resp, way := walk(t, alice, "/user/alice/")
	if resp.Status != http.StatusOK || !visited(way, "/hub/api/oauth2/authorize") || !visited(way, "/user/alice/oauth_callback") {
		t.Fatalf("open the server: %.200s by way of %q, want a page after OAuth", resp, way)
	}
	if _, way := walk(t, alice, "/user/alice/"); visited(way, "/hub/api/oauth2/authorize") {
		t.Errorf("the second visit goes by %q, want the server's own cookie to do", way)
	}
	var cookies []string
	for _, c := range alice.Cookies("/user/alice/") {
		cookies = append(cookies, c.Name)
	}
	for _, want := range []string{"jupyterhub-user-alice", "jupyterhub-session-id"} {
		if !slices.Contains(cookies, want) {
			t.Errorf("cookies %q, want %s among them", cookies, want)
		}
	}
	// A page of the server has its XSRF token, and sends it back.
	for _, c := range alice.Cookies("/user/alice/") {
		if c.Name == "_xsrf" {
			alice.Header.Set("X-Xsrftoken", c.Value)
		}
	}
	if got := alice.Kernel(t, "alice").Run(t, "print(6*7)"); got != "42" {
		t.Errorf("the kernel says %q", got)
	}
	alice.Header.Del("X-Xsrftoken")
}

// strangersByOAuth shows who does not come in, and who is asked.
func strangersByOAuth(t *testing.T, w *env.World) {
	t.Helper()
	nobody := w.Anonymous()
	if resp, way := walk(t, nobody, "/user/alice/"); resp.Status != http.StatusOK || !visited(way, "/hub/login") {
		t.Errorf("nobody: %.100s by way of %q, want the sign-in page", resp, way)
	}
	if resp := nobody.Get(t, "/user/alice/api/kernels"); resp.Status != http.StatusForbidden {
		t.Errorf("nobody lists kernels: %.200s, want 403", resp)
	}
	bob := w.Login(t, "bob")
	resp, way := walk(t, bob, "/user/alice/")
	if resp.Status != http.StatusForbidden || !strings.Contains(string(resp.Body), "You do not have permission to access Server at /user/alice/") {
		t.Errorf("bob: %.300s by way of %q, want 403", resp, way)
	}
	if resp := bob.Get(t, "/user/alice/api/kernels"); resp.Status != http.StatusForbidden {
		t.Errorf("bob lists kernels: %.200s, want 403", resp)
	}
	root := w.Login(t, "root")
	resp, way = walk(t, root, "/user/alice/")
	if resp.Status != http.StatusOK || !strings.Contains(string(resp.Body), "alice’s server") || !visited(way, "/hub/api/oauth2/authorize") {
		t.Fatalf("an administrator: %.300s by way of %q, want to be asked", resp, way)
	}
	to := consent(t, root, way[len(way)-1], resp, nil)
	if resp, way := walk(t, root, to); resp.Status != http.StatusOK || !strings.HasPrefix(way[len(way)-1], "/user/alice/") {
		t.Errorf("an administrator who agreed: %.300s by way of %q", resp, way)
	}
}

var consentScope = regexp.MustCompile(`name="scopes" value="([^"]+)"`)

// consent posts the form of a consent page and returns where that leads.
func consent(t *testing.T, c *env.Client, path string, page *env.Response, more url.Values) string {
	t.Helper()
	form := url.Values{}
	for _, m := range consentScope.FindAllSubmatch(page.Body, -1) {
		form.Add("scopes", string(m[1]))
	}
	for name, values := range more {
		form[name] = values
	}
	resp := c.Submit(t, path, path, form)
	if resp.Status != http.StatusSeeOther {
		t.Fatalf("agree: %s", resp)
	}
	return resp.Header.Get("Location")
}

func tokensInHeaders(t *testing.T, w *env.World, alice *env.Client) {
	t.Helper()
	for name, want := range map[string]int{"alice": http.StatusOK, "bob": http.StatusForbidden, "root": http.StatusOK} {
		if got := w.Bearer(w.Login(t, name).Token(t).Secret).Get(t, "/user/alice/api/kernels"); got.Status != want {
			t.Errorf("%s with an API token: %.200s, want %d", name, got, want)
		}
	}
	// What only front doors accept does not get through to a user's program.
	if got := w.Bearer(alice.Cookie("edgehub")).Get(t, "/user/alice/api/kernels"); got.Status != http.StatusForbidden {
		t.Errorf("an edge token as API token: %.200s, want 403", got)
	}
}

// logoutByOAuth shows that a sign-out at the hub ends what the browser has at the server, at once.
func logoutByOAuth(t *testing.T, w *env.World, alice *env.Client) {
	t.Helper()
	before := tokensOf(t, w, "alice")
	alice.Logout(t)
	if resp, way := walk(t, alice, "/user/alice/"); !visited(way, "/hub/login") {
		t.Errorf("after the sign-out: %.200s by way of %q, want the sign-in page", resp, way)
	}
	if resp := alice.Get(t, "/user/alice/api/kernels"); resp.Status != http.StatusForbidden {
		t.Errorf("list kernels after the sign-out: %.200s, want 403", resp)
	}
	if after := tokensOf(t, w, "alice"); before == 0 || after != 0 {
		t.Errorf("%d OAuth tokens before the sign-out, %d after it, want some and none", before, after)
	}
}

// tokensOf counts a user's OAuth tokens.
func tokensOf(t *testing.T, w *env.World, user string) int {
	t.Helper()
	status, body := w.API(t, http.MethodGet, "/users/"+user+"/tokens", nil)
	if status != http.StatusOK {
		t.Fatalf("tokens of %s: %d %s", user, status, body)
	}
	return strings.Count(string(body), `"oauth_client":"jupyterhub-user-`)
}

// stopEndsTokens shows that the tokens of a server's visitors end with it.
func stopEndsTokens(t *testing.T, w *env.World) {
	t.Helper()
	if tokensOf(t, w, "root") == 0 {
		t.Error("the administrator has no OAuth token for alice's server")
	}
	w.StopServer(t, "alice")
	if n := tokensOf(t, w, "root"); n != 0 {
		t.Errorf("%d OAuth tokens are left when the server is gone", n)
	}
}

// TestTicketSingleuser has the same programs told by the front door who visits: there is no redirect, and no other visitor.
func TestTicketSingleuser(t *testing.T) {
	newest := env.Peer(t, env.Jupyter) // other tests are about it
	for version, bin := range jupyters(t) {
		if bin == newest {
			continue
		}
		t.Run(version, func(t *testing.T) {
			w := env.New(t, env.Options{Jupyter: true, JupyterBin: bin})
			w.AddUser(t, "alice")
			w.AddUser(t, "bob")
			w.StartServer(t, "alice")
			alice, bob := w.Login(t, "alice"), w.Login(t, "bob")
			resp, way := walk(t, alice, "/user/alice/")
			if resp.Status != http.StatusOK || slices.ContainsFunc(way, func(s string) bool { return strings.HasPrefix(s, "/hub/") }) {
				t.Errorf("open the server: %.200s by way of %q, want a page without the hub", resp, way)
			}
			if got := alice.Kernel(t, "alice").Run(t, "print(6*7)"); got != "42" {
				t.Errorf("the kernel says %q", got)
			}
			for who, c := range map[string]*env.Client{"bob": bob, "nobody": w.Anonymous()} {
				if resp := c.Get(t, "/user/alice/api/kernels"); resp.Status != http.StatusForbidden {
					t.Errorf("%s: %.200s, want 403", who, resp)
				}
			}
			alice.Logout(t)
			if resp := alice.Get(t, "/user/alice/api/kernels"); resp.Status != http.StatusForbidden {
				t.Errorf("after the sign-out: %.200s, want 403", resp)
			}
		})
	}
}
