package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// TestCredentials shows that a user's server learns nothing with which it could act for its visitor, that it can plant nothing
// in their browser outside its own prefix, and that there is no way to it past the front door.
func TestCredentials(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := echo(t, env.Options{Edge: e}, "alice")
		t.Run("to the server", func(t *testing.T) { toServer(t, w) })
		t.Run("from the server", func(t *testing.T) { fromServer(t, w) })
		t.Run("past the front door", func(t *testing.T) { pastTheDoor(t, w) })
	})
}

// secrets are all credentials that alice's browser and programs have.
func secrets(t *testing.T, w *env.World, alice *env.Client) []string {
	t.Helper()
	return []string{alice.Cookie("edgehub"), alice.Cookie("edgehub-session"), alice.Token(t).Secret, w.Password("alice"), w.AdminToken}
}

// toServer looks at everything that reaches the server: with a cookie, with an API token, and in a WebSocket's handshake.
func toServer(t *testing.T, w *env.World) {
	alice := w.Login(t, "alice")
	all := secrets(t, w, alice)
	edge, session, token := all[0], all[1], all[2]
	// Cookies in the order and with the blanks that a browser's page may give them. Those of the hub have several names.
	own := []string{"before=1", "_xsrf=2|a", `quoted="a b"`, "myedgehub=3", "edgehubx=4", "xedgehub-session=5", "last=6"}
	cookies := strings.Join([]string{own[0], "edgehub=" + edge, own[1], "edgehub-session=" + session, own[2], "__Host-edgehub=" + edge, own[3],
		"__Host-edgehub-session=" + session, own[4], "__Secure-edgehub=" + edge, own[5], "EDGEHUB-SESSION=" + session, "edgehub-xsrf=" + session, own[6]}, "; ")
	want := strings.Join(own, "; ")
	forged := http.Header{"X-Edgehub-User": {"bob"}, "X_Edgehub_User": {"bob"}, "X-Forwarded-User": {"bob"}, "Remote-User": {"bob"},
		"X-Forwarded-Prefix": {"/evil"}, "X-Original-Url": {"/user/bob/"}, "Proxy-Authorization": {"Basic " + token}}
	for _, test := range []struct {
		who    string
		client *env.Client
		header http.Header
	}{
		{"cookie", w.Anonymous(), http.Header{"Cookie": {cookies}}},
		{"token", w.Anonymous(), http.Header{"Cookie": {want}, "Authorization": {"token " + token}}},
		{"bearer", w.Anonymous(), http.Header{"Cookie": {want}, "Authorization": {"Bearer " + token}}},
		{"token and cookie", w.Anonymous(), http.Header{"Cookie": {cookies}, "Authorization": {"token " + token}}},
		{"names its own headers as hop-by-hop", w.Anonymous(), http.Header{"Cookie": {want}, "Authorization": {"token " + token},
			"Connection": {"X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host"}}},
	} {
		for name, value := range forged {
			test.header[name] = value
		}
		report := test.client.Do(t, http.MethodGet, "/user/alice/x?token="+token+"&a=b", test.header, nil).Report(t)
		mustBeClean(t, test.who, report, all, forged)
		if got := strings.Join(report.Header["Cookie"], "; "); got != want {
			t.Errorf("%s: the server's cookies are\n  %s\nwant\n  %s", test.who, got, want)
		}
		conn, resp, err := test.client.DialWebSocket(t.Context(), "/user/alice/ws?hello&token="+token, test.header)
		if err != nil {
			t.Fatalf("%s: WebSocket: %v %s", test.who, resp, err)
		}
		_, hello, err := conn.Read(t.Context())
		_ = conn.CloseNow()
		if err != nil {
			t.Fatal(err)
		}
		report = env.Report{}
		if err := json.Unmarshal(hello, &report); err != nil {
			t.Fatal(err)
		}
		mustBeClean(t, test.who+", WebSocket", report, all, forged)
		if got := strings.Join(report.Header["Cookie"], "; "); got != want {
			t.Errorf("%s, WebSocket: the server's cookies are\n  %s\nwant\n  %s", test.who, got, want)
		}
	}
}

// mustBeClean fails the test if a server has seen a secret, or a header that only a proxy may set.
func mustBeClean(t *testing.T, who string, report env.Report, secrets []string, forged http.Header) {
	t.Helper()
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if strings.Contains(string(text), secret) {
			t.Errorf("%s: the server has seen the secret %s: %s", who, secret, text)
		}
	}
	for name := range forged {
		if got := report.Header[name]; len(got) > 0 {
			t.Errorf("%s: the server has got %s: %q from the visitor", who, name, got)
		}
	}
	// The server's own token is what the front door gives to it, and the only credential.
	if got := report.Header["Authorization"]; len(got) != 1 || !strings.HasPrefix(got[0], "token ") {
		t.Errorf("%s: the server has got Authorization %q, want its own token", who, got)
	}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if got := report.Header[name]; len(got) != 1 {
			t.Errorf("%s: the server has got %s %q, want one", who, name, got)
		}
	}
}

// fromServer looks at every byte that comes back from a hostile server, over a raw socket.
func fromServer(t *testing.T, w *env.World) {
	alice := w.Login(t, "alice")
	for _, code := range []int{200, 204, 304, 404, 500} {
		answer := exchange(t, w.Addr(), fmt.Sprintf("GET /user/alice/hostile?code=%d HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nConnection: close\r\nTE: trailers\r\n\r\n",
			code, w.Addr(), alice.CookieHeader()))
		if n := strings.Count(answer, "HTTP/1.1 "); n != 1 {
			t.Errorf("%d: the browser gets %d answers, want one and none of 1xx:\n%s", code, n, answer)
		}
		for _, bad := range []string{"edgehub", "EDGEHUB", "_xsrf", "wide=", "domain=", "neighbour=", "early", "railer", "Service-Worker-Allowed", "Clear-Site-Data",
			"Strict-Transport-Security", "preload"} {
			if strings.Contains(answer, bad) {
				t.Errorf("%d: the browser gets %q:\n%s", code, bad, answer)
			}
		}
		for _, good := range []string{fmt.Sprintf("HTTP/1.1 %d ", code), "Set-Cookie: good=yes; Path=/user/alice/\r\n", "Set-Cookie: plain=yes\r\n", "X-Own: kept\r\n"} {
			if !strings.Contains(answer, good) {
				t.Errorf("%d: the browser does not get %q:\n%s", code, good, answer)
			}
		}
		if want := code != 204 && code != 304; strings.Contains(answer, "hostile ") != want {
			t.Errorf("%d: the body is there: %v, want %v:\n%s", code, !want, want, answer)
		}
	}
	// The same in a WebSocket's handshake.
	answer := exchange(t, w.Addr(), "GET /user/alice/hostile-ws HTTP/1.1\r\nHost: "+w.Addr()+"\r\nCookie: "+alice.CookieHeader()+"\r\nOrigin: http://"+w.Addr()+"\r\n"+upgrade+"\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 101 ") || !strings.Contains(answer, "good=yes") || strings.Contains(answer, "evil") || strings.Contains(answer, "Clear-Site-Data") {
		t.Errorf("the handshake of a hostile server:\n%s", answer)
	}
}

// exchange sends a request and returns everything that comes back until the other side closes.
func exchange(t *testing.T, addr, request string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil {
		t.Fatalf("%s\nafter\n%s", err, answer)
	}
	return string(answer)
}

// pastTheDoor tries to talk to the server's own port, which every process of the machine can reach.
func pastTheDoor(t *testing.T, w *env.World) {
	w.AddUser(t, "bob")
	alice, bob := w.Login(t, "alice"), w.Login(t, "bob")
	addr := fmt.Sprintf("127.0.0.1:%d", w.Server(t, "alice").State.Port)
	for who, credential := range map[string]string{
		"nobody": "", "alice's cookie": "Cookie: " + alice.CookieHeader() + "\r\n", "alice's edge token": "Authorization: token " + alice.Cookie("edgehub") + "\r\n",
		"alice's API token": "Authorization: token " + alice.Token(t).Secret + "\r\n", "bob's API token": "Authorization: token " + bob.Token(t).Secret + "\r\n",
		"the administrator's token": "Authorization: token " + w.AdminToken + "\r\n",
	} {
		if answer := exchange(t, addr, "GET /user/alice/x HTTP/1.1\r\nHost: "+addr+"\r\nConnection: close\r\n"+credential+"\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 403 ") {
			t.Errorf("%s at the server's own port:\n%s", who, answer)
		}
	}
}

// TestTickets shows that what a server with auth=ticket gets of its visitor is good for this one server and nothing else.
func TestTickets(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := echo(t, env.Options{Edge: e, Config: "spawner: {auth: ticket}"}, "alice", "bob")
		alice := w.Login(t, "alice")
		all := secrets(t, w, alice)
		report := alice.Get(t, "/user/alice/x").Report(t)
		mustBeClean(t, "ticket", report, all, nil)
		ticket := strings.TrimPrefix(strings.Join(report.Header["Authorization"], ""), "token ")
		program := w.Bearer(all[2]).Get(t, "/user/alice/x").Report(t)
		mustBeClean(t, "ticket of a program", program, all, nil)

		stolen := w.Bearer(ticket)
		whoami := stolen.Get(t, "/hub/api/user")
		var visitor struct {
			Name   string   `json:"name"`
			Admin  bool     `json:"admin"`
			Scopes []string `json:"scopes"`
		}
		if whoami.JSON(t, &visitor); visitor.Name != "alice" || visitor.Admin || !slices.Equal(visitor.Scopes, []string{"access:servers!server=alice/"}) {
			t.Errorf("what alice's server learns about alice: %s", whoami)
		}
		for method, paths := range map[string][]string{
			http.MethodGet:    {"/user/alice/x", "/user/bob/x", "/hub/api/users/alice", "/hub/api/users", "/hub/api/users/alice/tokens", "/hub/api/users/alice/server"},
			http.MethodPost:   {"/hub/api/users/alice/tokens", "/hub/api/users/alice/server", "/hub/api/users/alice/activity", "/hub/api/user"},
			http.MethodDelete: {"/hub/api/users/alice/server"},
		} {
			for _, path := range paths {
				resp := stolen.Do(t, method, path, http.Header{"Content-Type": {"application/json"}}, nil)
				if resp.Status != http.StatusForbidden && resp.Status != http.StatusMethodNotAllowed {
					t.Errorf("%s %s with the ticket: %s, want 403", method, path, resp)
				}
			}
		}
		forged := strings.Replace(ticket, ".", ".e30", 1)
		if resp := w.Bearer(forged).Get(t, "/hub/api/user"); resp.Status != http.StatusForbidden {
			t.Errorf("a forged ticket: %s, want 403", resp)
		}
		w.StopServer(t, "alice")
		if resp := stolen.Get(t, "/hub/api/user"); resp.Status != http.StatusForbidden {
			t.Errorf("the ticket after the server has ended: %s, want 403", resp)
		}
	})
}

// TestCredentialsJupyter shows with a real jupyterhub-singleuser that its port is closed to those who come past the front door.
func TestCredentialsJupyter(t *testing.T) {
	w := env.New(t, env.Options{Jupyter: true})
	for _, name := range []string{"alice", "bob"} {
		w.AddUser(t, name)
		w.StartServer(t, name)
	}
	alice, bob := w.Login(t, "alice"), w.Login(t, "bob")
	if resp := alice.Get(t, "/user/alice/api/contents"); resp.Status != http.StatusOK {
		t.Fatalf("alice through the front door: %s", resp)
	}
	kernel := alice.Kernel(t, "alice")
	addr := fmt.Sprintf("127.0.0.1:%d", w.Server(t, "alice").State.Port)
	for who, credential := range map[string]string{
		"nobody": "", "alice's cookie": "Cookie: " + alice.CookieHeader() + "\r\n", "bob's cookie": "Cookie: " + bob.CookieHeader() + "\r\n",
		"bob's API token": "Authorization: token " + bob.Token(t).Secret + "\r\n",
	} {
		for _, path := range []string{"api/contents", "api/kernels", "api/terminals"} {
			if got := raw(t, addr, "GET /user/alice/"+path+" HTTP/1.1", credential); got != "403" {
				t.Errorf("%s at %s of the server's own port: %s, want 403", who, path, got)
			}
		}
		// A page shows nothing and leads to the sign-in page.
		if got := raw(t, addr, "GET /user/alice/lab HTTP/1.1", credential); !strings.HasPrefix(got, "302 ") && got != "403" {
			t.Errorf("%s opens JupyterLab at the server's own port: %s, want 302 or 403", who, got)
		}
		socket := "GET /user/alice/api/kernels/" + kernel.ID + "/channels HTTP/1.1"
		if got := raw(t, addr, socket, credential+upgrade+"Origin: http://"+addr+"\r\n"); got != "403" {
			t.Errorf("%s opens a WebSocket at the server's own port: %s, want 403", who, got)
		}
	}
}
