package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/api"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// byID is the element of a page with an id, nil if there is none.
func (v visited) byID(id string) *html.Node {
	v.t.Helper()
	for _, n := range elements(v.doc()) {
		if got, _ := attr(n, "id"); got == id {
			return n
		}
	}
	return nil
}

// value is what the input, selection or text area with an id has.
func (v visited) value(id string) string {
	v.t.Helper()
	n := v.byID(id)
	if n == nil {
		v.t.Fatalf("%s has no #%s", v.what, id)
	}
	for _, option := range elements(n, "option") {
		if _, selected := attr(option, "selected"); selected {
			value, _ := attr(option, "value")
			return value
		}
	}
	if n.Data == "textarea" {
		return text(n)
	}
	value, _ := attr(n, "value")
	return value
}

// rights gives the role user other scopes.
func (s *site) rights(scopes ...string) {
	s.t.Helper()
	role := account.RoleConfig{Name: "user", Scopes: &scopes}
	if err := s.accounts.Configure(s.t.Context(), account.Config{Roles: []account.RoleConfig{role}}); err != nil {
		s.t.Fatal(err)
	}
}

// recorded are the actions in the audit log, the newest first.
func (s *site) recorded() []string {
	s.t.Helper()
	entries, err := s.audit.Before(s.t.Context(), "", 100)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Actor+": "+e.Action)
	}
	return all
}

func (s *site) tokensOf(u hub.User) []hub.Token {
	s.t.Helper()
	all, err := s.tokens.OfUser(s.t.Context(), u.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

func TestMakeAToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	b := s.signedIn(alice)
	v := b.post("/hub/token", "note", ` <b>"ci"</b> `, "expires_in", "3600", "scopes", "read:users!user,\n read:servers!user").
		wantText(http.StatusOK, "Your new token", `<b>"ci"</b>`)
	secret := text(v.byID("token-result"))
	c, err := s.accounts.ByToken(t.Context(), secret)
	if err != nil || c.User.ID != alice.ID || c.Token.Note != `<b>"ci"</b>` || time.Until(c.Token.Expires).Round(time.Hour) != time.Hour {
		t.Fatalf("the token is of %+v, %v", c, err)
	}
	if !c.Scopes.Allows("read:servers", self(c)) || c.Scopes.HasAny("tokens") {
		t.Errorf("the token may %v", c.Scopes.Strings())
	}
	if v.header.Get("Location") != "" || v.header.Get("Cache-Control") != "no-store" || strings.Count(v.body, secret) != 1 || len(v.set) > 0 {
		t.Errorf("the token is in more than one place, or stays: %v, %d times, cookies %v", v.header, strings.Count(v.body, secret), v.set)
	}
	if again := b.get("/hub/token").wantText(http.StatusOK, `<b>"ci"</b>`); strings.Contains(again.body, secret) {
		t.Error("the token is shown again")
	}
	if got := s.recorded(); len(got) != 1 || got[0] != "alice: POST /hub/api/users/{user}/tokens" {
		t.Errorf("the audit log has %q, want what the API did, once", got)
	}

	b.post("/hub/token").wantText(http.StatusOK, "Requested via token page")
	newest := slices.MaxFunc(s.tokensOf(alice), func(x, y hub.Token) int { return x.Created.Compare(y.Created) })
	if !newest.Expires.IsZero() || strings.Join(newest.Scopes, " ") != access.Inherit {
		t.Errorf("an empty form made %+v", newest)
	}
}

// The API sees the visitor of a hub below a path as it sees one of a hub at "/".
func TestMakeATokenBelowABase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	const base = routes.Base("/teaching/")
	opts := s.opts
	opts.Base = base
	opts.API = api.New(api.Options{Store: opts.Store, Accounts: s.accounts, Tokens: s.tokens, Servers: s.servers, XSRF: opts.XSRF, Log: opts.Log, Base: base})
	h, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(web.StrictPath(web.Below(base, h)))
	t.Cleanup(srv.Close)
	below := *s
	below.url = srv.URL
	b := below.signedIn(alice)
	b.jar["session"] = &http.Cookie{Name: web.SessionCookie + base.CookieSuffix(), Value: b.jar[web.SessionCookie].Value, Path: "/"}
	form := b.get("/teaching/hub/token").wantText(http.StatusOK, "You have none.")
	b.do("POST", "/teaching/hub/token", url.Values{"_xsrf": {form.field("_xsrf")}, "note": {"ci"}}).wantText(http.StatusOK, "Your new token", "ci")
	id := s.tokensOf(alice)[0].ID
	b.do("POST", "/teaching/hub/token/revoke", url.Values{"_xsrf": {form.field("_xsrf")}, "token": {id}}).wantTo(http.StatusFound, "/teaching/hub/token")
	if got := s.tokensOf(alice); len(got) != 0 {
		t.Errorf("there still are %+v", got)
	}
}

func TestTokenFormsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	b := s.signedIn(alice)
	const note = `"><script>alert(1)</script>`
	for scopes, message := range map[string]string{"nope": "nope", "admin:users": "alice does not have them", note: "script"} {
		v := b.post("/hub/token", "note", note, "expires_in", "86400", "scopes", scopes).wantText(http.StatusBadRequest, message)
		if v.value("token-note") != note || v.value("token-scopes") != scopes || v.value("token-expiration-seconds") != "86400" {
			t.Errorf("with scopes %q the form has lost what was filled in:\n%s", scopes, v.body)
		}
		if len(elements(v.byID("token-error"), "script")) > 0 || len(elements(v.byID("request-token-form"), "script")) > 0 {
			t.Error("the note became markup")
		}
	}
	b.post("/hub/token", "expires_in", "soon").wantText(http.StatusBadRequest, "Choose one of the times in the list.")
	b.post("/hub/token", "expires_in", "-1").wantText(http.StatusBadRequest, "expires_in must be a positive number")
	b.post("/hub/token", "note", strings.Repeat("x", 2000)).wantText(http.StatusBadRequest, "A note can have 1024 bytes.")
	for _, path := range []string{"/hub/token", "/hub/token/revoke", "/hub/token/sign-out", "/hub/token/sign-out-others"} {
		b.do("POST", path, url.Values{}).wantText(http.StatusForbidden, "'_xsrf' argument missing from POST")
		b.do("POST", path, url.Values{"_xsrf": {s.browser().xsrf()}}).wantText(http.StatusForbidden, "XSRF cookie does not match")
		b.with("Sec-Fetch-Site", "cross-site").do("POST", path, url.Values{"_xsrf": {b.xsrf()}}).wantText(http.StatusForbidden, "another site")
		s.browser().do("POST", path, url.Values{}).wantTo(http.StatusFound, "/hub/login?next=%2Fhub%2Fhome")
	}
	b.post("/hub/token/revoke").wantText(http.StatusBadRequest, "Choose which of your tokens to end")
	if got := s.tokensOf(alice); len(got) != 0 {
		t.Errorf("there are tokens: %+v", got)
	}
}

// letIn is what comes of u's consent to an OAuth client.
func (s *site) letIn(b *browser, u hub.User, client string) hub.Token {
	s.t.Helper()
	session, err := b.session()
	if err != nil {
		s.t.Fatal(err)
	}
	code, err := s.tokens.StartCode(s.t.Context(), token.Code{Client: client, User: u.Name, UserID: u.ID, Session: session.ID, Scopes: []string{"read:users!user"}})
	if err != nil {
		s.t.Fatal(err)
	}
	tok, _, err := s.tokens.RedeemCode(s.t.Context(), code, hub.Token{}, time.Hour, func(token.Code) error { return nil })
	if err != nil {
		s.t.Fatal(err)
	}
	return tok
}

func TestRevokeTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, bob := s.user("alice", false, ""), s.user("bob", false, "")
	issue := func(u hub.User, note string) hub.Token {
		tok, _, err := s.tokens.Issue(t.Context(), hub.Token{User: u.Name, UserID: u.ID, Note: note, Scopes: []string{"read:users!user"}})
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	mine, his := issue(alice, "mine"), issue(bob, "his")
	b := s.signedIn(alice)
	first := s.letIn(b, alice, "service-graphs")
	s.letIn(b, alice, "service-graphs")
	v := b.get("/hub/token").wantText(http.StatusOK, "mine", "The service graphs", "2 tokens", "read users with their groups and activity (yourself)")
	if strings.Contains(v.body, his.ID) || strings.Count(v.body, "service-graphs") != 1 {
		t.Errorf("the page shows tokens of others, or a client more than once:\n%s", v.body)
	}
	for _, id := range []string{his.ID, "a0", "../../bob/tokens/" + his.ID, "..", "%2e%2e", "a b"} {
		b.post("/hub/token/revoke", "token", id).wantTo(http.StatusFound, "/hub/token")
	}
	if len(s.tokensOf(alice)) != 3 || len(s.tokensOf(bob)) != 1 {
		t.Fatal("a token was revoked that is not hers, or another one than she chose")
	}
	b.post("/hub/token/revoke", "token", first.ID).wantTo(http.StatusFound, "/hub/token")
	if got := s.tokensOf(alice); len(got) != 1 || got[0].ID != mine.ID {
		t.Errorf("after the client was revoked there are %+v", got)
	}
	b.post("/hub/token/revoke", "token", mine.ID).wantTo(http.StatusFound, "/hub/token")
	b.get("/hub/token").wantText(http.StatusOK, "You have none.")
	if got := s.recorded(); len(got) != 2 || got[0] != "alice: DELETE /hub/api/users/{user}/tokens/{token}" {
		t.Errorf("the audit log has %q", got)
	}
}

func TestSignOutOtherBrowsers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, bob := s.user("alice", false, ""), s.user("bob", false, "")
	desk, lost, phone, his := s.signedIn(alice), s.signedIn(alice), s.signedIn(alice), s.signedIn(bob)
	lost.with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "X-Forwarded-For", "192.0.2.7").get("/hub/home")
	v := desk.get("/hub/token").wantText(http.StatusOK, "Firefox on Linux", "192.0.2.7", "this browser", "Sign out all others")
	session, err := lost.session()
	if err != nil || !strings.Contains(v.body, `value="`+session.ID+`"`) {
		t.Fatalf("the page does not offer to end %+v, %v", session, err)
	}
	other, _ := his.session()
	desk.post("/hub/token/sign-out", "session", other.ID).wantTo(http.StatusFound, "/hub/token")
	desk.post("/hub/token/sign-out", "session", session.ID).wantTo(http.StatusFound, "/hub/token")
	for name, b := range map[string]*browser{"desk": desk, "phone": phone, "bob's": his} {
		if v := b.get("/hub/home"); v.status != http.StatusOK {
			t.Errorf("%s was signed out, too: %d", name, v.status)
		}
	}
	lost.get("/hub/home").wantTo(http.StatusFound, "/hub/login?next=%2Fhub%2Fhome")
	desk.post("/hub/token/sign-out-others").wantTo(http.StatusFound, "/hub/token")
	phone.get("/hub/home").want(http.StatusFound)
	if v := desk.get("/hub/token").want(http.StatusOK); v.byID("sign-out-others") != nil {
		t.Error("the page offers to sign out others, of whom there are none")
	}
	his.get("/hub/home").want(http.StatusOK)
}

func TestTokenPageOfThoseWhoMayLess(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	b := s.signedIn(alice)
	b.post("/hub/token", "note", "old").want(http.StatusOK)
	s.rights("read:users!user", "read:tokens!user")
	v := b.get("/hub/token").wantText(http.StatusOK, "old")
	if got := v.actions(); len(got) != 0 {
		t.Errorf("who may only look gets forms to %q", got)
	}
	b.post("/hub/token").wantText(http.StatusForbidden, "You may not make tokens.")
	b.post("/hub/token/revoke", "token", s.tokensOf(alice)[0].ID).want(http.StatusForbidden)
	root := s.user("root", true, "")
	_, strong, err := s.tokens.Issue(t.Context(), hub.Token{User: root.Name, UserID: root.ID, Scopes: []string{access.Inherit}})
	if err != nil {
		t.Fatal(err)
	}
	// It is the browser's session that acts, whatever else comes with the request.
	b.with("Authorization", "token "+strong).post("/hub/token/revoke", "token", s.tokensOf(alice)[0].ID).want(http.StatusForbidden)
	session, _ := b.session()
	b.post("/hub/token/sign-out", "session", session.ID).want(http.StatusForbidden)
	s.rights("read:users!user")
	v = b.get("/hub/token").wantText(http.StatusOK, "You may not see tokens.")
	if strings.Contains(text(v.doc()), "old") || strings.Contains(v.body, `href="/hub/token"`) {
		t.Error("who may not see tokens sees one, or is led to the page")
	}
	if len(s.tokensOf(alice)) != 1 {
		t.Error("a token was made or revoked")
	}
	b.get("/hub/home").want(http.StatusOK)
}

func TestLivesOfTokens(t *testing.T) {
	t.Parallel()
	for longest, want := range map[time.Duration]string{
		0: "1 hour,1 day,1 week,30 days,1 year,Never", 7 * 24 * time.Hour: "1 hour,1 day,The longest here: 7 days",
		90 * time.Minute: "1 hour,The longest here: 90 minutes", 100 * time.Second: "The longest here: 100 seconds",
	} {
		var labels []string
		for _, l := range lives(longest) {
			labels = append(labels, l.Label)
		}
		if got := strings.Join(labels, ","); got != want {
			t.Errorf("with at most %s the choices are %s, want %s", longest, got, want)
		}
	}
}

func TestBrowserNames(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"": "Unknown browser", "curl/8.5": "curl/8.5", "Safari/537": "Safari",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36 Edg/129.0": "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Mobile Safari/537.36":           "Chrome on Android",
	} {
		if got := browserName(agent); got != want {
			t.Errorf("%q is %q, want %q", agent, got, want)
		}
	}
}
