package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/test/env"
)

// TestActivity leaves a JupyterLab open in a browser, and then comes back to it.
func TestActivity(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		if _, err := os.Stat(filepath.Join(env.Peer(t, env.Jupyter), "jupyter-lab")); err != nil {
			t.Skip("the machine's Jupyter has no JupyterLab")
		}
		env.Peer(t, env.Chromium)
		// Jupyter's own reports take polling for activity: this is about what the front door sees.
		w := env.New(t, env.Options{Edge: e, Jupyter: true, ActivityInterval: "200ms",
			Config: `spawner: {environment: {JUPYTERHUB_ACTIVITY_INTERVAL: "0"}}`})
		w.AddUser(t, "alice")
		w.StartServer(t, "alice")
		b := env.OpenBrowser(t)
		enter(b, w, "alice", "/user/alice/lab")
		lab := "location.pathname.startsWith('/user/alice/lab') && " + env.Seen("#main .jp-Launcher")
		b.Wait("JupyterLab", lab)
		polls(t, b, 1)

		// An hour ago, as the hub remembers it.
		then := age(t, w, "alice", time.Hour)
		before := reports(t, w)
		took := polls(t, b, 3)
		t.Logf("the idle tab sent %d requests in %s", len(b.Traffic().Requests), took.Round(time.Second))
		if n := reports(t, w) - before; n != 0 {
			t.Errorf("the front door made %d reports of activity of a tab that nobody used", n)
		}
		if server, user := lastActivity(t, w, "alice"); !server.Equal(then) || !user.Equal(then) {
			t.Errorf("an idle tab moved the last activity from %s to %s (server) and %s (user)", then, server, user)
		}

		back := time.Now().Truncate(time.Second)
		b.Go(w.URL("/user/alice/lab"))
		env.Eventually(t, "the page load is activity", 20*time.Second, func() error {
			if server, user := lastActivity(t, w, "alice"); server.Before(back) || user.Before(back) {
				return fmt.Errorf("server %s, user %s, page loaded %s", server, user, back)
			}
			return nil
		})
	})
}

// enter signs a user in and goes on to a page.
func enter(b *env.Browser, w *env.World, name, next string) {
	b.Go(w.URL("/hub/login?next=" + next))
	b.Click("#username_input")
	b.Type(name)
	b.Click("#password_input")
	b.Type(w.Password(name))
	b.Click("#login_submit")
}

// polls waits until an idle JupyterLab has asked for its files and saved its layout n times more, and returns how long that
// took: about ten seconds each.
func polls(t *testing.T, b *env.Browser, n int) time.Duration {
	t.Helper()
	b.ForgetTraffic()
	return env.Eventually(t, "the tab polls", 2*time.Minute, func() error {
		for _, path := range []string{"/user/alice/api/contents", "/user/alice/lab/api/workspaces/default"} {
			if got := len(b.Traffic().Below(path).Requests); got < n {
				return fmt.Errorf("%d requests for %s, want %d", got, path, n)
			}
		}
		return nil
	})
}

// age makes a user and their server ones that were last active so long ago.
func age(t *testing.T, w *env.World, name string, d time.Duration) time.Time {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{w.EtcdURL}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	at := time.Now().Add(-d).UTC().Truncate(time.Second)
	st := store.New(client, "")
	_, err1 := store.NewTable[hub.Server](st, store.Servers, "server").Update(t.Context(), store.ID(name, ""), func(s *hub.Server) ([]store.Op, error) {
		s.LastActivity = at
		return nil, nil
	})
	_, err2 := store.NewTable[hub.User](st, store.Users, "user").Update(t.Context(), store.ID(name), func(u *hub.User) ([]store.Op, error) {
		u.LastActivity = at
		return nil, nil
	})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return at
}

// reports counts the reports of activity that reached the hub.
func reports(t *testing.T, w *env.World) int {
	t.Helper()
	n := 0
	for _, request := range w.HubRequests(t) {
		if strings.HasPrefix(request, "POST /hub/api/edge/activity ") || strings.HasPrefix(request, "POST /hub/api/users/alice/activity ") {
			n++
		}
	}
	return n
}

// lastActivity is what the API says of a user's server and of the user.
func lastActivity(t *testing.T, w *env.World, name string) (server, user time.Time) {
	t.Helper()
	status, body := w.API(t, http.MethodGet, "/users/"+name, nil)
	var model struct {
		LastActivity time.Time `json:"last_activity"`
		Servers      map[string]struct {
			LastActivity time.Time `json:"last_activity"`
		} `json:"servers"`
	}
	if err := json.Unmarshal(body, &model); err != nil || status != http.StatusOK {
		t.Fatalf("user %s: %d %s", name, status, body)
	}
	return model.Servers[""].LastActivity, model.LastActivity
}
