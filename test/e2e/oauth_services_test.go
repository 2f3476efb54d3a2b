package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/oauth2"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/test/env"
)

const serviceSecret = "5ec2e70123456789abcdef0123456789"

// addService writes the record of a service with its token.
func addService(t *testing.T, w *env.World, s hub.Service) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{w.EtcdURL}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	st := store.New(client, "")
	signing, err := token.OpenSigning(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	s.Schema = hub.Schema
	err = errors.Join(store.NewTable[hub.Service](st, store.Services, "service").Create(t.Context(), store.ID(s.Name), s),
		token.New(st, signing).AdoptForService(t.Context(), hub.Token{Service: s.Name, Scopes: []string{"inherit"}}, serviceSecret))
	if err != nil {
		t.Fatal(err)
	}
}

// whoami is a service that has JupyterHub's own library sign people in, and tells them who they are.
const whoami = `import json, os, sys
from jupyterhub.services.auth import HubOAuthCallbackHandler, HubOAuthenticated
from tornado import ioloop, web

class Who(HubOAuthenticated, web.RequestHandler):
    @web.authenticated
    def get(self):
        self.finish(json.dumps(self.get_current_user()))

class Api(HubOAuthenticated, web.RequestHandler):
    def get(self):
        user = self.get_current_user()
        self.set_status(200 if user else 403)
        self.finish(json.dumps(user))

prefix = os.environ["JUPYTERHUB_SERVICE_PREFIX"]
app = web.Application([(prefix + "oauth_callback", HubOAuthCallbackHandler), (prefix + "api", Api), (prefix, Who)], cookie_secret=os.urandom(32))
app.listen(int(sys.argv[2]), sys.argv[1])
ioloop.IOLoop.current().start()
`

// startWhoami runs it behind the front door.
func startWhoami(t *testing.T, w *env.World) {
	t.Helper()
	host := env.NewAddress()
	script := filepath.Join(t.TempDir(), "whoami.py")
	if err := os.WriteFile(script, []byte(whoami), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(w.Artifact("whoami.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), filepath.Join(env.Peer(t, env.Jupyter), "python3"), script, host, "10101")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "JUPYTERHUB_API_TOKEN="+serviceSecret, "JUPYTERHUB_API_URL="+w.URL("/hub/api"), "JUPYTERHUB_BASE_URL=/",
		"JUPYTERHUB_SERVICE_NAME=whoami", "JUPYTERHUB_SERVICE_PREFIX=/services/whoami/", "JUPYTERHUB_CLIENT_ID=service-whoami", "JUPYTERHUB_HOST=",
		`JUPYTERHUB_OAUTH_ACCESS_SCOPES=["access:services", "access:services!service=whoami"]`,
		"JUPYTERHUB_OAUTH_CALLBACK_URL=/services/whoami/oauth_callback", "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES=[]")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); _ = log.Close() })
	addService(t, w, hub.Service{Name: "whoami", RedirectURI: "/services/whoami/oauth_callback"})
	if status, body := w.API(t, http.MethodPut, "/routes/services/whoami/", map[string]any{"target": "http://" + host + ":10101", "auth": "pass"}); status >= 300 {
		t.Fatalf("route: %d %s", status, body)
	}
	env.Eventually(t, "the service answers", 30*time.Second, func() error {
		if resp := w.Anonymous().Get(t, "/services/whoami/api"); resp.Status != http.StatusForbidden || string(resp.Body) != "null" {
			return fmt.Errorf("%s", resp)
		}
		return nil
	})
}

// TestOAuthService has a service with JupyterHub's library sign people in behind the front door.
func TestOAuthService(t *testing.T) {
	w := env.New(t, env.Options{Jupyter: true, Config: `extra_user_scopes: ["access:services!service=whoami"]`})
	w.AddUser(t, "alice")
	startWhoami(t, w)
	alice := w.Login(t, "alice")
	page, way := walk(t, alice, "/services/whoami/")
	if page.Status != http.StatusOK || !strings.Contains(string(page.Body), "The service whoami") {
		t.Fatalf("%.300s by way of %q, want to be asked", page, way)
	}
	resp, way := walk(t, alice, consent(t, alice, way[len(way)-1], page, nil))
	var model struct {
		Name   string   `json:"name"`
		Scopes []string `json:"scopes"`
	}
	if resp.JSON(t, &model); model.Name != "alice" || len(model.Scopes) != 3 {
		t.Errorf("the service sees %s by way of %q", resp, way)
	}
	own := alice.Token(t)
	if resp := w.Bearer(own.Secret).Get(t, "/services/whoami/api"); resp.Status != http.StatusOK || !strings.Contains(string(resp.Body), `"alice"`) {
		t.Errorf("with an API token: %s", resp)
	}
	alice.Logout(t)
	if resp := alice.Get(t, "/services/whoami/api"); resp.Status != http.StatusForbidden {
		t.Errorf("after the sign-out: %s, want 403", resp)
	}
}

// client is an OAuth client of another site: golang.org/x/oauth2 with PKCE.
type client struct {
	oauth2.Config

	verifier string
	site     *httptest.Server
	came     chan url.Values
}

func newClient(t *testing.T, w *env.World) *client {
	t.Helper()
	c := &client{verifier: oauth2.GenerateVerifier(), came: make(chan url.Values, 4)}
	c.site = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cb" {
			c.came <- r.URL.Query()
		}
		_, _ = rw.Write([]byte("<title>back</title>You are back."))
	}))
	t.Cleanup(c.site.Close)
	addService(t, w, hub.Service{Name: "grades", RedirectURI: c.site.URL + "/cb", AllowedScopes: []string{"list:users", "read:servers!user"}})
	c.Config = oauth2.Config{ClientID: "service-grades", ClientSecret: serviceSecret, RedirectURL: c.site.URL + "/cb", Scopes: []string{"list:users"},
		Endpoint: oauth2.Endpoint{AuthURL: w.URL("/hub/api/oauth2/authorize"), TokenURL: w.URL("/hub/api/oauth2/token")}}
	return c
}

func (c *client) address() string {
	return c.AuthCodeURL("a-state", oauth2.S256ChallengeOption(c.verifier))
}

// TestOAuthClient is a program of another site that acts for a person, who agrees in Chromium.
func TestOAuthClient(t *testing.T) {
	w := env.New(t, env.Options{})
	w.AddAdmin(t, "root")
	c := newClient(t, w)
	b := env.OpenBrowser(t)
	b.Go(c.address())
	b.WaitSeen("#username_input")
	b.Click("#username_input")
	b.Type("root")
	b.Click("#password_input")
	b.Type(w.Password("root"))
	b.Press(kb.Enter)
	b.WaitSeen("#consent-form")
	b.Shot("consent")
	b.Size(360, 740, true)
	b.Shot("consent on a phone")
	for _, want := range []string{"The service grades", "list users", "root", c.site.URL} {
		if got := b.Text("#main"); !strings.Contains(got, want) {
			t.Errorf("the page says %q, want %q in it", got, want)
		}
	}
	if got := b.Text("#main"); strings.Contains(got, "see servers") {
		t.Errorf("the page says %q of what was not asked for", got)
	}
	agreeByKeyboard(b)
	b.Wait("the other site", "document.title === 'back'")
	for _, m := range b.Messages("") {
		if !strings.Contains(m.URL, "favicon") {
			t.Errorf("in the browser's console: %s", m)
		}
	}
	first := <-c.came
	program := c.use(t, w, first)

	b.Go(c.address()) // asked once only
	b.Wait("the other site again", "document.title === 'back'")
	if q := <-c.came; q.Get("code") == "" {
		t.Errorf("the second time: %v", q)
	}
	b.Go(c.address() + "&scope=list:users+read:servers!user") // two scopes: an error, and the client hears it
	b.Wait("the other site a third time", "document.title === 'back'")
	if q := <-c.came; q.Get("error") != "invalid_request" {
		t.Errorf("two scopes: %v", q)
	}
	c.misuse(t, first, program)
}

// agreeByKeyboard moves to the button and presses it.
func agreeByKeyboard(b *env.Browser) {
	for range 12 {
		if env.Eval[string](b, "document.activeElement.id") == "consent-allow" {
			break
		}
		b.Press(kb.Tab)
	}
	b.Press(kb.Enter)
}

// use redeems a code and acts with the token.
func (c *client) use(t *testing.T, w *env.World, q url.Values) *env.Client {
	t.Helper()
	if q.Get("state") != "a-state" || q.Get("iss") != w.URL("/hub") {
		t.Errorf("the client hears %v", q)
	}
	tok, err := c.Exchange(t.Context(), q.Get("code"), oauth2.VerifierOption(c.verifier))
	if err != nil || tok.TokenType != "Bearer" || !strings.Contains(fmt.Sprint(tok.Extra("scope")), "list:users") {
		t.Fatalf("token %+v, %v", tok, err)
	}
	program := w.Bearer(tok.AccessToken)
	var model struct {
		Name string `json:"name"`
	}
	if program.Get(t, "/hub/api/user").JSON(t, &model); model.Name != "root" {
		t.Errorf("the token's bearer is %q", model.Name)
	}
	for path, want := range map[string]int{"/hub/api/users": http.StatusOK, "/hub/api/proxy": http.StatusForbidden, "/hub/api/info": http.StatusForbidden} {
		if resp := program.Get(t, path); resp.Status != want {
			t.Errorf("%s: %.100s, want %d", path, resp, want)
		}
	}
	return program
}

// misuse redeems a code a second time, which ends the token of the first.
func (c *client) misuse(t *testing.T, q url.Values, program *env.Client) {
	t.Helper()
	_, err := c.Exchange(t.Context(), q.Get("code"), oauth2.VerifierOption(c.verifier))
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.ErrorCode != "invalid_grant" {
		t.Errorf("the code a second time: %v, want invalid_grant", err)
	}
	if resp := program.Get(t, "/hub/api/user"); resp.Status != http.StatusForbidden {
		t.Errorf("the token outlives the second use of its code: %.100s", resp)
	}
}
