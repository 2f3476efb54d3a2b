package plugin

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// stage is an edge without a network: what etcd would say is given to its watcher, and what would go to a server is kept in
// sent. It is for tests that send millions of requests.
type stage struct {
	shared   *shared
	watcher  *watcher
	key      ed25519.PrivateKey
	revision int64
	sent     *http.Request // the last request to a server or the control plane, nil if there was none
	answer   func(r *http.Request) (*http.Response, error)
}

const stagePrefix = "/x/"

func newStage(t testing.TB) *stage {
	t.Helper()
	set, err := (&Config{Etcd: []string{"http://127.0.0.1:1"}, Prefix: stagePrefix, Hub: []string{"http://127.0.0.1:2"}}).check()
	if err != nil {
		t.Fatal(err)
	}
	g := &stage{shared: newShared(set), revision: 1, answer: ok}
	s := g.shared
	g.watcher = &watcher{gateway: s.gateway, state: s.state, live: s.live, fast: s.fast, log: s.log, prefix: set.prefix, hubs: func() {}}
	g.key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte("k"), ed25519.SeedSize))
	s.carrier.RegisterProtocol("http", g)
	s.control.transport.RegisterProtocol("http", g)
	s.state.install(newView())
	g.put(routes.SigningKeyKey(stagePrefix, "k1"), g.publicKey())
	return g
}

func (g *stage) publicKey() routes.Key {
	return routes.Key{Schema: 1, ID: "k1", Hub: edgetest.HubID, Public: g.key.Public().(ed25519.PublicKey)}
}

// put and remove are events of the watch, as etcd's gateway writes them.
func (g *stage) put(key string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	g.event(map[string]any{"kv": map[string]any{"key": []byte(key), "value": text, "mod_revision": fmt.Sprint(g.revision + 1)}})
}

func (g *stage) remove(key string) {
	g.event(map[string]any{"type": "DELETE", "kv": map[string]any{"key": []byte(key), "mod_revision": fmt.Sprint(g.revision + 1)}})
}

func (g *stage) event(event map[string]any) {
	g.revision++
	text, err := json.Marshal(map[string]any{"result": map[string]any{
		"header": map[string]string{"cluster_id": "1", "revision": fmt.Sprint(g.revision)}, "events": []any{event}}})
	if err != nil {
		panic(err)
	}
	stream := &watchStream{gateway: g.shared.gateway, in: &boundedReader{from: bytes.NewReader(text)}}
	stream.dec = json.NewDecoder(stream.in)
	message, err := stream.next()
	if err != nil {
		panic(err)
	}
	g.watcher.apply(message)
}

// putRoute puts the route of a prefix. Its target names it, so that what was sent says which record was dialled.
func (g *stage) putRoute(prefix, owner string, change ...func(*routes.Route)) {
	r := edgetest.Route(owner, "http://"+targetOf(prefix))
	r.Prefix = prefix
	for _, f := range change {
		f(r)
	}
	g.put(routes.RouteKey(stagePrefix, prefix), r)
}

// targetOf is a host name with the prefix in it.
func targetOf(prefix string) string {
	return fmt.Sprintf("%x.test:80", prefix)
}

func (g *stage) token(user string, change ...func(*routes.Claims)) string {
	c := edgetest.Claims(user)
	for _, f := range change {
		f(&c)
	}
	token, err := routes.SignToken("k1", g.key, c)
	if err != nil {
		panic(err)
	}
	return token
}

// RoundTrip implements http.RoundTripper for both servers and the control plane.
func (g *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/hub/api/edge/") { // the edge's own calls
		return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	g.sent = r
	return g.answer(r)
}

func ok(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// request is what net/http makes of a request's head, or nil if it refuses it before any handler.
func request(method, target, host string, h http.Header) *http.Request {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil
	}
	if u.Host != "" {
		host = u.Host
	}
	return &http.Request{Method: method, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: http.NoBody,
		Host: host, RequestURI: target, RemoteAddr: "192.0.2.1:1234", Close: len(h["Connection"]) > 0 && h["Connection"][0] == "close"}
}

// reply is a ResponseWriter that keeps what it gets.
type reply struct {
	header http.Header
	status int
	body   strings.Builder
	broken bool // the connection was cut before the end
}

func (w *reply) Header() http.Header { return w.header }

func (w *reply) WriteHeader(status int) {
	if status < 200 || status > 999 {
		panic(fmt.Sprint("WriteHeader ", status))
	}
	if w.status == 0 {
		w.status = status
	}
}

func (w *reply) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush implements http.Flusher.
func (w *reply) Flush() {}

// do lets serve answer r.
func (g *stage) do(r *http.Request, serve func(w http.ResponseWriter, r *http.Request)) (w *reply) {
	g.sent = nil
	w = &reply{header: http.Header{}}
	defer func() {
		if err := recover(); err != nil && err != http.ErrAbortHandler {
			panic(err)
		} else if err != nil {
			w.broken = true
		}
	}()
	serve(w, r)
	return w
}

// tick sets the time of the short way, as the clock does every second.
func (g *stage) tick() {
	f := g.shared.fast
	f.mu.Lock()
	f.now = time.Now().Unix()
	f.mu.Unlock()
}

// atServer is the prefix of the server that the last request went to, "hub" for the control plane, and "" for nobody.
func (g *stage) atServer() string {
	if g.sent == nil {
		return ""
	}
	if g.sent.URL.Host == "hub" {
		return "hub"
	}
	prefix := ""
	if _, err := fmt.Sscanf(strings.TrimSuffix(g.sent.URL.Host, ".test:80"), "%x", &prefix); err != nil {
		return "unknown " + g.sent.URL.Host
	}
	return prefix
}

// wire is what the transport would write for the last request.
func (g *stage) wire() string {
	if g.sent == nil {
		return ""
	}
	out := g.sent.Clone(g.sent.Context())
	if out.Body == http.NoBody {
		out.Body = nil
	}
	var b strings.Builder
	if err := out.Write(&b); err != nil {
		return "error: " + err.Error()
	}
	return b.String()
}

var _ io.Writer = (*reply)(nil)
