package plugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sort"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// FuzzTokenAgainstReference signs any header and payload with the right key: the edge and slowVerify must agree.
func FuzzTokenAgainstReference(f *testing.F) {
	forge := newForger()
	const good = `{"iss":"h","aud":"edge","sub":"alice","uid":"u1","sid":"s1","scopes":[],"iat":1799999990,"exp":1800000600}`
	f.Add(forgedHeader, good)
	f.Add(forgedHeader, strings.Replace(good, `"sid"`, `"SUB":"bob","tid"`, 1))
	f.Add(forgedHeader, strings.Replace(good, "1800000600", "1.8e9", 1))
	f.Add(strings.Replace(forgedHeader, "EdDSA", "none", 1), good)
	f.Add(strings.Replace(forgedHeader, "k1", "hub2", 1), good)
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := sign(forge.key, header, payload)
		_, err := routes.VerifyToken(token, forge.keys, forge.now)
		if want := slowVerify(token, forge.keys, forge.now); (err == nil) != want {
			t.Fatalf("header %q, payload %q: %v, the rules say %v", header, payload, err, want)
		}
	})
}

// FuzzRequestHeader puts any header into a request and looks at what a server and the control plane would get.
func FuzzRequestHeader(f *testing.F) {
	f.Add("X-Edgehub-User", "root", "close, X-Keep", "a=1; edgehub=x")
	f.Add("x_forwarded-user", "root", "X-Forwarded-Host", "EDGEHUB-session=x")
	f.Add("Authorization", "token junk", "authorization, cookie", "__Host-edgehub=x;edgehub=y")
	f.Add("Transfer-Encoding", "chunked", "Upgrade", "")
	g := newStage(f)
	g.putRoute("/user/alice/", "alice")
	edge := &Edge{shared: g.shared}
	token := g.token("alice")
	f.Fuzz(func(t *testing.T, name, value, connection, cookie string) {
		raw := "GET /user/alice/x HTTP/1.1\r\nHost: h\r\nUser-Agent: a\r\nConnection: " + connection + "\r\nCookie: edgehub=" + token + "\r\n" + name + ": " + value + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil || strings.ContainsAny(name+value+connection+cookie, "\r\n") {
			return // net/http refuses it
		}
		r.RemoteAddr = "192.0.2.1:1"
		if cookie != "" {
			r.Header["Cookie"][0] += "; " + cookie
		}
		r.Body = http.NoBody
		r.ContentLength = 0
		g.tick()
		g.do(r, edge.ServeHTTP)
		if g.sent == nil {
			return
		}
		mustBeClean(t, g.sent.Header, token)
	})
}

// mustBeClean fails the test if a header for a server says what only the hub may say, or shows what only the hub may see.
func mustBeClean(t *testing.T, h http.Header, token string) {
	t.Helper()
	if h.Get("Authorization") != "token "+edgetest.Secret || h.Get("X-Forwarded-Host") != "h" || h.Get("X-Forwarded-Proto") == "" {
		t.Fatalf("the edge's own are gone: %v", h)
	}
	for name, values := range h {
		folded := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		own := http.CanonicalHeaderKey(folded) == name
		switch folded {
		case "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-for", "x-forwarded-server":
			if !own {
				t.Fatalf("%s is another spelling of the edge's own", name)
			}
			continue
		case "connection", "upgrade", "te", "keep-alive", "proxy-connection", "trailer", "transfer-encoding", "proxy-authorization", "proxy-authenticate":
			if own && len(values) > 0 {
				t.Fatalf("%s: %q is about the visitor's connection", name, values)
			}
		case "remote-user", "forwarded", "x-original-url", "x-rewrite-url":
			t.Fatalf("%s was forged", name)
		}
		if strings.HasPrefix(folded, "x-edgehub-") || strings.HasPrefix(folded, "x-forwarded-") {
			t.Fatalf("%s was forged", name)
		}
		if name == "Cookie" && strings.Contains(strings.Join(values, ";"), token) && hasHubCookie(values) {
			t.Fatalf("the hub's cookie reaches the server: %q", values)
		}
	}
}

func hasHubCookie(lines []string) bool {
	for _, line := range lines {
		for _, pair := range strings.Split(line, ";") {
			name, _, _ := strings.Cut(pair, "=")
			if hubCookie(strings.Trim(name, " \t")) {
				return true
			}
		}
	}
	return false
}

// FuzzAnswerHeader lets a server send any header, on the long way and on the short one.
func FuzzAnswerHeader(f *testing.F) {
	f.Add("Set-Cookie", "edgehub=evil", "X-Named")
	f.Add("Set-Cookie", "a=b; Path=/user/alice/; Path=/", "Set-Cookie")
	f.Add("clear-site-data", "*", "close")
	f.Add("Service-Worker-Allowed", "/", "Content-Type, Set-Cookie")
	g := newStage(f)
	g.putRoute("/user/alice/", "alice")
	edge := &Edge{shared: g.shared}
	cookie := "edgehub=" + g.token("alice")
	f.Fuzz(func(t *testing.T, name, value, connection string) {
		text := "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Named: 1\r\nConnection: " + connection + "\r\n" + name + ": " + value + "\r\n\r\n"
		g.answer = func(r *http.Request) (*http.Response, error) {
			return http.ReadResponse(bufio.NewReader(strings.NewReader(text)), r)
		}
		for range 3 {
			g.tick()
			w := g.do(request("GET", "/user/alice/x", "h", http.Header{"Cookie": {cookie}, "User-Agent": {"a"}}), edge.ServeHTTP)
			for got := range w.header {
				if unwelcome[got] || connectionOnly[got] || got == "X-Named" && strings.Contains(connection, "X-Named") && !strings.ContainsAny(connection, "\r\n\x00\t ") && !strings.Contains(name+value, "X-Named") {
					t.Fatalf("%q: %s came through: %v", text, got, w.header)
				}
			}
			for _, line := range w.header["Set-Cookie"] {
				c, err := http.ParseSetCookie(line)
				if err == nil && (hubCookie(c.Name) || c.Domain != "" || c.Path != "" && c.Path != "/user/alice" && !strings.HasPrefix(unescaped(c.Path), "/user/alice/")) {
					t.Fatalf("%q: the cookie %q came through", text, line)
				}
			}
		}
	})
}

// FuzzEtcd feeds what an etcd gateway might send: it is read, or refused with an error, and a message that is read leaves an
// edge that works.
func FuzzEtcd(f *testing.F) {
	for _, s := range []string{
		`{"result":{"header":{"cluster_id":"1","revision":"7"},"events":[{"kv":{"key":"L3gvZWRnZS9yb3V0ZXMvJTJGeCUyRg==","value":"e30=","mod_revision":"7"}}]}}`,
		`{"result":{"header":{"cluster_id":"1","revision":"7"},"events":[{"type":"DELETE","kv":{"key":"L3gvZWRnZS9rZXlzL2sx","mod_revision":"7"}}]}}`,
		`{"result":{"canceled":true,"compact_revision":"9"}}`, `{"error":{"code":14,"message":"etcdserver: no leader"}}`, `{"error":{"code":16}}`,
		`{"header":{"cluster_id":"1","revision":"7"},"kvs":[{"key":"L3gv","value":"e30=","mod_revision":"7"}],"more":true,"count":"1"}`,
		`{"result":{"events":[{}]}}`, `{"result":{"header":{"revision":"-1"}}}`, `{"result":{"header":{"revision":7}}}`, `[]`, `{`, ``, `null`, "\x00", `{"result":{"events":"x"}}`,
	} {
		f.Add([]byte(s))
	}
	g := newStage(f)
	s := g.shared
	f.Fuzz(func(t *testing.T, text []byte) {
		stream := &watchStream{gateway: s.gateway, in: &boundedReader{from: bytes.NewReader(text)}}
		stream.dec = json.NewDecoder(stream.in)
		for message, err := stream.next(); err == nil; message, err = stream.next() {
			g.watcher.apply(message)
		}
		page := &rangeResponse{}
		if json.Unmarshal(text, page) == nil {
			for _, kv := range page.Kvs {
				readRecord(stagePrefix, kv, false)
			}
		}
		refused := gatewayError{}
		_ = json.Unmarshal(text, &refused)
		if err := s.gateway.refusal(refused, "status"); err == nil {
			t.Fatal("a refusal without an error")
		}
		g.putRoute("/user/marker/", "marker")
		if s.state.routeOf("/user/marker/") == nil {
			t.Fatalf("after %q no route arrives", text)
		}
	})
}

// TestMessagesAreBounded reads a message that does not end.
func TestMessagesAreBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"result":{"cancel_reason":"`), endlessReader{})
	stream := &watchStream{gateway: newStage(t).shared.gateway, in: &boundedReader{from: endless}}
	stream.dec = json.NewDecoder(stream.in)
	if _, err := stream.next(); err == nil {
		t.Error("a message without an end was read")
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// FuzzRecords reads any value under any key. What is accepted must be found under that key, and be complete.
func FuzzRecords(f *testing.F) {
	route, _ := json.Marshal(edgetest.Route("alice", "http://127.0.0.1:1"))
	f.Add("%2Fuser%2Falice%2F", route)
	f.Add("k1", []byte(`{"v":1,"kid":"k1","hub":"h","public":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`))
	f.Add("x", []byte(`{"v":1,"before":7}`))
	f.Add("%2Fuser%2Falice%2F", []byte(`{"v":1,"prefix":"/user/alice/","owner":"alice","owner_id":"u1","hold":30}`))
	f.Add("h", []byte(`{"v":1,"url":"http://h:1"}`))
	f.Fuzz(func(t *testing.T, id string, value []byte) {
		if r, err := routes.ParseRoute(id, value); err == nil {
			if routes.RouteKey("", r.Prefix) != routes.RoutesTree+id || routes.CheckPrefix(r.Prefix) != nil || r.Auth != routes.AuthNone && (r.OwnerID == "" || len(r.Secret) < 16) {
				t.Fatalf("%q %q is accepted as %+v", id, value, r)
			}
		} else if !errors.Is(err, routes.ErrRecord) {
			t.Fatal(err)
		}
		if k, err := routes.ParseKey(id, value); err == nil && (len(k.Public) != 32 || k.Hub == "" || k.ID != id) {
			t.Fatalf("%q %q is accepted as %+v", id, value, k)
		}
		if s, err := routes.ParseStarting(id, value); err == nil && (routes.StartingKey("", s.Prefix) != routes.StartingTree+id || s.Hold < 0 || s.Hold > routes.MaxHold) {
			t.Fatalf("%q %q is accepted as %+v", id, value, s)
		}
		if r := routes.ParseRevocation(value); r.Before != 0 && !json.Valid(value) {
			t.Fatalf("%q ends only a part of the tokens", value)
		}
		if h, err := routes.ParseHub(value); err == nil && h.URL == "" {
			t.Fatalf("%q is a hub", value)
		}
	})
}

// FuzzTableAgainstNaive puts and removes routes by the bytes of script, and looks paths up in the edge and in a plain list.
func FuzzTableAgainstNaive(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x80\x00\x81"), "/user/alice/lab/x")
	f.Add([]byte("\x00\x80\x00\x01\x81\x02\x82"), "/user/a%20b/")
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 0x81, 0x83}, "/x/y/z/../w")
	prefixes := []string{"/user/alice/", "/user/alice/lab/", "/user/al/", "/user/a%20b/", "/user/a@b/", "/user/%C3%A9/", "/x/", "/services/x/y/"}
	f.Fuzz(func(t *testing.T, script []byte, path string) {
		g := newStage(t)
		present := map[string]bool{}
		for _, b := range script[:min(len(script), 100)] {
			prefix := prefixes[int(b&0x7f)%len(prefixes)]
			present[prefix] = b < 0x80
			if present[prefix] {
				g.putRoute(prefix, "alice")
			} else {
				g.remove(routes.RouteKey(stagePrefix, prefix))
			}
			for _, asked := range []string{path, prefix, prefix + "x", strings.TrimSuffix(prefix, "/")} {
				compareWithNaive(t, g, present, asked)
			}
		}
	})
}

func compareWithNaive(t *testing.T, g *stage, present map[string]bool, path string) {
	t.Helper()
	list := []string{}
	for prefix, there := range present {
		if there {
			list = append(list, prefix)
		}
	}
	sort.Strings(list)
	want, more, ok := slowDecide(list, path)
	found, err := find(g.shared.state, path)
	got := ""
	if err == nil && found.route != nil {
		got = found.route.Prefix
	}
	if (err == nil) != ok || got != want || want != "" && found.slash != more {
		t.Fatalf("%q among %q: %q (%v), want %q (%v, %v)", path, list, got, err, want, more, ok)
	}
}
