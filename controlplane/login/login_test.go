package login

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := newSite(t, at(p, func(o *Provider) { o.AuthorizeParams = map[string]string{"prompt": "login"} }))
	v := &visitor{s: s}
	q := v.start(p, "op", "/hub/home?x=1")
	for name, want := range map[string]string{"client_id": clientID, "redirect_uri": "http://hub.test/hub/oauth_callback", "response_type": "code",
		"scope": "openid profile email", "code_challenge_method": "S256", "prompt": "login"} {
		if q.Get(name) != want {
			t.Errorf("%s = %q, want %q", name, q.Get(name), want)
		}
	}
	if c := v.cookies[0]; !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge != 600 {
		t.Errorf("cookie %+v", c)
	}
	if strings.Contains(q.Get("state"), "home") || len(q.Get("nonce")) < 40 || len(q.Get("code_challenge")) < 40 {
		t.Errorf("the address has %v", q)
	}
	u, next, err := v.finish("", url.Values{"code": {"good"}, "state": {q.Get("state")}, "iss": {p.URL}})
	if err != nil || u.Name != "alice" || u.Admin || u.Groups != nil || next != "/hub/home?x=1" {
		t.Fatalf("got %+v, next %q, %v", u, next, err)
	}
	stored, err := s.accounts.Get(t.Context(), "alice")
	if err != nil || stored.Identity == nil || *stored.Identity != (hub.Identity{Issuer: p.URL, Subject: "17"}) {
		t.Errorf("stored %+v, %v", stored, err)
	}
	again, err := s.signIn(p)
	if err != nil || again.ID != u.ID || again.TokensAfter != u.TokensAfter {
		t.Errorf("the second time: %+v, %v; want the same user with the same edge tokens", again, err)
	}
}

// Threats T69 and T70: what providers, or those who speak for them, may try.
func TestBadAnswersAreRefused(t *testing.T) {
	t.Parallel()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(t)
	s := newSite(t, at(p, nil))
	now := time.Now().Unix()
	claim := func(name string, value any) func(*provider) {
		return func(p *provider) { p.claims[name] = value }
	}
	answer := func(text string) func(*provider) {
		return func(p *provider) {
			p.token = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprint(w, text)
			}
		}
	}
	for what, lie := range map[string]func(*provider){
		"another nonce":             claim("nonce", "x"),
		"no nonce":                  claim("nonce", nil),
		"another audience":          claim("aud", "somebody"),
		"two audiences, no party":   claim("aud", []string{clientID, "somebody"}),
		"another authorized party":  claim("azp", "somebody"),
		"another issuer":            claim("iss", "http://evil.test"),
		"expired":                   claim("exp", now-120),
		"of the future":             claim("iat", now+600),
		"no subject":                claim("sub", nil),
		"a long subject":            claim("sub", strings.Repeat("x", 256)),
		"a hash of another token":   claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
		"no user name":              claim("preferred_username", nil),
		"a user name that is none":  claim("preferred_username", 7),
		"signed by another":         func(p *provider) { p.signer = other },
		"an algorithm it never had": func(p *provider) { p.alg = "RS512" },
		"no ID token":               answer(`{"access_token":"a","token_type":"Bearer"}`),
		"nonsense":                  answer(`<html>`),
		"an unsigned ID token":      answer(`{"access_token":"a","id_token":"eyJhbGciOiJub25lIn0.eyJzdWIiOiIxNyJ9."}`),
		"endless":                   answer(`{"access_token":"` + strings.Repeat("a", maxAnswer) + `"}`),
		"a redirect": func(p *provider) {
			p.token = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
			}
		},
	} {
		p.claims, p.token, p.alg, p.signer = map[string]any{}, nil, "", nil
		lie(p)
		u, err := s.signIn(p)
		if web.Status(err) != http.StatusBadGateway || u.ID != "" {
			t.Errorf("%s: got %+v, %v (%d), want 502", what, u, err, web.Status(err))
			continue
		}
		if m := web.Message(err); m != "The OP gave an answer that the hub cannot use. Please try again, or tell your administrator." {
			t.Errorf("%s: the visitor reads %q", what, m)
		}
		if len(err.Error()) > 700 || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the log gets %d bytes: %.800s", what, len(err.Error()), err)
		}
	}
	if _, err := s.accounts.Get(t.Context(), "alice"); hub.KindOf(err) != hub.NotFound {
		t.Errorf("there is a user: %v", err)
	}
}

func TestClocksMayDiffer(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := newSite(t, at(p, nil))
	now := time.Now().Unix()
	for what, claims := range map[string]map[string]any{
		"expired a moment ago": {"exp": now - 20},
		"issued in a moment":   {"iat": now + 20, "nbf": now + 20},
	} {
		p.claims = claims
		if _, err := s.signIn(p); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	p, q := newProvider(t), newProvider(t)
	s := newSite(t, at(p, nil), at(q, func(o *Provider) { o.Name = "two" }))
	good := func(state string) url.Values { return url.Values{"code": {"good"}, "state": {state}} }
	refused := func(what string, v *visitor, name string, params url.Values) {
		t.Helper()
		if _, _, err := v.finish(name, params); err == nil || web.Message(err) != web.Message(stale()) || web.Status(err) != http.StatusBadRequest {
			t.Errorf("%s: %v, want it refused before anything is asked", what, err)
		}
	}
	alice, mallory := &visitor{s: s}, &visitor{s: s}
	state := alice.start(p, "", "").Get("state")
	refused("another browser", &visitor{s: s, cookies: nil}, "", good(state))
	mallory.start(p, "", "")
	refused("a browser that signs in itself", mallory, "", good(state))
	refused("another provider's callback", alice, "two", good(state))
	other := "A"
	if state[:1] == other {
		other = "B"
	}
	refused("a state of ours that is changed", alice, "", good(other+state[1:]))
	refused("no state", alice, "", url.Values{"code": {"good"}})
	wrongIss := good(state)
	wrongIss.Set("iss", q.URL)
	refused("another issuer", alice, "", wrongIss)
	wrongIss.Set("iss", "")
	refused("an empty issuer", alice, "", wrongIss)
	if _, _, err := alice.finish("op", good(state)); hub.KindOf(err) != hub.NotFound {
		t.Errorf("the first provider's callback with its name: %v, want that there is none", err)
	}
	// Two tabs, and of many who use one state at once only one is let in.
	first := alice.start(p, "", "/hub/one").Get("state")
	firstNonce, firstChallenge := p.nonce, p.challenge
	alice.start(p, "", "/hub/two")
	p.nonce, p.challenge = firstNonce, firstChallenge
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		wg.Go(func() {
			_, _, err := alice.finish("", good(first))
			results <- err
		})
	}
	wg.Wait()
	close(results)
	in := 0
	for err := range results {
		if err == nil {
			in++
		} else if hub.KindOf(err) != hub.Invalid {
			t.Errorf("a late one: %v", err)
		}
	}
	if in != 1 {
		t.Errorf("one state let %d in", in)
	}
}

func TestStatesEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	synctest.Test(t, func(t *testing.T) {
		sealed, err := s.sealed(newState("/x"), "op", "browser")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(stateLife - 2*time.Second)
		if got, err := s.open(sealed, "op", "browser"); err != nil || got.Next != "/x" {
			t.Errorf("just before its end: %+v, %v", got, err)
		}
		time.Sleep(2 * time.Second)
		if _, err := s.open(sealed, "op", "browser"); hub.KindOf(err) != hub.Invalid {
			t.Errorf("at its end: %v", err)
		}
	})
	if got := newState("/" + strings.Repeat("x", maxNext)); got.Next != "" {
		t.Error("an address that is too long for the state was kept")
	}
}

// A provider that says that it names itself in its answers must do so.
func TestTheIssuerIsWantedFromWhoTellsIt(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.metadata["authorization_response_iss_parameter_supported"] = true
	s := newSite(t, at(p, nil))
	if _, err := s.signIn(p); hub.KindOf(err) != hub.Invalid {
		t.Errorf("without: %v", err)
	}
	v := &visitor{s: s}
	q := v.start(p, "", "")
	if _, _, err := v.finish("", url.Values{"code": {"good"}, "state": {q.Get("state")}, "iss": {p.URL}}); err != nil {
		t.Errorf("with: %v", err)
	}
}

func TestErrorsOfTheProvider(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := newSite(t, at(p, nil))
	for code, want := range map[string]int{"access_denied": 403, "login_required": 403, "temporarily_unavailable": 503, "server_error": 503,
		"invalid_request": 502, "": 502, strings.Repeat("<", 2000): 502} {
		v := &visitor{s: s}
		q := v.start(p, "", "/hub/home")
		_, next, err := v.finish("", url.Values{"state": {q.Get("state")}, "error": {code}, "error_description": {"Call 555"}})
		if web.Status(err) != want || next != "/hub/home" || strings.Contains(web.Message(err), "555") || len(err.Error()) > 700 {
			t.Errorf("%.20q: %d, next %q, %v; want %d", code, web.Status(err), next, err, want)
		}
	}
	v := &visitor{s: s}
	q := v.start(p, "", "")
	if _, _, err := v.finish("", url.Values{"state": {q.Get("state")}, "code": {"old"}}); web.Status(err) != 400 {
		t.Errorf("a code that is no good any more: %v, want 400", err)
	}
}

// A provider that is down is asked again, by one request at a time and not at once; what was known of it stays good.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.broken.Store(true)
	s := newSite(t, at(p, nil))
	start := func() error {
		_, err := s.Start(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), "", "")
		return err
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := start(); web.Status(err) != http.StatusServiceUnavailable {
				t.Errorf("got %v, want 503", err)
			}
		})
	}
	wg.Wait()
	if n := p.discovered.Load(); n != 1 {
		t.Errorf("twenty visitors asked it %d times", n)
	}
	c := s.clients[0]
	c.failed.at = time.Now().Add(-askAgain)
	p.broken.Store(false)
	if err := start(); err != nil {
		t.Fatalf("when it is back: %v", err)
	}
	p.broken.Store(true)
	c.known.read = time.Now().Add(-2 * metadataAge)
	before := c.known
	if err := start(); err != nil || c.known != before || p.discovered.Load() != 3 {
		t.Errorf("when it was known before: %v, asked %d times", err, p.discovered.Load())
	}
	p.Close()
	v := &visitor{s: s}
	q := v.start(p, "", "")
	if _, _, err := v.finish("", url.Values{"code": {"good"}, "state": {q.Get("state")}}); web.Status(err) != http.StatusServiceUnavailable {
		t.Errorf("down between the two requests: %v, want 503", err)
	}
}

func TestBadMetadata(t *testing.T) {
	t.Parallel()
	for what, metadata := range map[string]map[string]any{
		"another issuer": {"issuer": "http://evil.test"},
		"no endpoints":   {"token_endpoint": ""},
		"wrong types":    {"end_session_endpoint": 7},
		"endless":        {"x": strings.Repeat("a", maxAnswer)},
	} {
		p := newProvider(t)
		p.metadata = metadata
		s := newSite(t, at(p, nil))
		_, err := s.Start(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), "", "")
		if web.Status(err) != http.StatusBadGateway {
			t.Errorf("%s: %v, want 502", what, err)
		}
	}
}

func TestSecretInTheForm(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.metadata["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
	s := newSite(t, at(p, nil))
	p.token = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.PostFormValue("client_secret") != secret {
			t.Errorf("header %q, form %v", r.Header.Get("Authorization"), r.PostForm)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"a","id_token":%q}`, p.idToken())
	}
	if _, err := s.signIn(p); err != nil {
		t.Fatal(err)
	}
}

func TestUserInfoFillsGaps(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.metadata["userinfo_endpoint"] = p.URL + "/userinfo"
	s := newSite(t, at(p, func(o *Provider) { o.GroupsClaim = "groups" }))
	p.userInfo = map[string]any{"sub": "17", "groups": []string{"staff"}, "preferred_username": "mallory"}
	if u, err := s.signIn(p); err != nil || u.Name != "alice" || len(u.Groups) != 1 {
		t.Errorf("got %+v, %v; want alice of the ID token with the groups of the user info", u, err)
	}
	p.userInfo["sub"] = "18"
	if _, err := s.signIn(p); web.Status(err) != http.StatusBadGateway {
		t.Errorf("somebody else's user info: %v", err)
	}
}

// Threat T71: two people never become one user.
func TestNamesBelongToOneIdentity(t *testing.T) {
	t.Parallel()
	p, q := newProvider(t), newProvider(t)
	s := newSite(t, at(p, func(o *Provider) { yes := true; o.AdoptUsers = &yes }), at(q, func(o *Provider) { o.Name = "two" }))
	for _, name := range []hub.UserName{"made", "secret"} {
		n := account.NewUser{Name: name}
		if name == "secret" {
			n.Password = "long enough"
		}
		if _, err := s.accounts.Create(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		what    string
		p       *provider
		name    string
		subject string
		want    hub.Kind
	}{
		{"the first", p, "Bob", "1", 0},
		{"the same", p, "bob", "1", 0},
		{"another subject", p, "bob", "2", hub.Forbidden},
		{"the same subject at another provider", q, "bob", "1", hub.Forbidden},
		{"a user with a password", p, "secret", "3", hub.Forbidden},
		{"a user who never signed in, where that is not wanted", q, "made", "4", hub.Forbidden},
		{"a user who never signed in", p, "made", "4", 0},
		{"the same, the other provider", q, "made", "4", hub.Forbidden},
	} {
		step.p.claims["preferred_username"], step.p.claims["sub"] = step.name, step.subject
		v, name := &visitor{s: s}, ""
		if step.p == q {
			name = "two"
		}
		state := v.start(step.p, name, "").Get("state")
		_, _, err := v.finish(name, url.Values{"code": {"good"}, "state": {state}})
		if (err != nil) != (step.want != 0) || err != nil && hub.KindOf(err) != step.want {
			t.Errorf("%s: %v", step.what, err)
		}
	}
}

func TestLeave(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.metadata["end_session_endpoint"] = p.URL + "/end?x=1"
	s := newSite(t, at(p, func(o *Provider) { o.EndSession = true }))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	u, err := url.Parse(s.Leave(r, p.URL, "logout"))
	if err != nil || u.Path != "/end" || u.Query().Get("client_id") != clientID || u.Query().Get("x") != "1" ||
		u.Query().Get("post_logout_redirect_uri") != "http://hub.test/hub/logout" {
		t.Errorf("got %v, %v", u, err)
	}
	if got := s.Leave(r, "http://another.test", "logout"); got != "" {
		t.Errorf("somebody of another issuer goes to %q", got)
	}
	p.metadata["end_session_endpoint"] = "javascript:alert(1)"
	s.clients[0].known = nil
	if got := s.Leave(r, p.URL, "logout"); got != "" {
		t.Errorf("goes to %q", got)
	}
}
