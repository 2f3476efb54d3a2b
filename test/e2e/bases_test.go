package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/edgehub/edgehub/test/env"
)

// TestTwoHubsOnOneHost is one browser with two hubs below two paths of a host, behind one Traefik: alice at the one, who works in
// a real Jupyter, and bob at the other. Neither disturbs the other, and nothing of one opens the other.
func TestTwoHubsOnOneHost(t *testing.T) {
	t.Parallel()
	env.Peer(t, env.Chromium)
	env.Peer(t, env.TraefikProgram)
	_, err := os.Stat(filepath.Join(env.Peer(t, env.Jupyter), "jupyter-lab"))
	lab := err == nil
	teaching := env.Up(t, env.Options{Jupyter: true, Base: "/teaching/", Args: []string{"--public-url", hubAt}})
	research := env.Up(t, env.Options{Base: "/research/", Args: []string{"--public-url", hubAt}})
	teaching.AddUser(t, "alice")
	research.AddUser(t, "bob")
	address := env.ShareTraefik(t, hubAt, teaching, research)
	ip, _, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	b := env.OpenBrowser(t, ip)
	enter := func(w *env.World, base, name string) {
		t.Helper()
		b.Go(hubAt + base + "user/" + name + "/") // its server does not run, and nobody is signed in
		b.WaitPath(base + "hub/login")
		b.Click("#username_input")
		b.Type(name)
		b.Click("#password_input")
		b.Type(w.Password(name))
		b.Press(kb.Enter)
		b.WaitPath(base + "hub/user/" + name + "/")
		b.Click("#start")
	}
	homeOf := func(base, name string) {
		t.Helper()
		b.Go(hubAt + base + "hub/home")
		if got := b.Text("header .name b"); got != name || b.Path() != base+"hub/home" {
			t.Errorf("at %s is %q, want %s", b.Path(), got, name)
		}
	}
	enter(teaching, "/teaching/", "alice")
	page := "/teaching/user/alice/tree"
	if lab {
		page = "/teaching/user/alice/lab"
	}
	b.Wait("Jupyter", fmt.Sprintf("location.pathname.startsWith(%q) && document.readyState === 'complete'", page))
	kernelAnswers(t, b, "/teaching/user/alice/")

	enter(research, "/research/", "bob")
	b.WaitPath("/research/user/bob/")
	if got := env.Eval[string](b, "JSON.parse(document.body.innerText).user"); got != "bob" {
		t.Errorf("bob's server is that of %q", got)
	}
	if got := env.Eval[string](b, strings.ReplaceAll(socketTo(hubAt), "/user/alice/ws", "/research/user/bob/ws")); got != "hello" {
		t.Errorf("bob's WebSocket: %q", got)
	}
	homeOf("/teaching/", "alice")
	homeOf("/research/", "bob")
	notOfTheOther(t, address, teaching, "/research/")
	notOfTheOther(t, address, research, "/teaching/")

	b.Click("#logout")
	b.WaitPath("/research/hub/login")
	b.Go(hubAt + "/research/user/bob/")
	b.WaitPath("/research/hub/login")
	homeOf("/teaching/", "alice")
	b.Go(hubAt + page)
	b.Wait("Jupyter", fmt.Sprintf("location.pathname.startsWith(%q) && document.readyState === 'complete'", page))
	kernelAnswers(t, b, "/teaching/user/alice/")
}

// notOfTheOther shows that the all-powerful token of w is good at its own hub and worth nothing at the one below base, nor
// anything outside of both.
func notOfTheOther(t *testing.T, address string, w *env.World, base string) {
	t.Helper()
	for path, want := range map[string]int{
		strings.TrimPrefix(w.URL("/hub/api/users"), "http://"+w.Addr()): http.StatusOK,
		base + "hub/api/users":       http.StatusForbidden,
		base + "user/alice/api":      http.StatusForbidden,
		"/hub/api/users":             http.StatusNotFound,
		base + "../hub/api/users":    http.StatusNotFound,
		base + "%2e%2e/hub/api/user": http.StatusNotFound,
	} {
		if base == "/research/" && path == base+"user/alice/api" {
			want = http.StatusFailedDependency // alice has no server there
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque, req.Host = path, strings.TrimPrefix(hubAt, "http://")
		req.Header.Set("Authorization", "token "+w.AdminToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s with the token of the hub at %s: %d %s, want %d", path, w.URL("/"), resp.StatusCode, body, want)
		}
	}
}
