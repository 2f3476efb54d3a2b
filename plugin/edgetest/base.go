package edgetest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/routes"
)

// base is where the hubs of these tests are: JupyterHub's own tests use it, because it needs escapes and has a spelling more.
const base = "/@/space%20word/"

// at is the address of a path of such a hub.
func at(path string) string { return strings.TrimSuffix(base, "/") + path }

// suffix is what the cookies of such a hub end with.
var suffix = routes.Base(base).CookieSuffix()

// baseWorld is a world with servers of alice and bob below base, which its operator wrote plainly.
func baseWorld(t *testing.T, make Maker, change ...func(*Options)) *World {
	w := NewWorld(t, SharedEtcd(t))
	for _, user := range []string{"alice", "bob"} {
		w.PutRoute(Route(user, Server(t, user).URL))
	}
	w.Start(make, append(change, func(o *Options) { o.BaseURL = "/@/space word" })...)
	return w
}

func belowBase(t *testing.T, make Maker) {
	w := baseWorld(t, make, func(o *Options) { o.StatusPath = "/.edgehub" })
	for range 2 { // the second time on the short way
		a := w.Get("alice", at("/user/alice/lab/a%20b?x=%2F"))
		if seen := a.Seen(); a.Status != 200 || seen.Server != "alice" || seen.Target != at("/user/alice/lab/a%20b?x=%2F") || seen.Header.Get("Authorization") != "token "+Secret {
			t.Errorf("alice's server: %d %s", a.Status, a.Body)
		}
		if a := w.Get("bob", at("/user/alice/lab")); a.Status != 403 || a.Seen() != nil {
			t.Errorf("alice's server for bob: %d %s", a.Status, a.Body)
		}
	}
	for target, want := range map[string]string{
		"/user/alice/lab?x=1&token=t":  at("/hub/login") + "?next=" + url.QueryEscape(at("/user/alice/lab?x=1")),
		"/user/nobody/lab?x=1&token=t": at("/hub/user/nobody/lab?x=1"),
	} {
		if a := w.Do(w.Request("GET", at(target), asPerson()...)); a.Status != 302 || a.Header.Get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", target, a.Status, a.Header.Get("Location"), want)
		}
	}
	if a := w.Get("alice", at("/user/alice?x=1")); a.Status != 301 || a.Header.Get("Location") != at("/user/alice/?x=1") {
		t.Errorf("without the last slash: %d %v", a.Status, a.Header)
	}
	body := struct{ Message string }{}
	a := w.Get("", at("/user/nobody/api/kernels"))
	want := "JupyterHub server no longer running at " + at("/user/nobody/api/kernels") + ". Restart the server at http://" + w.Addr + at("/hub/spawn/nobody")
	if json.Unmarshal([]byte(a.Body), &body) != nil || a.Status != 424 || body.Message != want {
		t.Errorf("a stopped server: %d %s, want %q", a.Status, a.Body, want)
	}
	for _, path := range []string{"/", "/hub/login?a=b", "/hub/api/users", "/favicon.ico", "/services/x/"} {
		if seen := w.Get("", at(path)).Seen(); seen == nil || seen.Server != "hub" || seen.Target != at(path) {
			t.Errorf("%s is the control plane's: %+v", path, seen)
		}
	}
	token := strings.Repeat("u", 32)
	w.Hub.OnExchange(func(string) (string, int) { return w.TokenOf("alice"), 200 })
	if a := w.Do(w.Request("GET", at("/user/alice/x"), "Authorization", "token "+token)); a.Status != 200 || w.Hub.Calls("/hub/api/edge/exchange") != 1 {
		t.Errorf("an API token: %d %s", a.Status, a.Body)
	}
	ticketed := Route("carol", Server(t, "carol").URL)
	ticketed.Auth = routes.AuthTicket
	w.PutRoute(ticketed)
	w.Eventually("carol's server has a route", func() bool { return w.Get("carol", at("/user/carol/")).Status == 200 })
	ticket := w.Get("carol", at("/user/carol/x")).Seen().Header.Get("Authorization")
	if a := w.Do(w.Request("GET", at("/hub/api/user"), "Authorization", ticket)); a.Status != 200 || a.Seen() != nil || !strings.Contains(a.Body, `"carol"`) {
		t.Errorf("a visitor ticket: %d %s", a.Status, a.Body)
	}
	if a := w.Get("", at("/.edgehub/ready")); a.Status != 200 || a.Body != "ready\n" {
		t.Errorf("its status: %d %s", a.Status, a.Body)
	}
	page := w.Do(w.Request("GET", at("/user/alice/lab"), asPerson("Authorization", "token "+w.TokenOf("bob"))...))
	if page.Status != 403 || !strings.Contains(page.Body, `href="`+at("/hub/home")+`"`) {
		t.Errorf("the way home on a page of the edge: %d %s", page.Status, page.Body)
	}
}

// outsideBase asks for paths that are not below the base in any reading, and for some that are in none but a careless one.
func outsideBase(t *testing.T, make Maker) {
	w := baseWorld(t, make)
	before := w.Hub.AllCalls()
	ask := func(user, target string) *Answer {
		return w.Raw("GET " + target + " HTTP/1.1\r\nHost: " + w.Addr + "\r\nAuthorization: token " + w.TokenOf(user) + "\r\nConnection: close\r\n\r\n")
	}
	for _, target := range []string{
		"/", "/hub/home", "/user/alice/", "/@", "/@/", "/@/space", "/@/space%20word", "/@/space%20words/user/alice/", "/@/Space%20Word/user/alice/", "/user/alice/?/@/space%20word/",
		"/@/space+word/user/alice/", "/@%2Fspace%20word/user/alice/", "/@/space%2520word/user/alice/", "/%2540/space%20word/user/alice/", "/@;/space%20word/user/alice/",
		"/@/space%20word;x/user/alice/", "/@/space%20word%2Fuser/alice/", "/@/space%20word%00/user/alice/",
		`/@/space%20word\user/alice/`, "/@/space%20word%5Cuser/alice/", "/.edgehub/visit", "/x/@/space%20word/user/alice/",
	} {
		if a := ask("alice", target); a.Status != 404 && a.Status != 400 || a.Seen() != nil {
			t.Errorf("%s: %d %s, want nothing", target, a.Status, a.Body)
		}
	}
	for _, target := range []string{
		"/@/space%20word/../user/alice/", "/@/space%20word/%2e%2e/user/alice/", "/x/../@/space%20word/user/alice/", "/@/x/../space%20word/user/alice/", "//@/space%20word/user/alice/",
		"/@//space%20word/user/alice/", "/@/space%20word//user/alice/", "/@/space%20word/user/alice/../bob/", "/@/%73pace%20word/user/alice/", "/@/space%20word/%75ser/alice/",
	} {
		if w.behindTraefik() { // which normalises some of them, and passes on what they mean
			if a := ask("bob", target); a.Status == 200 && (a.Seen() == nil || a.Seen().Server != "bob") {
				t.Errorf("%s leads bob to %s", target, a.Body)
			}
			continue
		}
		if a := ask("alice", target); a.Status != 404 && a.Status != 400 || a.Seen() != nil {
			t.Errorf("%s: %d %s, want nothing", target, a.Status, a.Body)
		}
	}
	if n := w.Hub.AllCalls() - before; n != 0 && !w.behindTraefik() {
		t.Errorf("the control plane was asked %d times about paths that are not its own", n)
	}
	if a := ask("alice", "/%40/space%20word/user/alice/x"); a.Status != 200 || a.Seen().Server != "alice" {
		t.Errorf("the other spelling: %d %s", a.Status, a.Body)
	}
	bare := w.Do(w.Request("GET", strings.TrimSuffix(base, "/")+"?x=1", asPerson()...))
	if bare.Status != 302 || bare.Header.Get("Location") != base+"?x=1" {
		t.Errorf("a person without the last slash: %d %v", bare.Status, bare.Header)
	}
}

// baseCookies shows the names and paths of cookies in both directions, over TLS and without.
func baseCookies(t *testing.T, make Maker) {
	server := Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		for _, line := range []string{
			"a=1; Path=" + at("/user/carol/"), "b=1; Path=" + at("/user/carol/x"), "c=1; Path=/@/space word/user/carol/", "d=1",
			"e=1; Path=/user/carol/", "f=1; Path=" + base, "g=1; Path=" + at("/user/"), "h=1; Path=/", "edgehub" + suffix + "=1", "__Host-edgehub" + suffix + "=1; Path=/; Secure",
			"edgehub=1", "i=1; Path=" + at("/hub/"), "j=1; Path=/other/user/carol/",
		} {
			rw.Header().Add("Set-Cookie", line)
		}
		_ = json.NewEncoder(rw).Encode(Seen{Server: "carol", Header: r.Header})
	})
	w := baseWorld(t, make)
	w.PutRoute(Route("carol", server.URL))
	w.Eventually("carol's server has a route", func() bool { return w.Get("carol", at("/user/carol/")).Status == 200 })
	for _, proto := range []string{"http", "https"} {
		name := "edgehub" + suffix
		if proto == "https" {
			name = "__Host-" + name
		}
		if proto == "https" && w.behindTraefik() {
			continue // it says itself how the visitor came
		}
		ours := name + "=" + w.TokenOf("carol")
		for range 2 {
			a := w.Do(w.Request("GET", at("/user/carol/x"), "X-Forwarded-Proto", proto, "User-Agent", "x",
				"Cookie", ours+"; edgehub=1; __Host-edgehub=2; edgehub-session"+suffix+"=3; edgehub-00000000=4; mine=5"))
			if a.Status != 200 || strings.TrimSpace(a.Seen().Header.Get("Cookie")) != "mine=5" {
				t.Fatalf("%s: %d %s", proto, a.Status, a.Body)
			}
			got := ""
			for _, line := range a.Header["Set-Cookie"] {
				got += line[:1]
			}
			if got != "abcd" {
				t.Errorf("%s: of the server's cookies %q came through, want a, b, c, d", proto, a.Header["Set-Cookie"])
			}
		}
		for _, foreign := range []string{"edgehub", "__Host-edgehub", "edgehub-00000000", "__Host-edgehub-00000000"} {
			if a := w.Do(w.Request("GET", at("/user/carol/x"), "X-Forwarded-Proto", proto, "Cookie", foreign+"="+w.TokenOf("carol"))); a.Status != 403 {
				t.Errorf("%s, a cookie named %s: %d", proto, foreign, a.Status)
			}
		}
	}
	fresh := w.TokenOf("carol")
	w.Hub.OnRenew(func(string) (string, int) { return fresh, 200 })
	old := Claims("carol")
	old.IssuedAt, old.Expires = old.IssuedAt-2000, old.Expires-2000
	cookie := "edgehub" + suffix + "=" + w.Token(old)
	w.Eventually("the session is renewed", func() bool {
		for _, line := range w.Do(w.Request("GET", at("/user/carol/x"), "Cookie", cookie)).Header["Set-Cookie"] {
			if line == "edgehub"+suffix+"="+fresh+"; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax" {
				return true
			}
		}
		return false
	})
}

// twoBases is one browser with two hubs on one host: each knows its own cookie, and nothing of one opens the other.
func twoBases(t *testing.T, make Maker) {
	one, two := baseWorld(t, make), NewWorld(t, SharedEtcd(t))
	two.PutRoute(Route("alice", Server(t, "alice of two").URL))
	two.Start(make, func(o *Options) { o.BaseURL = "/two/" })
	mine, theirs := one.TokenOf("alice"), two.TokenOf("alice")
	cookies := "edgehub" + suffix + "=" + mine + "; edgehub" + routes.Base("/two/").CookieSuffix() + "=" + theirs
	for what, c := range map[string]struct {
		w       *World
		target  string
		headers []string
		want    int
		server  string
	}{
		"both cookies, the one":    {one, at("/user/alice/"), []string{"Cookie", cookies}, 200, "alice"},
		"both cookies, the other":  {two, "/two/user/alice/", []string{"Cookie", cookies}, 200, "alice of two"},
		"the one's token":          {two, "/two/user/alice/", []string{"Authorization", "token " + mine}, 403, ""},
		"the other's token":        {one, at("/user/alice/"), []string{"Authorization", "token " + theirs}, 403, ""},
		"the one's cookie renamed": {two, "/two/user/alice/", []string{"Cookie", "edgehub" + routes.Base("/two/").CookieSuffix() + "=" + mine}, 403, ""},
		"the other's address":      {one, "/two/user/alice/", []string{"Authorization", "token " + theirs}, 404, ""},
	} {
		a := c.w.Do(c.w.Request("GET", c.target, c.headers...))
		if seen := a.Seen(); a.Status != c.want || c.want == 200 && (seen.Server != c.server || seen.Header.Get("Cookie") != "") {
			t.Errorf("%s: %d %s, want %d", what, a.Status, a.Body, c.want)
		}
	}
}

// baseHosts is a host for each user, all below the base.
func baseHosts(t *testing.T, make Maker) {
	w := hostsWorld(t, make, func(o *Options) { o.BaseURL = base })
	cookie := "__Host-edgehub" + suffix
	location := func(host, path string, headers ...string) string {
		return w.Do(w.RequestAt(host, "GET", path, asPerson(headers...)...)).Header.Get("Location")
	}
	if got, want := location(hubAt, at("/user/alice/lab?x=1")), "https://"+aliceAt+at("/user/alice/lab?x=1"); got != want {
		t.Errorf("from the hub's host to %q, want %q", got, want)
	}
	if got, want := location(aliceAt, at("/hub/home?x=1")), "https://"+hubAt+at("/hub/home?x=1"); got != want {
		t.Errorf("from a user's host to %q, want %q", got, want)
	}
	to, err := url.Parse(location(aliceAt, at("/user/alice/lab")))
	if err != nil || to.Host != hubAt || to.EscapedPath() != at("/hub/edge/visit") || to.Query().Get("next") != at("/user/alice/lab") {
		t.Fatalf("to sign in at %v", to)
	}
	state, code := to.Query().Get("state"), strings.Repeat("c0de", 16)
	for next, want := range map[string]string{at("/user/alice/lab"): at("/user/alice/lab"), "/two/user/alice/": base, "//evil.test/": base, "": base} {
		w.Hub.OnRedeem(func(string, string, string) (string, string) { return w.HostToken("alice", aliceAt), next })
		a := w.Do(w.RequestAt(aliceAt, "GET", at("/.edgehub/visit")+"?code="+code+"&state="+state, asPerson("Cookie", cookie+"-state="+state)...))
		if a.Status != 302 || a.Header.Get("Location") != want || !strings.HasPrefix(a.Header.Get("Set-Cookie"), cookie+"=") {
			t.Errorf("back for %q: %d %v", next, a.Status, a.Header)
		}
	}
	if got, want := location(aliceAt, at("/.edgehub/visit?code=x&state="+state)), at("/.edgehub/visit"); got != want {
		t.Errorf("a bad code leads to %q, want %q", got, want)
	}
	if a := w.Do(w.RequestAt(aliceAt, "GET", at("/user/alice/x"), "Cookie", cookie+"="+w.HostToken("alice", aliceAt))); a.Status != 200 {
		t.Errorf("on her host: %d %s", a.Status, a.Body)
	}
	for _, path := range []string{"/user/alice/x", "/.edgehub/visit", "/"} {
		if a := w.Do(w.RequestAt(aliceAt, "GET", path, "Cookie", cookie+"="+w.HostToken("alice", aliceAt))); a.Status != 404 {
			t.Errorf("%s outside of the base: %d %s", path, a.Status, a.Body)
		}
	}
}
