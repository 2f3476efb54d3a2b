package edgetest

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/routes"
)

func notReady(t *testing.T, make Maker) {
	w := NewWorld(t, StartEtcd(t, false))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Etcd.Stop()
	edge := make(t, Options{Etcd: []string{w.Etcd.Endpoint}, Prefix: w.Prefix, Hub: []string{w.Hub.URL}})
	w.Edge = edge
	w.serve()
	for _, target := range []string{"/", "/hub/login", "/user/alice/", "/user/alice/..%2f"} {
		a := w.Get("alice", target)
		if a.Status != 503 || a.Header.Get("Retry-After") != "1" || !strings.Contains(a.Body, "edgehub edge is not ready") {
			t.Errorf("GET %s before the first list: %d %v %s", target, a.Status, a.Header, a.Body)
		}
	}
	if a := w.Do(w.Request("GET", "/", "Accept", "text/html")); !strings.Contains(a.Body, "<html") {
		t.Errorf("a person got %s", a.Body)
	}
	if err := w.Etcd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Eventually("the edge becomes ready", func() bool { return w.Get("alice", "/user/alice/").Status == 200 })
}

func decisions(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	shared := Route("alice", Server(t, "alice").URL)
	shared.Users, shared.Groups = []string{"id-friend"}, []string{"team"}
	w.PutRoute(shared)
	open := Route("open", Server(t, "open").URL)
	open.Auth = routes.AuthNone
	w.PutRoute(open)
	w.PutRoute(Route("ali", Server(t, "ali").URL))
	w.Start(make)

	group := Claims("member")
	group.Groups = []string{"team"}
	admin := Claims("root")
	admin.Scopes = []string{routes.ScopeInherit, routes.ScopeAccess}
	narrow := Claims("alice")
	narrow.Scopes = []string{"access:servers!user=ali"}
	stranger := Claims("alice") // the name of the owner with another id: deleted and made anew
	stranger.UserID = "id-other"
	for _, c := range []struct {
		name   string
		claims routes.Claims
		want   int
	}{
		{"owner", Claims("alice"), 200}, {"shared user", Claims("friend"), 200}, {"shared group", group, 200},
		{"administrator", admin, 200}, {"another user", Claims("bob"), 403}, {"scope for another", narrow, 403},
		{"same name, other id", stranger, 403}, {"name that is a prefix", Claims("ali"), 403},
	} {
		a := w.Do(w.Request("GET", "/user/alice/api", "Authorization", "Bearer "+w.Token(c.claims)))
		if a.Status != c.want || c.want == 200 && a.Seen().Server != "alice" {
			t.Errorf("%s: got %d, want %d: %s", c.name, a.Status, c.want, a.Body)
		}
	}
	if a := w.Get("", "/user/open/x"); a.Status != 200 || a.Seen().Server != "open" {
		t.Errorf("open route: %d %s", a.Status, a.Body)
	}

	page := w.Do(w.Request("GET", "/user/alice/lab/tree/a%20b?x=1&token=canary&y=%2F", "Accept", "text/html,*/*"))
	want := "/hub/login?next=" + url.QueryEscape("/user/alice/lab/tree/a%20b?x=1&y=%2F")
	if page.Status != 302 || page.Header.Get("Location") != want {
		t.Errorf("a person without a token: %d %q, want %q", page.Status, page.Header.Get("Location"), want)
	}
	for _, c := range [][]string{
		{"GET", "/user/alice/api/contents", "Accept", "text/html"}, {"GET", "/user/alice/lab", "Accept", "*/*"},
		{"POST", "/user/alice/lab", "Accept", "text/html"},
		{"GET", "/user/alice/lab", "Accept", "text/html", "Sec-Fetch-Mode", "cors"},
	} {
		a := w.Do(w.Request(c[0], c[1], c[2:]...))
		if a.Status != 403 || !strings.Contains(a.Body, `"kind":"unauthenticated"`) || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v: %d %v %s", c, a.Status, a.Header, a.Body)
		}
	}
	if a := w.Do(w.Request("GET", "/user/alice?a=b", "Cookie", "edgehub="+w.TokenOf("alice"))); a.Status != 301 || a.Header.Get("Location") != "/user/alice/?a=b" {
		t.Errorf("prefix without slash: %d %q", a.Status, a.Header.Get("Location"))
	}
	if a := w.Get("", "/user/alice"); a.Status != 403 {
		t.Errorf("prefix without slash and without a token: %d", a.Status)
	}
	for _, m := range []string{"CONNECT", "TRACE"} {
		if a := w.Raw(m + " /user/alice/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Canary: c\r\n\r\n"); a.Status != 405 && a.Status != 400 || strings.Contains(a.Body, "Canary") {
			t.Errorf("%s: %d %s", m, a.Status, a.Body)
		}
	}
	if a := w.Raw("GET /user/alice/ HTTP/1.0\r\n\r\n"); a.Status != 400 {
		t.Errorf("no host: %d", a.Status)
	}
	if a := w.Raw("OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); a.Status == 403 || a.Seen() != nil {
		t.Errorf("OPTIONS *: %d %s", a.Status, a.Body)
	}

	// A change of the list holds from the next request on.
	shared.Users = nil
	w.PutRoute(shared)
	w.Eventually("the share is gone", func() bool { return w.Get("friend", "/user/alice/").Status == 403 })
	w.Delete(routes.RouteKey(w.Prefix, shared.Prefix))
	w.Eventually("the route is gone", func() bool { return w.Get("alice", "/user/alice/").Status == 424 })
}

// paths is the table of reference 0.2, over raw sockets, with alice's token and with bob's. No row may reach a server
// that the token does not allow; some rows must be refused.
func paths(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	for _, user := range []string{"alice", "bob", "al", "a b", "a@b"} {
		w.PutRoute(Route(user, Server(t, user).URL))
	}
	named := Route("alice", Server(t, "alice-lab2").URL)
	named.Prefix, named.Server = routes.UserPrefix("alice", "lab2"), "lab2"
	w.PutRoute(named)
	w.Start(make)
	const hub, alice, bob = "hub", "alice", "bob"
	// Traefik normalises first (reference 0.2), so that some rows arrive as another path, which is decided as such.
	normalised := map[string][2]string{
		"/user/alice/../bob/": {"403", bob}, "/user/alice/%2e%2e/bob/": {"403", bob}, "/user/alice/%2E./bob/": {"403", bob},
		"/user/alice/;/../../bob/": {"403", bob}, "/user/alice/../../hub/admin": {hub, hub}, "/user/%2e%2e/hub/api": {hub, hub},
		"//user/alice/": {alice, "403"}, "/user//alice/": {alice, "403"}, "/user/%61lice/": {alice, "403"}, "/%75ser/alice/": {alice, "403"},
		"/user/alice/.": {"301", "403"}, // to /user/alice/
	}
	for _, c := range []struct {
		target string
		alice  string // who gets the request with alice's token; a number is a status
		bob    string
	}{
		{"/user/alice/", alice, "403"}, {"/user/bob/", "403", bob}, {"/user/al/", "403", "403"},
		{"/user/alice/lab2/x", "alice-lab2", "403"}, {"/user/alice/lab2x/", alice, "403"}, {"/user/alice/lab", alice, "403"},
		{"/user/alice/../bob/", "400", "400"}, {"/user/alice/%2e%2e/bob/", "400", "400"}, {"/user/alice/%2E./bob/", "400", "400"},
		{"/user/alice/../../hub/admin", "400", "400"}, {"/user/%2e%2e/hub/api", "400", "400"},
		{"/user/alice/..%2fbob/", alice, "403"}, {"/user/alice/%2e%2e%2fbob/", alice, "403"},
		{"/user/alice/x/..%2f..%2fbob/", alice, "403"},
		{"/user%2falice/", "400", "400"}, {"/%2fuser/alice/", "400", "400"}, {"/user/alice%2fx/", "400", "400"},
		{"//user/alice/", "400", "400"}, {"/user//alice/", "400", "400"}, {"/user/alice//x", alice, "403"},
		{"/user/alice/%252e%252e/bob/", alice, "403"}, {"/user/alice/..%252fbob/", alice, "403"}, {"/user/%2561lice/", "400", "400"},
		{`/user/alice/..\bob/`, alice, "403"}, {"/user/alice/..%5cbob/", alice, "403"},
		{`/user\alice/`, "400", "400"}, {"/user%5calice/", "400", "400"}, {"/user/alice%5c../", "400", "400"},
		{"/user/alice/;/../../bob/", "400", "400"}, {"/user/alice/..;/bob/", alice, "403"}, {"/user/alice;x=1/", "400", "400"},
		{"/user/alice%00/", "400", "400"}, {"/user/alice%3f/", "400", "400"}, {"/user/alice%23/", "400", "400"},
		{"/user/alice%0d%0a/", "400", "400"}, {"/user/alice%7f/", "400", "400"},
		{"/user/alice/..%c0%afbob/", alice, "403"}, {"/user/alice%c0%af/", "400", "400"},
		{"/user/%61lice/", "400", "400"}, {"/%75ser/alice/", "400", "400"},
		{"/user/ALICE/", "424", "424"}, {"/USER/alice/", hub, hub}, {"/user/", hub, hub}, {"/user/carol/", "424", "424"},
		{"/hub/admin", hub, hub}, {"/hubx/", hub, hub}, {"/", hub, hub}, {"/hub/api/users/a%2Fb", hub, hub},
		{"http://evil.test/user/alice/", alice, "403"},
		{"/user/alice#/bob", "400", "400"}, {"/user/alice/%zz", "400", "400"}, {"/user/alice/%", "400", "400"}, {"user/alice/", "400", "400"},
		{"/user/a%20b/", "403", "403"}, {"/user/a%40b/", "403", "403"}, {"/user/a@b/", "403", "403"},
		{"/user/alice/.", "400", "400"}, {"/user/alice/...", alice, "403"}, {"/user/alice/.hidden", alice, "403"},
		{"/user/ali%CC%81ce/", "424", "424"}, {"/user/%EF%BD%81lice/", "424", "424"},
	} {
		if n, ok := normalised[c.target]; ok && w.behindTraefik() {
			c.alice, c.bob = n[0], n[1]
		}
		for user, want := range map[string]string{"alice": c.alice, "bob": c.bob} {
			a := w.Raw("GET " + c.target + " HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\nAuthorization: token " + w.TokenOf(user) + "\r\n\r\n")
			got := strconv.Itoa(a.Status)
			if seen := a.Seen(); seen != nil {
				got = seen.Server
				if u, err := url.Parse(c.target); err == nil && u.Host == "" && !w.behindTraefik() && seen.Target != strings.ReplaceAll(c.target, `\`, "%5C") {
					t.Errorf("%s: the server got %q", c.target, seen.Target)
				}
			}
			if got != want {
				t.Errorf("GET %s as %s: %s, want %s (%s)", c.target, user, got, want, a.Body)
			}
		}
	}
}

func tokens(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Put(routes.SigningKeyKey(w.Prefix, "short"), routes.Key{Schema: 1, ID: "short", Hub: HubID, Public: []byte("short")})
	w.Start(make)
	good := w.TokenOf("alice")
	now := time.Now().Unix()
	claims := func(change func(c *routes.Claims)) string {
		c := Claims("alice")
		change(&c)
		return w.Token(c)
	}
	dots := strings.Split(good, ".")
	head := func(text string) string { return part(good, 0, text) }
	refused := map[string]string{
		"no algorithm":        head(`{"alg":"none","typ":"edgehub-edge+jwt","kid":"k1"}`),
		"nOnE":                head(`{"alg":"nOnE","typ":"edgehub-edge+jwt","kid":"k1"}`),
		"HS256":               head(`{"alg":"HS256","typ":"edgehub-edge+jwt","kid":"k1"}`),
		"no signature":        dots[0] + "." + dots[1] + ".",
		"two dots":            "..",
		"other type":          head(`{"alg":"EdDSA","typ":"JWT","kid":"k1"}`),
		"unknown key":         head(`{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k2"}`),
		"key of wrong length": head(`{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"short"}`),
		"key as path":         head(`{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"../../x"}`),
		"extra header":        head(`{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k1","jku":"http://evil"}`),
		"payload changed":     part(good, 1, `{"iss":"hub-under-test","aud":"edge","sub":"alice"}`),
		"padding":             good + "=",
		"newline inside":      dots[0] + "." + dots[1] + ".%0a" + dots[2],
		"long":                good + strings.Repeat("A", 4000),
		"dots":                strings.Repeat(".", 3000),
		"expired":             claims(func(c *routes.Claims) { c.IssuedAt, c.Expires = now-200, now-31 }),
		"lives too long":      claims(func(c *routes.Claims) { c.Expires = c.IssuedAt + routes.TokenLife + 1 }),
		"issued in future":    claims(func(c *routes.Claims) { c.IssuedAt, c.Expires = now+60, now+120 }),
		"not before":          claims(func(c *routes.Claims) { c.NotBefore = now + 60 }),
		"no expiry":           claims(func(c *routes.Claims) { c.Expires = 0 }),
		"other issuer":        claims(func(c *routes.Claims) { c.Issuer = "staging" }),
		"no user id":          claims(func(c *routes.Claims) { c.UserID = "" }),
		"no session":          claims(func(c *routes.Claims) { c.Session = "" }),
		"other spelling":      good[:len(good)-1] + otherLast(good[len(good)-1]),
		"API token":           "not-known-to-the-hub-0123456789",
	}
	for name, token := range refused {
		for _, header := range []string{"Authorization: token " + token, "Cookie: edgehub=" + token} {
			a := w.Raw("GET /user/alice/api HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\n" + header + "\r\n\r\n")
			if a.Status != 403 || !strings.Contains(a.Body, "unauthenticated") {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
	}
	for name, token := range map[string]string{
		"good":             good,
		"expired, leeway":  claims(func(c *routes.Claims) { c.IssuedAt, c.Expires = now-200, now-20 }),
		"early, leeway":    claims(func(c *routes.Claims) { c.IssuedAt, c.Expires = now+20, now+120 }),
		"the longest life": claims(func(c *routes.Claims) { c.Expires = c.IssuedAt + routes.TokenLife }),
	} {
		if a := w.Do(w.Request("GET", "/user/alice/api", "Authorization", "tOkEn "+token)); a.Status != 200 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	// Revoked by session, by token and by user; another session of the same user goes on.
	token := func(session string, at int64) string {
		return claims(func(c *routes.Claims) { c.Session, c.IssuedAt = session, at })
	}
	tid := claims(func(c *routes.Claims) { c.Session, c.Token = "", "t1" })
	old, young := token("s1", now-100), token("s2", now-5)
	status := func(token string) int {
		return w.Do(w.Request("GET", "/user/alice/api", "Authorization", "token "+token)).Status
	}
	for _, tok := range []string{tid, old, young} {
		if got := status(tok); got != 200 {
			t.Fatalf("before the revocation: %d", got)
		}
	}
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedToken, "t1"), routes.Revocation{Schema: 1})
	w.Eventually("the token is refused", func() bool { return status(tid) == 403 })
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedUser, "id-alice"), routes.Revocation{Schema: 1, Before: now - 50})
	w.Eventually("old sessions are refused", func() bool { return status(old) == 403 })
	if got := status(young); got != 200 {
		t.Errorf("a session after the revocation: %d", got)
	}
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "s2"), "not a record")
	w.Eventually("the session is refused", func() bool { return status(young) == 403 })
	// The key's end ends what it signed, cached or not.
	if got := status(good); got != 200 {
		t.Fatalf("before the key's end: %d", got)
	}
	w.Delete(routes.SigningKeyKey(w.Prefix, w.Kid))
	w.Eventually("tokens of a removed key are refused", func() bool { return status(good) == 403 })
}

// otherLast is another base64url character that differs only in the bits that a signature's last character ignores.
func otherLast(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

func duplicates(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make)
	alice, bob := w.TokenOf("alice"), w.TokenOf("bob")
	for _, c := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"two Authorization", []string{"Authorization", "token " + alice, "Authorization", "token " + alice}, 400},
		{"cookie twice in a line", []string{"Cookie", "edgehub=" + alice + "; edgehub=" + alice}, 400},
		{"cookie twice in two lines", []string{"Cookie", "edgehub=" + alice, "Cookie", "a=b; edgehub=x"}, 400},
		{"cookie beside others", []string{"Cookie", "a=b", "Cookie", "c=d; edgehub=" + alice + "; xedgehub=1"}, 200},
		{"cookie with tabs", []string{"Cookie", "a=b;\tedgehub=" + alice}, 200},
		{"other case", []string{"Cookie", "EdgeHub=" + alice}, 403},
		{"secure name without TLS", []string{"Cookie", "__Host-edgehub=" + alice}, 403},
		{"secure name with TLS", []string{"Cookie", "__Host-edgehub=" + alice, "X-Forwarded-Proto", "https"}, 200},
		{"plain name with TLS", []string{"Cookie", "edgehub=" + alice, "X-Forwarded-Proto", "https"}, 403},
		{"U+2000 before the name", []string{"Cookie", "\u2000edgehub=" + alice}, 403},
		{"quoted value", []string{"Cookie", `edgehub="` + alice + `"`}, 403},
		{"name in a value", []string{"Cookie", "=edgehub=" + alice}, 403},
		{"header counts before cookie", []string{"Authorization", "token " + bob, "Cookie", "edgehub=" + alice}, 403},
		{"invalid header, valid cookie", []string{"Authorization", "token junk", "Cookie", "edgehub=" + alice}, 200},
		{"unknown header, valid cookie", []string{"Authorization", "token " + strings.Repeat("u", 32), "Cookie", "edgehub=" + alice}, 200},
		{"the server's own secret, valid cookie", []string{"Authorization", "token " + Secret, "Cookie", "edgehub=" + alice}, 200},
		{"the server's own secret alone", []string{"Authorization", "token " + Secret}, 403},
		{"Basic, valid cookie", []string{"Authorization", "Basic YTpi", "Cookie", "edgehub=" + alice}, 200},
		{"Basic alone", []string{"Authorization", "Basic YTpi"}, 403},
	} {
		if w.behindTraefik() && c.headers[len(c.headers)-1] == "https" {
			continue // Traefik says itself whether there is TLS
		}
		if a := w.Do(w.Request("GET", "/user/alice/api", c.headers...)); a.Status != c.want {
			t.Errorf("%s: %d, want %d: %s", c.name, a.Status, c.want, a.Body)
		}
	}
	if a := w.Do(w.Request("GET", "/user/alice/api?token="+alice)); a.Status != 403 {
		t.Errorf("token in the query: %d", a.Status)
	}
}

func badRecords(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	server := Server(t, "alice")
	w.PutRoute(Route("alice", server.URL))
	w.Put(routes.RouteKey(w.Prefix, "/user/broken/"), "{")
	w.Put(routes.RouteKey(w.Prefix, "/user/alice"), Route("alice", server.URL)) // not canonical: must not shadow or remove
	w.Put(routes.RouteKey(w.Prefix, "/hub/"), `{"v":1,"prefix":"/hub/","target":"http://127.0.0.1:1","auth":"none"}`)
	w.Put(w.Prefix+routes.KeysTree+"bad%zz", "{")
	w.Put(w.Prefix+routes.HubsTree+"h", `{"v":1,"url":"ftp://x"}`)
	w.Put(w.Prefix+routes.EdgeTree+"later/x", "of a later version")
	w.Start(make)
	isAlice := func() bool {
		a := w.Get("alice", "/user/alice/x")
		return a.Status == 200 && a.Seen().Server == "alice"
	}
	if !isAlice() {
		t.Error("a good route suffers from bad ones")
	}
	for _, change := range []func(r *routes.Route){
		func(r *routes.Route) { r.Schema = 99 }, func(r *routes.Route) { r.Target = "http://u:p@127.0.0.1/" },
		func(r *routes.Route) { r.Auth = "magic" }, func(r *routes.Route) { r.Secret = "short" }, func(r *routes.Route) { r.OwnerID = "" },
	} {
		bad := Route("alice", server.URL)
		change(bad)
		w.PutRoute(bad)
		w.Eventually("the route that went bad is absent", func() bool { return w.Get("alice", "/user/alice/x").Status == 424 })
		w.PutRoute(Route("alice", server.URL))
		w.Eventually("and back", isAlice)
	}
	w.Delete(routes.RouteKey(w.Prefix, "/user/alice"))
	w.Put(routes.RouteKey(w.Prefix, "/user/marker/"), Route("marker", server.URL))
	w.Eventually("a later change arrives", func() bool { return w.Get("marker", "/user/marker/").Status == 200 })
	if !isAlice() {
		t.Error("removing a bad key removed a good route")
	}
	if s := w.Get("", "/hub/login").Seen(); s == nil || s.Server != "hub" {
		t.Error("a route took /hub/ away")
	}
}
