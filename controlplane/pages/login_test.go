package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// edgeClaims are what the browser's edge token says.
func (b *browser) edgeClaims() *routes.Claims {
	b.s.t.Helper()
	c := b.jar[web.EdgeCookie]
	if c == nil {
		b.s.t.Fatal("the browser has no edge token")
	}
	claims, err := b.s.tokens.OpenEdgeToken(b.s.t.Context(), c.Value)
	if err != nil {
		b.s.t.Fatal(err)
	}
	return claims
}

// session is the record behind the browser's session cookie, or an error.
func (b *browser) session() (hub.Session, error) {
	c := b.jar[web.SessionCookie]
	if c == nil {
		return hub.Session{}, hub.Errorf(hub.Unauthenticated, "no cookie")
	}
	return b.s.tokens.FindSession(b.s.t.Context(), c.Value)
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, password)
	b := s.browser()
	form := b.get("/hub/login?next=%2Fhub%2Fhome&username=Alice")
	form.wantText(http.StatusOK, "Sign in")
	if form.field("username") != "Alice" || len(form.actions()) != 1 || form.actions()[0] != "/hub/login?next=%2Fhub%2Fhome" {
		t.Errorf("the form has user name %q and goes to %q", form.field("username"), form.actions())
	}
	v := b.do("POST", form.actions()[0], url.Values{"_xsrf": {form.field("_xsrf")}, "username": {" Alice "}, "password": {password}})
	v.wantTo(http.StatusFound, "/hub/home")

	session, err := b.session()
	if err != nil || session.User != "alice" || session.UserID != alice.ID {
		t.Fatalf("session = %+v, %v", session, err)
	}
	c := b.edgeClaims()
	if c.Subject != "alice" || c.UserID != alice.ID || c.Session != session.ID || c.Token != "" || c.Admin || strings.Join(c.Scopes, " ") != "inherit" {
		t.Errorf("edge token = %+v", c)
	}
	b.get("/hub/home").wantText(http.StatusOK, "Hello, alice")
	if u, err := s.accounts.Get(t.Context(), "alice"); err != nil || u.LastActivity.IsZero() {
		t.Errorf("user = %+v, %v, want it active", u, err)
	}
}

func TestSignInIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.user("alice", false, password)
	s.user("carol", false, "") // cannot sign in with a password
	const wrong, stale = "Invalid username or password", "Login form invalid or expired. Try again."
	for what, test := range map[string]struct {
		fields []string
		change func(url.Values, *browser)
		want   string
	}{
		"wrong password":     {fields: []string{"username", "alice", "password", "wrong horse"}, want: wrong},
		"password in spaces": {fields: []string{"username", "alice", "password", password + " "}, want: wrong},
		"no such user":       {fields: []string{"username", "nobody", "password", password}, want: wrong},
		"no name at all":     {fields: []string{"password", password}, want: wrong},
		"impossible name":    {fields: []string{"username", "../alice", "password", password}, want: wrong},
		"no password":        {fields: []string{"username", "carol", "password", ""}, want: wrong},
		"endless password":   {fields: []string{"username", "alice", "password", strings.Repeat("x", 100_000)}, want: wrong},
		"no token": {fields: []string{"username", "alice", "password", password},
			change: func(form url.Values, _ *browser) { form.Del("_xsrf") }, want: stale},
		"made-up token": {fields: []string{"username", "alice", "password", password},
			change: func(form url.Values, _ *browser) { form.Set("_xsrf", "x.y") }, want: stale},
		"token without its cookie": {fields: []string{"username", "alice", "password", password},
			change: func(_ url.Values, b *browser) { delete(b.jar, "_xsrf") }, want: stale},
		"form of another site": {fields: []string{"username", "alice", "password", password},
			change: func(_ url.Values, b *browser) { b.header.Set("Sec-Fetch-Site", "cross-site") }, want: stale},
		"form of a sibling host": {fields: []string{"username", "alice", "password", password},
			change: func(_ url.Values, b *browser) { b.header.Set("Sec-Fetch-Site", "same-site") }, want: stale},
		"endless form": {fields: []string{"username", "alice", "password", strings.Repeat("x", 2<<20)}, want: stale},
	} {
		t.Run(what, func(t *testing.T) {
			b := s.browser()
			form := url.Values{"_xsrf": {b.xsrf()}}
			for i := 0; i < len(test.fields); i += 2 {
				form.Set(test.fields[i], test.fields[i+1])
			}
			if test.change != nil {
				test.change(form, b)
			}
			b.do("POST", "/hub/login?next=%2Fhub%2Fhome", form).wantText(http.StatusForbidden, test.want)
			if b.jar[web.SessionCookie] != nil || b.jar[web.EdgeCookie] != nil {
				t.Errorf("cookies were set: %v", b.jar)
			}
			b.header.Set("Sec-Fetch-Site", "same-origin")
			b.post("/hub/login", "username", "alice", "password", password).want(http.StatusFound)
		})
	}
	if v := s.browser().post("/hub/login?next=%2Fhub%2Fhome", "username", "<b>alice", "password", "wrong"); v.field("username") != "<b>alice" ||
		v.actions()[0] != "/hub/login?next=%2Fhub%2Fhome" {
		t.Errorf("the form lost %q or %q", v.field("username"), v.actions())
	}
}

// 0.5 of the threat list, with what browsers make of each.
var awayFromHere = []string{
	"//evil.example", "///evil.example", "////evil.example/x", "/\\evil.example", "\\\\evil.example", "\\/evil.example", "/\\/evil.example",
	"/\tevil.example", "/\t/evil.example", "\t//evil.example", " //evil.example", "/\n/evil.example", "\x00//evil.example",
	"https:evil.example", "https:/evil.example", "https://evil.example", "HTTPS://evil.example/", "http://hub.example@evil.example/",
	"http://hub.example.evil.example/", "hub.example//evil.example", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "evil.example", "",
	"/x\r\nLocation: https://evil.example", "/x\r\nSet-Cookie: a=b", ".", "..", "?x", "#x", "%2f%2fevil.example",
	"//hub.example/", "http://hub.example/hub/home", // even our own, in a form that is not ours
}

// stays are those that lead to a path here, after the encoding that browsers do not undo.
var stays = map[string]string{
	"/hub/home":                 "/hub/home",
	"/user/a/lab?x=1&y=%20#z":   "/user/a/lab?x=1&y=%20#z",
	"/%09/evil.example":         "/%09/evil.example",
	"/%2f/evil.example":         "/%2f/evil.example",
	"/%5cevil.example":          "/%5cevil.example",
	"/user/a/..%2f..%2f/e":      "/user/a/..%2f..%2f/e",
	"/@evil.example":            "/@evil.example",
	"/https://evil.example":     "/https://evil.example",
	"/?next=//evil.example":     "/?next=//evil.example",
	"/#//evil.example":          "/#//evil.example",
	"/hub/login?next=//evil.ex": "/hub/login?next=//evil.ex",
}

func TestNextNeverLeavesTheHost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	s.running(alice, "")
	b := s.signedIn(alice)
	base, err := url.Parse("https://hub.example/hub/login")
	if err != nil {
		t.Fatal(err)
	}
	here := func(v visited) string {
		t.Helper()
		v.want(http.StatusFound)
		location := v.header.Get("Location")
		to, err := base.Parse(location)
		if err != nil || to.Scheme != "https" || to.Host != "hub.example" || to.User != nil || strings.ContainsAny(location, "\r\n\t\\") {
			t.Errorf("%s leads to %q, that is %v", v.what, location, to)
		}
		return location
	}
	for _, path := range []string{"/hub/login", "/hub/spawn", "/hub/spawn/alice", "/hub/spawn-pending/alice"} {
		usual := map[bool]string{true: "/hub/", false: "/user/alice/"}[path == "/hub/login"]
		for _, next := range awayFromHere {
			if got := here(b.get(path + "?next=" + url.QueryEscape(next))); got != usual {
				t.Errorf("%s with next %q leads to %q, want %q", path, next, got, usual)
			}
		}
		for next, want := range stays {
			if got := here(b.get(path + "?next=" + url.QueryEscape(next))); got != want {
				t.Errorf("%s with next %q leads to %q, want %q", path, next, got, want)
			}
		}
	}
	// The pages that carry it on.
	nobody := s.browser()
	for _, next := range awayFromHere {
		if got := nobody.get("/hub/login?next=" + url.QueryEscape(next)).actions()[0]; got != "/hub/login" {
			t.Errorf("the form with next %q goes to %q", next, got)
		}
	}
	// Two of them: the first counts, and it is checked.
	here(b.get("/hub/login?next=%2Fhub%2Fhome&next=%2F%2Fevil.example"))
	here(b.get("/hub/login?next=%2F%2Fevil.example&next=%2Fhub%2Fhome"))
	// Paths that people type, which the hub turns into others.
	for _, path := range []string{"//evil.example/x", "/%2f%2fevil.example", "/%5cevil.example", "/hub//evil.example", "/user//evil.example", "/hub/user//evil.example"} {
		if v := b.get(path); v.header.Get("Location") != "" {
			to, err := base.Parse(v.header.Get("Location"))
			if err != nil || to.Host != "hub.example" {
				t.Errorf("GET %s leads to %q", path, v.header.Get("Location"))
			}
		}
	}
}

func TestSignInMakesANewSessionAndEndsTheOldOne(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.user("alice", false, password)
	mallory := s.user("mallory", false, "")
	planted := s.signedIn(mallory) // a session that somebody else put into this browser
	old, err := planted.session()
	if err != nil {
		t.Fatal(err)
	}
	secret := planted.jar[web.SessionCookie].Value
	planted.post("/hub/login", "username", "alice", "password", password).want(http.StatusFound)
	session, err := planted.session()
	if err != nil || session.ID == old.ID || session.User != "alice" || planted.jar[web.SessionCookie].Value == secret {
		t.Errorf("session = %+v, %v, want a new one of alice", session, err)
	}
	if _, err := s.tokens.FindSession(t.Context(), secret); hub.KindOf(err) != hub.Unauthenticated {
		t.Errorf("the planted session still is: %v", err)
	}

	// Not even one's own: the secret that was known before the sign-in is worth nothing after it.
	again, secret := session, planted.jar[web.SessionCookie].Value
	planted.post("/hub/login", "username", "alice", "password", password).want(http.StatusFound)
	if now, err := planted.session(); err != nil || now.ID == again.ID {
		t.Errorf("session = %+v, %v", now, err)
	}
	if _, err := s.tokens.FindSession(t.Context(), secret); err == nil {
		t.Error("the session before still is")
	}

	made := s.browser()
	made.jar[web.SessionCookie] = &http.Cookie{Name: web.SessionCookie, Value: strings.Repeat("0", 64), Path: "/"}
	made.post("/hub/login", "username", "alice", "password", password).want(http.StatusFound)
	if v := made.jar[web.SessionCookie].Value; v == strings.Repeat("0", 64) {
		t.Error("the made-up session is alice's now")
	}
}

// Whoever is signed in and mistypes must be able to try again.
func TestSecondTryOfWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.user("alice", false, password)
	b := s.signedIn(s.user("bob", false, ""))
	page := b.post("/hub/login", "username", "alice", "password", "wrong").wantText(http.StatusForbidden, "Invalid username or password", "bob")
	b.do("POST", "/hub/login", url.Values{"_xsrf": {page.field("_xsrf")}, "username": {"alice"}, "password": {password}}).want(http.StatusFound)
	if session, err := b.session(); err != nil || session.User != "alice" {
		t.Errorf("session = %+v, %v", session, err)
	}
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	s.running(alice, "")
	b := s.signedIn(alice)
	b.get("/hub/login") // gives it an edge token
	secret := b.jar[web.SessionCookie].Value
	signedIn := func(want bool) {
		t.Helper()
		if _, err := s.tokens.FindSession(t.Context(), secret); (err == nil) != want {
			t.Errorf("the session's state is %v, want it %t", err, want)
		}
	}
	b.get("/hub/logout").wantText(http.StatusOK, "Sign out?")
	signedIn(true)
	b.do("POST", "/hub/logout", nil).wantText(http.StatusForbidden, "'_xsrf' argument missing from POST")
	b.do("POST", "/hub/logout", url.Values{"_xsrf": {"x.y"}}).wantText(http.StatusForbidden, "XSRF cookie does not match POST argument")
	b.with("Sec-Fetch-Site", "cross-site").post("/hub/logout").wantText(http.StatusForbidden, "This request came from another site and was refused.")
	signedIn(true)

	b.post("/hub/logout").wantTo(http.StatusFound, "/hub/login")
	signedIn(false)
	for _, name := range []string{web.SessionCookie, web.EdgeCookie, "_xsrf"} {
		if b.jar[name] != nil {
			t.Errorf("the browser keeps cookie %s", name)
		}
	}
	if s.state(alice, "") != hub.Running {
		t.Error("signing out stopped the server")
	}
	b.jar[web.SessionCookie] = &http.Cookie{Name: web.SessionCookie, Value: secret, Path: "/"}
	b.get("/hub/home").want(http.StatusFound)
	b.do("POST", "/hub/logout", nil).wantTo(http.StatusFound, "/hub/login") // a second window: nothing is left to protect
	if b.jar[web.SessionCookie] != nil {
		t.Error("the dead cookie stays")
	}
}

// Browsers leave SameSite=Lax cookies out of forms of other sites, so such a request looks like that of a stranger. It
// must not delete the cookies that the browser left out.
func TestFormOfAnotherSiteSignsNobodyOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.browser().with("Sec-Fetch-Site", "cross-site")
	for _, method := range []string{"GET", "POST"} {
		if v := b.do(method, "/hub/logout", nil); len(v.set) != 0 {
			t.Errorf("%s sets %v", v.what, v.set)
		}
	}
}

func TestAttributesOfCookies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.user("alice", false, password)
	for proto, secure := range map[string]bool{"http": false, "": false, "https": true, "HTTPS": true} {
		b := s.browser().with("X-Forwarded-Proto", proto)
		prefix := ""
		if secure {
			prefix = "__Host-"
		}
		form := b.get("/hub/login").want(http.StatusOK)
		v := b.do("POST", "/hub/login", url.Values{"_xsrf": {form.field("_xsrf")}, "username": {"alice"}, "password": {password}}).want(http.StatusFound)
		out := b.post("/hub/logout").want(http.StatusFound)
		seen := map[string]*http.Cookie{}
		for _, c := range append(append(form.set, v.set...), out.set...) {
			seen[c.Name] = c
			if c.Secure != secure || c.SameSite != http.SameSiteLaxMode || c.Domain != "" {
				t.Errorf("over %q: %s", proto, c.Raw)
			}
			if c.Name == "_xsrf" {
				if c.HttpOnly || c.Path != "/hub/" {
					t.Errorf("over %q: %s, want it for the hub's own scripts", proto, c.Raw)
				}
				continue
			}
			if !c.HttpOnly || c.Path != "/" {
				t.Errorf("over %q: %s", proto, c.Raw)
			}
			if c.MaxAge != -1 && (c.MaxAge < 60 || c.MaxAge > 14*24*3600) {
				t.Errorf("over %q: %s lives %d s", proto, c.Name, c.MaxAge)
			}
		}
		if len(seen) != 3 || seen[prefix+"edgehub"] == nil || seen[prefix+"edgehub-session"] == nil || seen["_xsrf"] == nil {
			t.Errorf("over %q the cookies are %v", proto, seen)
		}
	}
	// A plain cookie, which any host of the domain can plant, is not taken for the one of TLS.
	b := s.signedIn(s.user("bob", false, ""))
	b.with("X-Forwarded-Proto", "https").get("/hub/home").want(http.StatusFound)
}

func TestTwoSessionCookiesAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	b := s.signedIn(alice)
	b.header.Set("Cookie", web.SessionCookie+"=planted")
	b.get("/hub/home").wantText(http.StatusBadRequest, "two cookies")
}

func TestSignInPageGivesAFreshEdgeToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	b := s.signedIn(alice)
	b.get("/hub/login?next=%2Fuser%2Falice%2Flab").wantTo(http.StatusFound, "/user/alice/lab")
	session, err := b.session()
	if err != nil {
		t.Fatal(err)
	}
	if c := b.edgeClaims(); c.Session != session.ID || c.Admin {
		t.Errorf("edge token = %+v", c)
	}
	if err := s.accounts.Delete(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	b.get("/hub/login").wantText(http.StatusOK, "Sign in") // a user who is gone is nobody
}

// Wrong passwords count, for the name in whatever spelling; when there were too many of them a right one does not help either.
func TestGuessingIsSlow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.user("alice", false, password)
	s.user("bob", false, password)
	b := s.browser()
	for range 3 {
		b.post("/hub/login", "username", "bob", "password", password).want(http.StatusFound)
	}
	// There is more to guess every twenty seconds, in which a slow machine tries once or twice.
	b = s.browser()
	v := b.post("/hub/login", "username", "alice", "password", password)
	for i := 0; i < 60 && v.status == http.StatusFound; i++ {
		b = s.browser()
		b.post("/hub/login", "username", []string{"alice", "ALICE"}[i%2], "password", "wrong")
		v = b.post("/hub/login", "username", "alice", "password", password)
	}
	v.wantText(http.StatusTooManyRequests, "Too many attempts to sign in.")
	if v.header.Get("Retry-After") == "" || v.field("username") != "alice" {
		t.Errorf("the page says %v, with user name %q", v.header, v.field("username"))
	}
	b.post("/hub/login", "username", "bob", "password", password).want(http.StatusFound)
}
