package plugin

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

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
			short = serveFast(g.shared, w, r)
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
