package oauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// TestOwnServer is what happens when somebody opens their own server: no question, and a token that says who they are.
func TestOwnServer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	_, secret := h.server(alice, "")
	b := h.browser(alice)
	page := b.open(asks("code_challenge", challenge(), "code_challenge_method", "S256")).want(http.StatusFound)
	q := page.back("/user/alice/oauth_callback")
	if q.Get("state") != "s1" || q.Get("iss") != h.urls[0]+"/hub" || len(q.Get("code")) != 64 || len(q) != 3 {
		t.Errorf("answer %v, want code, state and issuer", q)
	}
	if c := page.header.Get("Set-Cookie"); !strings.HasPrefix(c, "jupyterhub-session-id=") || !strings.Contains(c, "HttpOnly") || strings.Contains(c, b.session.ID) {
		t.Errorf("cookie %q, want a session id that is not the session's own", c)
	}
	access, scope := h.redeem(1, q.Get("code"), secret, "code_verifier", verifier).accessToken()
	if want := "access:servers!server=alice/ read:servers!user read:users:groups!user read:users:name!user tokens!server=alice/"; scope != want {
		t.Errorf("scope %q, want %q", scope, want)
	}
	c, err := h.accounts.ByToken(t.Context(), access)
	h.must(err)
	server := ""
	if c.User.ID != alice.ID || !c.Scopes.Allows("access:servers", resourceOf("alice", &server)) || c.Scopes.HasAny("servers") || c.Scopes.HasAny("list:users") {
		t.Errorf("the token's bearer is %+v", c)
	}
	h.must(h.tokens.EndSession(t.Context(), alice.ID, b.session.ID))
	if h.good(access) {
		t.Error("the token outlives its session")
	}
}

// TestConsent is what happens when somebody opens what is another's.
func TestConsent(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice, root := h.user("alice", false), h.user("root", true)
	issuer, secret := h.server(alice, "")
	b := h.browser(root)
	page := b.open(asks()).want(http.StatusOK).says("alice’s server").says("root").says("see servers and whether they run").says("yourself")
	csp := page.header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "frame-ancestors 'none'") || page.header.Get("X-Frame-Options") != "DENY" || strings.Contains(csp, "unsafe") {
		t.Errorf("header %v: others may frame the page", page.header)
	}
	for what, change := range map[string]func(url.Values){
		"no XSRF token":    func(v url.Values) { v.Del("_xsrf") },
		"a wrong one":      func(v url.Values) { v.Set("_xsrf", "x.y") },
		"an empty one":     func(v url.Values) { v.Set("_xsrf", "") },
		"only a query one": func(v url.Values) { v.Del("_xsrf"); v.Set("xsrf", "1") },
	} {
		if got := b.submit(asks(), page, change); got.status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", what, got.status)
		}
	}
	if q := b.submit(asks(), page, func(v url.Values) { v.Set("deny", "1") }).want(http.StatusSeeOther).back("/user/alice/oauth_callback"); q.Get("error") != "access_denied" || q.Has("code") || q.Get("state") != "s1" {
		t.Errorf("denied: %v", q)
	}
	q := b.submit(asks(), page, func(v url.Values) { v.Add("scopes", "admin:users") }).want(http.StatusSeeOther).back("/user/alice/oauth_callback")
	access, scope := h.redeem(0, q.Get("code"), secret).accessToken()
	if strings.Contains(scope, "admin:users") || !strings.Contains(scope, "read:servers!user") {
		t.Errorf("scope %q: a form can ask for more than the page did, or less was granted", scope)
	}
	b.open(asks()).want(http.StatusFound) // not asked again
	b.open(asks("scope", "read:servers!user")).want(http.StatusFound)
	h.must(h.tokens.Delete(t.Context(), alice.ID, issuer.ID))
	if h.good(access) {
		t.Error("the token outlives its server's")
	}
	b.open(asks()).want(http.StatusOK) // asked again
}

func TestLessThanThePageAsked(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice, root := h.user("alice", false), h.user("root", true)
	_, secret := h.server(alice, "")
	b := h.browser(root)
	page := b.open(asks()).want(http.StatusOK)
	q := b.submit(asks(), page, func(v url.Values) { v.Del("scopes") }).want(http.StatusSeeOther).back("/user/alice/oauth_callback")
	if _, scope := h.redeem(0, q.Get("code"), secret).accessToken(); scope != "access:servers!server=alice/ read:users:groups!user read:users:name!user" {
		t.Errorf("scope %q, want only what every client gets", scope)
	}
}

func TestWhoMayNot(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice, bob := h.user("alice", false), h.user("bob", false)
	h.server(alice, "")
	h.browser(bob).open(asks()).want(http.StatusForbidden).says("You do not have permission to access Server at /user/alice/")
	to := h.anonymous().open(asks()).want(http.StatusFound).back("/hub/login")
	if next := to.Get("next"); next != authorizePath+"?"+asks().Encode() {
		t.Errorf("signs in and goes on to %q", next)
	}
	b := h.browser(alice)
	b.open(asks(), "Sec-Fetch-Dest", "iframe").want(http.StatusForbidden)
	b.open(asks(), "Sec-Fetch-Dest", "empty").want(http.StatusForbidden)
	h.anonymous().open(asks("state", strings.Repeat("x", 3000))).want(http.StatusBadRequest)
	_, secret, err := h.tokens.Issue(t.Context(), hub.Token{User: "alice", UserID: alice.ID, Scopes: []string{"inherit"}})
	h.must(err)
	h.anonymous().open(asks(), "Authorization", "token "+secret).want(http.StatusFound).back("/hub/login") // it takes a person
}

// TestNoAddressThatIsNotRegistered tries to have a browser sent elsewhere: it stays here, with a page.
func TestNoAddressThatIsNotRegistered(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	h.server(alice, "")
	h.service(hub.Service{Name: "odd", ClientID: "service-odd", RedirectURI: "javascript:alert(1)"})
	b := h.browser(alice)
	for _, redirect := range []string{
		"https://evil.org/", "//evil.org/user/alice/oauth_callback", "/user/alice/oauth_callback/", "/user/alice/oauth_callback?x=1", "/user/alice/oauth_callback#x",
		"/user/alice/../bob/oauth_callback", "/user/Alice/oauth_callback", "/user/alice/oauth_callback ", h.urls[0] + "/user/alice/oauth_callback",
		"/user/alice/%6fauth_callback", "\\\\evil.org", "javascript:alert(1)", "/", "/user/bob/oauth_callback", "/user/alice/oauth_callback\x00",
	} {
		if a := b.open(asks("redirect_uri", redirect)); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
			t.Errorf("redirect_uri %q: %d to %q, want 400", redirect, a.status, a.header.Get("Location"))
		}
	}
	for _, id := range []string{"jupyterhub-user-bob", "jupyterhub-user-", "jupyterhub-user-alice-", "jupyterhub-user-Alice", "jupyterhub-user-alice-b", "service-", "service-x", "x", "jupyterhub", "jupyterhub-user-" + strings.Repeat("a-", 200)} {
		if a := b.open(asks("client_id", id)); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
			t.Errorf("client_id %q: %d to %q, want 400", id, a.status, a.header.Get("Location"))
		}
	}
	for _, query := range []string{
		"", "client_id=", asks().Encode() + "&client_id=jupyterhub-user-alice", asks().Encode() + "&redirect_uri=https://evil.org", "%zz", "a;b",
		"client_id=service-odd&response_type=code", "client_id=service-odd&response_type=code&redirect_uri=javascript:alert(1)",
	} {
		if a := b.openRaw(query); a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
			t.Errorf("%q: %d to %q, want 400", query, a.status, a.header.Get("Location"))
		}
	}
}

// TestErrorsForTheClient are those that it hears of at its own address.
func TestErrorsForTheClient(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	h.server(alice, "")
	b := h.browser(alice)
	for query, want := range map[string]string{
		asks("response_type", "").Encode():                                                     "invalid_request",
		asks("response_type", "token").Encode():                                                "unsupported_response_type",
		asks("response_mode", "fragment").Encode():                                             "invalid_request",
		asks("request", "x").Encode():                                                          "invalid_request",
		asks("scope", "admin:users").Encode():                                                  "invalid_scope",
		asks("scope", "inherit").Encode():                                                      "invalid_scope",
		asks("scope", "no such").Encode():                                                      "invalid_scope",
		asks("scope", "read:servers").Encode():                                                 "invalid_scope",
		asks("scope", "read:servers!user=bob").Encode():                                        "invalid_scope",
		asks("scope", "\"\\\x01").Encode():                                                     "invalid_scope",
		asks("code_challenge", "short", "code_challenge_method", "S256").Encode():              "invalid_request",
		asks("code_challenge", challenge()).Encode():                                           "invalid_request",
		asks("code_challenge", challenge(), "code_challenge_method", "plain").Encode():         "invalid_request",
		asks("code_challenge_method", "S256").Encode():                                         "invalid_request",
		asks("code_challenge", challenge()[:42]+"+", "code_challenge_method", "S256").Encode(): "invalid_request",
		asks().Encode() + "&scope=read:servers!user&scope=inherit":                             "invalid_request",
		asks().Encode() + "&response_type=code":                                                "invalid_request",
	} {
		q := b.openRaw(query).want(http.StatusFound).back("/user/alice/oauth_callback")
		if q.Get("error") != want || q.Has("code") || q.Get("state") != "s1" || q.Get("iss") == "" || strings.ContainsAny(q.Get("error_description"), "\"\\\x01") {
			t.Errorf("%s: %v, want %s", query, q, want)
		}
	}
	if q := b.openRaw(asks().Encode() + "&state=s2").want(http.StatusFound).back("/user/alice/oauth_callback"); q.Get("error") != "invalid_request" || q.Has("state") {
		t.Errorf("two states: %v", q)
	}
}

func TestPKCECanBeRequired(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.RequirePKCE = true })
	alice := h.user("alice", false)
	h.server(alice, "")
	b := h.browser(alice)
	if q := b.open(asks()).want(http.StatusFound).back("/user/alice/oauth_callback"); q.Get("error") != "invalid_request" {
		t.Errorf("without a challenge: %v", q)
	}
	if q := b.open(asks("code_challenge", challenge(), "code_challenge_method", "S256")).back("/user/alice/oauth_callback"); q.Get("code") == "" {
		t.Errorf("with a challenge: %v", q)
	}
}

// TestCodesThatAreNotGood ends a code by its first use, right or wrong.
func TestCodesThatAreNotGood(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	_, secret := h.server(alice, "")
	_, other := h.server(alice, "lab")
	b := h.browser(alice)
	code := func(more ...string) string {
		return b.open(asks(more...)).want(http.StatusFound).back("/user/alice/oauth_callback").Get("code")
	}
	pkce := []string{"code_challenge", challenge(), "code_challenge_method", "S256"}
	for what, c := range map[string]struct {
		code   string
		secret string
		more   []string
		want   string
	}{
		"no such code":           {strings.Repeat("0", 64), secret, nil, "invalid_grant"},
		"rubbish":                {"\x00ä/../", secret, nil, "invalid_grant"},
		"another redirect URI":   {code(), secret, []string{"redirect_uri", "/user/alice/x"}, "invalid_request"},
		"no redirect URI":        {code(), secret, []string{"redirect_uri", ""}, "invalid_request"},
		"no verifier":            {code(pkce...), secret, nil, "invalid_request"},
		"a wrong verifier":       {code(pkce...), secret, []string{"code_verifier", verifier + "x"}, "invalid_grant"},
		"the challenge itself":   {code(pkce...), secret, []string{"code_verifier", challenge()}, "invalid_grant"},
		"a verifier for nothing": {code(), secret, []string{"code_verifier", verifier}, "invalid_grant"},
		"another client":         {code(), other, []string{"client_id", "jupyterhub-user-alice-lab", "redirect_uri", "/user/alice/lab/oauth_callback"}, "invalid_grant"},
	} {
		h.redeem(0, c.code, c.secret, c.more...).fails(http.StatusBadRequest, c.want)
		if a := h.redeem(0, c.code, secret, "code_verifier", verifier); a.status == http.StatusOK {
			t.Errorf("%s: the code is good afterwards", what)
		}
	}
	// One of a session that has ended meanwhile.
	last := code()
	h.must(h.tokens.EndSession(t.Context(), alice.ID, b.session.ID))
	h.redeem(0, last, secret).fails(http.StatusBadRequest, "invalid_grant")
}

// TestACodeIsGoodOnce has both replicas asked at once: one token is issued at most, and the second use ends it.
func TestACodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	_, secret := h.server(alice, "")
	b := h.browser(alice)
	code := b.open(asks()).want(http.StatusFound).back("/user/alice/oauth_callback").Get("code")
	var all sync.WaitGroup
	answers := make([]answer, 8)
	for i := range answers {
		all.Go(func() { answers[i] = h.redeem(i%2, code, secret) })
	}
	all.Wait()
	if n := len(slices.DeleteFunc(answers, func(a answer) bool { return a.status != http.StatusOK })); n > 1 {
		t.Errorf("%d tokens were issued for one code", n)
	}
	tokens, err := h.tokens.OfClient(t.Context(), alice.ID, "jupyterhub-user-alice")
	h.must(err)
	if len(tokens) != 0 {
		t.Errorf("tokens %+v are left after a code was used twice", tokens)
	}
	access, _ := h.redeem(0, b.open(asks()).back("/user/alice/oauth_callback").Get("code"), secret).accessToken()
	if !h.good(access) {
		t.Error("the next code is not good")
	}
}

func TestWrongClients(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	_, secret := h.server(alice, "")
	_, personal, err := h.tokens.Issue(t.Context(), hub.Token{User: "alice", UserID: alice.ID, Scopes: []string{"inherit"}})
	h.must(err)
	code := h.browser(alice).open(asks()).back("/user/alice/oauth_callback").Get("code")
	for _, more := range [][]string{
		{"client_secret", "wrong"}, {"client_secret", ""}, {"client_id", ""}, {"client_id", "jupyterhub-user-bob"}, {"client_id", "service-x"},
		{"client_secret", personal}, {"client_secret", strings.Repeat("x", 5000)},
	} {
		h.redeem(0, code, secret, more...).fails(http.StatusUnauthorized, "invalid_client")
	}
	for _, more := range [][]string{{"grant_type", ""}, {"code", ""}} {
		h.redeem(0, code, secret, more...).fails(http.StatusBadRequest, "invalid_request")
	}
	for _, grant := range []string{"password", "refresh_token", "client_credentials", "implicit"} {
		h.redeem(0, code, secret, "grant_type", grant).fails(http.StatusBadRequest, "unsupported_grant_type")
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"/user/alice/oauth_callback"}}
	basic := func(id, secret string) string {
		r, _ := http.NewRequest(http.MethodGet, "/", nil) //nolint:noctx // never sent
		r.SetBasicAuth(id, secret)
		return r.Header.Get("Authorization")
	}
	if a := h.post(0, form.Encode(), "Authorization", basic("jupyterhub-user-alice", "wrong")); a.header.Get("WWW-Authenticate") == "" {
		t.Error("a refusal of HTTP Basic does not say so")
	}
	h.post(0, form.Encode(), "Content-Type", "application/json").fails(http.StatusBadRequest, "invalid_request")
	h.post(0, form.Encode()+"&client_id=a&client_id=b").fails(http.StatusBadRequest, "invalid_request")
	h.post(0, "%zz").fails(http.StatusBadRequest, "invalid_request")
	h.post(0, strings.Repeat("x", 20<<10)).fails(http.StatusRequestEntityTooLarge, "invalid_request")
	h.post(0, form.Encode(), "Authorization", "token "+secret).fails(http.StatusUnauthorized, "invalid_client") // that is no way
	h.post(0, form.Encode(), "Authorization", basic("jupyterhub-user-alice", secret)).accessToken()
}

func TestWrongSecretsAreSlow(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var last answer
	for range 100 {
		if last = h.redeem(0, "x", "wrong"); last.status != http.StatusUnauthorized {
			break
		}
	}
	last.fails(http.StatusTooManyRequests, "temporarily_unavailable")
	if last.header.Get("Retry-After") == "" {
		t.Error("nobody says when to come back")
	}
}

// TestServices are clients with an address elsewhere, of their own, and with what the operator lets them ask for.
func TestServices(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice, root := h.user("alice", false), h.user("root", true)
	h.service(hub.Service{Schema: hub.Schema, Name: "grades", ClientID: "service-course-grades", RedirectURI: "https://grades.example.org/cb?a=1", AllowedScopes: []string{"list:users", "servers!user"}})
	q := url.Values{"client_id": {"service-course-grades"}, "response_type": {"code"}}
	h.browser(alice).open(q).want(http.StatusForbidden).says("Service grades")
	b := h.browser(root)
	page := b.open(q).want(http.StatusOK).says("The service grades").says("list users").says("https://grades.example.org/cb")
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://grades.example.org") {
		t.Errorf("Content-Security-Policy %q: browsers would not go to the service", csp)
	}
	location := b.submit(q, page).want(http.StatusSeeOther).header.Get("Location")
	if !strings.HasPrefix(location, "https://grades.example.org/cb?a=1&code=") {
		t.Fatalf("sent to %q", location)
	}
	u, _ := url.Parse(location)
	access, scope := h.redeem(0, u.Query().Get("code"), serviceSecret, "client_id", "service-course-grades", "redirect_uri", "").accessToken()
	if scope != "access:services!service=grades list:users read:users:groups!user read:users:name!user servers!user" {
		t.Errorf("scope %q", scope)
	}
	if c, err := h.accounts.ByToken(t.Context(), access); err != nil || !c.Scopes.Has("list:users") || c.Scopes.Has("admin:users") {
		t.Errorf("the token's bearer: %+v, %v", c, err)
	}
	// What the person loses, the token loses.
	h.must(h.tokens.AdoptForService(t.Context(), hub.Token{Service: "grades", Scopes: []string{"inherit"}}, "another secret of the service"))
	if h.good(access) {
		t.Error("the token outlives the service's secret")
	}
}

func TestTrustedServiceAsksNobody(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.user("root", true)
	h.service(hub.Service{Schema: hub.Schema, Name: "docs", RedirectURI: "/services/docs/oauth_callback", NoConfirm: true})
	h.browser(root).open(url.Values{"client_id": {"service-docs"}, "response_type": {"code"}}).want(http.StatusFound).back("/services/docs/oauth_callback")
}

// TestServersThatShareAnID are told apart by their redirect URIs.
func TestServersThatShareAnID(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice, other := h.user("alice", false), h.user("alice-b", false)
	_, secret := h.server(alice, "b")
	h.server(other, "")
	q := url.Values{"client_id": {"jupyterhub-user-alice-b"}, "response_type": {"code"}}
	b := h.browser(alice)
	b.open(q).want(http.StatusBadRequest) // whose?
	q.Set("redirect_uri", "/user/alice-b/oauth_callback")
	b.open(q).want(http.StatusForbidden)
	q.Set("redirect_uri", "/user/alice/b/oauth_callback")
	code := b.open(q).want(http.StatusFound).back("/user/alice/b/oauth_callback").Get("code")
	h.redeem(0, code, secret, "client_id", "jupyterhub-user-alice-b", "redirect_uri", "/user/alice/b/oauth_callback").accessToken()
	// A code for one is no good for the other.
	_, otherSecret := h.server(other, "x")
	code = b.open(q).back("/user/alice/b/oauth_callback").Get("code")
	h.redeem(0, code, otherSecret, "client_id", "jupyterhub-user-alice-b-x", "redirect_uri", "/user/alice/b/oauth_callback").fails(http.StatusBadRequest, "invalid_grant")
}

func TestOddNames(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	u := h.user("a+b@x-y.org", false)
	h.server(u, "lab-2")
	q := url.Values{"client_id": {"jupyterhub-user-a%2Bb%40x-y.org-lab-2"}, "response_type": {"code"}}
	h.browser(u).open(q).want(http.StatusFound).back("/user/a%2Bb@x-y.org/lab-2/oauth_callback")
}

func TestAStoppedServerIsNoClient(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	_, secret := h.server(alice, "")
	b := h.browser(alice)
	code := b.open(asks()).back("/user/alice/oauth_callback").Get("code")
	_, err := store.NewTable[hub.Server](h.store, store.Servers, "server").Update(t.Context(), store.ID("alice", ""), func(s *hub.Server) ([]store.Op, error) {
		s.State, s.TokenID = hub.Stopped, ""
		return nil, nil
	})
	h.must(err)
	b.open(asks()).want(http.StatusBadRequest)
	h.redeem(0, code, secret).fails(http.StatusUnauthorized, "invalid_client")
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.TokenLife = time.Hour })
	alice := h.user("alice", false)
	_, secret := h.server(alice, "")
	h.redeem(0, h.browser(alice).open(asks()).back("/user/alice/oauth_callback").Get("code"), secret).says(`"expires_in":3600,`)
}

func TestOtherMethods(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, c := range [][2]string{{"PUT", authorizePath}, {"DELETE", authorizePath}, {"GET", tokenPath}, {"PUT", tokenPath}} {
		r, err := http.NewRequestWithContext(t.Context(), c[0], h.urls[0]+c[1], nil)
		h.must(err)
		if a := h.anonymous().do(r).want(http.StatusMethodNotAllowed); a.header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", c)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.urls[0]+Prefix+"x", nil)
	h.must(err)
	h.anonymous().do(r).want(http.StatusNotFound)
}
