package edgetest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgehub/edgehub/routes"
)

func hubGets(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.Start(make)
	token := w.TokenOf("alice")
	a := w.Do(w.Request("POST", "/hub/api/users?token=x&%zz", "Cookie", "edgehub="+token+"; edgehub-session=s", "Authorization", "token t", "Origin", "http://evil.test"))
	seen := a.Seen()
	if a.Status != 200 || seen == nil || seen.Server != "hub" || seen.Target != "/hub/api/users?token=x&%zz" ||
		seen.Header.Get("Cookie") != "edgehub="+token+"; edgehub-session=s" || seen.Header.Get("Authorization") != "token t" ||
		seen.Host != w.Addr || seen.Header.Get("X-Forwarded-Host") != seen.Host {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, target := range []string{"/", "/user/", "/hub/user/alice/lab", "/hub/api/user", "/services/x/", "/favicon.ico"} {
		if seen := w.Get("", target).Seen(); seen == nil || seen.Server != "hub" || seen.Target != target {
			t.Errorf("%s: %+v", target, seen)
		}
	}
}

func hubAway(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make)
	w.Hub.Stop()
	a := w.Get("", "/hub/api/")
	if a.Status != 503 || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, `"status":503`) {
		t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
	}
	if a := w.Do(w.Request("GET", "/hub/home", "Accept", "text/html")); a.Status != 503 || !strings.Contains(a.Body, "<html") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for range 100 {
		// JupyterLab's page sends the server's own secret, and other programs tokens of their own: both with the cookie.
		for _, token := range []string{w.TokenOf("alice"), Secret, strings.Repeat("u", 32)} {
			a := w.Do(w.Request("GET", "/user/alice/api", "Authorization", "token "+token, "Cookie", "edgehub="+w.TokenOf("alice")))
			if a.Status != 200 {
				t.Fatalf("a running server without the control plane: %d %s", a.Status, a.Body)
			}
		}
	}
	if a := w.Do(w.Request("GET", "/user/alice/api", "Authorization", "token "+strings.Repeat("u", 32))); a.Status != 503 {
		t.Errorf("an unknown API token while nobody can tell: %d", a.Status)
	}
}

func hubReplicas(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	second := newHub(t)
	w.Put(routes.HubKey(w.Prefix, "dead"), routes.Hub{Schema: 1, URL: "http://" + FreeAddr(t)})
	w.Put(routes.HubKey(w.Prefix, "one"), routes.Hub{Schema: 1, URL: w.Hub.URL})
	w.Start(make, func(o *Options) { o.Hub = nil })
	ask := func() *Answer { return w.Do(w.Request("POST", "/hub/api/x")) }
	for range 10 {
		if a := ask(); a.Status != 200 {
			t.Fatalf("with one dead replica: %d %s", a.Status, a.Body)
		}
	}
	w.Put(routes.HubKey(w.Prefix, "two"), routes.Hub{Schema: 1, URL: second.URL})
	w.Delete(routes.HubKey(w.Prefix, "one"))
	w.Eventually("the other replica answers", func() bool { ask(); return second.Calls("/hub/api/x") > 0 })
	w.Delete(routes.HubKey(w.Prefix, "two"))
	w.Eventually("nobody answers", func() bool { return ask().Status == 503 })
}

func exchange(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make)
	const path = "/hub/api/edge/exchange"
	known := "known-api-token-0123456789"
	issued := atomic.Int64{}
	w.Hub.OnExchange(func(token string) (string, int) {
		if token != known {
			return "", http.StatusForbidden
		}
		issued.Add(1)
		time.Sleep(50 * time.Millisecond) // long enough for the others to come and wait
		c := Claims("alice")
		c.Session, c.Token, c.IssuedAt = "", "tid", time.Now().Unix()
		return w.Token(c), http.StatusOK
	})
	status := func(token string) int {
		return w.Do(w.Request("GET", "/user/alice/api", "Authorization", "token "+token)).Status
	}
	wg := sync.WaitGroup{}
	for range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if got := status(known); got != 200 {
				t.Errorf("a known token: %d", got)
			}
		}()
	}
	wg.Wait()
	if n := issued.Load(); n != 1 {
		t.Errorf("exchanged %d times", n)
	}
	before := w.Hub.Calls(path)
	for range 10 {
		if got := status("unknown-api-token-0123456789"); got != 403 {
			t.Errorf("an unknown token: %d", got)
		}
	}
	for _, junk := range []string{"short", strings.Repeat("x", 300), "with spaces and more of it", "\"quoted-token-0123456789\""} {
		if got := status(junk); got != 403 {
			t.Errorf("junk: %d", got)
		}
	}
	if n := w.Hub.Calls(path) - before; n != 1 {
		t.Errorf("asked %d times for one unknown token and junk", n)
	}
	// "Sign out everywhere" does not end an API token, its own revocation does.
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedUser, "id-alice"), routes.Revocation{Schema: 1, Before: time.Now().Unix() - 1})
	w.Put(routes.RouteKey(w.Prefix, "/user/marker/"), Route("marker", "http://127.0.0.1:1"))
	w.Eventually("the change arrives", func() bool { return w.Get("marker", "/user/marker/").Status == 502 })
	w.Eventually("the token is exchanged anew", func() bool { return status(known) == 200 })
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedToken, "tid"), routes.Revocation{Schema: 1})
	w.Eventually("the revoked token is refused", func() bool { return status(known) == 403 })
	// A flood of unknown tokens is limited.
	before = w.Hub.Calls(path)
	flooded := false
	start := time.Now()
	for i := 0; i < 400; i++ {
		if status("flood-"+strings.Repeat("x", 16)+string(rune('A'+i%26))+string(rune('A'+i/26))) == http.StatusTooManyRequests {
			flooded = true
		}
	}
	limit := 101 + int(time.Since(start).Seconds()*50)
	if n := w.Hub.Calls(path) - before; n > limit || !flooded && limit < 400 {
		t.Errorf("%d calls for 400 unknown tokens, limit %d, flooded %v", n, limit, flooded)
	}
}

func renewal(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "public") {
			rw.Header().Set("Cache-Control", "public, max-age=60")
		}
	}).URL))
	w.Start(make)
	const path = "/hub/api/edge/renew"
	now := time.Now().Unix()
	c := Claims("alice")
	c.IssuedAt, c.Expires = now-2000, now+1000
	old := w.Token(c)
	c.IssuedAt, c.Expires = now-1, now+3000
	fresh := w.Token(c)
	release := make2[bool](0)
	letGo := sync.OnceFunc(func() { close(release) })
	t.Cleanup(letGo)
	w.Hub.OnRenew(func(token string) (string, int) {
		<-release
		if token != old {
			t.Errorf("renewal of %q", token)
		}
		return fresh, http.StatusOK
	})
	get := func(target string, headers ...string) *Answer {
		a := w.Do(w.Request("GET", target, headers...))
		if a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return a
	}
	for range 10 { // no request waits for the hub, which does not answer yet
		if a := get("/user/alice/x", "Cookie", "edgehub="+old); len(a.Header["Set-Cookie"]) != 0 {
			t.Errorf("a cookie out of nowhere: %v", a.Header)
		}
	}
	letGo()
	var a *Answer
	w.Eventually("the answer carries the new token", func() bool {
		a = get("/user/alice/x", "Cookie", "edgehub="+old)
		return len(a.Header["Set-Cookie"]) == 1
	})
	if got, want := a.Header.Get("Set-Cookie"), "edgehub="+fresh+"; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"; got != want {
		t.Errorf("cookie %q, want %q", got, want)
	}
	if !w.behindTraefik() { // which says itself whether there is TLS
		a = get("/user/alice/x", "Cookie", "__Host-edgehub="+old, "X-Forwarded-Proto", "https")
		if got, want := a.Header.Get("Set-Cookie"), "__Host-edgehub="+fresh+"; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"; got != want {
			t.Errorf("cookie %q, want %q", got, want)
		}
	}
	for _, a := range []*Answer{
		get("/user/alice/x", "Cookie", "edgehub="+fresh), get("/user/alice/x", "Authorization", "token "+old),
		get("/user/alice/public", "Cookie", "edgehub="+old),
	} {
		if len(a.Header["Set-Cookie"]) != 0 {
			t.Errorf("a cookie where none belongs: %v", a.Header)
		}
	}
	if n := w.Hub.Calls(path); n != 1 {
		t.Errorf("%d renewals of one session", n)
	}
}

func tickets(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	route := Route("alice", Server(t, "alice").URL)
	route.Auth = routes.AuthTicket
	route.Users = []string{"id-friend"}
	w.PutRoute(route)
	w.Start(make)
	w.Hub.Stop()
	ticket := func(user string) string {
		return strings.TrimPrefix(w.Get(user, "/user/alice/x").Seen().Header.Get("Authorization"), "token ")
	}
	friend := ticket("friend")
	if !routes.IsTicket(friend) || ticket("friend") != friend || ticket("alice") == friend {
		t.Fatalf("ticket %q", friend)
	}
	ask := func(method, token string) *Answer {
		return w.Do(w.Request(method, "/hub/api/user", "Authorization", token))
	}
	for _, scheme := range []string{"token ", "Bearer "} {
		a := ask("GET", scheme+friend)
		if a.Status != 200 || a.Header.Get("X-JupyterHub-Version") == "" || !strings.Contains(a.Body, `"name":"friend"`) ||
			!strings.Contains(a.Body, `"access:servers!server=alice/"`) {
			t.Errorf("%d %v %s", a.Status, a.Header, a.Body)
		}
	}
	if a := ask("GET", "token "+friend+"x"); a.Status != 403 {
		t.Errorf("a forged ticket: %d", a.Status)
	}
	if a := ask("POST", "token "+friend); a.Status != 503 {
		t.Errorf("another method is the control plane's: %d", a.Status)
	}
	if a := ask("GET", "token "+w.TokenOf("alice")); a.Status != 503 {
		t.Errorf("another token is the control plane's: %d", a.Status)
	}
	if a := w.Do(w.Request("GET", "/user/alice/x", "Authorization", "token "+friend)); a.Status != 403 {
		t.Errorf("a ticket as a credential at the edge: %d", a.Status)
	}
	if a := w.Do(w.Request("GET", "/user/alice/x", "Authorization", "token "+friend, "Cookie", "edgehub="+w.TokenOf("alice"))); a.Status != 200 {
		t.Errorf("a ticket beside a cookie: %d", a.Status)
	}
	route.Gen, route.Secret = 2, Secret+"2"
	w.PutRoute(route)
	w.Eventually("tickets end with the instance", func() bool { return ask("GET", "token "+friend).Status == 403 })
}

func etcdAway(t *testing.T, make Maker) {
	w := NewWorld(t, StartEtcd(t, false))
	ended := &atomic.Int64{}
	server := socketServer(t, ended)
	w.PutRoute(Route("alice", server.URL))
	w.PutRoute(Route("bob", Server(t, "bob").URL))
	w.Start(make)
	socket := w.open("/user/alice/ws", w.TokenOf("alice"))
	w.Etcd.Stop()
	for range 200 {
		if a := w.Get("bob", "/user/bob/x"); a.Status != 200 {
			t.Fatalf("a running server without etcd: %d %s", a.Status, a.Body)
		}
	}
	if err := w.Etcd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Eventually("changes arrive again", func() bool {
		w.PutRoute(Route("carol", server.URL))
		return w.Get("carol", "/user/carol/").Status != 200
	})
	if got := say(socket, "still"); got != "token "+Secret+" still" {
		t.Errorf("the socket was cut: %s", got)
	}
	w.Delete(routes.RouteKey(w.Prefix, routes.UserPrefix("alice", "")))
	if !isCut(socket) {
		t.Error("a removed route keeps its sockets after etcd came back")
	}
}

func otherCluster(t *testing.T, make Maker) {
	w := NewWorld(t, StartEtcd(t, false))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make)
	token := w.TokenOf("alice")
	w.Etcd.Stop()
	w.Etcd.Wipe(t)
	if err := w.Etcd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Eventually("an empty etcd empties the table", func() bool {
		return w.Do(w.Request("GET", "/user/alice/x", "Authorization", "token "+token)).Status == 424
	})
}

func unixSockets(t *testing.T, make Maker) {
	w := NewWorld(t, StartEtcd(t, true))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	path := filepath.Join(t.TempDir(), "hub.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	hub := httptest.NewUnstartedServer(w.Hub)
	hub.Listener.Close()
	hub.Listener = l
	hub.Start()
	t.Cleanup(hub.Close)
	w.Start(make, func(o *Options) { o.Hub = []string{"unix://" + path} })
	if seen := w.Get("", "/hub/login").Seen(); seen == nil || seen.Server != "hub" {
		t.Error("the hub's socket does not work")
	}
	w.PutRoute(Route("bob", Server(t, "bob").URL))
	w.Eventually("etcd's socket carries a watch", func() bool { s := w.Get("bob", "/user/bob/").Seen(); return s != nil && s.Server == "bob" })
}
