package edgetest

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// Options are the settings that the suite gives to an edge.
type Options struct {
	Etcd      []string
	Prefix    string
	Hub       []string
	PublicURL string
	BaseURL   string
	// StoppedStatus is 0 for the edge's own choice.
	StoppedStatus int
	UserDomain    string
	APIHosts      []string
	QueryTokens   bool
	// ActivityInterval is how often activity is reported; empty for the edge's own default.
	ActivityInterval string
	LogFields        bool
	// AccessLog is the file to which the maker has an access log written, empty for none.
	AccessLog                   string
	StatusPath, StatusTokenFile string
}

// Maker makes an edge that stops when the test ends.
type Maker func(t testing.TB, o Options) http.Handler

// World is one hub's worth of surroundings, with its own prefix in etcd.
type World struct {
	T      testing.TB
	Etcd   *Etcd
	Prefix string
	Kid    string
	Key    ed25519.PrivateKey
	Hub    *Hub
	Edge   http.Handler
	Addr   string // where Edge is served
	Host   string // of requests; Addr if it is empty
}

// Remote is an edge that is served by another process, which Traefik is.
type Remote interface {
	http.Handler
	Address() string
}

// behindTraefik reports whether something normalises paths and headers before the edge sees them.
func (w *World) behindTraefik() bool {
	_, ok := w.Edge.(Remote)
	return ok
}

// serve makes the edge reachable.
func (w *World) serve() {
	if r, ok := w.Edge.(Remote); ok {
		w.Addr = r.Address()
		return
	}
	front := httptest.NewServer(w.Edge)
	w.T.Cleanup(front.Close)
	w.Addr = front.Listener.Addr().String()
}

var worlds atomic.Int64

// HubID is the issuer of the tokens of every world.
const HubID = "hub-under-test"

// NewWorld makes a world on etcd with one public key and a stand-in hub, and no edge yet.
func NewWorld(t testing.TB, etcd *Etcd) *World {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &World{T: t, Etcd: etcd, Kid: "k1", Key: key, Prefix: fmt.Sprintf("/world%d/", worlds.Add(1))}
	w.Put(routes.SigningKeyKey(w.Prefix, w.Kid), routes.Key{Schema: 1, ID: w.Kid, Hub: HubID, Public: pub})
	w.Hub = newHub(t)
	return w
}

// Start makes the edge and serves it. It returns when the edge is ready.
func (w *World) Start(make Maker, change ...func(*Options)) {
	w.T.Helper()
	o := Options{Etcd: []string{w.Etcd.Endpoint}, Prefix: w.Prefix, Hub: []string{w.Hub.URL}}
	for _, f := range change {
		f(&o)
	}
	if u, err := url.Parse(o.PublicURL); err == nil {
		w.Host = u.Host
	}
	if o.BaseURL != "" {
		w.Hub.below(w.T, o.BaseURL)
	}
	w.Edge = make(w.T, o)
	w.serve()
	w.Eventually("the edge is ready", func() bool {
		return w.Do(w.Request("GET", w.Hub.base.Path("/ready-probe"))).Status != http.StatusServiceUnavailable
	})
}

// Put writes a record.
func (w *World) Put(key string, value any) {
	w.T.Helper()
	text, ok := value.(string)
	if !ok {
		b, err := json.Marshal(value)
		if err != nil {
			w.T.Fatal(err)
		}
		text = string(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := w.Etcd.Client.Put(ctx, key, text); err != nil {
		w.T.Fatal(err)
	}
}

// Delete removes a record.
func (w *World) Delete(key string) {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := w.Etcd.Client.Delete(ctx, key); err != nil {
		w.T.Fatal(err)
	}
}

// Secret is the secret of every route of a world.
const Secret = "canary-server-secret-0123456789"

// Route is a route record for a user's default server; change it and put it with PutRoute.
func Route(user, target string) *routes.Route {
	return &routes.Route{Schema: 1, Prefix: routes.UserPrefix(user, ""), Target: target, Auth: routes.AuthSecret,
		Secret: Secret, Owner: user, OwnerID: "id-" + user, Gen: 1}
}

// PutRoute writes a route.
func (w *World) PutRoute(r *routes.Route) {
	w.T.Helper()
	w.Put(routes.RouteKey(w.Prefix, r.Prefix), r)
}

// TryPutRoute writes a route while etcd may be in trouble.
func (w *World) TryPutRoute(r *routes.Route) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err = w.Etcd.Client.Put(ctx, routes.RouteKey(w.Prefix, r.Prefix), string(value))
	return err
}

// Claims are those of a fresh browser session of user; change them and sign them with Token.
func Claims(user string) routes.Claims {
	now := time.Now().Unix()
	return routes.Claims{Issuer: HubID, Subject: user, UserID: "id-" + user, Session: "session-" + user,
		Scopes: []string{routes.ScopeInherit}, IssuedAt: now - 5, Expires: now + 3000}
}

// Token signs claims.
func (w *World) Token(c routes.Claims) string {
	w.T.Helper()
	token, err := routes.SignToken(w.Kid, w.Key, c)
	if err != nil {
		w.T.Fatal(err)
	}
	Keep(token)
	return token
}

// TokenOf is a fresh edge token of user.
func (w *World) TokenOf(user string) string { return w.Token(Claims(user)) }

// Request is a request to the front with headers in pairs.
func (w *World) Request(method, target string, headers ...string) *http.Request {
	w.T.Helper()
	r, err := http.NewRequest(method, "http://"+w.Addr+target, nil)
	if err != nil {
		w.T.Fatal(err)
	}
	if w.Host != "" {
		r.Host = w.Host
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// RequestAt is a request to one of the edge's hosts.
func (w *World) RequestAt(host, method, target string, headers ...string) *http.Request {
	w.T.Helper()
	r := w.Request(method, target, headers...)
	r.Host = host
	return r
}

// Answer is a response, read to its end.
type Answer struct {
	Status  int
	Header  http.Header
	Trailer http.Header
	Body    string
}

// Seen is what a user server of the world reports about the request that reached it.
type Seen struct {
	Server string
	Method string
	Target string
	Host   string
	Header http.Header
	Length int64 // bytes of the body
}

// Seen reads the report of a server out of an answer. It is nil if the answer is no report.
func (a *Answer) Seen() *Seen {
	s := &Seen{}
	if json.Unmarshal([]byte(a.Body), s) != nil || s.Server == "" {
		return nil
	}
	return s
}

var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Do sends r without following redirects.
func (w *World) Do(r *http.Request) *Answer {
	w.T.Helper()
	resp, err := client.Do(r)
	if err != nil {
		w.T.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.T.Fatal(err)
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Trailer: resp.Trailer, Body: string(body)}
}

// Get is a GET with an edge token of user in the header, or none for "".
func (w *World) Get(user, target string) *Answer {
	w.T.Helper()
	r := w.Request("GET", target)
	if user != "" {
		r.Header.Set("Authorization", "token "+w.TokenOf(user))
	}
	return w.Do(r)
}

// Raw sends text as it is over a connection of its own and reads one response.
func (w *World) Raw(text string) *Answer {
	w.T.Helper()
	conn, err := net.Dial("tcp", w.Addr)
	if err != nil {
		w.T.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		w.T.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.T.Fatalf("%q: %v", text, err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
}

// Eventually waits until ok holds.
func (w *World) Eventually(what string, ok func() bool) {
	w.T.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			w.T.Fatalf("not in time: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Server starts a user server that reports every request. Name tells servers apart in its reports.
func Server(t testing.TB, name string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_ = json.NewEncoder(w).Encode(Seen{Server: name, Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: r.Header, Length: n})
	}))
	t.Cleanup(s.Close)
	return s
}

// Backend starts a user server with a handler of its own.
func Backend(t testing.TB, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// Hub stands in for the control plane: it reports what reached it and answers the edge's own calls.
type Hub struct {
	URL    string
	server *httptest.Server

	mu       sync.Mutex
	exchange func(token, host string) (edgeToken string, status int)
	redeem   func(code, host, state string) (edgeToken, next string)
	renew    func(token string) (edgeToken string, status int)
	calls    map[string]int // by path, without the base
	base     routes.Base    // below which the hub is
	away     bool           // answers reports of activity with 503
	activity []routes.Activity
}

func newHub(t testing.TB) *Hub {
	h := &Hub{calls: make(map[string]int)}
	h.server = httptest.NewServer(h)
	h.URL = h.server.URL
	t.Cleanup(h.server.Close)
	return h
}

// below makes the hub one below a base URL.
func (h *Hub) below(t testing.TB, raw string) {
	base, err := routes.ParseBase(raw)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.base = base
}

// Stop takes the control plane away.
func (h *Hub) Stop() { h.server.Close() }

// OnExchange and OnRenew say how the control plane answers.
func (h *Hub) OnExchange(f func(token string) (string, int)) {
	h.OnExchangeFor(func(token, _ string) (string, int) { return f(token) })
}

// OnExchangeFor is OnExchange with the host that the edge token is asked for.
func (h *Hub) OnExchangeFor(f func(token, host string) (string, int)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.exchange = f
}

// OnRedeem says how the control plane redeems the code of a sign-in on a user's host. Without an edge token it refuses.
func (h *Hub) OnRedeem(f func(code, host, state string) (edgeToken, next string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.redeem = f
}

// OnRenew says how the control plane renews an edge token.
func (h *Hub) OnRenew(f func(token string) (string, int)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renew = f
}

// Calls is how many requests for a path came.
func (h *Hub) Calls(path string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[path]
}

// AllCalls is how many requests came.
func (h *Hub) AllCalls() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, c := range h.calls {
		n += c
	}
	return n
}

// ServeHTTP implements http.Handler.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	path, _ := h.base.Cut(r.URL.EscapedPath()) // it keeps nothing of what comes elsewhere
	h.calls[path]++
	exchange, renew, redeem := h.exchange, h.renew, h.redeem
	h.mu.Unlock()
	if !strings.HasPrefix(path, "/hub/api/edge/") {
		w.Header().Add("Set-Cookie", "edgehub-session=from-the-hub; Path=/hub/")
		_ = json.NewEncoder(w).Encode(Seen{Server: "hub", Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: r.Header})
		return
	}
	if path == "/hub/api/edge/activity" {
		h.takeActivity(w, r)
		return
	}
	in := struct{ Token, Code, Host, State string }{}
	status, token, next := http.StatusForbidden, "", ""
	switch err := json.NewDecoder(r.Body).Decode(&in); {
	case err != nil:
	case path == "/hub/api/edge/renew" && renew != nil:
		token, status = renew(in.Token)
	case path == "/hub/api/edge/exchange" && exchange != nil:
		token, status = exchange(in.Token, in.Host)
	case path == "/hub/api/edge/redeem" && redeem != nil:
		if token, next = redeem(in.Code, in.Host, in.State); token != "" {
			status = http.StatusOK
		}
	}
	Keep(in.Token)
	Keep(in.Code)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"edge_token": token, "expires_in": 3600, "next": next})
}

// part replaces one dot-separated part of a token.
func part(token string, i int, text string) string {
	parts := strings.Split(token, ".")
	parts[i] = base64.RawURLEncoding.EncodeToString([]byte(text))
	return strings.Join(parts, ".")
}
