package edgetest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/routes"
)

const (
	page       = "text/html,application/xhtml+xml"
	browserKey = "dGhlIHNhbXBsZSBub25jZQ=="
)

// stopped shows what the addresses of servers that do not run answer, and that the control plane is not asked.
func stopped(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL)) // shows that others do not matter
	w.Start(make)
	before := w.Hub.AllCalls()
	for target, want := range map[string]string{
		"/user/bob/lab/tree/a%20b?x=1&token=secret&y": "/hub/user/bob/lab/tree/a%20b?x=1&y",
		"/user/bob":            "/hub/user/bob",
		"/user/bob/?token=a":   "/hub/user/bob/",
		"/user/a%20b/":         "/hub/user/a%20b/",
		"/user/nobody/doc/lab": "/hub/user/nobody/doc/lab",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := w.Do(w.Request(method, target, "Accept", page, "Sec-Fetch-Mode", "navigate"))
			if a.Status != 302 || a.Header.Get("Location") != want || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %d to %s, want 302 to %s", method, target, a.Status, a.Header.Get("Location"), want)
			}
		}
	}
	for _, user := range []string{"bob", "nobody"} { // the edge cannot know which of them exists
		for _, c := range []struct{ method, target, headers string }{
			{"GET", "/lab", "Accept: */*"}, {"GET", "/lab", ""}, {"GET", "", ""}, {"GET", "/api/kernels?x=1", "Accept: " + page},
			{"GET", "/api/kernels", "Authorization: token " + w.TokenOf(user)}, {"GET", "/api", "Cookie: edgehub=" + w.TokenOf(user)},
			{"GET", "/api", "Authorization: token " + strings.Repeat("u", 32)}, {"GET", "/lab", "Accept: " + page + "|Sec-Fetch-Mode: cors"},
			{"POST", "/login", "Accept: " + page + "|Sec-Fetch-Mode: navigate"}, {"OPTIONS", "/api", "Origin: http://evil.test"}, {"DELETE", "/api/x", ""},
			{"GET", "/api/kernels/1/channels", "Upgrade: websocket|Connection: Upgrade|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: " + browserKey},
			{"GET", "/api", "Upgrade: h2c|Connection: Upgrade"},
		} {
			r := w.Request(c.method, "/user/"+user+c.target)
			for _, line := range strings.Split(c.headers, "|") {
				name, value, _ := strings.Cut(line, ": ")
				if name != "" {
					r.Header.Set(name, value)
				}
			}
			w.wantStopped(w.Do(r), 424, "/user/"+user+strings.TrimSuffix(c.target, "?x=1"), false)
		}
	}
	if n := w.Hub.AllCalls() - before; n != 0 {
		t.Errorf("the control plane was called %d times for servers that do not run", n)
	}
	for _, target := range []string{"/user/", "/user"} {
		if seen := w.Get("", target).Seen(); seen == nil || seen.Server != "hub" {
			t.Errorf("%s names no server, so it is the control plane's", target)
		}
	}
}

// wantStopped checks the answer to a program at the address of a server that does not run.
func (w *World) wantStopped(a *Answer, status int, path string, retry bool) {
	w.T.Helper()
	body := struct {
		Status  int
		Message string
		Kind    string
	}{}
	user, _, _ := strings.Cut(strings.TrimPrefix(path, "/user/"), "/")
	want := "JupyterHub server no longer running at " + path + ". Restart the server at http://" + w.Addr + "/hub/spawn/" + user
	err := json.Unmarshal([]byte(a.Body), &body)
	if err != nil || a.Status != status || body.Status != status || body.Message != want || body.Kind == "" {
		w.T.Errorf("%s: %d %s, want %d with %q", path, a.Status, a.Body, status, want)
	}
	if got := a.Header.Get("Retry-After") != ""; got != retry || a.Header.Get("Content-Type") != "application/json" {
		w.T.Errorf("%s: headers %v, want Retry-After: %v", path, a.Header, retry)
	}
}

func stoppedLegacy(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.Start(make, func(o *Options) { o.StoppedStatus = 503 })
	w.wantStopped(w.Get("alice", "/user/alice/api"), 503, "/user/alice/api", false)
	if a := w.Do(w.Request("GET", "/user/alice/lab", "Accept", page)); a.Status != 302 {
		t.Errorf("people are sent to the hub as ever: %d", a.Status)
	}
}

// starting is the record of a start of a user's default server, for which requests may wait.
func starting(user string, hold int64) routes.Starting {
	return routes.Starting{Schema: 1, Prefix: routes.UserPrefix(user, ""), Owner: user, OwnerID: "id-" + user, Gen: 1, Hold: hold}
}

func (w *World) putStarting(s routes.Starting) {
	w.T.Helper()
	w.Put(routes.StartingKey(w.Prefix, s.Prefix), s)
}

// running puts a route and ends its start, in one transaction as the control plane does.
func (w *World) running(r *routes.Route) {
	w.T.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		w.T.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = w.Etcd.Client.Txn(ctx).Then(clientv3.OpPut(routes.RouteKey(w.Prefix, r.Prefix), string(text)),
		clientv3.OpDelete(routes.StartingKey(w.Prefix, r.Prefix))).Commit()
	if err != nil {
		w.T.Fatal(err)
	}
}

// places is how many requests may wait for one server.
const places = 100

// holding is for what may be held: it gives up rather than waiting for as long as a start may take.
var holding = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true, ExpectContinueTimeout: time.Minute},
	CheckRedirect: client.CheckRedirect,
	Timeout:       time.Minute,
}

// crowd sends one request more than may wait, the given ones among them and the rest as user. It returns when the one
// without a place has been sent away, and so all others wait; their answers come later.
func (w *World) crowd(user string, rs ...*http.Request) chan *Answer {
	w.T.Helper()
	for len(rs) < places+1 {
		rs = append(rs, w.Request("GET", "/user/"+user+"/api", "Cookie", "edgehub="+w.TokenOf(user)))
	}
	answers := make(chan *Answer, len(rs))
	for _, r := range rs {
		go func() {
			a := &Answer{}
			resp, err := holding.Do(r)
			if err == nil {
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				a = &Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
			}
			answers <- a
		}()
	}
	refused := <-answers
	if refused.Status != 424 || refused.Header.Get("Retry-After") == "" {
		w.T.Fatalf("the one request too many: %d %v %s, want 424 with Retry-After", refused.Status, refused.Header, refused.Body)
	}
	return answers
}

// held shows that requests wait for a start and are then served as if they came now.
func held(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.putStarting(starting("alice", routes.MaxHold))
	w.Start(make)
	w.Hub.OnExchange(func(string) (string, int) { return w.TokenOf("alice"), 200 })
	admin := Claims("root")
	admin.Scopes = []string{routes.ScopeAccess}
	sent := &upload{text: strings.Repeat("x", 1000)}
	post := w.Request("POST", "/user/alice/api/contents", "Authorization", "token "+w.TokenOf("alice"), "Expect", "100-continue")
	post.Body = io.NopCloser(sent)
	socket := w.Request("GET", "/user/alice/api/socket", "Cookie", "edgehub="+w.TokenOf("alice"), "Origin", "http://"+w.Addr,
		"Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", browserKey)
	answers := w.crowd("alice", post, socket,
		w.Request("GET", "/user/alice/api/admin", "Authorization", "token "+w.Token(admin)),
		w.Request("GET", "/user/alice/api/token", "Authorization", "token "+strings.Repeat("a", 32)),
		w.Request("GET", "/user/alice/lab2/api/below?token=t&q", "Authorization", "token "+w.TokenOf("alice")),
		// JupyterLab's open page sends the secret of the instance before.
		w.Request("GET", "/user/alice/api/lab", "Authorization", "token old-"+Secret, "Cookie", "edgehub="+w.TokenOf("alice")))
	for _, user := range []string{"", "bob"} {
		w.wantStopped(w.Get(user, "/user/alice/api"), 424, "/user/alice/api", false) // also now they learn nothing
	}
	if sent.reads.Load() != 0 {
		t.Error("the body of a waiting request was read")
	}
	if a := w.Do(w.Request("GET", "/user/alice/lab", "Accept", page, "Cookie", "edgehub="+w.TokenOf("alice"))); a.Status != 302 {
		t.Errorf("a person is kept waiting: %d", a.Status)
	}
	w.running(Route("alice", Server(t, "alice").URL))
	for range places {
		a := <-answers
		seen := a.Seen()
		if a.Status != 200 || seen == nil {
			t.Fatalf("%d %s, want the server's answer", a.Status, a.Body)
		}
		if seen.Target == "/user/alice/api/contents" && seen.Length != 1000 || seen.Target == "/user/alice/api/socket" && seen.Header.Get("Upgrade") != "websocket" ||
			strings.Contains(seen.Target, "token=") {
			t.Errorf("the server got %+v", seen)
		}
	}
}

// upload is a body that tells whether it was read.
type upload struct {
	reads atomic.Int64
	text  string
}

func (u *upload) Read(p []byte) (int, error) {
	u.reads.Add(1)
	if u.text == "" {
		return 0, io.EOF
	}
	n := copy(p, u.text)
	u.text = u.text[n:]
	return n, nil
}

// heldInVain shows what ends a wait without a server.
func heldInVain(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.putStarting(starting("alice", routes.MaxHold))
	w.putStarting(starting("bob", routes.MaxHold))
	w.putStarting(starting("carol", 1))
	w.putStarting(starting("dave", 0))
	w.Start(make)
	all := func(answers chan *Answer, user string) {
		t.Helper()
		for range places {
			w.wantStopped(<-answers, 424, "/user/"+user+"/api", false)
		}
	}
	alices, bobs := w.crowd("alice"), w.crowd("bob")
	w.Delete(routes.StartingKey(w.Prefix, "/user/alice/"))
	all(alices, "alice") // the start has failed
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "session-bob"), routes.Revocation{Schema: 1})
	all(bobs, "bob")
	w.wantStopped(w.Get("carol", "/user/carol/api"), 424, "/user/carol/api", true) // the time is over
	w.wantStopped(w.Get("dave", "/user/dave/api"), 424, "/user/dave/api", false)   // nobody shall wait
}

// heldForFew shows that those who may not visit a server neither wait for it nor learn that it starts.
func heldForFew(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.putStarting(starting("alice", routes.MaxHold))
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "gone"), routes.Revocation{Schema: 1})
	w.Start(make)
	w.Hub.OnExchange(func(token string) (string, int) {
		if strings.HasPrefix(token, "bob") {
			return w.TokenOf("bob"), 200
		}
		return "", 403
	})
	gone, other, old, narrow := Claims("alice"), Claims("alice"), Claims("alice"), Claims("alice")
	gone.Session = "gone"
	other.UserID = "id-of-an-older-alice"
	old.IssuedAt, old.Expires = old.IssuedAt-3600, old.IssuedAt-3000
	narrow.Scopes = []string{"access:servers!server=alice/lab2"}
	alice := "edgehub=" + w.TokenOf("alice")
	for name, headers := range map[string][]string{
		"nobody":                    nil,
		"another user's cookie":     {"Cookie", "edgehub=" + w.TokenOf("bob")},
		"another user's edge token": {"Authorization", "token " + w.TokenOf("bob")},
		"another user's API token":  {"Authorization", "token bob" + strings.Repeat("b", 32)},
		"an unknown API token":      {"Authorization", "token " + strings.Repeat("u", 32)},
		"a revoked session":         {"Cookie", "edgehub=" + w.Token(gone)},
		"an expired token":          {"Authorization", "token " + w.Token(old)},
		"a token of another server": {"Authorization", "token " + w.Token(narrow)},
		"an older user of the name": {"Authorization", "token " + w.Token(other)},
		"two cookies":               {"Cookie", alice + "; " + alice},
		"two headers":               {"Authorization", "token " + w.TokenOf("alice"), "Authorization", "token x"},
		"another site's request":    {"Cookie", alice, "Origin", "http://evil.test", "Sec-Fetch-Site", "cross-site"},
	} {
		r := w.Request("POST", "/user/alice/api", headers...)
		r.Header.Set("X-Requested-With", name)
		resp, err := holding.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		w.wantStopped(&Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, 424, "/user/alice/api", false)
	}
	socket := []string{"Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", browserKey}
	w.wantStopped(w.Do(w.Request("GET", "/user/alice/api", append(socket, "Cookie", alice, "Origin", "http://evil.test")...)), 424, "/user/alice/api", false)
}
