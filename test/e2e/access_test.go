package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/edgehub/edgehub/test/env"
)

// second is how soon an edge must know of a revocation.
const second = time.Second

// TestAccess shows who may visit a server, and that whoever lost the right is out within a second, open connections included.
func TestAccess(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := echo(t, env.Options{Edge: e}, "alice", "bob")
		w.AddAdmin(t, "root")
		t.Run("who may visit", func(t *testing.T) { whoMayVisit(t, w) })
		t.Run("other sites", func(t *testing.T) { otherSites(t, w) })
		t.Run("logout", func(t *testing.T) { logout(t, w) })
		t.Run("token deleted", func(t *testing.T) { tokenDeleted(t, w) })
		t.Run("user deleted", func(t *testing.T) { userDeleted(t, w) })
		t.Run("server stopped", func(t *testing.T) { serverStopped(t, w) })
		t.Run("named server", func(t *testing.T) { namedServer(t, w) })
		t.Run("hub calls", func(t *testing.T) { hubCalls(t, w) })
	})
}

// whoMayVisit tries every kind of credential on alice's server: as a person, as a program, and with a WebSocket.
func whoMayVisit(t *testing.T, w *env.World) {
	alice, bob, root := w.Login(t, "alice"), w.Login(t, "bob"), w.Login(t, "root")
	forged := w.Anonymous()
	forged.Header.Set("Cookie", "edgehub="+strings.Replace(alice.Cookie("edgehub"), ".", ".e30", 1))
	both := bob.Clone()
	both.Header.Set("Authorization", "token "+alice.Token(t).Secret)
	twice := w.Anonymous()
	twice.Header.Set("Cookie", alice.CookieHeader()+"; edgehub="+bob.Cookie("edgehub"))
	const target = "/user/alice/x?a=b"
	const login = "/hub/login?next=%2Fuser%2Falice%2Fx%3Fa%3Db"
	for _, test := range []struct {
		who    string
		client *env.Client
		page   int // status for a person; 302 goes to the login page
		api    int // status for a program, and for a WebSocket, where 200 stands for 101
	}{
		{"alice", alice, 200, 200},
		{"alice's token", w.Bearer(alice.Token(t).Secret), 200, 200},
		{"alice's token for this server", w.Bearer(alice.Token(t, "access:servers!server=alice/").Secret), 200, 200},
		{"alice's token for another server of hers", w.Bearer(alice.Token(t, "access:servers!server=alice/lab2").Secret), 403, 403},
		{"alice's token for reading", w.Bearer(alice.Token(t, "read:users!user=alice").Secret), 403, 403},
		{"bob", bob, 403, 403},
		{"bob's token", w.Bearer(bob.Token(t).Secret), 403, 403},
		{"bob's browser with alice's token", both, 200, 200}, // a header counts before a cookie
		{"an administrator", root, 200, 200},
		{"an administrator's token", w.Bearer(root.Token(t).Secret), 200, 200},
		{"the bootstrap token", w.Bearer(w.AdminToken), 200, 200},
		{"nobody", w.Anonymous(), 302, 403},
		{"an unknown token", w.Bearer(strings.Repeat("0123456789abcdef", 2)), 302, 403},
		{"rubbish for a token", w.Bearer("x"), 302, 403},
		{"a forged cookie", forged, 302, 403},
		{"two cookies", twice, 400, 400},
	} {
		t.Run(test.who, func(t *testing.T) {
			opened := test.client.Do(t, http.MethodGet, target, page(), nil)
			if opened.Status != test.page || test.page == http.StatusFound && opened.Header.Get("Location") != login {
				t.Errorf("page: got %s, want %d", opened, test.page)
			}
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
				resp := test.client.Do(t, method, target, nil, nil)
				if resp.Status != test.api {
					t.Errorf("%s: got %s, want %d", method, resp, test.api)
				}
				if test.api == http.StatusOK {
					if user := resp.Report(t).User; user != "alice" {
						t.Errorf("%s: reached the server of %s", method, user)
					}
				} else if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
					t.Errorf("%s: a program gets %q, want JSON", method, resp.Header.Get("Content-Type"))
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*second)
			defer cancel()
			conn, resp, err := test.client.DialWebSocket(ctx, "/user/alice/ws", nil)
			if err == nil {
				_ = conn.CloseNow()
			}
			if want := strings.Replace(fmt.Sprint(test.api), "200", "101", 1); resp == nil || fmt.Sprint(resp.StatusCode) != want {
				t.Errorf("WebSocket: got %v and %v, want %s", resp, err, want)
			}
		})
	}
}

// otherSites shows that a page of another site cannot use alice's cookie.
func otherSites(t *testing.T, w *env.World) {
	alice := w.Login(t, "alice")
	token := w.Bearer(alice.Token(t).Secret)
	own := strings.TrimSuffix(w.URL("/"), "/")
	for _, test := range []struct {
		origin  string // empty for none
		cookie  int
		program int
	}{
		{own, 101, 101}, {"https://evil.test", 403, 101}, {own + ".evil.test", 403, 101}, {"null", 403, 101},
		{strings.Replace(own, "http:", "https:", 1), 403, 101}, {strings.Replace(own, ":8000", ":8001", 1), 403, 101}, {"", 403, 101},
	} {
		for who, c := range map[string]*env.Client{"cookie": alice, "token": token} {
			want := map[string]int{"cookie": test.cookie, "token": test.program}[who]
			header := http.Header{"Origin": nil}
			if test.origin != "" {
				header.Set("Origin", test.origin)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*second)
			conn, resp, err := c.DialWebSocket(ctx, "/user/alice/ws", header)
			if err == nil {
				_ = conn.CloseNow()
			}
			cancel()
			if resp == nil || resp.StatusCode != want {
				t.Errorf("WebSocket with a %s from origin %q: got %v and %v, want %d", who, test.origin, resp, err, want)
			}
			posted := c.Do(t, http.MethodPost, "/user/alice/x", header, nil)
			if want == http.StatusSwitchingProtocols {
				want = http.StatusOK
			}
			if posted.Status != want {
				t.Errorf("POST with a %s from origin %q: got %s, want %d", who, test.origin, posted, want)
			}
		}
	}
}

// gone waits until a client is refused and fails the test if that takes longer than a second from since on, or does not last.
func gone(t *testing.T, what string, since time.Time, c *env.Client, header http.Header, want int) {
	t.Helper()
	for {
		resp := c.Do(t, http.MethodGet, "/user/alice/x", header, nil)
		if resp.Status == want {
			break
		}
		if time.Since(since) > second {
			t.Fatalf("%s: still %s after %s, want %d", what, resp, time.Since(since), want)
		}
	}
	t.Logf("%s: refused after %s", what, time.Since(since).Round(time.Millisecond))
	for range 20 {
		if resp := c.Do(t, http.MethodGet, "/user/alice/x", header, nil); resp.Status != want {
			t.Errorf("%s: refused at first, then %s", what, resp)
		}
	}
}

// listen keeps an event stream open and is a loop that breaks when the stream does.
func listen(t *testing.T, c *env.Client, user, id string) *loop {
	t.Helper()
	req, err := c.Request(t.Context(), http.MethodGet, "/user/"+user+"/events?n=1000000&id="+id, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	step(t, c, user, id)
	resp, err := c.HTTP.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("open an event stream: %v %v", resp, err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	buf := make([]byte, 1<<10)
	if _, err := resp.Body.Read(buf); err != nil {
		t.Fatal(err)
	}
	return repeat(t, 0, func(context.Context, int64) error {
		_, err := resp.Body.Read(buf)
		return err
	})
}

// step lets the stream id of an echo server go on by one event.
func step(t *testing.T, c *env.Client, user, id string) {
	t.Helper()
	if resp := c.Get(t, "/user/"+user+"/go?id="+id); resp.Status != http.StatusOK {
		t.Fatalf("step: %s", resp)
	}
}

// logout shows that the cookie is worth nothing afterwards, also to somebody who has copied it, and that another session of
// the same user goes on.
func logout(t *testing.T, w *env.World) {
	leaving, staying := w.Login(t, "alice"), w.Login(t, "alice")
	thief := leaving.Clone()
	cut, kept := talk(t, thief.WebSocket(t, "/user/alice/ws")), talk(t, staying.WebSocket(t, "/user/alice/ws"))
	stream := listen(t, thief, "alice", "logout")
	cut.mustGoOn(t, "WebSocket before logout")
	leaving.Logout(t)
	since := time.Now()
	gone(t, "page with the old cookie", since, thief, page(), http.StatusFound)
	gone(t, "request with the old cookie", since, thief, nil, http.StatusForbidden)
	cut.mustBreak(t, "WebSocket of the old cookie", since, second)
	stream.mustBreak(t, "event stream of the old cookie", since, second)
	if resp := leaving.Page(t, "/user/alice/x"); resp.Status != http.StatusFound {
		t.Errorf("the browser that signed out: %s", resp)
	}
	if resp := thief.Page(t, "/hub/home"); resp.Status != http.StatusFound {
		t.Errorf("the hub with the old cookie: %s", resp)
	}
	if resp := staying.Get(t, "/user/alice/x"); resp.Status != http.StatusOK {
		t.Errorf("another session of alice: %s", resp)
	}
	kept.mustGoOn(t, "WebSocket of another session")
}

// tokenDeleted shows the same for an API token.
func tokenDeleted(t *testing.T, w *env.World) {
	alice := w.Login(t, "alice")
	token, other := alice.Token(t), alice.Token(t)
	program, unharmed := w.Bearer(token.Secret), w.Bearer(other.Secret)
	cut, kept := talk(t, program.WebSocket(t, "/user/alice/ws")), talk(t, unharmed.WebSocket(t, "/user/alice/ws"))
	cut.mustGoOn(t, "WebSocket of the token")
	status, body := w.API(t, http.MethodDelete, "/users/alice/tokens/"+token.ID, nil)
	since := time.Now()
	if status != http.StatusNoContent {
		t.Fatalf("delete the token: %d %s", status, body)
	}
	gone(t, "request with the deleted token", since, program, nil, http.StatusForbidden)
	cut.mustBreak(t, "WebSocket of the deleted token", since, second)
	if resp := unharmed.Get(t, "/user/alice/x"); resp.Status != http.StatusOK {
		t.Errorf("another token of alice: %s", resp)
	}
	kept.mustGoOn(t, "WebSocket of another token")
}

// userDeleted shows that nothing of a deleted user is good for the next one of the same name.
func userDeleted(t *testing.T, w *env.World) {
	w.AddUser(t, "carol")
	w.StartServer(t, "carol")
	old := w.Login(t, "carol")
	token := w.Bearer(old.Token(t).Secret)
	cut := talk(t, token.WebSocket(t, "/user/carol/ws"))
	if resp := old.Get(t, "/user/carol/x"); resp.Status != http.StatusOK {
		t.Fatalf("carol before: %s", resp)
	}
	status, body := w.API(t, http.MethodDelete, "/users/carol", nil)
	since := time.Now()
	if status != http.StatusNoContent {
		t.Fatalf("delete carol: %d %s", status, body)
	}
	cut.mustBreak(t, "WebSocket of carol", since, second)
	w.AddUser(t, "carol")
	w.StartServer(t, "carol")
	for who, c := range map[string]*env.Client{"cookie": old, "token": token} {
		if resp := c.Get(t, "/user/carol/x"); resp.Status != http.StatusForbidden {
			t.Errorf("%s of the old carol at the new one's server: %s, want 403", who, resp)
		}
		if resp := c.Get(t, "/hub/api/user"); resp.Status != http.StatusForbidden {
			t.Errorf("%s of the old carol at the hub: %s, want 403", who, resp)
		}
	}
	if resp := w.Login(t, "carol").Get(t, "/user/carol/x"); resp.Status != http.StatusOK {
		t.Errorf("the new carol: %s", resp)
	}
}

// serverStopped shows what becomes of those who are connected to a server that is stopped.
func serverStopped(t *testing.T, w *env.World) {
	w.AddUser(t, "dave")
	w.StartServer(t, "dave")
	dave := w.Login(t, "dave")
	cut := talk(t, dave.WebSocket(t, "/user/dave/ws"))
	cut.mustGoOn(t, "WebSocket before the stop")
	w.StopServer(t, "dave")
	since := time.Now()
	cut.mustBreak(t, "WebSocket of a stopped server", since, second)
	if resp := dave.Get(t, "/user/dave/x"); resp.Status != http.StatusFailedDependency {
		t.Errorf("a program at a stopped server: %s, want 424", resp)
	}
	opened := dave.Page(t, "/user/dave/x")
	if want := "/hub/user/dave/x"; opened.Status != http.StatusFound || opened.Header.Get("Location") != want {
		t.Fatalf("a person at a stopped server: %s, want 302 to %s", opened, want)
	}
	explained := dave.Page(t, opened.Header.Get("Location"))
	if !strings.Contains(string(explained.Body), "not running") || explained.Status < 400 {
		t.Errorf("the page about a stopped server: %s", explained)
	}
}

// namedServer shows that a user's named server, whose address is below that of the default one, is a server of its own.
func namedServer(t *testing.T, w *env.World) {
	if status, body := w.API(t, http.MethodPost, "/users/alice/servers/lab2", nil); status != http.StatusCreated {
		t.Fatalf("start the server lab2: %d %s", status, body)
	}
	alice, bob := w.Login(t, "alice"), w.Login(t, "bob")
	byDefault := instance(t, alice, "alice")
	named := func(c *env.Client) string {
		resp := c.Get(t, "/user/alice/lab2/x")
		if resp.Status != http.StatusOK {
			return fmt.Sprint(resp.Status)
		}
		return resp.Report(t).Instance
	}
	env.Eventually(t, "the front door has the route of lab2", 10*second, func() error {
		if named(alice) == byDefault {
			return errors.New("the default server answers")
		}
		return nil
	})
	for who, test := range map[string]struct {
		client         *env.Client
		byDefault, lab bool
	}{
		"alice":                         {alice, true, true},
		"bob":                           {bob, false, false},
		"alice's token for lab2":        {w.Bearer(alice.Token(t, "access:servers!server=alice/lab2").Secret), false, true},
		"alice's token for the default": {w.Bearer(alice.Token(t, "access:servers!server=alice/").Secret), true, false},
	} {
		if got := test.client.Get(t, "/user/alice/x").Status == http.StatusOK; got != test.byDefault {
			t.Errorf("%s reaches the default server: %v, want %v", who, got, test.byDefault)
		}
		if got := named(test.client) != "403"; got != test.lab {
			t.Errorf("%s reaches lab2: %v, want %v", who, got, test.lab)
		}
	}
	if status, body := w.API(t, http.MethodDelete, "/users/alice/servers/lab2", nil); status != http.StatusNoContent {
		t.Errorf("stop the server lab2: %d %s", status, body)
	}
	if got := instance(t, alice, "alice"); got != byDefault {
		t.Errorf("the default server is %s after lab2 was stopped, want %s", got, byDefault)
	}
}

// hubCalls shows that a request to a running server costs no call of the hub, and an API token one.
func hubCalls(t *testing.T, w *env.World) {
	alice := w.Login(t, "alice")
	id := instance(t, alice, "alice")
	token := w.Bearer(alice.Token(t).Secret)
	calls := func(what string, want int, do func()) {
		t.Helper()
		before := w.HubRequests(t)
		do()
		made := w.HubRequests(t)[len(before):]
		made = slices.DeleteFunc(made, func(request string) bool { // once a minute, whatever the requests
			return strings.HasPrefix(request, "POST /hub/api/edge/activity ")
		})
		if len(made) != want || env.Count(made, "POST /hub/api/edge/exchange") != want {
			t.Errorf("%s: the hub had %d calls, want %d to exchange a token: %q", what, len(made), want, made)
		}
	}
	calls("1000 requests with a cookie", 0, func() {
		if failed := storm(alice, 1000, "/user/alice/x", id); len(failed) > 0 {
			t.Errorf("%d requests failed, the first: %s", len(failed), failed[0])
		}
	})
	calls("1000 requests with a token, eight at once", 1, func() {
		if failed := storm(token, 1000, "/user/alice/x", id); len(failed) > 0 {
			t.Errorf("%d requests failed, the first: %s", len(failed), failed[0])
		}
	})
	calls("a WebSocket with the token", 0, func() {
		conn := token.WebSocket(t, "/user/alice/ws")
		if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			t.Error(err)
		}
	})
	refused := func(c *env.Client) func() {
		return func() {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 25 {
						resp, err := c.Try(t.Context(), http.MethodGet, "/user/alice/x", nil, nil)
						if err != nil || resp.Status != http.StatusForbidden {
							t.Errorf("an unknown token: %s %v, want 403", resp, err)
						}
					}
				})
			}
			all.Wait()
		}
	}
	calls("200 requests with one unknown token", 1, refused(w.Bearer(strings.Repeat("fedcba9876543210", 2))))
	calls("200 requests with what cannot be a token", 0, refused(w.Bearer("not a token")))
	calls("200 requests with a visitor ticket of nobody", 0, refused(w.Bearer("edgehub-visitor.e30.AAAA")))
}
