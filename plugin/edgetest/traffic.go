package edgetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/edgehub/edgehub/routes"
)

func stripped(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	open := Route("open", Server(t, "open").URL)
	open.Auth = routes.AuthNone
	w.PutRoute(open)
	w.Start(make)
	alice := w.TokenOf("alice")
	const line = `a=1;  b="x y"; edgehub=%s; edgehub-session=canary; __Host-edgehub=canary; c=; __Host-edgehub-session=canary; EDGEHUB-x=canary; xedgehub=keep; _xsrf=2|a|b`
	for _, target := range []string{"/user/alice/x?token=canary", "/user/open/x?%74oken=canary"} {
		a := w.Do(w.Request("GET", target, "Cookie", fmt.Sprintf(line, alice), "Cookie", "edgehub-login=canary",
			"Authorization", "Bearer "+alice, "Proxy-Authorization", "Basic canary"))
		seen := a.Seen()
		if a.Status != 200 || seen == nil {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if got, want := seen.Header.Get("Cookie"), `a=1;  b="x y"; c=; xedgehub=keep; _xsrf=2|a|b`; got != want {
			t.Errorf("cookies %q, want %q", got, want)
		}
		want := ""
		if seen.Server == "alice" {
			want = "token " + Secret
		}
		if got := seen.Header.Get("Authorization"); got != want {
			t.Errorf("%s got Authorization %q, want %q", seen.Server, got, want)
		}
		if strings.Contains(a.Body, "canary\"") || strings.Contains(a.Body, alice) || strings.Contains(seen.Target, "token") {
			t.Errorf("a secret reached the server: %s", a.Body)
		}
	}
}

func untouched(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make)
	chain := "10.0.0.1, 127.0.0.1"
	if w.behindTraefik() {
		chain = "127.0.0.1" // it believes nobody unless told to
	}
	for _, target := range []string{
		"/user/alice/a%2Fb/%25/c%20d?x=%zz&y;z=1&&=&a+b", "/user/alice/%C3%A9/x?", "/user/alice/~!$&'()*+,;=:@/-._", "/user/alice/api//x///",
		"/user/alice/files/a.b/..c/d..?q=/../..", "/user/alice/x?not_token=1&tokens=2",
	} {
		if w.behindTraefik() && strings.ContainsAny(target, ";") || w.behindTraefik() && strings.Contains(target, "//") {
			continue // which it normalises
		}
		a := w.Raw("PUT " + target + " HTTP/1.1\r\nHost: hub.test:99\r\nConnection: close, X-Drop\r\nX-Drop: 1\r\nX-Keep: 1\r\nContent-Length: 5\r\nAuthorization: token " + w.TokenOf("alice") + "\r\nX-Forwarded-For: 10.0.0.1\r\n\r\nhello")
		seen := a.Seen()
		if seen == nil || seen.Target != target || seen.Host != "hub.test:99" || seen.Method != "PUT" || seen.Length != 5 {
			t.Errorf("%s arrived as %+v (%d %s)", target, seen, a.Status, a.Body)
			continue
		}
		h := seen.Header
		if h.Get("X-Drop") != "" || h.Get("X-Keep") != "1" || h.Get("X-Forwarded-For") != chain ||
			h.Get("X-Forwarded-Host") != "hub.test:99" || h.Get("X-Forwarded-Proto") != "http" || h.Get("X-Forwarded-Port") != "99" {
			t.Errorf("headers arrived as %v", h)
		}
	}
}

func forged(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make)
	forged := "X-Edgehub-User X_Edgehub_User x-edgehub_user Remote-User Remote_User X-Forwarded-User X_Forwarded_For X-Forwarded-Access-Token " +
		"Proxy-Authorization X-Original-Url X-Rewrite-Url Forwarded X-Forwarded-Prefix X_Real_Ip"
	raw := "GET /user/alice/x HTTP/1.1\r\nHost: hub.test\r\nAuthorization: token " + w.TokenOf("alice") + "\r\nX-Real-Ip: 10.1.1.1\r\n"
	for _, name := range strings.Fields(forged) {
		raw += name + ": forged\r\n"
	}
	for _, target := range []string{"/user/alice/x", "/hub/x"} {
		connection := "Connection: close, Authorization\r\n\r\n"
		if w.behindTraefik() {
			connection = "Connection: close\r\n\r\n" // it would take the credential away, and the edge would see nobody
		}
		a := w.Raw(strings.Replace(raw, "/user/alice/x", target, 1) + connection)
		if a.Status != 200 || strings.Contains(a.Body, "forged") {
			t.Errorf("%s: %d %s", target, a.Status, a.Body)
			continue
		}
		if seen := a.Seen(); seen.Server == "alice" && (seen.Header.Get("Authorization") != "token "+Secret || seen.Header.Get("X-Real-Ip") == "") {
			t.Errorf("headers arrived as %v", seen.Header)
		}
	}
}

func answersFiltered(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	hostile := Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		for _, c := range []string{
			"edgehub=evil", "__Host-edgehub=evil; Path=/; Secure", "EdgeHub-Session=evil", "__Secure-edgehub=evil", "a=evil; Domain=hub.test",
			"b=evil; Path=/", "c=evil; path=/user/bob/", "d=evil; Path=/user/alice2/", "=edgehub=evil", "edgehub", "\u2000edgehub=evil", `"edgehub"=evil`,
			"e=evil; Path=/user/alice/; DOMAIN=x", "f=evil; Path=/user/alice/; Path=/", "g=evil; Path=",
			"good1=1", "good2=2; Path=/user/alice/; HttpOnly", "good3=3; Path=/user/alice", "good4=4; Max-Age=1; Path=/user/alice/lab",
			"xedgehub=5",
		} {
			h.Add("Set-Cookie", c)
		}
		for _, name := range []string{"Service-Worker-Allowed", "Clear-Site-Data", "Strict-Transport-Security", "Alt-Svc", "Public-Key-Pins", "Refresh", "Access-Control-Allow-Credentials"} {
			h.Set(name, "evil")
		}
		h.Set("X-Good", "1")
		rw.WriteHeader(418)
	})
	w.PutRoute(Route("alice", hostile.URL))
	w.Start(make)
	a := w.Get("alice", "/user/alice/x")
	cookies := a.Header["Set-Cookie"]
	if a.Status != 418 || len(cookies) != 5 || a.Header.Get("X-Good") != "1" {
		t.Errorf("%d, cookies %q", a.Status, cookies)
	}
	for name, values := range a.Header {
		if strings.Contains(strings.Join(values, " "), "evil") {
			t.Errorf("%s: %v came through", name, values)
		}
	}
	if a := w.Get("", "/hub/login"); len(a.Header["Set-Cookie"]) != 1 {
		t.Errorf("the control plane's own cookie: %v", a.Header)
	}
}

func earlyHints(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	hostile := Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Set-Cookie", "__Host-edgehub=evil; Path=/; Secure")
		rw.WriteHeader(http.StatusEarlyHints)
		rw.WriteHeader(http.StatusProcessing)
		rw.Header().Del("Set-Cookie")
		rw.Header().Set("Trailer", "X-Announced")
		rw.WriteHeader(200)
		fmt.Fprint(rw, "body")
		rw.(http.Flusher).Flush()
		rw.Header().Set("X-Announced", "evil")
		rw.Header().Set(http.TrailerPrefix+"Set-Cookie", "edgehub=evil")
		rw.Header().Set(http.TrailerPrefix+"X-Unannounced", "evil")
	})
	w.PutRoute(Route("alice", hostile.URL))
	w.Start(make)
	conn, err := net.Dial("tcp", w.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /user/alice/x HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: close\r\nAuthorization: token %s\r\n\r\n", w.TokenOf("alice"))
	all, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 200") || strings.Contains(string(all), "evil") || !strings.Contains(string(all), "body") {
		t.Errorf("%v: %s", err, all)
	}
}

func upgrades(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make)
	for _, target := range []string{"/user/alice/x", "/hub/x"} {
		for _, upgrade := range []string{"h2c", "tls/1.0", "websocket, h2c", "websocket\r\nUpgrade: h2c"} {
			if w.behindTraefik() && strings.Contains(upgrade, "\r\n") {
				continue // it makes one header of two, and leaves the first
			}
			a := w.Raw("GET " + target + " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nUpgrade: " + upgrade +
				"\r\nAuthorization: token " + w.TokenOf("alice") + "\r\n\r\n")
			if seen := a.Seen(); a.Status != 200 || seen == nil || seen.Header.Get("Upgrade") != "" || seen.Header.Get("Http2-Settings") != "" {
				t.Errorf("Upgrade %q on %s: %d %s", upgrade, target, a.Status, a.Body)
			}
		}
	}
}

// socketServer echoes messages and reports when a socket ends.
func socketServer(t testing.TB, ended *atomic.Int64) *httptest.Server {
	return Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Set-Cookie", "edgehub=evil")
		c, err := websocket.Accept(rw, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer ended.Add(1)
		defer func() { _ = c.CloseNow() }()
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, append([]byte(r.Header.Get("Authorization")+" "), data...)) != nil {
				return
			}
		}
	})
}

func (w *World) dial(target string, headers ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Add(headers[i], headers[i+1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return websocket.Dial(ctx, "http://"+w.Addr+target, &websocket.DialOptions{HTTPHeader: h})
}

// open opens a WebSocket with a bearer token and sends one message through it.
func (w *World) open(target, token string) *websocket.Conn {
	w.T.Helper()
	c, _, err := w.dial(target, "Authorization", "Bearer "+token)
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = c.CloseNow() })
	if got := say(c, "hello"); got != "token "+Secret+" hello" {
		w.T.Fatalf("the socket said %q", got)
	}
	return c
}

// say sends a message and returns the answer, or the error's text.
func say(c *websocket.Conn, text string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		return err.Error()
	}
	_, data, err := c.Read(ctx)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// isCut waits for the end of a socket that nobody closes.
func isCut(c *websocket.Conn) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, _, err := c.Read(ctx)
	return err != nil && ctx.Err() == nil
}

// lightSocket shows that a WebSocket holds nothing of the request that opened it, which is most of what it could hold.
// An edge in another process has to be believed, or measured.
func lightSocket(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", socketServer(t, &atomic.Int64{}).URL))
	freed := &atomic.Bool{}
	w.Start(func(t testing.TB, o Options) http.Handler {
		edge := make(t, o)
		if _, remote := edge.(Remote); remote {
			freed.Store(true)
			return edge
		}
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				runtime.AddCleanup(r, freed.Store, true)
			}
			edge.ServeHTTP(rw, r)
		})
	})
	c := w.open("/user/alice/api/kernels/1/channels", w.TokenOf("alice"))
	w.Eventually("the request is freed", func() bool {
		runtime.GC()
		return freed.Load()
	})
	if got := say(c, "again"); got != "token "+Secret+" again" {
		t.Errorf("the socket said %q", got)
	}
}

func webSocket(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	ended := &atomic.Int64{}
	w.PutRoute(Route("alice", socketServer(t, ended).URL))
	w.Start(make)
	const target = "/user/alice/api/kernels/1/channels?session_id=1"
	w.open(target, w.TokenOf("alice"))
	cookie := "edgehub=" + w.TokenOf("alice")
	host := w.Addr
	for _, c := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"same origin", []string{"Cookie", cookie, "Origin", "http://" + host}, 101},
		{"no origin", []string{"Cookie", cookie}, 403},
		{"null", []string{"Cookie", cookie, "Origin", "null"}, 403},
		{"other site", []string{"Cookie", cookie, "Origin", "http://evil.test"}, 403},
		{"suffix", []string{"Cookie", cookie, "Origin", "http://" + host + ".evil.test"}, 403},
		{"other port", []string{"Cookie", cookie, "Origin", "http://127.0.0.1:1"}, 403},
		{"other scheme", []string{"Cookie", cookie, "Origin", "https://" + host}, 403},
		{"twice", []string{"Cookie", cookie, "Origin", "http://" + host, "Origin", "http://evil.test"}, 403},
		{"token from another site", []string{"Authorization", "token " + w.TokenOf("alice"), "Origin", "http://evil.test"}, 101},
		{"no credential", []string{"Origin", "http://" + host, "Accept", "text/html"}, 403},
		{"another user", []string{"Authorization", "token " + w.TokenOf("bob")}, 403},
	} {
		conn, resp, err := w.dial(target, c.headers...)
		if resp == nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if resp.StatusCode != c.want || len(resp.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %d %v, want %d", c.name, resp.StatusCode, resp.Header, c.want)
		}
		if conn != nil {
			_ = conn.CloseNow()
		}
	}
	w.Eventually("no socket is left", func() bool { return ended.Load() >= 2 })
}

func otherSites(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make, func(o *Options) { o.PublicURL = "https://hub.example.org:443/" })
	cookie := "__Host-edgehub=" + w.TokenOf("alice")
	const own = "https://hub.example.org"
	for _, c := range []struct {
		method  string
		headers []string
		want    int
	}{
		{"POST", []string{"Origin", own}, 200}, {"POST", []string{"Origin", own, "Sec-Fetch-Site", "same-origin"}, 200},
		{"POST", []string{"Origin", "https://evil.test"}, 403}, {"POST", []string{"Origin", "null"}, 403},
		{"POST", []string{"Origin", "http://hub.example.org"}, 403}, {"POST", []string{"Origin", own + ".evil.test"}, 403},
		{"POST", []string{"Origin", own, "Sec-Fetch-Site", "cross-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site", "same-site"}, 403}, {"POST", []string{"Sec-Fetch-Site", "none"}, 200},
		{"POST", []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://evil.test"}, 403},
		{"POST", nil, 403}, {"DELETE", nil, 403}, {"PATCH", []string{"X-XSRFToken", "1"}, 200},
		{"PUT", []string{"Referer", own + "/user/alice/lab"}, 200}, {"PUT", []string{"Referer", own + ".evil.test/"}, 403},
		{"POST", []string{"Origin", "https://evil.test", "X-XSRFToken", "1"}, 403},
		{"GET", []string{"Sec-Fetch-Site", "cross-site"}, 200}, {"HEAD", nil, 200}, {"OPTIONS", []string{"Origin", "https://evil.test"}, 200},
	} {
		if a := w.Do(w.Request(c.method, "/user/alice/api", append(c.headers, "Cookie", cookie)...)); a.Status != c.want {
			t.Errorf("%s %q: %d, want %d %s", c.method, c.headers, a.Status, c.want, a.Body)
		}
	}
	if a := w.Do(w.Request("POST", "/user/alice/api", "Authorization", "token "+w.TokenOf("alice"), "Origin", "https://evil.test")); a.Status != 200 {
		t.Errorf("a bearer token needs no origin: %d", a.Status)
	}
}

func cuts(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	ended := &atomic.Int64{}
	server := socketServer(t, ended)
	shared := Route("alice", server.URL)
	shared.Users = []string{"id-friend"}
	w.PutRoute(shared)
	w.PutRoute(Route("bob", server.URL))
	w.Start(make)
	claims := func(user, session, token string) string {
		c := Claims(user)
		c.Session, c.Token = session, token
		return w.Token(c)
	}
	bystander := w.open("/user/bob/ws", w.TokenOf("bob"))
	bySession := w.open("/user/alice/ws", claims("alice", "gone", ""))
	byToken := w.open("/user/alice/ws", claims("alice", "", "t1"))
	owner := w.open("/user/alice/ws", w.TokenOf("alice"))
	friend := w.open("/user/alice/ws", w.TokenOf("friend"))
	alive := func(name string, c *websocket.Conn) {
		t.Helper()
		if got := say(c, "still"); got != "token "+Secret+" still" {
			t.Errorf("%s was cut: %s", name, got)
		}
	}
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "gone"), routes.Revocation{Schema: 1})
	if !isCut(bySession) {
		t.Error("a revoked session keeps its socket")
	}
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedToken, "t1"), routes.Revocation{Schema: 1})
	if !isCut(byToken) {
		t.Error("a revoked token keeps its socket")
	}
	shared.Users = nil
	w.PutRoute(shared)
	if !isCut(friend) {
		t.Error("a removed share keeps its socket")
	}
	alive("the owner", owner)
	shared.Gen = 2
	w.PutRoute(shared)
	if !isCut(owner) {
		t.Error("the next generation keeps the sockets of the last one")
	}
	owner = w.open("/user/alice/ws", w.TokenOf("alice"))
	w.Delete(routes.RouteKey(w.Prefix, shared.Prefix))
	if !isCut(owner) {
		t.Error("a removed route keeps its sockets")
	}
	alive("a bystander", bystander)
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedUser, "id-bob"), routes.Revocation{Schema: 1, Before: time.Now().Unix()})
	if !isCut(bystander) {
		t.Error("a revoked user keeps a socket")
	}
	w.Eventually("the servers' sides end too", func() bool { return ended.Load() == 6 })
}

func events(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	next := make2[string](1)
	w.PutRoute(Route("alice", Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		rw.(http.Flusher).Flush()
		for {
			select {
			case text := <-next:
				fmt.Fprintf(rw, "data: %s\n\n", text)
				rw.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}).URL))
	w.Start(make)
	resp, err := client.Do(w.Request("GET", "/user/alice/events", "Authorization", "token "+w.TokenOf("alice")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	next <- "first" // a browser's EventSource is open before anything happens
	lines := bufio.NewReader(resp.Body)
	for _, text := range []string{"first", "second", "third"} {
		line, err := lines.ReadString('\n')
		if err != nil || line != "data: "+text+"\n" {
			t.Fatalf("%q %v, want %s", line, err, text)
		}
		_, _ = lines.ReadString('\n')
		switch text { // each event is sent only after the one before has arrived
		case "first":
			next <- "second"
		case "second":
			next <- "third"
		}
	}
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "session-alice"), routes.Revocation{Schema: 1})
	if _, err := lines.ReadString('\n'); err == nil {
		t.Error("the stream of a revoked session goes on")
	}
}

func make2[T any](n int) chan T { return make(chan T, n) }

// zeros is a body of n bytes that is never in memory.
func zeros(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func streams(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	const size = 200 << 20
	firstByte := make2[bool](1)
	w.PutRoute(Route("alice", Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			_, _ = io.Copy(rw, zeros(size))
			return
		}
		one := []byte{0}
		_, _ = io.ReadFull(r.Body, one)
		firstByte <- true
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(rw, n+1, err)
	}).URL))
	w.Start(make)
	resp, err := client.Do(w.Request("GET", "/user/alice/big", "Authorization", "token "+w.TokenOf("alice")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("downloaded %d: %v", n, err)
	}
	// The upload's second half is sent only after its first byte has reached the server.
	in, out := io.Pipe()
	go func() {
		_, _ = io.Copy(out, zeros(size/2))
		<-firstByte
		_, _ = io.Copy(out, zeros(size/2))
		out.Close()
	}()
	r := w.Request("POST", "/user/alice/upload", "Authorization", "token "+w.TokenOf("alice"))
	r.Body = in
	if a := w.Do(r); a.Body != fmt.Sprint(size, nil) {
		t.Errorf("uploaded: %d %s", a.Status, a.Body)
	}
}

func serverAway(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", "http://"+FreeAddr(t)))
	half := Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", "100")
		fmt.Fprint(rw, "half")
		rw.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	w.PutRoute(Route("half", half.URL))
	w.Start(make)
	if a := w.Get("alice", "/user/alice/api"); a.Status != 502 || !strings.Contains(a.Body, `"status":502`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := w.Do(w.Request("GET", "/user/alice/", "Accept", "text/html", "Authorization", "token "+w.TokenOf("alice"))); !strings.Contains(a.Body, "<h1>502") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	resp, err := client.Do(w.Request("GET", "/user/half/", "Authorization", "token "+w.TokenOf("half")))
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("a body cut short looks complete")
	}
}
