package edgetest

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// methods: nothing but the address and the credential decides where a request goes, and what is not known is treated as a
// change (T16).
func methods(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make)
	token := "Authorization: token " + w.TokenOf("alice") + "\r\n"
	cookie := "Cookie: edgehub=" + w.TokenOf("alice") + "\r\n"
	for _, c := range []struct{ line, headers, want string }{
		{"CONNECT 127.0.0.1:22", token, ""}, {"CONNECT hub.test:80", token, ""}, {"TRACE /user/alice/x", token, ""}, {"TRACE /hub/x", "", ""},
		{"OPTIONS *", token, ""}, {"GET *", token, ""}, {"OPTIONS /user/alice/x", token, "alice"}, {"OPTIONS /user/alice/x", "", ""},
		{"BREW /user/alice/x", token, "alice"}, {"get /user/alice/x", token, "alice"}, {"BREW /user/alice/x", "", ""}, {"BREW /user/alice/x", cookie, ""},
		{"BREW /user/alice/x", cookie + "Origin: http://hub.test\r\n", "alice"}, {"PROPFIND /user/alice/x", cookie + "Origin: http://evil.test\r\n", ""},
		{"PRI /user/alice/x", "", ""},
	} {
		a := w.Raw(c.line + " HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\nX-Probe: canary-probe\r\n" + c.headers + "\r\n")
		got := ""
		if seen := a.Seen(); seen != nil {
			got = seen.Server
		}
		if got != c.want || c.want == "" && strings.Contains(a.Body, "canary-probe") {
			t.Errorf("%s with %q: %d %s, want it at %q", c.line, c.headers, a.Status, a.Body, c.want)
		}
	}
}

// confusion puts every kind of credential in every place; each opens only what it is for (T27).
func confusion(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	route := Route("alice", Server(t, "alice").URL)
	route.Auth = routes.AuthTicket
	w.PutRoute(route)
	w.Start(make)
	const apiToken = "canary-api-token-0123456789"
	w.Hub.OnExchange(func(token string) (string, int) {
		if token != apiToken {
			return "", http.StatusForbidden
		}
		return w.TokenOf("alice"), http.StatusOK
	})
	session := w.TokenOf("alice")
	claims := Claims("alice")
	claims.Session, claims.Token = "", "t1"
	jwt := func(header, audience string) string {
		enc := base64.RawURLEncoding
		signed := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(`{"iss":"`+HubID+`","aud":"`+audience+
			`","sub":"alice","uid":"id-alice","sid":"s1","scopes":["inherit"],"iat":`+unix(-5)+`,"exp":`+unix(600)+`}`))
		return signed + "." + enc.EncodeToString(ed25519.Sign(w.Key, []byte(signed)))
	}
	const edgeHeader = `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k1"}`
	ticket := strings.TrimPrefix(w.Get("alice", "/user/alice/x").Seen().Header.Get("Authorization"), "token ")
	// header, edge cookie, another cookie, query, and /hub/api/user answered by the edge
	kinds := map[string]struct{ token, opens string }{
		"session's edge token": {session, "hc"}, "API token's edge token": {w.Token(claims), "hc"}, "API token": {apiToken, "h"},
		"visitor ticket": {ticket, "u"}, "server's secret": {Secret, ""}, "made by hand": {jwt(edgeHeader, "edge"), "hc"},
		"same key, other audience": {jwt(edgeHeader, "hub"), ""}, "same key, identity token": {jwt(`{"alg":"EdDSA","typ":"JWT","kid":"k1"}`, "edge"), ""},
		"same key, access token": {jwt(`{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}`, "edge"), ""}, "session id": {"session-alice", ""},
		"state of a sign-in": {base64.RawURLEncoding.EncodeToString([]byte(`{"next":"/user/alice/","browser":"x"}`)), ""},
	}
	for name, kind := range kinds {
		for place, r := range map[string]*http.Request{
			"h": w.Request("GET", "/user/alice/api", "Authorization", "Bearer "+kind.token),
			"b": w.Request("GET", "/user/alice/api", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("alice:"+kind.token))),
			"c": w.Request("GET", "/user/alice/api", "Cookie", "edgehub="+kind.token),
			"s": w.Request("GET", "/user/alice/api", "Cookie", "edgehub-session="+kind.token+"; __Host-edgehub="+kind.token+"; jupyterhub-session-id="+kind.token),
			"q": w.Request("GET", "/user/alice/api?token="+kind.token),
			"x": w.Request("GET", "/user/alice/api", "X-Edgehub-Token", kind.token, "X-Jupyterhub-Token", kind.token, "Proxy-Authorization", "Bearer "+kind.token),
			"u": w.Request("GET", "/hub/api/user", "Authorization", "token "+kind.token),
		} {
			a := w.Do(r)
			opened := a.Status == 200 && (a.Seen() == nil || a.Seen().Server != "hub")
			if opened != strings.Contains(kind.opens, place) {
				t.Errorf("%s in place %q: %d %s", name, place, a.Status, a.Body)
			}
		}
	}
}

// unix is the time some seconds from now.
func unix(from int64) string { return strconv.FormatInt(time.Now().Unix()+from, 10) }

// forgedForms sends every header in which a visitor could speak for a proxy, in every spelling, to servers and to the control
// plane (T39 to T41).
func forgedForms(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make)
	names := strings.Fields("X-Edgehub-User X-Edgehub-Groups X-Edgehub- Remote-User Remote-Groups Remote-Name Remote-Email X-Remote-User X-Forwarded-User " +
		"X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token X-Forwarded-Prefix X-Forwarded-Uri X-Forwarded-Method " +
		"X-Forwarded-Tls-Client-Cert X-Forwarded-Scheme X-Forwarded-Ssl X-Original-Url X-Rewrite-Url Forwarded X-Auth-Request-User X-Auth-Request-Email " +
		"X-WebAuth-User X-User Proxy-Authorization")
	for _, target := range []string{"/user/alice/x", "/hub/x"} {
		for _, form := range []func(string) string{
			func(s string) string { return s }, strings.ToLower, strings.ToUpper,
			func(s string) string { return strings.ReplaceAll(s, "-", "_") }, func(s string) string { return strings.Replace(s, "-", "_", 1) },
			func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) },
		} {
			raw := "GET " + target + " HTTP/1.1\r\nHost: hub.test\r\nConnection: close, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Forwarded-Port\r\n" +
				"Authorization: token " + w.TokenOf("alice") + "\r\n"
			for _, name := range names {
				raw += form(name) + ": forged\r\n"
			}
			a := w.Raw(raw + "\r\n")
			seen := a.Seen()
			if seen == nil || strings.Contains(a.Body, "forged") {
				t.Errorf("%s with %s and the like: %d %s", target, form("X-Edgehub-User"), a.Status, a.Body)
				continue
			}
			// What Connection names does not take away what the edge says.
			for name, want := range map[string]string{"X-Forwarded-Host": "hub.test", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "80", "X-Forwarded-For": "127.0.0.1"} {
				if got := seen.Header.Get(name); got != want {
					t.Errorf("%s: %s is %q, want %q", target, name, got, want)
				}
			}
		}
	}
}

// cookieForms are cookies that some reader takes for the hub's (T49 to T51).
func cookieForms(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make)
	alice, bob := w.TokenOf("alice"), w.TokenOf("bob")
	for cookie, want := range map[string]int{
		"edgehub=" + alice: 200, "a=b; edgehub=" + alice + ";": 200, "edgehub=" + alice + "; Edgehub=" + bob: 200, "edgehub=" + alice + "; edgehub-x=" + bob: 200,
		"edgehub=" + alice + "; edgehub=" + alice: 400, "edgehub=; edgehub=" + alice: 400, "edgehub=" + bob + "; \tedgehub\t=" + alice: 400,
		"\u2000edgehub=" + alice: 403, "edgehub\u2000=" + alice: 403, "\u00a0edgehub=" + alice: 403, `"edgehub"=` + alice: 403, `edgehub="` + alice + `"`: 403,
		"$Version=1; $edgehub=" + alice: 403, "$Version=1; a=b; $Path=/; edgehub=" + bob: 403, "=edgehub=" + alice: 403, "=" + alice: 403, alice: 403, "edgehub:" + alice: 403,
		"edgehub%3D" + alice: 403, "%65dgehub=" + alice: 403, "a=b, edgehub=" + alice: 403, "edgehub[]=" + alice: 403, "edgehub.=" + alice: 403, "edgehub=" + alice + ", edgehub=" + bob: 403,
		"__Secure-edgehub=" + alice: 403, "__Host-edgehub=" + alice: 403, "__host-edgehub=" + alice: 403, "jupyterhub-session-id=" + alice: 403,
	} {
		a := w.Do(w.Request("GET", "/user/alice/api", "Cookie", cookie))
		if a.Status != want {
			t.Errorf("%.40q: %d %s, want %d", cookie, a.Status, a.Body, want)
		}
		if seen := a.Seen(); seen != nil && (strings.Contains(a.Body, alice) || strings.Contains(a.Body, bob)) {
			t.Errorf("%.40q: the server gets %v", cookie, seen.Header)
		}
	}
}

// foreignOrigins are origins that look like the hub's (T56).
func foreignOrigins(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make, func(o *Options) { o.PublicURL = "https://hub.example.org" })
	cookie := "__Host-edgehub=" + w.TokenOf("alice")
	const socket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + browserKey + "\r\n"
	for _, origin := range []string{
		"https://evil.test", "https://other.example.org", "https://example.org", "https://a.hub.example.org", "https://hub.example.org.evil.test",
		"https://evilhub.example.org", "http://hub.example.org", "https://hub.example.org:444", "https://hub.example.org.", "https://hub.example.org/",
		"https://hub.example.org@evil.test", "https://evil.test#hub.example.org", "https://evil.test, https://hub.example.org", "null", "", "file://",
		"chrome-extension://hub.example.org", "hub.example.org", "//hub.example.org", "https://hub.example.org%00.evil.test", "https://HUB.example.org\u212a",
	} {
		for _, line := range []string{"GET /user/alice/ws HTTP/1.1\r\n" + socket, "POST /user/alice/api HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n",
			"DELETE /user/alice/api HTTP/1.1\r\nConnection: close\r\nX-XSRFToken: 1\r\n"} {
			if a := w.Raw(line + "Host: hub.example.org\r\nOrigin: " + origin + "\r\nCookie: " + cookie + "\r\n\r\n"); a.Status != 403 || a.Seen() != nil {
				t.Errorf("Origin %q on %.20q: %d %s", origin, line, a.Status, a.Body)
			}
		}
	}
}
