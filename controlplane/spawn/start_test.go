package spawn_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/routes"
)

func TestRouteAppearsInTheTransactionThatMakesTheServerRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.replica("a").started("")

	route, routeRev := w.route(alice, "")
	rec, err := w.servers.Get(t.Context(), store.ID("alice", ""))
	if err != nil || route == nil {
		t.Fatalf("route %v, record %v", route, err)
	}
	if routeRev != rec.Revision {
		t.Errorf("the route is of revision %d, the record of %d", routeRev, rec.Revision)
	}
	s := rec.Value
	want := routes.Route{Schema: routes.Schema, Prefix: "/user/alice/", Target: w.sim.web.URL, Auth: routes.AuthTicket,
		Secret: s.Secret, Owner: "alice", OwnerID: alice.ID, Gen: 1}
	if fmt.Sprint(*route) != fmt.Sprint(want) {
		t.Errorf("route = %+v, want %+v", *route, want)
	}
	if s.State != hub.Running || s.Owner != "" || !s.Deadline.IsZero() || s.Gen != 1 || s.UserID != alice.ID || s.Instance == nil {
		t.Errorf("record = %+v", s)
	}
	if age := time.Since(s.Started); age < 0 || age > storetest.Patience || s.LastActivity.Before(s.Started) {
		t.Errorf("started %s, last activity %s", s.Started, s.LastActivity)
	}
	w.sim.wantLog("made 1")
	w.wantSettled()
}

func TestServerGetsItsOwnTokenAndEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.replica("a").started("lab2")
	env := w.sim.env(alice)
	tok, err := w.tokens.Find(t.Context(), env["JUPYTERHUB_API_TOKEN"])
	if err != nil {
		t.Fatal(err)
	}
	if tok.ID != s.TokenID || tok.UserID != alice.ID || tok.Server != "alice/lab2" || tok.Note != "Server at /user/alice/lab2/" ||
		!slices.Equal(tok.Scopes, []string{"users:activity!user", "access:servers!server"}) {
		t.Errorf("token = %+v", tok)
	}
	for key, want := range map[string]string{
		"JPY_API_TOKEN":                         env["JUPYTERHUB_API_TOKEN"],
		"JUPYTERHUB_USER":                       "alice",
		"JUPYTERHUB_SERVER_NAME":                "lab2",
		"JUPYTERHUB_SERVICE_PREFIX":             "/user/alice/lab2/",
		"JUPYTERHUB_CLIENT_ID":                  "jupyterhub-user-alice-lab2",
		"JUPYTERHUB_API_URL":                    "http://127.0.0.1:8000/hub/api",
		"JUPYTERHUB_ACTIVITY_URL":               "http://127.0.0.1:8000/hub/api/users/alice/activity",
		"JUPYTERHUB_OAUTH_CALLBACK_URL":         "/user/alice/lab2/oauth_callback",
		"JUPYTERHUB_OAUTH_ACCESS_SCOPES":        `["access:servers!server=alice/lab2","access:servers!user=alice"]`,
		"JUPYTERHUB_PUBLIC_URL":                 "https://hub.example/user/alice/lab2/",
		"JUPYTERHUB_PUBLIC_HUB_URL":             "https://hub.example/hub/",
		"JUPYTERHUB_BASE_URL":                   "/",
		"JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED": "0",
	} {
		if env[key] != want {
			t.Errorf("%s = %q, want %q", key, env[key], want)
		}
	}
	if _, set := env["JUPYTERHUB_SERVICE_URL"]; set {
		t.Error("JUPYTERHUB_SERVICE_URL is the spawner's to set")
	}
}

func TestServersTokenHasTheScopesOfNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var scopes []string
	var failure error
	w.adjust = func(o *spawn.Options) {
		o.TokenScopes = func(context.Context) ([]string, error) { return scopes, failure }
	}
	scopes = []string{"users:activity!user", "read:servers!user"}
	r := w.replica("a")
	r.started("")
	tok, err := w.tokens.Find(t.Context(), w.sim.env(alice)["JUPYTERHUB_API_TOKEN"])
	if err != nil || !slices.Equal(tok.Scopes, scopes) {
		t.Errorf("token = %+v, %v; want the scopes %s", tok, err, scopes)
	}
	failure = errors.New("etcd is away")
	r.start("lab2")
	if s := w.await(alice, "lab2", hub.Stopped); s.Failure == "" || s.TokenID != "" {
		t.Errorf("a start without known scopes = %+v", s)
	}
}

func TestServerOnAHostOfItsUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hosts, err := routes.NewHosts("https://hub.example", "hub.example")
	if err != nil {
		t.Fatal(err)
	}
	w.adjust = func(o *spawn.Options) { o.Hosts = hosts }
	s := w.replica("a").started("lab2")
	const at = "https://alice.hub.example/user/alice/lab2/"
	if last := s.Events[len(s.Events)-1]; last.URL != at || last.Message != "Server ready at "+at {
		t.Errorf("the last event is %+v", last)
	}
	env := w.sim.env(alice)
	for key, want := range map[string]string{
		"JUPYTERHUB_HOST":               "https://hub.example",
		"JUPYTERHUB_PUBLIC_URL":         "https://alice.hub.example/user/alice/lab2/",
		"JUPYTERHUB_PUBLIC_HUB_URL":     "https://hub.example/hub/",
		"JUPYTERHUB_OAUTH_CALLBACK_URL": "https://alice.hub.example/user/alice/lab2/oauth_callback",
		"JUPYTERHUB_SERVICE_PREFIX":     "/user/alice/lab2/",
		"JUPYTERHUB_BASE_URL":           "/",
	} {
		if env[key] != want {
			t.Errorf("%s = %q, want %q", key, env[key], want)
		}
	}
}

func TestServerBelowABase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.adjust = func(o *spawn.Options) { o.Base = "/teaching/" }
	s := w.replica("a").started("lab2")
	const at = "/teaching/user/alice/lab2/"
	if last := s.Events[len(s.Events)-1]; last.URL != at || last.Message != "Server ready at "+at {
		t.Errorf("the last event is %+v", last)
	}
	env := w.sim.env(alice)
	for key, want := range map[string]string{
		"JUPYTERHUB_BASE_URL":           "/teaching/",
		"JUPYTERHUB_SERVICE_PREFIX":     at,
		"JUPYTERHUB_OAUTH_CALLBACK_URL": at + "oauth_callback",
		"JUPYTERHUB_PUBLIC_URL":         "https://hub.example" + at,
		"JUPYTERHUB_PUBLIC_HUB_URL":     "https://hub.example/teaching/hub/",
		"JUPYTERHUB_HOST":               "",
	} {
		if env[key] != want {
			t.Errorf("%s = %q, want %q", key, env[key], want)
		}
	}
}

func TestServersOfOneUserAreSeparate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	r.started("")
	r.started("lab2")
	if _, err := r.Stop(t.Context(), alice.Name, ""); err != nil {
		t.Fatal(err)
	}
	w.await(alice, "", hub.Stopped)
	if s := w.get("lab2"); s.State != hub.Running {
		t.Errorf("lab2 is %s", s.State)
	}
	all, err := r.OfUser(t.Context(), alice.Name)
	if err != nil || len(all) != 2 || all[0].Name != "" || all[1].Name != "lab2" {
		t.Errorf("OfUser = %+v, %v", all, err)
	}
	w.wantSettled()
}

func TestEventsTellAStartInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.replica("a").started("")
	last := -1
	for i, e := range s.Events {
		if e.Progress < last || e.Failed || e.Message == "" || e.Ready != (i == len(s.Events)-1) {
			t.Errorf("event %d = %+v", i, e)
		}
		last = e.Progress
	}
	if first := s.Events[0]; first.Progress != 0 || first.Message != "Server requested" {
		t.Errorf("first event = %+v", first)
	}
	ready := s.Events[len(s.Events)-1]
	want := hub.Event{Progress: 100, Ready: true, URL: "/user/alice/", Message: "Server ready at /user/alice/",
		HTMLMessage: `Server ready at <a href="/user/alice/">/user/alice/</a>`}
	if ready != want {
		t.Errorf("last event = %+v, want %+v", ready, want)
	}
}

func TestFollowersSeeEveryEventOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	follower := w.watcher()
	first := make(chan struct{})
	var seen []string
	var states []hub.State
	done := make(chan error, 1)
	go func() {
		done <- follower.Follow(t.Context(), alice.Name, "", func(s hub.Server) bool {
			if len(states) == 0 {
				close(first)
			}
			states = append(states, s.State)
			for _, e := range s.Events[min(len(seen), len(s.Events)):] {
				seen = append(seen, e.Message)
			}
			return s.State != hub.Running
		})
	}()
	wait(t, first, "the first record")
	s := w.replica("a").started("")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if states[0] != hub.Stopped || states[1] != hub.Starting {
		t.Errorf("states = %v, want stopped, starting, ...", states)
	}
	var want []string
	for _, e := range s.Events {
		want = append(want, e.Message)
	}
	if !slices.Equal(seen, want) {
		t.Errorf("events = %q, want %q", seen, want)
	}
}

func TestStartKeepsTheOptionsOfTheLastOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	for i, step := range []struct{ give, want map[string]any }{
		{map[string]any{"profile": "big"}, map[string]any{"profile": "big"}},
		{nil, map[string]any{"profile": "big"}},
		{map[string]any{}, map[string]any{}},
		{nil, map[string]any{}},
	} {
		if _, err := r.Start(t.Context(), alice, "", step.give); err != nil {
			t.Fatal(err)
		}
		s := w.await(alice, "", hub.Running)
		if !maps.Equal(s.Options, step.want) {
			t.Errorf("start %d with options %v runs with %v, want %v", i, step.give, s.Options, step.want)
		}
		if _, err := r.Stop(t.Context(), alice.Name, ""); err != nil {
			t.Fatal(err)
		}
		w.await(alice, "", hub.Stopped)
	}
}

func TestStartOfAServerThatIsNotStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.replica("a"), w.replica("b")
	refused := func(u hub.User, name hub.ServerName, want string) {
		t.Helper()
		for _, r := range []*replica{a, b} {
			if _, err := r.Start(t.Context(), u, name, nil); hub.KindOf(err) != hub.Invalid || hub.MessageOf(err) != want {
				t.Errorf("Start = %v, want Invalid %q", err, want)
			}
		}
	}

	starting := w.sim.hold("before start")
	first := a.start("")
	wait(t, starting.reached, "the start")
	for _, r := range []*replica{a, b} {
		if s := r.start(""); s.Gen != first.Gen || s.State != hub.Starting {
			t.Errorf("Start of a starting server = %+v, want generation %d unchanged", s, first.Gen)
		}
	}
	close(starting.open)
	w.await(alice, "", hub.Running)
	refused(alice, "", "alice is already running")
	a.started("lab2")
	refused(alice, "lab2", "alice:lab2 is already running")

	stopping := w.sim.hold("before stop")
	if _, err := b.Stop(t.Context(), alice.Name, ""); err != nil {
		t.Fatal(err)
	}
	wait(t, stopping.reached, "the stop")
	refused(alice, "", "alice is pending stop")
	close(stopping.open)
	w.await(alice, "", hub.Stopped)
	w.sim.wantLog("made 1, made 1, ended 1")
}

func TestFailedStart(t *testing.T) {
	t.Parallel()
	const inTime = "The server did not become ready in time."
	tests := map[string]struct {
		arrange func(*world)
		short   bool
		reason  string
		log     string
	}{
		"with words for the user": {
			func(w *world) {
				w.sim.on("before start", func(context.Context, string) error {
					return hub.WithCause(hub.Errorf(hub.Invalid, "There is no such program."), errors.New("/srv/secret"))
				})
			}, false, "There is no such program.", "",
		},
		"without": {
			func(w *world) {
				w.sim.on("before start", func(context.Context, string) error { return errors.New("internal: 10.0.0.7 refused") })
			}, false, "The server could not be started. The hub's log says more.", "",
		},
		"after the instance was made": {
			func(w *world) {
				w.sim.on("after start", func(context.Context, string) error { return hub.Errorf(hub.Unavailable, "The disk is full.") })
			}, false, "The disk is full.", "made 1, ended 1",
		},
		"instance exits": {
			func(w *world) {
				w.sim.answers(alice, "", http.StatusBadGateway)
				w.sim.on("visit", func(context.Context, string) error {
					w.sim.exit(alice)
					return nil
				})
			}, false, "The server ended before it was ready: exited with code 3", "made 1, exited 1",
		},
		"never ready": {
			func(w *world) { w.sim.answers(alice, "", http.StatusInternalServerError) }, true, inTime, "made 1, ended 1",
		},
		"a stranger answers": {
			func(w *world) {
				w.sim.on("listens", func(context.Context, string) error { return errStranger })
			}, true, "Another program listens at the address of the server.", "made 1, ended 1",
		},
		"nobody knows who answers": {
			func(w *world) {
				w.sim.on("listens", func(context.Context, string) error { return errors.New("internal: /proc") })
			}, true, inTime, "made 1, ended 1",
		},
		"never answers": {
			func(w *world) {
				w.sim.on("visit", func(ctx context.Context, _ string) error {
					<-ctx.Done()
					return ctx.Err()
				})
			}, true, inTime, "made 1, ended 1",
		},
		"spawner hangs": {
			func(w *world) {
				w.sim.on("before start", func(ctx context.Context, _ string) error {
					<-ctx.Done()
					return ctx.Err()
				})
			}, true, inTime, "",
		},
		"spawner cannot look": {
			func(w *world) {
				w.sim.on("before poll", func(context.Context, string) error { return errors.New("runtime is away") })
			}, false, "The server could not be started. The hub's log says more.", "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *spawn.Options) {
				if test.short {
					o.StartTimeout, o.ReadyTimeout = 3*time.Second, time.Second
				}
			})
			test.arrange(w)
			r := w.replica("a")
			r.start("")
			s := w.await(alice, "", hub.Stopped)
			if s.Failure != test.reason {
				t.Errorf("reason %q, want %q", s.Failure, test.reason)
			}
			last := s.Events[len(s.Events)-1]
			if want := (hub.Event{Progress: 100, Failed: true, Message: "Spawn failed: " + test.reason}); last != want {
				t.Errorf("last event %+v, want %+v", last, want)
			}
			if s.Events[0].Message != "Server requested" {
				t.Errorf("events = %+v, want them from the beginning", s.Events)
			}
			w.wantNoRoute(alice, "")
			w.awaitTokens(alice, 0)
			w.wantSettled()
			w.sim.wantLog(test.log)

			for _, point := range []string{"before start", "after start", "before poll", "visit"} {
				w.sim.on(point, nil)
			}
			w.sim.answers(alice, "", http.StatusOK)
			if test.short {
				return // the next one would have too little time on a slow machine
			}
			if s := r.started(""); s.Gen != 2 || s.Failure != "" || s.Events[0].Message != "Server requested" {
				t.Errorf("the start after it = %+v", s)
			}
		})
	}
}

func TestStatusBelow500IsReady(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusFound, http.StatusForbidden, http.StatusNotFound} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.sim.answers(alice, "", status)
			w.replica("a").started("")
		})
	}
}

func TestStrangersAnswersDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := 0
	w.sim.on("listens", func(context.Context, string) error { // one worker asks
		asked++
		w.wantNoRoute(alice, "")
		if asked < 3 {
			return errStranger
		}
		return nil
	})
	w.replica("a").started("")
	if asked != 3 {
		t.Errorf("running after %d questions who listens, want 3", asked)
	}
	w.sim.wantLog("made 1")
}

func TestSpawnersNeedNotKnowWhoListens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *spawn.Options) { o.Spawner = struct{ hub.Spawner }{o.Spawner} })
	w.replica("a").started("")
}

func TestInstanceOfAFailedStartIsRemovedOnceTheSpawnerAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sim.on("after start", func(context.Context, string) error { return hub.Errorf(hub.Unavailable, "The disk is full.") })
	var mu sync.Mutex
	asked := 0
	w.sim.on("before stop", func(context.Context, string) error {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked < 3 {
			return errors.New("runtime is away")
		}
		return nil
	})
	a := w.replica("a")
	a.start("")
	if s := w.await(alice, "", hub.Stopped); s.Failure != "The disk is full." || !s.Events[len(s.Events)-1].Failed {
		t.Errorf("record = %+v, want the first reason", s)
	}
	w.sim.wantLog("made 1, ended 1")
	w.wantSettled()
}

func TestConcurrentStartsOnThreeReplicasMakeOneInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	replicas := []*replica{w.replica("a"), w.replica("b"), w.replica("c")}
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			s, err := replicas[i%3].Start(t.Context(), alice, "", nil)
			if err != nil && !strings.Contains(hub.MessageOf(err), "already running") {
				t.Errorf("Start: %v", err)
			}
			if err == nil && s.Gen != 1 {
				t.Errorf("Start = generation %d, want 1", s.Gen)
			}
		})
	}
	w.await(alice, "", hub.Running)
	all.Wait()
	w.sim.wantLog("made 1")
	w.wantTokens(alice, 1)
	w.wantSettled()
}

func TestManyServersStartAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	replicas := []*replica{w.replica("a"), w.replica("b")}
	const users = 30
	for i := range users {
		u := hub.User{ID: fmt.Sprint("id", i), Name: hub.UserName(fmt.Sprint("user", i))}
		w.user(u)
		if _, err := replicas[i%2].Start(t.Context(), u, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range users {
		w.await(hub.User{Name: hub.UserName(fmt.Sprint("user", i))}, "", hub.Running)
	}
	w.wantSettled()
}

func TestStartIsKeptWhenTheCallerGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.idle("a") // nobody takes the work yet
	r.join()
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		_, _ = r.Start(ctx, alice, "", nil)
	}()
	w.await(alice, "", hub.Starting)
	cancel()
	wait(t, returned, "Start to return")
	r.run()
	w.await(alice, "", hub.Running)
	w.sim.wantLog("made 1")
}
