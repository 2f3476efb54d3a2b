package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/edgehub/edgehub/routes"
	"github.com/edgehub/edgehub/test/env"
)

// place is where a hub is, and where its users' servers are.
type place struct {
	*env.World

	hub, server, service string // addresses that end with a slash
}

// TestOAuthElsewhere is OAuth of an unmodified jupyterhub-singleuser, of a service with JupyterHub's library that the hub runs, and of a
// client of another site, with a host for each user and below a base URL.
func TestOAuthElsewhere(t *testing.T) {
	for what, c := range map[string]struct {
		base routes.Base
		args []string
		place
	}{
		"a host for each user": {"", []string{"--user-domain", "hub.localhost"}, place{hub: hubAt + "/hub/", server: aliceAt + "/user/alice/", service: hubAt + "/services/whoami/"}},
		"below a base URL": {"/teaching/", nil, place{hub: hubAt + "/teaching/hub/", server: hubAt + "/teaching/user/alice/",
			service: hubAt + "/teaching/services/whoami/"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			script := filepath.Join(t.TempDir(), "whoami.py")
			if err := os.WriteFile(script, []byte(whoami), 0o600); err != nil {
				t.Fatal(err)
			}
			host := env.NewAddress()
			p := c.place
			p.World = env.Up(t, env.Options{Jupyter: true, Base: c.base, Args: append(c.args, "--public-url", hubAt), Config: fmt.Sprintf(`
spawner: {auth: pass}
extra_user_scopes: ["access:services!service=whoami", "access:services!service=grades"]
services:
  - name: whoami
    url: http://%[1]s:10101
    command: [%[2]q, %[3]q, %[1]q, "10101"]
`, host, filepath.Join(env.Peer(t, env.Jupyter), "python3"), script)})
			p.AddUser(t, "alice")
			p.AddUser(t, "bob")
			call(t, p.World, http.MethodPost, "/users/alice/server", nil)
			alice, bob := p.visitor(t, "alice"), p.visitor(t, "bob")
			p.ownServer(t, alice, bob)
			p.hubOAuth(t, alice)
			p.client(t, alice)
		})
	}
}

// wanderer is a person's browser that remembers by way of which pages it came.
type wanderer struct {
	*roamer

	way []string
}

func (p *place) visitor(t *testing.T, name string) *wanderer {
	t.Helper()
	c := &wanderer{roamer: newRoamer(t, p.World)}
	c.client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		c.way = append(c.way, r.URL.Scheme+"://"+r.URL.Host+r.URL.Path)
		if len(via) > 12 {
			return fmt.Errorf("too many redirects: %q", c.way)
		}
		return nil
	}
	home := strings.TrimPrefix(p.hub, hubAt) + "home" // else the way would lead to the server at once
	c.submit(t, p.hub+"login?next="+url.QueryEscape(home), url.Values{"username": {name}, "password": {p.Password(name)}})
	return c
}

func (c *wanderer) visit(t *testing.T, address string) (int, string) {
	t.Helper()
	c.way = nil
	return c.open(t, address)
}

// submit sends the form of a page of the hub, with what the page has filled in itself.
func (c *wanderer) submit(t *testing.T, page string, form url.Values) (int, string) {
	t.Helper()
	_, text := c.open(t, page)
	token := xsrfOf(text)
	for _, m := range consentScope.FindAllStringSubmatch(text, -1) {
		form.Add("scopes", m[1])
	}
	form.Set("_xsrf", token)
	c.way = nil
	status, body := c.send(t, http.MethodPost, page, form.Encode())
	if token == "" || status != http.StatusOK {
		t.Fatalf("%s: %d %.300s by way of %q", page, status, body, c.way)
	}
	return status, body
}

func xsrfOf(page string) string {
	_, rest, _ := strings.Cut(page, `name="_xsrf" value="`)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

func (p *place) ownServer(t *testing.T, alice, bob *wanderer) {
	t.Helper()
	env.Eventually(t, "the server runs", 90*time.Second, func() error {
		if !p.Server(t, "alice").Ready {
			return errors.New("not ready")
		}
		return nil
	})
	status, body := alice.visit(t, p.server)
	if status != http.StatusOK || !slices.Contains(alice.way, p.hub+"api/oauth2/authorize") || !slices.Contains(alice.way, p.server+"oauth_callback") {
		t.Errorf("alice: %d %.200s by way of %q, want a page after OAuth", status, body, alice.way)
	}
	if status, body := alice.visit(t, p.server+"api/kernels"); status != http.StatusOK || !strings.HasPrefix(body, "[") {
		t.Errorf("alice lists kernels: %d %.200s", status, body)
	}
	if status, body := bob.visit(t, p.server); status != http.StatusForbidden || !strings.Contains(body, "You do not have permission to access Server at /user/alice/") {
		t.Errorf("bob: %d %.300s by way of %q, want 403", status, body, bob.way)
	}
	if status, body := bob.visit(t, p.server+"api/kernels"); status != http.StatusForbidden {
		t.Errorf("bob lists kernels: %d %.200s, want 403", status, body)
	}
}

func (p *place) hubOAuth(t *testing.T, alice *wanderer) {
	t.Helper()
	env.Eventually(t, "the service asks who comes", 60*time.Second, func() error {
		if status, body := alice.visit(t, p.service); status != http.StatusOK || !strings.Contains(body, "The service whoami") {
			return fmt.Errorf("%d %.200s by way of %q, want to be asked", status, body, alice.way)
		}
		return nil
	})
	_, body := alice.submit(t, alice.last.String(), url.Values{})
	if !strings.Contains(body, `"name": "alice"`) || !slices.Contains(alice.way, p.service+"oauth_callback") {
		t.Errorf("the service sees %s by way of %q", body, alice.way)
	}
}

// client is a program of another site, which alice lets read her name.
func (p *place) client(t *testing.T, alice *wanderer) {
	t.Helper()
	came := make(chan url.Values, 1)
	site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { came <- r.URL.Query() }))
	t.Cleanup(site.Close)
	call(t, p.World, http.MethodPost, "/services/grades", object{"api_token": serviceSecret, "oauth_redirect_uri": site.URL + "/cb"})
	config := oauth2.Config{ClientID: "service-grades", ClientSecret: serviceSecret, RedirectURL: site.URL + "/cb",
		Endpoint: oauth2.Endpoint{AuthURL: p.hub + "api/oauth2/authorize", TokenURL: p.URL("/hub/api/oauth2/token")}}
	verifier := oauth2.GenerateVerifier()
	alice.elsewhere = strings.TrimPrefix(site.URL, "http://")
	alice.submit(t, config.AuthCodeURL("a-state", oauth2.S256ChallengeOption(verifier)), url.Values{})
	q := <-came
	if q.Get("state") != "a-state" || q.Get("iss") != strings.TrimSuffix(p.hub, "/") {
		t.Errorf("the client hears %v", q)
	}
	tok, err := config.Exchange(t.Context(), q.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if resp := p.Bearer(tok.AccessToken).Get(t, "/hub/api/user"); resp.Status != http.StatusOK || !strings.Contains(string(resp.Body), `"alice"`) {
		t.Errorf("the token's bearer: %s", resp)
	}
	_, err = config.Exchange(t.Context(), q.Get("code"), oauth2.VerifierOption(verifier))
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.ErrorCode != "invalid_grant" {
		t.Errorf("the code a second time: %v, want invalid_grant", err)
	}
}
