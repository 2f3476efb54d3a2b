package plugin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// waiting makes some users' servers start and sends requests of each that wait for it. All of them do when it returns. leave
// is what visitors do who lose patience; answers waits for the end of all requests.
func waiting(t *testing.T, w *edgetest.World, users []string, each int) (leave context.CancelFunc, answers func() []int) {
	t.Helper()
	for _, user := range users {
		prefix := routes.UserPrefix(user, "")
		w.Put(routes.StartingKey(w.Prefix, prefix), routes.Starting{Schema: 1, Prefix: prefix, Owner: user, OwnerID: "id-" + user, Hold: routes.MaxHold})
	}
	w.Start(makeEdge)
	ctx, leave := context.WithCancel(context.Background())
	t.Cleanup(leave)
	var all sync.WaitGroup
	codes := make([]int, len(users)*each)
	for i := range codes {
		all.Go(func() {
			rec := httptest.NewRecorder()
			w.Edge.ServeHTTP(rec, apiRequest(ctx, w, users[i/each]))
			codes[i] = rec.Code
		})
	}
	h := w.Edge.(*Edge).shared.state.holds
	w.Eventually("all wait", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.count == len(codes)
	})
	return leave, func() []int { all.Wait(); return codes }
}

func apiRequest(ctx context.Context, w *edgetest.World, user string) *http.Request {
	r := w.Request("GET", "/user/"+user+"/api", "Authorization", "token "+w.TokenOf(user))
	r.RequestURI = r.URL.Path
	return r.WithContext(ctx)
}

func TestVisitorWhoLeavesGivesThePlaceBack(t *testing.T) {
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	leave, answers := waiting(t, w, []string{"alice"}, 3)
	leave()
	answers()
	h := w.Edge.(*Edge).shared.state.holds
	if h.count != 0 || len(h.of) != 0 {
		t.Errorf("%d places and %d servers are left", h.count, len(h.of))
	}
}

func TestCloseEndsAllWaits(t *testing.T) {
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	_, answers := waiting(t, w, []string{"alice", "bob"}, 3)
	w.Edge.(*Edge).Close()
	for _, code := range answers() {
		if code != http.StatusFailedDependency {
			t.Errorf("a request that waited when the edge ended: %d", code)
		}
	}
}

func TestNoMoreThanTheBoundWait(t *testing.T) {
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	users := make([]string, 0, 11)
	for c := 'a'; c < 'k'; c++ {
		users = append(users, "user-"+string(c))
	}
	leave, answers := waiting(t, w, users, maxWaitingOfOne)
	late := routes.UserPrefix("late", "")
	w.Put(routes.StartingKey(w.Prefix, late), routes.Starting{Schema: 1, Prefix: late, Owner: "late", OwnerID: "id-late", Hold: routes.MaxHold})
	w.Eventually("one more is sent away", func() bool {
		rec := httptest.NewRecorder()
		w.Edge.ServeHTTP(rec, apiRequest(context.Background(), w, "late"))
		return rec.Code == http.StatusFailedDependency && rec.Header().Get("Retry-After") != ""
	})
	leave()
	answers()
}
