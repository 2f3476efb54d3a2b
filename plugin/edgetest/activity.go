package edgetest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// takeActivity takes a report of activity, or does not.
func (h *Hub) takeActivity(w http.ResponseWriter, r *http.Request) {
	in := struct{ Activity []routes.Activity }{}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away || json.NewDecoder(r.Body).Decode(&in) != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	h.activity = append(h.activity, in.Activity...)
	_, _ = w.Write([]byte(`{"accepted":1,"ignored":0}`))
}

// SetAway says whether reports of activity are refused from now on.
func (h *Hub) SetAway(away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = away
}

// Activity is what was reported of a prefix.
func (h *Hub) Activity(prefix string) []routes.Activity {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []routes.Activity
	for _, a := range h.activity {
		if a.Prefix == prefix {
			list = append(list, a)
		}
	}
	return list
}

func oftenActive(o *Options) { o.ActivityInterval = "100ms" }

// pageLoad and poll are the headers by which a browser says what it does.
var (
	pageLoad = []string{"Sec-Fetch-Mode", "navigate", "Accept", "text/html,*/*;q=0.8"}
	poll     = []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "same-origin", "Accept", "*/*"}
)

// ask is a request of a user's browser to their server.
func (w *World) ask(method, user, path string, headers []string) {
	w.T.Helper()
	headers = append(headers[:len(headers):len(headers)], "Cookie", "edgehub="+w.TokenOf(user), "Origin", "http://"+w.Addr)
	if a := w.Do(w.Request(method, "/user/"+user+"/"+path, headers...)); a.Status != http.StatusOK {
		w.T.Fatalf("%s %s of %s: %d %s", method, path, user, a.Status, a.Body)
	}
}

// idle does what an open JupyterLab does by itself.
func (w *World) idle(user string) {
	w.T.Helper()
	for _, path := range []string{"api/kernels", "api/sessions", "api/terminals", "api/contents?content=1", "lab/api/workspaces", "api/me"} {
		w.ask("GET", user, path, poll)
	}
	w.ask("PUT", user, "lab/api/workspaces/default", poll)
}

func activity(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	server := Server(t, "any")
	for _, user := range []string{"page", "edit", "tab", "nobody"} {
		w.PutRoute(Route(user, server.URL))
	}
	public := Route("public", server.URL)
	public.Auth, public.Secret = routes.AuthNone, ""
	w.PutRoute(public)
	w.Start(make, oftenActive)
	before := time.Now().Unix()
	w.idle("tab")
	w.ask("GET", "public", "", pageLoad)
	if a := w.Do(w.Request("GET", "/user/nobody/", pageLoad...)); a.Status != http.StatusFound {
		t.Errorf("a page load without credentials: %d", a.Status)
	}
	w.ask("PUT", "edit", "api/contents/x.ipynb", poll)
	w.ask("GET", "page", "lab", pageLoad)
	for _, user := range []string{"page", "edit"} {
		route := Route(user, "")
		w.Eventually("use of "+user+" is reported", func() bool { return len(w.Hub.Activity(route.Prefix)) > 0 })
		for _, a := range w.Hub.Activity(route.Prefix) {
			if !routes.VerifyActivity(&a, route) || a.At < before || a.At > time.Now().Unix() {
				t.Errorf("report %+v, want one that proves itself, of after %d", a, before)
			}
		}
	}
	// What came before has been reported with it, or never will be.
	for _, user := range []string{"tab", "nobody", "public"} {
		if got := w.Hub.Activity(Route(user, "").Prefix); len(got) != 0 {
			t.Errorf("activity of %s: %+v, want none", user, got)
		}
	}
}

// activityWaits takes the control plane away as a whole, and then lets it refuse. Each time there is one report of each route
// that is still there, however much it was used.
func activityWaits(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	server := Server(t, "any")
	for _, user := range []string{"alice", "bob", "gone", "again", "marker"} {
		w.PutRoute(Route(user, server.URL))
	}
	addr := FreeAddr(t)
	hub := w.serveHub(addr)
	w.Start(make, oftenActive, func(o *Options) { o.Hub = []string{"http://" + addr} })
	hub.Close()
	for range 20 {
		for _, user := range []string{"alice", "bob", "gone", "again"} {
			w.ask("GET", user, "lab", pageLoad)
		}
	}
	// The server of one is stopped, that of another started anew.
	w.Delete(routes.RouteKey(w.Prefix, "/user/gone/"))
	second := Route("again", server.URL)
	second.Gen, second.Secret = 2, Secret+"2"
	w.PutRoute(second)
	w.Delete(routes.RouteKey(w.Prefix, "/user/marker/"))
	w.Eventually("the change arrives", func() bool { return w.Get("marker", "/user/marker/").Status == 424 })
	w.Hub.SetAway(true)
	w.serveHub(addr)
	w.Eventually("the control plane refuses reports", func() bool { return w.Hub.Calls("/hub/api/edge/activity") > 1 })
	w.Hub.SetAway(false)
	for _, user := range []string{"alice", "bob"} {
		w.Eventually("use of "+user+" is reported", func() bool { return len(w.Hub.Activity("/user/"+user+"/")) > 0 })
	}
	w.ask("GET", "again", "lab", pageLoad)
	w.Eventually("use of the new server is reported", func() bool { return len(w.Hub.Activity("/user/again/")) > 0 })
	got := fmt.Sprint(len(w.Hub.Activity("/user/alice/")), len(w.Hub.Activity("/user/bob/")), len(w.Hub.Activity("/user/gone/")))
	if got != "1 1 0" {
		t.Errorf("reports of alice, bob and a removed route: %s, want 1 1 0", got)
	}
	for _, a := range w.Hub.Activity("/user/again/") {
		if !routes.VerifyActivity(&a, second) {
			t.Errorf("report of a server that was started again: %+v", a)
		}
	}
}

// serveHub serves the world's control plane at addr.
func (w *World) serveHub(addr string) *httptest.Server {
	w.T.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		w.T.Fatal(err)
	}
	hub := httptest.NewUnstartedServer(w.Hub)
	hub.Listener.Close()
	hub.Listener = l
	hub.Start()
	w.T.Cleanup(hub.Close)
	return hub
}
