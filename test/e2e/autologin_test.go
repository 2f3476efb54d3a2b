package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/edgehub/edgehub/test/env"
)

// leaving stands in front of a Dex, which has no page to sign out, and adds one.
func leaving(t *testing.T, d *env.Dex) *httptest.Server {
	t.Helper()
	back := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: d.Address})
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	back.ModifyResponse = func(resp *http.Response) error {
		if !strings.HasSuffix(resp.Request.URL.Path, "/openid-configuration") {
			return nil
		}
		var doc map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
			return err
		}
		doc["end_session_endpoint"] = srv.URL + "/end"
		text, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		resp.Header.Del("Content-Length")
		resp.ContentLength, resp.Body = -1, http.NoBody
		resp.Body = readCloser{strings.NewReader(string(text))}
		return nil
	}
	mux.Handle("/", back)
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<p id="bye">client %s, <a id="back" href=%q>back</a></p>`, r.FormValue("client_id"), r.FormValue("post_logout_redirect_uri"))
	})
	return srv
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// TestAutoLogin is a hub below a base URL that knows no passwords: its one provider signs people in and out, and only who wants to sees the
// hub's own pages about it.
func TestAutoLogin(t *testing.T) {
	t.Parallel()
	d := env.NewDex(t)
	front := leaving(t, d)
	d.Issuer = front.URL + "/dex"
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(env.DexSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	w := env.Up(t, env.Options{Base: "/teaching/", Public: true, Config: fmt.Sprintf(`
password_login: false
login:
  - name: dex
    issuer: %s
    client_id: hub
    client_secret_file: %s
    username_claim: email
    allow_all: true
    auto_login: true
    end_session: true
`, d.Issuer, secret)})
	d.Serve(w.URL("/hub/oauth_callback"), "alice@example.org")
	b := env.OpenBrowser(t)
	enter := func() {
		t.Helper()
		if b.WaitSeen("#login, a[href*='/dex/auth/local']"); !b.Sees("#login") {
			b.Click("a[href*='/dex/auth/local']")
		}
		b.Click("#login")
		b.Type("alice@example.org")
		b.Click("#password")
		b.Type(env.DexPassword)
		b.Press(kb.Enter)
		b.Wait("the hub's home page", fmt.Sprintf("location.href === %q && document.readyState === 'complete'", w.URL("/hub/home")))
	}
	b.Go(w.URL("/hub/home"))
	enter()
	if got := b.Text(".who b"); got != "alice@example.org" {
		t.Errorf("signed in as %q", got)
	}
	b.Click("#logout")
	b.WaitSeen("#bye")
	b.Shot("signed-out-there")
	if got := b.Text("#bye"); !strings.HasPrefix(got, "client hub") {
		t.Errorf("the provider was told %q", got)
	}
	b.Click("#back")
	b.Wait("the page of who is signed out", "document.body.innerText.includes('You are not signed in.')")
	b.Shot("signed-out")

	// A form of a session that has ended does not lead from our page to another site.
	b.Click("main .button.primary")
	enter()
	b.Go(w.URL("/hub/home"))
	if status, body := w.API(t, http.MethodDelete, "/users/alice@example.org", nil); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, body)
	}
	b.Click("#start")
	b.Wait("a page that says so", "document.body.innerText.includes('You are not signed in any more.')")
	b.Shot("form-of-ended-session")
	for _, m := range b.Messages("/teaching/hub") {
		if !strings.Contains(m.Text, "403") {
			t.Errorf("console: %s", m)
		}
	}

	c := w.Anonymous()
	if resp := c.Page(t, "/hub/login?form"); resp.Status != http.StatusOK || strings.Contains(string(resp.Body), "password_input") || !strings.Contains(string(resp.Body), "login-dex") {
		t.Errorf("the sign-in page: %s", resp)
	}
	resp := c.Do(t, http.MethodPost, "/hub/login", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, strings.NewReader("username=alice&password=x"))
	if resp.Status != http.StatusForbidden || !strings.Contains(string(resp.Body), "Passwords are not used here") {
		t.Errorf("a password: %s", resp)
	}
}
