package edgetest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// evil is in everything that a hostile server sends and that must not arrive.
const evil = "Set-Cookie: edgehub=evil; Path=/\r\nClear-Site-Data: \"evil\"\r\nService-Worker-Allowed: /evil\r\n"

// hostileAnswers are what a server sends, and the status that its visitor gets; 0 is an answer that breaks off.
var hostileAnswers = map[string]struct {
	text string
	want int
}{
	"nothing": {"", 502}, "another protocol": {"SSH-2.0-OpenSSH_9\r\n", 502}, "reset": {"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf", 0}, "half a line": {"HTTP/1.1 20", 502}, "half a header": {"HTTP/1.1 200 OK\r\n" + evil, 502},
	"status 0": {"HTTP/1.1 000 x\r\n" + evil + "\r\n", 502}, "status 99": {"HTTP/1.1 099 x\r\n" + evil + "\r\n", 502}, "status -1": {"HTTP/1.1 -01 x\r\n\r\n", 502},
	"status 1000": {"HTTP/1.1 1000 x\r\n\r\n", 502}, "status 999": {"HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n", 999}, "HTTP/3": {"HTTP/3.0 200 OK\r\n\r\n", 200},
	"switch": {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + evil + "\r\nevil", 502},
	"hints":  {strings.Repeat("HTTP/1.1 103 Early Hints\r\n"+evil+"\r\n", 1000), 502}, "hints, then an answer": {"HTTP/1.1 103 Early Hints\r\n" + evil + "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200},
	"long header":    {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Long: "+strings.Repeat("a", 1000)+"\r\n", 70) + "\r\n", 502},
	"long line":      {"HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("a", 70_000) + "\r\n\r\n", 502},
	"many cookies":   {"HTTP/1.1 200 OK\r\n" + strings.Repeat("Set-Cookie: a="+strings.Repeat("a", 4000)+"; Path=/user/alice/\r\n", 200) + "\r\n", 502},
	"a large header": {"HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("a", 30_000) + "\r\nContent-Length: 0\r\n\r\n", 200},
	"two lengths":    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 502}, "negative length": {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 502},
	"bad chunk": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 0}, "short": {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab", 0},
	"unknown coding": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: evil\r\n\r\n", 502}, "space in a name": {"HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n", 200},
	"split": {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: a\rSet-Cookie: edgehub=evil\r\n\r\n", 502}, "folded": {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: a\r\n Set-Cookie: edgehub=evil\r\n\r\n", 200},
	"cookie with NUL": {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: evil=1\x00; Path=/user/alice/\r\n\r\n", 502},
	"two answers":     {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n" + evil + "Content-Length: 4\r\n\r\nevil", 200},
	"not modified":    {"HTTP/1.1 304 Not Modified\r\n" + evil + "\r\n", 304}, "error": {"HTTP/1.1 500 No\r\n" + evil + "Content-Length: 0\r\n\r\n", 500},
	"redirect": {"HTTP/1.1 302 Found\r\n" + evil + "Location: /user/alice/x\r\nContent-Length: 0\r\n\r\n", 302}, "no content": {"HTTP/1.1 204 No\r\n" + evil + "\r\n", 204},
	"named": {"HTTP/1.1 200 OK\r\nConnection: X-Evil, Cache-Control\r\nX-Evil: evil\r\nContent-Length: 0\r\n\r\n", 200},
}

// hostile servers harm nobody but their own visitor (T45, T46, T48, T52, T53, C23). Every answer is asked for several times:
// first of a stranger, then of somebody known, and by a WebSocket.
func hostile(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", listen(t, func(conn net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/user/alice/")
		_, _ = io.WriteString(conn, hostileAnswers[name].text)
		if name == "reset" {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
	})))
	w.PutRoute(Route("bob", Server(t, "bob").URL))
	w.Start(make)
	bob := w.Request("GET", "/user/bob/x", "Authorization", "token "+w.TokenOf("bob"), "User-Agent", "a")
	token := w.TokenOf("alice")
	for name, c := range hostileAnswers {
		target := "/user/alice/" + strings.ReplaceAll(name, " ", "%20")
		for _, headers := range []string{"", "", "", "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + browserKey + "\r\n"} {
			if name == "switch" && headers != "" {
				continue // which is a WebSocket then
			}
			if headers == "" {
				headers = "Connection: close\r\n"
			}
			got := w.exchange("GET "+target+" HTTP/1.1\r\nHost: h\r\nUser-Agent: a\r\nAuthorization: token "+token+"\r\n"+headers+"\r\n", 20*time.Second)
			status := 0
			_, _ = fmt.Sscanf(got, "HTTP/1.1 %d", &status)
			head, body, _ := strings.Cut(got, "\r\n\r\n")
			if strings.Contains(head, "\r\nSet-Cookie:") || strings.Contains(head, "\rSet-Cookie:") || strings.Contains(strings.ReplaceAll(head, "X-A: a Set-Cookie: edgehub=evil", ""), "evil") || strings.Contains(body, "evil") {
				t.Errorf("%s: evil came through: %.2000q", name, got)
			}
			if status != c.want && !(c.want == 0 && broken(got)) {
				t.Errorf("%s: %d, want %d: %.300q", name, status, c.want, got)
			}
		}
		if a := w.Do(bob); a.Status != 200 {
			t.Errorf("after %s: another server's visitor gets %d", name, a.Status)
		}
	}
}

// broken reports an answer whose end is missing.
func broken(answer string) bool {
	if answer == "" {
		return true
	}
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil)
	if err != nil {
		return true
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	return err != nil
}

// poisoned puts records that no hub writes while people work (T84, T90, C22). Each is as if it were not there, and what comes
// after it counts.
func poisoned(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	server := Server(t, "alice")
	w.PutRoute(Route("alice", server.URL))
	w.Start(make)
	long := strings.Repeat("x", 1<<20)
	with := func(change func(r *routes.Route)) *routes.Route {
		r := Route("bob", server.URL)
		change(r)
		return r
	}
	bob := routes.RouteKey(w.Prefix, "/user/bob/")
	type record struct {
		key   string
		value any
	}
	records := []record{
		{bob, "{"}, {bob, ""}, {bob, "null"}, {bob, "[]"}, {bob, `"x"`}, {bob, long}, {bob, `{"v":1,"prefix":"` + long + `"}`}, {bob, strings.Repeat("[", 100_000)},
		{bob, "\xff\xfe"}, {bob, `{"v":1e99}`}, {bob, with(func(r *routes.Route) { r.Schema = 99 })}, {bob, with(func(r *routes.Route) { r.OwnerID = "" })},
		{bob, with(func(r *routes.Route) { r.Prefix = "/user/alice/" })}, {bob, with(func(r *routes.Route) { r.Target = "http://169.254.169.254" })},
		{bob, with(func(r *routes.Route) { r.Target = "http://[::ffff:169.254.169.254]:80" })}, {bob, with(func(r *routes.Route) { r.Target = "http://0.0.0.0:80" })},
		{bob, with(func(r *routes.Route) { r.Target = w.Hub.URL })}, {bob, with(func(r *routes.Route) { r.Target = w.Etcd.Endpoint })},
		{bob, with(func(r *routes.Route) { r.Target = strings.Replace(w.Hub.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1) })},
		{bob, with(func(r *routes.Route) { r.Target = "http://no-such-host.invalid" })}, {bob, with(func(r *routes.Route) { r.Target = "unix:///run/x" })},
		{w.Prefix + routes.RoutesTree, "{}"}, {w.Prefix + routes.RoutesTree + "x/y", "{}"}, {w.Prefix + routes.RoutesTree + "%zz", "{}"}, {w.Prefix + routes.EdgeTree, "{}"},
		{routes.SigningKeyKey(w.Prefix, "k2"), `{"v":1,"kid":"k2","hub":"` + HubID + `","public":"MDEy"}`}, {routes.SigningKeyKey(w.Prefix, "k2"), `{"v":1,"kid":"k2","hub":"h"}`},
		{routes.SigningKeyKey(w.Prefix, ""), "{}"}, {routes.SigningKeyKey(w.Prefix, "../k1"), "{}"}, {routes.SigningKeyKey(w.Prefix, "k3"), long},
		{w.Prefix + routes.RevokedTree, "{}"}, {w.Prefix + routes.RevokedTree + "user/", "{}"}, {w.Prefix + routes.RevokedTree + "user", "{}"}, {w.Prefix + routes.RevokedTree + "planet/x", "{}"},
		{routes.HubKey(w.Prefix, "x"), `{"v":1,"url":"http://169.254.169.254"}`}, {routes.HubKey(w.Prefix, "y"), long},
		{routes.StartingKey(w.Prefix, ""), "{}"}, {routes.StartingKey(w.Prefix, "x"), "{}"}, {routes.StartingKey(w.Prefix, "/user/bob"), "{"}, {routes.StartingKey(w.Prefix, "/user/bob/"), `{"v":1,"prefix":"/user/bob/","hold":1e9}`},
	}
	cookie := "edgehub=" + w.TokenOf("alice")
	for i, r := range records {
		w.Put(r.key, r.value)
		marker := fmt.Sprintf("marker%d", i)
		w.PutRoute(Route(marker, server.URL))
		w.Eventually("a change after a bad record arrives", func() bool {
			if a := w.Do(w.Request("GET", "/user/alice/x", "Cookie", cookie, "User-Agent", "a")); a.Status != 200 {
				t.Fatalf("with %.80q = %.80v: %d %s", r.key, r.value, a.Status, a.Body)
			}
			return w.Get(marker, "/user/"+marker+"/").Status == 200
		})
		if a := w.Get("bob", "/user/bob/x"); a.Status != 424 && a.Status != 502 && a.Status != 504 {
			t.Errorf("with %.80q = %.80v: bob gets %d %s", r.key, r.value, a.Status, a.Body)
		}
		w.Delete(r.key)
	}
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "session-alice"), routes.Revocation{Schema: 1})
	w.Eventually("a revocation counts", func() bool { return w.Do(w.Request("GET", "/user/alice/x", "Cookie", cookie)).Status == 403 })
}
