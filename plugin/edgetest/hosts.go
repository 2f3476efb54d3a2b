package edgetest

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/edgehub/edgehub/routes"
)

// The hosts of a world with a host for each user.
const (
	hubAt   = "hub.example.org"
	aliceAt = "alice.hub.example.org"
	bobAt   = "bob.hub.example.org"

	hostCookie = "__Host-edgehub"
)

// asPerson are the headers of a browser that opens a page.
func asPerson(headers ...string) []string {
	return append(headers, "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
}

// hostsWorld is a world where alice, bob and a user whose name is no label have servers and a host each.
func hostsWorld(t *testing.T, make Maker, change ...func(*Options)) *World {
	w := NewWorld(t, SharedEtcd(t))
	for _, user := range []string{"alice", "bob", "A b"} {
		w.PutRoute(Route(user, Server(t, user).URL))
	}
	dash := Route("alice", Server(t, "dash").URL)
	dash.Prefix, dash.Auth, dash.Secret = "/dash/", routes.AuthNone, ""
	w.PutRoute(dash)
	status := *dash
	status.Prefix, status.Target, status.Owner, status.OwnerID = "/status/", Server(t, "status").URL, "", ""
	w.PutRoute(&status)
	w.Start(make, append(change, func(o *Options) {
		o.PublicURL = "https://" + hubAt
		o.UserDomain = hubAt
	})...)
	return w
}

// claimsOf is the payload of a token.
func claimsOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) < 2 {
		return ""
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	return string(payload)
}

// HostToken is an edge token of user that is good on one host only.
func (w *World) HostToken(user, host string) string {
	c := Claims(user)
	c.Host = host
	return w.Token(c)
}

func foreignHosts(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make, func(o *Options) {
		o.PublicURL, o.APIHosts = "https://"+hubAt+":443/", []string{"10.0.0.7:8000", "inside:443"}
	})
	everywhere := []string{"/", "/hub/login", "/hub/api/user", "/hub/health", "/user/alice/", "/user/alice/api", "/user/nobody/", "/.edgehub/visit"}
	ask := func(host, path string) *Answer {
		return w.Do(w.RequestAt(host, "GET", path, "Authorization", "token "+w.TokenOf("alice"), "Cookie", hostCookie+"="+w.TokenOf("alice")))
	}
	for _, host := range []string{hubAt, hubAt + ":443", "HUB.Example.org"} {
		for _, path := range everywhere {
			if a := ask(host, path); a.Status == http.StatusMisdirectedRequest {
				t.Errorf("%s%s: 421", host, path)
			}
		}
	}
	for _, host := range []string{"evil.test", "127.0.0.1", hubAt + ":80", hubAt + ":8443", hubAt + ".evil.test", "x" + hubAt, aliceAt, hubAt + ".", "10.0.0.7"} {
		for i := 0; i < 2; i++ { // what is known of the hub's host must not help
			for _, path := range everywhere {
				if a := ask(host, path); a.Status != http.StatusMisdirectedRequest || a.Seen() != nil || strings.Contains(a.Body, host) {
					t.Errorf("%s%s: %d %s, want 421", host, path, a.Status, a.Body)
				}
			}
		}
	}
	for _, host := range []string{"10.0.0.7:8000", "inside"} {
		for path, want := range map[string]int{"/hub/api/user": 200, "/hub/health": 200, "/hub/login": 421, "/hub/apix": 421, "/hub/api": 200, "/": 421, "/user/alice/": 421} {
			if a := ask(host, path); a.Status != want {
				t.Errorf("%s%s: %d, want %d", host, path, a.Status, want)
			}
		}
	}
	if a := w.Raw("GET /user/alice/ HTTP/1.0\r\n\r\n"); a.Status != 400 && a.Status != 421 {
		t.Errorf("no host: %d %s", a.Status, a.Body)
	}
}

func userHosts(t *testing.T, make Maker) {
	w := hostsWorld(t, make)
	hashedAt := routes.UserLabel("A b") + "." + hubAt
	const person, program = true, false
	toHub, toAlice := "https://"+hubAt, "https://"+aliceAt
	for _, c := range []struct {
		host, target string
		person       bool
		headers      []string
		want         string // who gets it, where it is sent to, or part of the answer
		status       int
	}{
		{aliceAt, "/user/alice/x", program, []string{"Cookie", hostCookie + "=" + w.HostToken("alice", aliceAt)}, "alice", 200},
		{"ALICE.hub.example.org:443", "/user/alice/x", program, []string{"Cookie", hostCookie + "=" + w.HostToken("alice", aliceAt)}, "alice", 200},
		{hashedAt, "/user/A%20b/x", program, []string{"Cookie", hostCookie + "=" + w.HostToken("A b", hashedAt)}, "A b", 200},
		{aliceAt, "/dash/", person, nil, "dash", 200},
		{hubAt, "/status/", person, nil, "status", 200},
		{hubAt, "/dash/", person, nil, toAlice + "/dash/", 302},
		{bobAt, "/dash/", person, nil, "There is nothing here", 404},
		{aliceAt, "/status/", person, nil, "There is nothing here", 404},
		// People on the hub's host go to the user's; what else comes with a cookie is refused there.
		{hubAt, "/user/alice/lab?a=1&token=x", person, []string{"Cookie", hostCookie + "=" + w.TokenOf("alice")}, toAlice + "/user/alice/lab?a=1", 302},
		{hubAt, "/user/alice", person, nil, toAlice + "/user/alice", 302},
		{hubAt, "/user/A%20b/", person, nil, "https://" + hashedAt + "/user/A%20b/", 302},
		{hubAt, "/user/alice/api", program, []string{"Cookie", hostCookie + "=" + w.TokenOf("alice")}, aliceAt, 403},
		{hubAt, "/user/alice/api", program, []string{"Authorization", "token " + w.TokenOf("alice")}, "alice", 200},
		{hubAt, "/user/alice/api", program, []string{"Authorization", "token junk", "Cookie", hostCookie + "=" + w.TokenOf("alice")}, "unauthenticated", 403},
		{hubAt, "/user/alice/api", program, []string{"Authorization", "token " + w.TokenOf("bob"), "Cookie", hostCookie + "=" + w.TokenOf("alice")}, "forbidden", 403},
		// Servers that do not run.
		{hubAt, "/user/carol/lab", person, nil, toHub + "/hub/user/carol/lab", 302},
		{"carol." + hubAt, "/user/carol/lab?x=1", person, nil, toHub + "/hub/user/carol/lab?x=1", 302},
		{"carol." + hubAt, "/user/carol/api", program, nil, toHub + "/hub/spawn/carol", 424},
		{hubAt, "/user/carol/api", program, nil, toHub + "/hub/spawn/carol", 424},
		{aliceAt, "/user/carol/lab", person, nil, "There is nothing here", 404},
		// Nothing else is on a user's host.
		{aliceAt, "/user/bob/", program, []string{"Authorization", "token " + w.TokenOf("bob")}, "not_found", 404},
		{aliceAt, "/user/bob/", program, []string{"Authorization", "token " + w.HostToken("bob", aliceAt)}, "not_found", 404},
		{aliceAt, "/user/bob/", person, nil, "There is nothing here", 404},
		{aliceAt, "/hub/home?x=1", person, nil, toHub + "/hub/home?x=1", 302},
		{aliceAt, "/hub/login?token=x", person, nil, toHub + "/hub/login", 302},
		{aliceAt, "/", person, nil, toHub + "/", 302},
		{aliceAt, "/hub/api/user", program, []string{"Authorization", "token " + w.TokenOf("alice")}, "not_found", 404},
		{aliceAt, "/hub/api/users", person, nil, "not_found", 404},
		{aliceAt, "/hubx", person, nil, "There is nothing here", 404},
		{aliceAt, "/services/x/", person, nil, "There is nothing here", 404},
		{"evil.test", "/user/alice/", person, nil, "not served", 421},
		{"a.alice.hub.example.org", "/user/alice/", person, nil, "not served", 421},
		{"alice.hub.example.org:8443", "/user/alice/", person, nil, "not served", 421},
	} {
		headers := c.headers
		if c.person {
			headers = asPerson(headers...)
		}
		for i := 0; i < 2; i++ {
			a := w.Do(w.RequestAt(c.host, "GET", c.target, headers...))
			got := a.Header.Get("Location") + a.Body
			if seen := a.Seen(); seen != nil {
				got = seen.Server
				if strings.Contains(strings.Join(seen.Header["Cookie"], ";"), "edgehub") || c.host == hubAt && len(seen.Header["Cookie"]) > 0 {
					t.Errorf("%s%s: the server got %v", c.host, c.target, seen.Header)
				}
				if c.host != hubAt && seen.Header.Get("X-Forwarded-Host") != strings.ToLower(strings.TrimSuffix(c.host, ":443")) {
					t.Errorf("%s%s: the server is told of the host %q", c.host, c.target, seen.Header.Get("X-Forwarded-Host"))
				}
			}
			if a.Status != c.status || !strings.Contains(got, c.want) || c.status == 302 && got != c.want {
				t.Errorf("GET %s%s %.60q: %d %s, want %d %s", c.host, c.target, headers, a.Status, got, c.status, c.want)
			}
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		a := w.Do(w.RequestAt(aliceAt, method, "/hub/api/users", asPerson("Origin", toAlice)...))
		if a.Status != 404 || a.Seen() != nil {
			t.Errorf("%s to the hub's API on a user's host: %d %s", method, a.Status, a.Body)
		}
	}
	if n := w.Hub.Calls("/hub/api/users") + w.Hub.Calls("/hub/home") + w.Hub.Calls("/hubx"); n != 0 {
		t.Errorf("the control plane got %d requests from users' hosts", n)
	}
}

func userHostVisit(t *testing.T, make Maker) {
	w := hostsWorld(t, make)
	code := strings.Repeat("c0de", 16)
	redeemed := 0
	answers := w.HostToken("alice", aliceAt)
	next := "/user/alice/lab?x=1"
	w.Hub.OnRedeem(func(c, host, state string) (string, string) {
		redeemed++
		if c != code || host != aliceAt || len(state) != 32 {
			t.Errorf("redeemed %q for %q with state %q", c, host, state)
		}
		return answers, next
	})
	start := w.Do(w.RequestAt(aliceAt, "GET", "/user/alice/lab?x=1&token=t", asPerson()...))
	to, err := url.Parse(start.Header.Get("Location"))
	if err != nil || start.Status != 302 || to.Scheme+"://"+to.Host+to.Path != "https://"+hubAt+"/hub/edge/visit" {
		t.Fatalf("without a cookie: %d %v", start.Status, start.Header)
	}
	state := to.Query().Get("state")
	if to.Query().Get("host") != aliceAt || to.Query().Get("next") != next || len(state) != 32 {
		t.Errorf("sent to %s", to)
	}
	cookie := start.Header.Get("Set-Cookie")
	if cookie != hostCookie+"-state="+state+"; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure" {
		t.Errorf("state in %q", cookie)
	}
	again := w.Do(w.RequestAt(aliceAt, "GET", "/user/alice/", asPerson("Cookie", hostCookie+"-state="+state)...))
	if !strings.Contains(again.Header.Get("Location"), "state="+state) {
		t.Errorf("a second tab gets another state: %v", again.Header)
	}
	if a := w.Do(w.RequestAt(aliceAt, "GET", "/user/alice/api")); a.Status != 403 || len(a.Header["Set-Cookie"]) > 0 {
		t.Errorf("a program is sent to sign in: %d %v", a.Status, a.Header)
	}

	visit := func(host, query string, headers ...string) *Answer {
		return w.Do(w.RequestAt(host, "GET", "/.edgehub/visit?"+query, asPerson(headers...)...))
	}
	withState := []string{"Cookie", hostCookie + "-state=" + state}
	full := "code=" + code + "&state=" + state
	other := strings.Repeat("0", 32)
	// What does not fit never reaches the hub, and shows no page whose address has the code.
	for name, a := range map[string]*Answer{
		"no state cookie":     visit(aliceAt, full),
		"another's state":     visit(aliceAt, full, "Cookie", hostCookie+"-state="+other),
		"two states":          visit(aliceAt, full, "Cookie", hostCookie+"-state="+state+"; "+hostCookie+"-state="+state),
		"state of plain HTTP": visit(aliceAt, full, "Cookie", "edgehub-state="+state),
		"no code":             visit(aliceAt, "state="+state, withState...),
		"code of other shape": visit(aliceAt, "code=x&state="+state, withState...),
		"empty state":         visit(aliceAt, "code="+code+"&state=", "Cookie", hostCookie+"-state="),
	} {
		if a.Status != 302 || a.Header.Get("Location") != "/.edgehub/visit" || len(a.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %d %v", name, a.Status, a.Header)
		}
	}
	if redeemed != 0 {
		t.Errorf("%d codes were redeemed", redeemed)
	}
	if a := w.Do(w.RequestAt(aliceAt, "GET", "/.edgehub/visit", asPerson()...)); a.Status != 400 || !strings.Contains(a.Body, "open the page again") {
		t.Errorf("the bare address: %d %s", a.Status, a.Body)
	}
	if a := visit(hubAt, full, withState...); len(a.Header["Set-Cookie"]) > 0 && strings.Contains(a.Header.Get("Set-Cookie"), hostCookie+"=") {
		t.Errorf("on the hub's host: %v", a.Header)
	}

	a := visit(aliceAt, full, withState...)
	if a.Status != 302 || a.Header.Get("Location") != next || redeemed != 1 {
		t.Errorf("a good code: %d %v", a.Status, a.Header)
	}
	if got := a.Header.Get("Set-Cookie"); got != hostCookie+"="+answers+"; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure" {
		t.Errorf("the cookie: %q", got)
	}
	if a := w.Do(w.RequestAt(aliceAt, "GET", next, asPerson("Cookie", hostCookie+"="+answers)...)); a.Status != 200 {
		t.Errorf("with the cookie: %d %s", a.Status, a.Body)
	}
	for _, away := range []string{"", "//evil.test", "/\\evil.test", "https://evil.test/", "javascript:x", "evil.test", "/\t/evil.test", "/a\r\nb"} {
		next = away
		if a := visit(aliceAt, full, withState...); a.Header.Get("Location") != "/" {
			t.Errorf("next %q leads to %q", away, a.Header.Get("Location"))
		}
	}
	for _, token := range []string{"", "junk", w.TokenOf("alice"), w.HostToken("alice", bobAt)} {
		answers = token
		if a := visit(aliceAt, full, withState...); a.Header.Get("Location") != "/.edgehub/visit" || len(a.Header["Set-Cookie"]) > 0 {
			t.Errorf("the hub gave %q: %v", token, a.Header)
		}
	}
}

func hostBound(t *testing.T, make Maker) {
	w := hostsWorld(t, make)
	shared := Route("alice", Server(t, "alice").URL)
	shared.Users = []string{"id-bob"}
	w.PutRoute(shared)
	const api = "api-token-of-bob-0123456789"
	w.Hub.OnExchangeFor(func(token, host string) (string, int) {
		if token != api || host != "" {
			return "", 403
		}
		return w.TokenOf("bob"), 200
	})
	bobAtAlice := w.HostToken("bob", aliceAt)
	status := func(host, path string, headers ...string) int {
		return w.Do(w.RequestAt(host, "GET", path, headers...)).Status
	}
	cookie := func(token string) []string { return []string{"Cookie", hostCookie + "=" + token} }
	header := func(token string) []string { return []string{"Authorization", "token " + token} }
	w.Eventually("the share arrives", func() bool { return status(aliceAt, "/user/alice/x", cookie(bobAtAlice)...) == 200 })
	for i := 0; i < 2; i++ {
		for _, c := range []struct {
			name, host, path string
			headers          []string
			want             int
		}{
			{"own host", aliceAt, "/user/alice/x", cookie(bobAtAlice), 200},
			{"own host, header", aliceAt, "/user/alice/x", header(bobAtAlice), 200},
			{"bob's token for alice's host on bob's", bobAt, "/user/bob/x", cookie(bobAtAlice), 403},
			{"the same in a header", bobAt, "/user/bob/x", header(bobAtAlice), 403},
			{"on the hub's host", hubAt, "/user/alice/x", header(bobAtAlice), 403},
			{"on the hub's host, own server", hubAt, "/user/bob/x", header(bobAtAlice), 403},
			{"the hub's token on bob's host", bobAt, "/user/bob/x", cookie(w.TokenOf("bob")), 403},
			{"the same in a header", bobAt, "/user/bob/x", header(w.TokenOf("bob")), 403},
			{"API token on a user's host", aliceAt, "/user/alice/x", header(api), 200},
			{"API token on bob's host", bobAt, "/user/bob/x", header(api), 200},
			{"API token on the hub's host", hubAt, "/user/alice/x", header(api), 200},
		} {
			if got := status(c.host, c.path, c.headers...); got != c.want {
				t.Errorf("%s: %d, want %d", c.name, got, c.want)
			}
		}
	}
	// One session has a token for each host, and each is renewed for its own.
	renewed := func(host, user string) string {
		c := Claims(user)
		c.Session, c.Host, c.IssuedAt, c.Expires = "session-bob", host, time.Now().Unix()-2000, time.Now().Unix()+1000
		c.UserID, c.Subject = "id-bob", "bob"
		old := w.Token(c)
		var line string
		w.Eventually("a newer token for "+host, func() bool {
			line = w.Do(w.RequestAt(host, "GET", "/user/"+user+"/x", cookie(old)...)).Header.Get("Set-Cookie")
			return line != ""
		})
		return line
	}
	w.Hub.OnRenew(func(token string) (string, int) {
		for _, host := range []string{aliceAt, bobAt} {
			if strings.Contains(claimsOf(token), `"host":"`+host+`"`) {
				return w.HostToken("bob", host), 200
			}
		}
		return w.TokenOf("bob"), 200
	})
	for host, user := range map[string]string{aliceAt: "alice", bobAt: "bob"} {
		line := renewed(host, user)
		if !strings.Contains(claimsOf(strings.TrimPrefix(line, hostCookie+"=")), `"host":"`+host+`"`) {
			t.Errorf("on %s the newer token is %s", host, line)
		}
	}
	// The end of the session is the end on every host.
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "session-bob"), routes.Revocation{Schema: 1})
	w.Eventually("the session is over", func() bool { return status(aliceAt, "/user/alice/x", cookie(bobAtAlice)...) == 403 })

	// An edge without hosts of users takes none of these tokens.
	plain := NewWorld(t, SharedEtcd(t))
	plain.PutRoute(Route("alice", Server(t, "alice").URL))
	plain.Start(make)
	if a := plain.Do(plain.Request("GET", "/user/alice/x", "Authorization", "token "+plain.HostToken("alice", aliceAt))); a.Status != 403 {
		t.Errorf("without hosts of users: %d", a.Status)
	}
}

func betweenHosts(t *testing.T, make Maker) {
	w := hostsWorld(t, make)
	w.PutRoute(Route("alice", echoSocket(t).URL))
	cookie := []string{"Cookie", hostCookie + "=" + w.HostToken("alice", aliceAt)}
	own, bobs, hubs := "https://"+aliceAt, "https://"+bobAt, "https://"+hubAt
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dial := func(origin string) int {
		h := http.Header{"Cookie": {cookie[1]}, "Origin": {origin}}
		conn, resp, err := websocket.Dial(ctx, "http://"+w.Addr+"/user/alice/ws", &websocket.DialOptions{Host: aliceAt, HTTPHeader: h})
		if err == nil {
			_ = conn.CloseNow()
		}
		if resp == nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	w.Eventually("the echo server is there", func() bool { return dial(own) == http.StatusSwitchingProtocols })
	for _, origin := range []string{bobs, hubs, "http://" + aliceAt, "null", own + ":8443", "https://x." + aliceAt} {
		if got := dial(origin); got != http.StatusForbidden {
			t.Errorf("a WebSocket from %s: %d", origin, got)
		}
	}
	get := func(headers ...string) int {
		return w.Do(w.RequestAt(aliceAt, "GET", "/user/alice/x", append(headers, cookie...)...)).Status
	}
	post := func(origin string) int {
		return w.Do(w.RequestAt(aliceAt, "POST", "/user/alice/x", append(cookie, "Origin", origin)...)).Status
	}
	if a, b, c := post(own), post(bobs), post(hubs); a != 200 || b != 403 || c != 403 {
		t.Errorf("POST from alice's host %d, bob's %d, the hub's %d", a, b, c)
	}
	// Twice, since the edge remembers who may what.
	for i := 0; i < 2; i++ {
		for _, c := range []struct {
			site, mode, dest string
			want             int
		}{
			{"same-origin", "cors", "empty", 200}, {"none", "navigate", "document", 200}, {"same-site", "navigate", "document", 200},
			{"cross-site", "navigate", "document", 200}, {"same-origin", "navigate", "iframe", 200},
			{"same-site", "no-cors", "image", 403}, {"same-site", "cors", "empty", 403}, {"cross-site", "no-cors", "script", 403},
			{"same-site", "navigate", "iframe", 403}, {"same-site", "navigate", "object", 403}, {"cross-site", "", "", 403},
		} {
			if got := get("Sec-Fetch-Site", c.site, "Sec-Fetch-Mode", c.mode, "Sec-Fetch-Dest", c.dest); got != c.want {
				t.Errorf("GET %s %s %s: %d, want %d", c.site, c.mode, c.dest, got, c.want)
			}
		}
	}
	if got := get(); got != 200 {
		t.Errorf("a client that says nothing: %d", got)
	}
}

// echoSocket is a server that accepts WebSockets and answers everything else with 200.
func echoSocket(t *testing.T) *httptest.Server {
	return Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return
		}
		if c, err := websocket.Accept(rw, r, &websocket.AcceptOptions{InsecureSkipVerify: true}); err == nil {
			_ = c.CloseNow()
		}
	})
}

func queryTokens(t *testing.T, make Maker) {
	on := func(o *Options) { o.QueryTokens = true }
	w := NewWorld(t, SharedEtcd(t))
	for _, user := range []string{"alice", "bob"} {
		w.PutRoute(Route(user, Server(t, user).URL))
	}
	open := Route("open", Server(t, "open").URL)
	open.Auth, open.Secret = routes.AuthNone, ""
	w.PutRoute(open)
	const api, unknown = "api-token-of-alice-0123456789", "api-token-of-nobody-0123456789"
	w.Hub.OnExchangeFor(func(token, host string) (string, int) {
		if token != api {
			return "", 403
		}
		return w.HostToken("alice", host), 200
	})
	w.Start(make, on)
	edge := w.TokenOf("alice")
	get := func(target string, headers ...string) *Answer { return w.Do(w.Request("GET", target, headers...)) }
	for i := 0; i < 2; i++ { // what the edge remembers of a visitor must not outlive the address
		for _, c := range []struct {
			name, target string
			headers      []string
			want         int
		}{
			{"an edge token", "/user/alice/x?a=%20&token=" + edge + "&b", nil, 200},
			{"an API token", "/user/alice/x?token=" + api, nil, 200},
			{"another spelling", "/user/alice/x?%74oken=" + api, nil, 200},
			{"none", "/user/alice/x", nil, 403},
			{"of another", "/user/alice/x?token=" + w.TokenOf("bob"), nil, 403},
			{"unknown", "/user/alice/x?token=" + unknown, nil, 403},
			{"empty", "/user/alice/x?token=", nil, 403},
			{"twice", "/user/alice/x?token=" + api + "&token=" + api, nil, 400},
			{"twice, once hidden", "/user/alice/x?token=" + api + "&tok%65n=" + edge, nil, 400},
			{"the same in a header", "/user/alice/x?token=" + api, []string{"Authorization", "Bearer " + api}, 200},
			{"another in a header", "/user/alice/x?token=" + api, []string{"Authorization", "token " + edge}, 400},
			{"beside a password", "/user/alice/x?token=" + api, []string{"Authorization", "Basic YTpi"}, 400},
			{"before a cookie", "/user/bob/x?token=" + api, []string{"Cookie", "edgehub=" + w.TokenOf("bob")}, 403},
			{"invalid, with a cookie", "/user/bob/x?token=junk", []string{"Cookie", "edgehub=" + w.TokenOf("bob")}, 200},
			{"the server's own, with a cookie", "/user/bob/x?token=" + Secret, []string{"Cookie", "edgehub=" + w.TokenOf("bob")}, 200},
			{"the server's own, beside another in a header", "/user/alice/x?token=" + Secret, []string{"Authorization", "token " + api}, 200},
			{"the server's own", "/user/bob/x?token=" + Secret, nil, 403},
			{"where everybody may", "/user/open/x?token=x&token=y", nil, 200},
		} {
			a := get(c.target, c.headers...)
			if a.Status != c.want {
				t.Errorf("%s: %d %s, want %d", c.name, a.Status, a.Body, c.want)
			}
			seen := a.Seen()
			if seen != nil && (strings.Contains(seen.Target, "oken") || strings.Contains(seen.Target, "tok%65n")) {
				t.Errorf("%s: the server got %s", c.name, seen.Target)
			}
			if seen != nil && seen.Server == "alice" && seen.Header.Get("Authorization") != "token "+Secret {
				t.Errorf("%s: the server got %v", c.name, seen.Header)
			}
			if len(a.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s: a program got a cookie: %v", c.name, a.Header)
			}
		}
	}
	if a := get("/user/alice/x?a=%20&token=" + edge + "&b"); a.Seen() == nil || a.Seen().Target != "/user/alice/x?a=%20&b" {
		t.Errorf("the rest of the query: %s", a.Body)
	}
	// A person's browser gets a cookie and an address without the token.
	for _, token := range []string{edge, api} {
		a := get("/user/alice/lab?x=1&token="+token+"&y", asPerson()...)
		cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
		if a.Status != 302 || a.Header.Get("Location") != "/user/alice/lab?x=1&y" || !strings.HasPrefix(cookie, "edgehub=") {
			t.Fatalf("a person: %d %v", a.Status, a.Header)
		}
		if a := get("/user/alice/lab", asPerson("Cookie", cookie)...); a.Status != 200 {
			t.Errorf("with the cookie: %d %s", a.Status, a.Body)
		}
	}
	a := get("/user/alice/lab?token="+api, asPerson("Cookie", "edgehub="+w.TokenOf("bob"))...)
	if a.Status != 302 || len(a.Header["Set-Cookie"]) > 0 {
		t.Errorf("a link turns bob into alice: %d %v", a.Status, a.Header)
	}
	if a := get("/user/alice/lab?token="+unknown+"&z", asPerson()...); a.Header.Get("Location") != "/hub/login?next=%2Fuser%2Falice%2Flab%3Fz" {
		t.Errorf("a person with an unknown token: %d %v", a.Status, a.Header)
	}
	if a := get("/user/carol/lab?z&token="+api, asPerson()...); a.Header.Get("Location") != "/hub/user/carol/lab?z" {
		t.Errorf("a server that does not run: %d %v", a.Status, a.Header)
	}

	split := hostsWorld(t, make, on)
	split.Hub.OnExchangeFor(func(_, host string) (string, int) { return split.HostToken("alice", host), 200 })
	a = split.Do(split.RequestAt(hubAt, "GET", "/user/alice/lab?token="+api, asPerson()...))
	if to := a.Header.Get("Location"); to != "https://"+aliceAt+"/user/alice/lab?token="+api || len(a.Header["Set-Cookie"]) > 0 {
		t.Errorf("on the hub's host: %d %v", a.Status, a.Header)
	}
	a = split.Do(split.RequestAt(aliceAt, "GET", "/user/alice/lab?token="+api, asPerson()...))
	if line := a.Header.Get("Set-Cookie"); a.Header.Get("Location") != "/user/alice/lab" || !strings.HasPrefix(line, hostCookie+"="+split.HostToken("alice", aliceAt)[:40]) ||
		!strings.Contains(claimsOf(line), aliceAt) {
		t.Errorf("on alice's host: %d %v", a.Status, a.Header)
	}
}
