package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/coder/websocket"

	"github.com/edgehub/edgehub/test/env"
)

// The hosts of a world whose users have one each. Browsers trust names below localhost as they trust TLS, so they say as much
// about their requests.
const (
	hubAt   = "http://hub.localhost:8000"
	aliceAt = "http://alice.hub.localhost:8000"
	bobAt   = "http://bob.hub.localhost:8000"
)

// split is a hub with a host for each user.
func split(t *testing.T, e env.Edge) *env.World {
	t.Helper()
	w := env.Up(t, env.Options{Edge: e, Args: []string{"--public-url", hubAt, "--user-domain", "hub.localhost"}})
	w.AddAdmin(t, "alice") // so that bob's pages are open to her
	w.AddUser(t, "bob")
	return w
}

// TestHosts is a browser that signs in at the hub, starts a server, works on its host, and opens a page of bob's which tries
// what it can.
func TestHosts(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		env.Peer(t, env.Chromium)
		w := split(t, e)
		address, _, err := net.SplitHostPort(w.Addr())
		if err != nil {
			t.Fatal(err)
		}
		b := env.OpenBrowser(t, address)
		at := func(origin, path string) {
			t.Helper()
			b.Wait(origin+path, fmt.Sprintf("location.origin + location.pathname === %q && document.readyState === 'complete'", origin+path))
		}
		enter := func(name string) {
			t.Helper()
			b.Click("#username_input")
			b.Type(name)
			b.Click("#password_input")
			b.Type(w.Password(name))
			b.Press(kb.Enter)
		}
		// From a user's host through the sign-in page of the hub, and back. The server does not run.
		b.Go(aliceAt + "/user/alice/")
		at(hubAt, "/hub/login")
		enter("alice")
		at(hubAt, "/hub/user/alice/")
		b.Go(hubAt + "/hub/home")
		b.Click("#start")
		at(aliceAt, "/user/alice/")
		if got := env.Eval[string](b, "JSON.parse(document.body.innerText).user"); got != "alice" {
			t.Errorf("on alice's host is the server of %q", got)
		}
		// Browsers look at every redirect after a form, across hosts too.
		b.Go(hubAt + "/hub/spawn/alice")
		at(aliceAt, "/user/alice/")
		if got := env.Eval[string](b, socketTo(aliceAt)); got != "hello" {
			t.Errorf("alice's WebSocket on her own host: %q", got)
		}
		if got := env.Eval[string](b, fetchOf(aliceAt+"/user/alice/")); !strings.Contains(got, `"user":"alice"`) {
			t.Errorf("alice's fetch on her own host: %q", got)
		}
		if got := env.Eval[string](b, "document.cookie"); got != "" {
			t.Errorf("a script sees the cookies %q", got)
		}

		// What alice opens of bob's server runs with her cookies, as far as her browser sends them.
		status, body := w.API(t, http.MethodPost, "/users/bob/server", nil)
		if status != http.StatusCreated && status != http.StatusAccepted {
			t.Fatalf("start bob's server: %d %s", status, body)
		}
		b.Go(hubAt + "/user/bob/")
		at(bobAt, "/user/bob/")
		if got := env.Eval[string](b, fetchOf(bobAt+"/user/bob/")); !strings.Contains(got, `"user":"bob"`) {
			t.Errorf("bob's page fetches his own: %q", got)
		}
		for _, path := range []string{"/user/alice/", "/user/alice/ws"} {
			if got := env.Eval[string](b, fetchOf(aliceAt+path)); got != "refused" {
				t.Errorf("bob's page fetches %s of alice: %q", path, got)
			}
		}
		if got := env.Eval[string](b, fetchOf(hubAt+"/hub/home")); got != "refused" {
			t.Errorf("bob's page fetches the hub's: %q", got)
		}
		if got := env.Eval[string](b, socketTo(aliceAt)); got != "refused" {
			t.Errorf("bob's page has a WebSocket to alice's server: %q", got)
		}
		if got := env.Eval[string](b, fetchOf(bobAt+"/user/alice/")); !strings.Contains(got, "There is nothing here") {
			t.Errorf("alice's server on bob's host: %q", got)
		}
	})
}

// TestJupyterOnItsHost is work in a real Jupyter on the host of its user.
func TestJupyterOnItsHost(t *testing.T) {
	t.Parallel()
	env.Peer(t, env.Chromium)
	_, err := os.Stat(filepath.Join(env.Peer(t, env.Jupyter), "jupyter-lab"))
	s := &story{lab: err == nil, World: env.Up(t, env.Options{Jupyter: true, Args: []string{"--public-url", hubAt, "--user-domain", "hub.localhost"}})}
	password, err := os.ReadFile(filepath.Join(s.Data, "admin-password"))
	if err != nil {
		t.Fatal(err)
	}
	address, _, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	b := env.OpenBrowser(t, address)
	b.Go(hubAt + "/hub/login")
	b.Click("#username_input")
	b.Type("admin")
	b.Click("#password_input")
	b.Type(strings.TrimSpace(string(password)))
	b.Press(kb.Enter)
	b.Click("#start")
	s.awaitJupyter(b)
	if got := env.Eval[string](b, "location.origin"); got != "http://admin.hub.localhost:8000" {
		t.Errorf("Jupyter is at %s", got)
	}
	if s.lab {
		s.notebook(t, b)
	} else {
		s.kernel(t, b)
	}
}

// fetchOf is what a page reads of an address, with the cookies that the browser has.
func fetchOf(address string) string {
	return fmt.Sprintf("fetch(%q, {credentials: 'include'}).then(r => r.text(), () => 'refused')", address)
}

// socketTo is what a page gets of alice's echo server.
func socketTo(origin string) string {
	return fmt.Sprintf(`new Promise(done => {
		const s = new WebSocket(%q);
		s.onopen = () => s.send("hello");
		s.onmessage = (e) => done(e.data);
		s.onerror = () => done("refused");
	})`, strings.Replace(origin, "http", "ws", 1)+"/user/alice/ws")
}

// TestHostsForgetASession shows without a browser what its cookies are worth: each on its own host, and nothing after the
// session.
func TestHostsForgetASession(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := split(t, e)
		w.API(t, http.MethodPost, "/users/alice/server", nil)
		env.Eventually(t, "alice's server", 30*time.Second, func() error {
			if !w.Server(t, "alice").Ready {
				return errors.New("not ready")
			}
			return nil
		})
		c := newRoamer(t, w)
		c.signIn(t, "alice")
		env.Eventually(t, "alice's page", 20*time.Second, func() error {
			if status, body := c.open(t, hubAt+"/user/alice/"); status != http.StatusOK {
				return fmt.Errorf("%d %s", status, body)
			}
			return nil
		})
		dial := func(origin string) (*websocket.Conn, error) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			conn, _, err := websocket.Dial(ctx, aliceAt+"/user/alice/ws", &websocket.DialOptions{HTTPClient: c.client, HTTPHeader: http.Header{"Origin": {origin}}})
			return conn, err
		}
		for _, origin := range []string{bobAt, hubAt} {
			if conn, err := dial(origin); err == nil {
				_ = conn.CloseNow()
				t.Errorf("a WebSocket from %s was opened", origin)
			}
		}
		conn, err := dial(aliceAt)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.CloseNow() }()
		c.signOut(t)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, _, err := conn.Read(ctx); err == nil || ctx.Err() != nil {
			t.Errorf("the WebSocket outlives the session: %v", err)
		}
		if _, body := c.open(t, aliceAt+"/user/alice/"); !strings.Contains(body, "Sign in") {
			t.Errorf("after signing out: %s", body)
		}
	})
}

// roamer is a person's browser that follows redirects from host to host.
type roamer struct {
	w      *env.World
	client *http.Client
	// elsewhere is the host and port of another site, last the address of the page that is open.
	elsewhere string
	last      *url.URL
}

func newRoamer(t *testing.T, w *env.World) *roamer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &roamer{w: w}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != c.elsewhere {
			address = w.Addr()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	c.client = &http.Client{Jar: jar, Transport: transport}
	return c
}

func (c *roamer) open(t *testing.T, address string) (int, string) {
	t.Helper()
	return c.send(t, http.MethodGet, address, "")
}

func (c *roamer) signIn(t *testing.T, name string) {
	t.Helper()
	c.post(t, "/hub/login", "username="+name+"&password="+c.w.Password(name))
}

func (c *roamer) signOut(t *testing.T) {
	t.Helper()
	c.post(t, "/hub/logout", "")
}

// post sends the form of a page of the hub.
func (c *roamer) post(t *testing.T, path, form string) {
	t.Helper()
	_, page := c.open(t, hubAt+path)
	_, rest, ok := strings.Cut(page, `name="_xsrf" value="`)
	token, _, _ := strings.Cut(rest, `"`)
	if status, body := c.send(t, http.MethodPost, hubAt+path, form+"&_xsrf="+token); !ok || status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, status, body)
	}
}

func (c *roamer) send(t *testing.T, method, address, form string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	c.last = resp.Request.URL
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
