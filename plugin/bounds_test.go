package plugin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// TestFloodsFindBounds sends what a hostile visitor and a hostile outsider can vary, and looks at what is kept of it.
func TestFloodsFindBounds(t *testing.T) {
	captureLog(t)
	g := newStage(t)
	s := g.shared
	g.putRoute("/user/alice/", "alice")
	g.tick()
	cookie := "edgehub=" + g.token("alice")
	send := func(target string, h http.Header) int {
		return g.do(request("GET", target, "h", h), func(w http.ResponseWriter, r *http.Request) { (&Edge{shared: s}).ServeHTTP(w, r) }).status
	}
	long := strings.Repeat("x", 100_000)
	for i := range 800 { // 80 MB of paths
		if got := send(fmt.Sprint("/user/alice/", i, long), http.Header{"Cookie": {cookie}, "User-Agent": {"a"}}); got != 200 {
			t.Fatal(got)
		}
		if s.fast.learned > maxLearned {
			t.Fatalf("%d bytes are remembered of paths", s.fast.learned)
		}
	}
	for i := range 12000 { // cookies of others beside the token
		send("/user/alice/", http.Header{"Cookie": {fmt.Sprint(cookie, "; a=", i, long[:3000])}, "User-Agent": {"a"}})
	}
	kept := 0
	for key, who := range s.fast.visitors {
		kept += len(key)
		for path := range who.paths {
			kept += len(path)
		}
	}
	if kept > maxLearned || s.fast.learned > maxLearned {
		t.Errorf("%d bytes are remembered of visitors", kept)
	}
	for range cacheSize + 1000 {
		junk := make([]byte, 24)
		_, _ = rand.Read(junk)
		token := hex.EncodeToString(junk)
		signed := g.token("alice", func(c *routes.Claims) { c.Session = token })
		send("/user/alice/api", http.Header{"Authorization": {"token " + signed}})
		send("/user/alice/api", http.Header{"Authorization": {"token " + token}})
		send("/user/nobody/"+token, http.Header{"Authorization": {"token " + token}})
	}
	for name, c := range map[string]*cache{"passes": s.passes, "verdicts": s.verdicts.known, "tickets": s.tickets,
		"exchanged": s.exchange.known, "refused": s.exchange.refused, "renewed": s.renewal.fresh, "tried": s.renewal.tried} {
		if len(c.items) > cacheSize {
			t.Errorf("%s: %d entries", name, len(c.items))
		}
	}
	if len(s.state.recent) > recentPaths || len(s.exchange.calls) > 0 || s.live.count() > 0 {
		t.Errorf("%d paths, %d calls, %d visits are kept", len(s.state.recent), len(s.exchange.calls), s.live.count())
	}
}

// TestForgettingAllEndsWhatIsUnderWay changes who may visit while a server thinks, after the short way had to make room.
func TestForgettingAllEndsWhatIsUnderWay(t *testing.T) {
	g := newStage(t)
	g.putRoute("/user/alice/", "alice")
	g.tick()
	h := http.Header{"Cookie": {"edgehub=" + g.token("alice")}, "User-Agent": {"a"}}
	visit := func() (*reply, bool) {
		short := false
		w := g.do(request("GET", "/user/alice/x", "h", h.Clone()), func(w http.ResponseWriter, r *http.Request) {
			short = serveFast(g.shared, w, r) != 0
			if !short {
				serve(g.shared, w, r, true)
			}
		})
		return w, short
	}
	visit()
	g.answer = func(r *http.Request) (*http.Response, error) {
		f := g.shared.fast
		f.mu.Lock()
		f.learned = maxLearned
		f.makeRoom(1)
		f.mu.Unlock()
		g.put(routes.RevokedKey(stagePrefix, routes.RevokedSession, "session-alice"), routes.Revocation{Schema: 1})
		return ok(r)
	}
	if w, short := visit(); !short || w.status != 403 {
		t.Errorf("a revoked session got %d, short way: %v", w.status, short)
	}
}

// TestOddKeysOfStarts puts records whose keys name no prefix; the watcher must not stumble.
func TestOddKeysOfStarts(t *testing.T) {
	g := newStage(t)
	g.putRoute("/user/alice/", "alice")
	for _, prefix := range []string{"", "/", "x", "//", "user/alice/", "/user/alice", "\x00", "%", "/user/../"} {
		g.put(routes.StartingKey(stagePrefix, prefix), map[string]string{"prefix": prefix})
		g.remove(routes.StartingKey(stagePrefix, prefix))
		g.put(routes.RouteKey(stagePrefix, prefix), map[string]string{"prefix": prefix})
		g.remove(routes.RouteKey(stagePrefix, prefix))
	}
	if g.shared.state.routeOf("/user/alice/") == nil {
		t.Error("a good route is gone")
	}
}

// TestStormOfStoppedServers lets ten thousand tabs of stopped servers come back, as they do every few seconds (T97).
func TestStormOfStoppedServers(t *testing.T) {
	g := newStage(t)
	edge := &Edge{shared: g.shared}
	for i := range 10_000 {
		h := http.Header{"Cookie": {fmt.Sprint("edgehub=junk", i)}, "Authorization": {"token " + strings.Repeat("u", 32)}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
		w := g.do(request("GET", fmt.Sprintf("/user/user%d/api/kernels/1/channels", i), "h", h), edge.ServeHTTP)
		if w.status != http.StatusFailedDependency || g.sent != nil {
			t.Fatalf("%d, sent on: %v", w.status, g.sent != nil)
		}
	}
	s := g.shared
	if n := len(s.state.recent) + len(s.passes.items) + len(s.exchange.calls) + len(s.exchange.refused.items) + len(s.fast.visitors) + s.live.count(); n != 0 {
		t.Errorf("%d things are left of the storm", n)
	}
}

// TestHangingServersLeaveNothing lets visitors leave servers that accept and never answer, or stop in the middle (C23).
func TestHangingServersLeaveNothing(t *testing.T) {
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	hang := make(chan bool)
	reached := make(chan bool, 100)
	server := edgetest.Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "half") {
			_, _ = rw.Write(make([]byte, 100_000))
		}
		reached <- true
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(hang) })
	w.PutRoute(edgetest.Route("alice", server.URL))
	w.Start(makeEdge)
	s := w.Edge.(*Edge).shared
	ctx, leave := context.WithCancel(context.Background())
	var visitors sync.WaitGroup
	for i := range 60 {
		r := w.Request("GET", "/user/alice/"+[]string{"hang", "half", "socket"}[i%3], "Authorization", "token "+w.TokenOf("alice"))
		if i%3 == 2 {
			r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
		}
		visitors.Go(func() {
			if resp, err := http.DefaultTransport.RoundTrip(r.WithContext(ctx)); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
		<-reached
	}
	leave()
	visitors.Wait()
	w.Eventually("nothing is under way", func() bool { return s.live.count() == 0 })
	w.Eventually("no goroutine copies", func() bool {
		stacks := make([]byte, 1<<20)
		return !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "plugin.(*Edge).ServeHTTP")
	})
}
