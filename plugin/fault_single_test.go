package plugin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// startWorld starts an edge on the endpoints given. Alice's server is running.
func startWorld(t *testing.T, etcd *edgetest.Etcd, endpoints ...string) (*edgetest.World, *shared) {
	t.Helper()
	w := edgetest.NewWorld(t, etcd)
	putUser(w, "alice")
	return w, startEdge(t, w, endpoints...)
}

// startEdge starts the edge of a world that is there.
func startEdge(t *testing.T, w *edgetest.World, endpoints ...string) *shared {
	t.Helper()
	var s *shared
	w.Start(func(t testing.TB, o edgetest.Options) http.Handler {
		o.Etcd = endpoints
		h := makeEdge(t, o)
		s = h.(*Edge).shared
		return h
	})
	return s
}

func putUser(w *edgetest.World, user string) {
	w.T.Helper()
	w.PutRoute(edgetest.Route(user, "http://127.0.0.1:1"))
}

func TestC6EtcdComesAfterTheEdge(t *testing.T) {
	notShort(t)
	t.Parallel()
	etcd := edgetest.StartEtcd(t, false)
	w := edgetest.NewWorld(t, etcd)
	putUser(w, "alice")
	etcd.Stop()
	link, endpoint := edgetest.LinkTo(t, etcd)
	c := config(w)
	c.Etcd = []string{endpoint}
	h, _ := New(context.Background(), nil, c, t.Name())
	e := h.(*Edge)
	t.Cleanup(e.Close)
	eventually(t, "the back-off is at its end", func() bool { return link.Opened() > 5 })
	for _, target := range []string{"/", "/hub/login", "/user/alice/", "/user/bob/x"} {
		rec := httptest.NewRecorder()
		e.ServeHTTP(rec, httptest.NewRequest("GET", target, nil))
		if rec.Code != 503 {
			t.Errorf("GET %s without a view: %d", target, rec.Code)
		}
	}
	if err := etcd.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, 4*time.Second, "ready after etcd", e.Ready)
	sameAsEtcd(t, e.shared, etcd.Client)
}

func TestC6TheFirstOfTwoMembersIsSilent(t *testing.T) {
	notShort(t)
	t.Parallel()
	etcd := edgetest.SharedEtcd(t)
	link, silent := edgetest.LinkTo(t, etcd)
	link.Freeze()
	w := edgetest.NewWorld(t, etcd)
	c := config(w)
	c.Etcd = []string{silent, etcd.Endpoint}
	h, _ := New(context.Background(), nil, c, t.Name())
	e := h.(*Edge)
	t.Cleanup(e.Close)
	within(t, 2*(checkTimeout+time.Second), "the second member is asked", e.Ready)
}

func TestC8CompactionPastTheEdge(t *testing.T) {
	notShort(t)
	t.Parallel()
	etcd := edgetest.StartEtcd(t, false)
	link, endpoint := edgetest.LinkTo(t, etcd)
	w, s := startWorld(t, etcd, endpoint)
	never := goneEver(t, s, "alice")
	for _, fault := range []func(){link.Cut, link.Freeze} { // the watch ends before; the watch has fallen behind
		fault()
		big := strings.Repeat("x", 100<<10)
		for i := range 150 { // more than all buffers on the way
			w.Put(routes.RouteKey(w.Prefix, "/user/big/"), big+edgetest.UserOf(i))
		}
		putUser(w, "bob")
		w.Delete(routes.RouteKey(w.Prefix, "/user/big/"))
		newest, err := etcd.Client.Get(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := etcd.Client.Compact(t.Context(), newest.Header.Revision); err != nil {
			t.Fatal(err)
		}
		link.Heal()
		eventually(t, "the edge has caught up", func() bool { return s.has("bob") })
		sameAsEtcd(t, s, etcd.Client)
		w.Delete(routes.RouteKey(w.Prefix, "/user/bob/"))
		eventually(t, "the watch goes on", func() bool { return !s.has("bob") })
	}
	if never() {
		t.Error("a route vanished while the edge listed")
	}
}

// goneEver watches a route that must never go. The function that it returns stops and says whether it did.
func goneEver(t *testing.T, s *shared, user string) func() bool {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan bool, 1)
	go func() {
		for ctx.Err() == nil {
			if !s.has(user) {
				gone <- true
				return
			}
			pause(ctx, time.Millisecond)
		}
		gone <- false
	}()
	t.Cleanup(cancel)
	return func() bool { cancel(); return <-gone }
}

func TestC9CompactionBetweenPages(t *testing.T) {
	notShort(t)
	t.Parallel()
	etcd := edgetest.StartEtcd(t, false)
	w := edgetest.NewWorld(t, etcd)
	w.PutRoutes(pageSize + 10)
	compact := func() {
		w.Delete(routes.RouteKey(w.Prefix, routes.UserPrefix(edgetest.UserOf(0), "")))
		put, err := etcd.Client.Put(context.Background(), routes.RouteKey(w.Prefix, "/user/late/"), "{}")
		if err == nil {
			_, err = etcd.Client.Compact(context.Background(), put.Header.Revision)
		}
		if err != nil {
			t.Error(err)
		}
	}
	pages := atomic.Int64{}
	editor := &edgetest.Editor{Request: func(path string, body []byte) {
		if path == "/v3/kv/range" && bytes.Contains(body, []byte(`"limit"`)) {
			if pages.Add(1) == 2 {
				compact()
			}
		}
	}}
	s := startEdge(t, w, editor.Start(t, etcd))
	if pages.Load() < 4 {
		t.Errorf("%d pages: the list was not restarted", pages.Load())
	}
	sameAsEtcd(t, s, etcd.Client)
}

func TestC10RestoreOfAnOlderBackup(t *testing.T) {
	notShort(t)
	lines := captureLog(t)
	etcd := edgetest.StartEtcd(t, false)
	w, s := startWorld(t, etcd, etcd.Endpoint)
	etcd.Stop()
	etcd.Save(t)
	if err := etcd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "s"), routes.Revocation{Schema: 1})
	for _, user := range []string{"bob", "carol"} {
		putUser(w, user)
	}
	eventually(t, "the edge is ahead of the backup", func() bool { return s.has("carol") })
	ahead := s.state.position().revision
	etcd.Stop()
	etcd.Restore(t)
	if err := etcd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the edge goes back", func() bool { return !s.has("carol") && s.has("alice") })
	sameAsEtcd(t, s, etcd.Client)
	if s.state.position().revision >= ahead || !strings.Contains(lines.String(), "etcd went back from revision") {
		t.Errorf("no alarm: %s", lines)
	}
	putUser(w, "dave")
	eventually(t, "the watch goes on", func() bool { return s.has("dave") })
}

// secured makes an etcd with users root and edge. The edge's role reads the tree of w.
func secured(t *testing.T, etcd *edgetest.Etcd, w *edgetest.World) (root *clientv3.Client, c *Config) {
	t.Helper()
	ctx := context.Background()
	tree := w.Prefix + routes.EdgeTree
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(etcd.Client.UserAdd(ctx, "root", "canary-root"))
	must(etcd.Client.UserGrantRole(ctx, "root", "root"))
	must(etcd.Client.UserAdd(ctx, "edge", "canary-pass"))
	must(etcd.Client.RoleAdd(ctx, "edge"))
	must(etcd.Client.RoleGrantPermission(ctx, "edge", tree, clientv3.GetPrefixRangeEnd(tree), clientv3.PermissionType(clientv3.PermRead)))
	must(etcd.Client.UserGrantRole(ctx, "edge", "edge"))
	must(etcd.Client.AuthEnable(ctx))
	root, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint}, Username: "root", Password: "canary-root"})
	must(nil, err)
	t.Cleanup(func() { root.Close() })
	c = config(w)
	c.EtcdUsername, c.EtcdPasswordFile = "edge", filepath.Join(t.TempDir(), "password")
	must(nil, os.WriteFile(c.EtcdPasswordFile, []byte("canary-pass\n"), 0o600))
	return root, c
}

func putAs(t *testing.T, c *clientv3.Client, w *edgetest.World, user string) {
	t.Helper()
	value, err := json.Marshal(edgetest.Route(user, "http://127.0.0.1:1"))
	if err == nil {
		_, err = c.Put(t.Context(), routes.RouteKey(w.Prefix, routes.UserPrefix(user, "")), string(value))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestC15TokensEndAndThePasswordChanges(t *testing.T) {
	notShort(t)
	t.Parallel()
	etcd := edgetest.StartEtcdWith(t, edgetest.Settings{TokenTTL: 1})
	w := edgetest.NewWorld(t, etcd)
	root, c := secured(t, etcd, w)
	link, endpoint := edgetest.LinkTo(t, etcd)
	c.Etcd = []string{endpoint}
	h, _ := New(context.Background(), nil, c, t.Name())
	e := h.(*Edge)
	t.Cleanup(e.Close)
	eventually(t, "ready", e.Ready)
	before := link.Requests()
	proved := e.shared.state.position().proved
	eventually(t, "two checks, each after the end of the last token", func() bool {
		return link.Requests() > before+4 && e.shared.state.position().proved.After(proved)
	})
	if _, err := root.UserChangePassword(t.Context(), "edge", "canary-next"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.EtcdPasswordFile, []byte("canary-next"), 0o600); err != nil {
		t.Fatal(err)
	}
	link.Cut()
	link.Heal()
	putAs(t, root, w, "bob")
	within(t, 20*time.Second, "signed in with the new password", func() bool { return e.shared.has("bob") })
}

func TestC16TheRoleIsRevoked(t *testing.T) {
	notShort(t)
	lines := captureLog(t)
	etcd := edgetest.StartEtcd(t, false)
	w := edgetest.NewWorld(t, etcd)
	putUser(w, "alice")
	root, c := secured(t, etcd, w)
	h, _ := New(context.Background(), nil, c, t.Name())
	e := h.(*Edge)
	t.Cleanup(e.Close)
	eventually(t, "ready", e.Ready)
	if _, err := root.UserRevokeRole(t.Context(), "edge", "edge"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the edge says so", func() bool {
		return strings.Contains(lines.String(), "permission denied") && strings.Contains(lines.String(), "serving the routes of revision")
	})
	if !e.shared.has("alice") || !e.Ready() {
		t.Error("a running edge lost its routes with its role")
	}
	if _, err := root.UserGrantRole(t.Context(), "edge", "edge"); err != nil {
		t.Fatal(err)
	}
	putAs(t, root, w, "bob")
	eventually(t, "the role is back", func() bool { return e.shared.has("bob") })
	if strings.Contains(lines.String(), "canary") {
		t.Error("a password is in the log")
	}
}

// TestC18EventsThatAreLost drops and repeats events on their way.
func TestC18EventsThatAreLost(t *testing.T) {
	notShort(t)
	t.Parallel()
	for name, c := range map[string]struct {
		edit   func(message string) []string // of each message with bob in it
		change func(w *edgetest.World)
	}{
		"a new route is lost": {drop, func(w *edgetest.World) { putUser(w, "bob") }},
		"a removal is lost":   {drop, func(w *edgetest.World) { w.Delete(routes.RouteKey(w.Prefix, "/user/bobby/")) }},
		"a change is lost":    {drop, func(w *edgetest.World) { w.PutRoute(edgetest.Route("bobby", "http://127.0.0.1:2")) }},
		"a message comes twice": {func(message string) []string { return []string{message, message} },
			func(w *edgetest.World) { putUser(w, "bob") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			etcd := edgetest.SharedEtcd(t)
			w := edgetest.NewWorld(t, etcd)
			putUser(w, "bobby")
			bob := base64.StdEncoding.EncodeToString([]byte(routes.RouteKey(w.Prefix, "/user/bob/")))
			bobby := base64.StdEncoding.EncodeToString([]byte(routes.RouteKey(w.Prefix, "/user/bobby/")))
			opened, edited := make(chan bool, 10), make(chan bool, 10)
			editor := &edgetest.Editor{Watch: func(message string) []string {
				if strings.Contains(message, bob) || strings.Contains(message, bobby) {
					edited <- true
					return c.edit(message)
				}
				if strings.Contains(message, `"created":true`) {
					opened <- true
				}
				return []string{message}
			}}
			s := startEdge(t, w, editor.Start(t, etcd))
			<-opened // before that a change is in the list
			c.change(w)
			<-edited            // and not together with the next change, in one message
			putUser(w, "carol") // the watch itself lives
			eventually(t, "a later change arrives", func() bool { return s.has("carol") })
			within(t, 120*time.Second, "the edge finds out", func() bool {
				s.state.mu.RLock()
				defer s.state.mu.RUnlock()
				answer, err := etcd.Client.Get(context.Background(), w.Prefix+routes.EdgeTree, clientv3.WithPrefix())
				return err == nil && compare(s.state.view, answer, w.Prefix+routes.RoutesTree) == ""
			})
		})
	}
}

func drop(string) []string { return nil }

// TestC18AWatchThatStandsStill has a watch that is open and says nothing, while etcd answers everything else.
func TestC18AWatchThatStandsStill(t *testing.T) {
	notShort(t)
	t.Parallel()
	etcd := edgetest.SharedEtcd(t)
	watches := atomic.Int64{}
	editor := &edgetest.Editor{Watch: func(message string) []string {
		if strings.Contains(message, `"created":true`) {
			watches.Add(1)
			return []string{message}
		}
		if watches.Load() == 1 {
			return nil
		}
		return []string{message}
	}}
	w, s := startWorld(t, etcd, editor.Start(t, etcd))
	eventually(t, "the watch is open", func() bool { return watches.Load() == 1 })
	putUser(w, "bob")
	eventually(t, "the edge finds out", func() bool { return s.has("bob") })
}
