package plugin

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

func config(w *edgetest.World) *Config {
	c := CreateConfig()
	c.Etcd, c.Prefix, c.Hub = []string{w.Etcd.Endpoint}, w.Prefix, []string{w.Hub.URL}
	return c
}

func TestWrongOptionsCloseTheDoor(t *testing.T) {
	lines := captureLog(t)
	for name, c := range map[string]*Config{
		"nothing": nil, "no etcd": {}, "no scheme": {Etcd: []string{"127.0.0.1:2379"}}, "path": {Etcd: []string{"http://h:1/x"}},
		"relative socket": {Etcd: []string{"unix://etcd.sock"}}, "hub": {Etcd: []string{"http://h:1"}, Hub: []string{"ftp://x"}},
		"public URL": {Etcd: []string{"http://h:1"}, PublicURL: "hub.example.org"}, "public path": {Etcd: []string{"http://h:1"}, PublicURL: "https://h/x"},
		"no password":    {Etcd: []string{"http://h:1"}, EtcdUsername: "edge"},
		"stopped status": {Etcd: []string{"http://h:1"}, StoppedStatus: 500},
	} {
		h, err := New(context.Background(), http.NotFoundHandler(), c, "m")
		if err != nil {
			t.Fatalf("%s: New failed, which would open the next router: %v", name, err)
		}
		for _, target := range []string{"/", "/hub/login", "/user/alice/"} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest("GET", target, nil))
			if rec.Code != 503 {
				t.Errorf("%s: GET %s answers %d", name, target, rec.Code)
			}
		}
		if h.(*Edge).Ready() {
			t.Errorf("%s: ready", name)
		}
		h.(*Edge).Close()
	}
	if !strings.Contains(lines.String(), "option etcd") || !strings.Contains(lines.String(), "every request gets 503") {
		t.Errorf("the log says nothing useful: %s", lines)
	}
}

func TestAddresses(t *testing.T) {
	for raw, want := range map[string]string{
		"http://h:1": "http://h:1", "https://h": "https://h:443", "http://h/": "http://h:80", "http://[::1]": "http://[::1]:80", "http://[::1]:5": "http://[::1]:5",
		"unix:///run/x y.sock": "unix:///run/x y.sock",
	} {
		a, err := parseAddress(raw)
		if err != nil || a.String() != want {
			t.Errorf("parseAddress(%q) = %v %v, want %s", raw, a, err, want)
		}
	}
}

// safeBuffer is a buffer that goroutines may share.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func captureLog(t *testing.T) *safeBuffer {
	b := &safeBuffer{}
	old := log.Writer()
	log.SetOutput(io.MultiWriter(b, logged))
	t.Cleanup(func() { log.SetOutput(old) })
	return b
}

func TestHandlersOfOneConfigurationShareOneWatcher(t *testing.T) {
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	old := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(context.Background())
	handlers := []*Edge{}
	for range 10 {
		h, _ := New(ctx, nil, config(w), "m")
		handlers = append(handlers, h.(*Edge))
	}
	other := config(w)
	other.PublicURL = "https://x.test"
	h, _ := New(ctx, nil, other, "m")
	if h.(*Edge).shared == handlers[0].shared {
		t.Error("two configurations share a watcher")
	}
	for _, h := range handlers {
		if h.shared != handlers[0].shared {
			t.Fatal("one configuration has two watchers")
		}
	}
	// A reload: the old context ends first, then new handlers come.
	cancel()
	w.Eventually("the old handlers are released", func() bool {
		registry.mu.Lock()
		defer registry.mu.Unlock()
		return handlers[0].shared.refs == 0 && h.(*Edge).shared.refs == 0
	})
	next, _ := New(context.Background(), nil, config(w), "m")
	if next.(*Edge).shared != handlers[0].shared {
		t.Error("a reload starts another watcher")
	}
	w.Eventually("the edge is ready", handlers[0].Ready)
	next.(*Edge).Close()
	next.(*Edge).Close()
	registry.release(acquireAgain(other), 0) // do not wait for the linger
	w.Eventually("the registry is empty", func() bool {
		registry.mu.Lock()
		defer registry.mu.Unlock()
		return len(registry.all) == 0
	})
	goleak.VerifyNone(t, old, goleak.IgnoreTopFunction("time.goFunc"))
}

func acquireAgain(c *Config) *shared {
	set, _ := c.check()
	return registry.acquire(c, set)
}

// TestReloadsKeepSocketsAndLeakNothing does what Traefik does 300 times over, with a WebSocket of the first handler open.
func TestReloadsKeepSocketsAndLeakNothing(t *testing.T) {
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	backend := edgetest.Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(rw, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	})
	w.PutRoute(edgetest.Route("alice", backend.URL))
	ctx, cancel := context.WithCancel(context.Background())
	first, _ := New(ctx, nil, config(w), "m")
	w.Eventually("the edge is ready", first.(*Edge).Ready)
	front := httptest.NewServer(first)
	defer front.Close()
	socket, _, err := websocket.Dial(context.Background(), front.URL+"/user/alice/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"token " + w.TokenOf("alice")}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	var last *Edge
	for range 300 {
		cancel()
		ctx, cancel = context.WithCancel(context.Background())
		h, _ := New(ctx, nil, config(w), "m")
		last = h.(*Edge)
		if !last.Ready() {
			t.Fatal("a reload loses the table")
		}
	}
	defer cancel()
	if n := last.shared.live.count(); n != 1 {
		t.Errorf("%d live requests", n)
	}
	if err := socket.Write(ctx, websocket.MessageText, []byte("x")); err != nil {
		t.Fatal("the socket was dropped:", err)
	}
	if _, _, err := socket.Read(ctx); err != nil {
		t.Fatal("the socket was dropped:", err)
	}
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "session-alice"), routes.Revocation{Schema: 1})
	limit, done := context.WithTimeout(ctx, 10*time.Second)
	defer done()
	if _, _, err := socket.Read(limit); err == nil || limit.Err() != nil {
		t.Error("the socket of an old handler outlives its session")
	}
	w.Eventually("the references of old handlers are given back", func() bool {
		registry.mu.Lock()
		defer registry.mu.Unlock()
		return last.shared.refs <= 1
	})
	last.Close()
}

// TestAReloadWhileEtcdIsAwayKeepsTheRoutes is fault C21: Traefik reads a new configuration, and what the old handlers knew is
// what the new ones serve.
func TestAReloadWhileEtcdIsAwayKeepsTheRoutes(t *testing.T) {
	etcd := edgetest.StartEtcd(t, false)
	w := edgetest.NewWorld(t, etcd)
	w.PutRoute(edgetest.Route("alice", edgetest.Server(t, "alice").URL))
	ctx, cancel := context.WithCancel(context.Background())
	first, _ := New(ctx, nil, config(w), "m")
	w.Eventually("the edge is ready", first.(*Edge).Ready)
	etcd.Stop()
	cancel()
	second, _ := New(t.Context(), nil, config(w), "m")
	t.Cleanup(second.(*Edge).Close)
	r := httptest.NewRequest(http.MethodGet, "/user/alice/x", nil)
	r.Header.Set("Authorization", "token "+w.TokenOf("alice"))
	answer := httptest.NewRecorder()
	second.ServeHTTP(answer, r)
	if answer.Code != http.StatusOK {
		t.Errorf("after a reload without etcd: %d %s", answer.Code, answer.Body)
	}
}

func TestPanicsInGoroutinesStayThere(t *testing.T) {
	lines := captureLog(t)
	s := newShared(&settings{etcd: []*address{{scheme: "http", host: "127.0.0.1:1"}}, prefix: "/x/"})
	s.background("test", func() { panic("poisoned record") })
	s.wg.Wait()
	if !strings.Contains(lines.String(), "test panicked: poisoned record") {
		t.Errorf("the log says %q", lines)
	}
}

func TestLogIsLimitedAndQuoted(t *testing.T) {
	lines := captureLog(t)
	l := newLogger()
	for range 1000 {
		l.printf("reason", "user %s", clip("a\nb"+strings.Repeat("x", 100000)))
	}
	l.printf("other", "x")
	if got := strings.Count(lines.String(), "\n"); got != 2 || len(lines.String()) > 400 {
		t.Errorf("%d lines, %d bytes", got, len(lines.String()))
	}
}

func TestOnlyTheStandardLibraryAndRoutes(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, p := range strings.Fields(string(out)) {
		if !strings.HasSuffix(p, "edgehub/plugin") && !strings.HasSuffix(p, "edgehub/routes") {
			t.Errorf("the plugin depends on %s", p)
		}
	}
}

func TestFilesAreTheSourceWithoutTests(t *testing.T) {
	files, err := Files()
	if err != nil || files["edge.go"] == nil || files["doc.go"] == nil {
		t.Fatal(err)
	}
	for name := range files {
		if strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s is a test", name)
		}
	}
}
