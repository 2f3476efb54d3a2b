package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/test/env"
)

// hang is when a request counts as hanging. The promise is 3 s, on a machine that does nothing else.
const hang = 10 * time.Second

// TestQuorumLost takes etcd's quorum away from the hub (C5), by killing two of three members, and by silence of all three. The
// hub says so at once to everybody who needs it; whoever works in a running server notices nothing; nothing that was
// acknowledged is lost; and with the quorum everything is back, in the same processes.
func TestQuorumLost(t *testing.T) {
	t.Parallel()
	c := edgetest.StartCluster(t)
	w := echo(t, env.Options{Etcd: c.Endpoints()}, "alice")
	w.AddUser(t, "bob")
	alice := w.Login(t, "alice")
	work := visits(t, alice, "/user/alice/x", instance(t, alice, "alice"))
	socket := talk(t, alice.WebSocket(t, "/user/alice/ws"))
	hub := w.Hub.PID()
	var stopped []*edgetest.Member
	for _, fault := range []struct {
		name        string
		cause, mend func(t *testing.T)
	}{
		{"two members killed", func(t *testing.T) {
			leader := c.Leader(t, 0)
			stopped = []*edgetest.Member{c.Members[leader], c.Members[(leader+1)%3]}
			for _, m := range stopped {
				m.Stop()
			}
		}, func(t *testing.T) {
			var all sync.WaitGroup
			for _, m := range stopped {
				all.Go(func() {
					if err := m.Start(); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}},
		{"all members silent", func(*testing.T) {
			for _, m := range c.Members {
				m.Front.Freeze()
			}
		}, func(*testing.T) { c.Heal() }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			bob := w.Anonymous() // has the form before him
			form := url.Values{"username": {"bob"}, "password": {w.Password("bob")}, "_xsrf": {bob.XSRF(t, "/hub/login")}}
			users := writer(t, w, fault.name)
			users.await(t, http.StatusCreated)
			fault.cause(t)
			users.await(t, http.StatusServiceUnavailable)
			refusesAtOnce(t, w, alice, bob, form)
			work.mustGoOn(t, "alice's work")
			socket.mustGoOn(t, "alice's WebSocket")
			users.await(t, http.StatusServiceUnavailable) // to the last
			fault.mend(t)
			users.await(t, http.StatusCreated)
			made := users.end(t)
			for _, name := range made {
				if status, body := w.API(t, http.MethodGet, "/users/"+name, nil); status != http.StatusOK {
					t.Errorf("user %s was acknowledged and is not there: %d %s", name, status, body)
				}
			}
			t.Logf("%d users were acknowledged, the longest wait was %v", len(made), users.longest)
			w.Login(t, "bob")
			w.StartServer(t, "bob")
			w.StopServer(t, "bob")
		})
	}
	if _, err := work.end(); err != nil {
		t.Errorf("alice's work: %v", err)
	}
	if lives := w.Lives(t, "alice"); len(lives) != 2 || w.Hub.PID() != hub || !w.Hub.Running() {
		t.Errorf("alice's server began %d times, the hub is process %d and was %d", len(lives)-1, w.Hub.PID(), hub)
	}
}

// refusesAtOnce asks for all that needs the database.
func refusesAtOnce(t *testing.T, w *env.World, alice, bob *env.Client, form url.Values) {
	t.Helper()
	forms := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	admin := w.Bearer(w.AdminToken)
	var all sync.WaitGroup
	for _, ask := range []struct {
		who          *env.Client
		method, path string
		header       http.Header
		body         string
	}{
		{admin, http.MethodGet, "/hub/api/user", nil, ""},
		{admin, http.MethodGet, "/hub/api/users", nil, ""},
		{admin, http.MethodPost, "/hub/api/users/bob/server", nil, ""},
		{admin, http.MethodDelete, "/hub/api/users/alice/server", nil, ""},
		{admin, http.MethodGet, "/hub/metrics", nil, ""},
		{bob, http.MethodPost, "/hub/login", forms, form.Encode()},
		{alice, http.MethodGet, "/hub/home", page(), ""},
		{alice, http.MethodGet, "/hub/spawn", page(), ""},
		{w.Anonymous(), http.MethodGet, "/hub/health", nil, ""},
	} {
		all.Go(func() {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), hang)
			defer cancel()
			resp, err := ask.who.Try(ctx, ask.method, ask.path, ask.header, strings.NewReader(ask.body))
			switch {
			case err != nil:
				t.Errorf("%s %s hangs: %v", ask.method, ask.path, err)
			case resp.Status != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "":
				t.Errorf("%s %s: %s, Retry-After %q, want 503 with one", ask.method, ask.path, resp, resp.Header.Get("Retry-After"))
			case ask.header.Get("Accept") != "" && !strings.Contains(resp.Header.Get("Content-Type"), "text/html"):
				t.Errorf("%s %s: no page for people: %s", ask.method, ask.path, resp)
			default:
				t.Logf("%s %s: 503 after %v", ask.method, ask.path, time.Since(start).Round(10*time.Millisecond))
			}
		})
	}
	all.Wait()
	if resp := w.Anonymous().Page(t, "/hub/login"); resp.Status != http.StatusOK {
		t.Errorf("the sign-in page, which needs no database: %s", resp)
	}
	if resp := w.Anonymous().Get(t, "/hub/api/health"); resp.Status != http.StatusOK {
		t.Errorf("the process is alive, and says %s", resp)
	}
}

// users makes users all the time.
type users struct {
	*loop
	mu      sync.Mutex
	last    int // status of the last answer
	seen    int // how many answers there were
	made    []string
	longest time.Duration
}

func writer(t *testing.T, w *env.World, what string) *users {
	t.Helper()
	u, admin := &users{}, w.Bearer(w.AdminToken)
	name := strings.ReplaceAll(what, " ", "-")
	u.loop = repeat(t, 20*time.Millisecond, func(ctx context.Context, i int64) error {
		ctx, cancel := context.WithTimeout(ctx, hang)
		defer cancel()
		start, user := time.Now(), fmt.Sprintf("%s-%d", name, i)
		resp, err := admin.Try(ctx, http.MethodPost, "/hub/api/users/"+user, nil, nil)
		if err != nil {
			return err
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.last, u.longest = resp.Status, max(u.longest, time.Since(start))
		u.seen++
		switch {
		case resp.Status == http.StatusCreated:
			u.made = append(u.made, user)
		case resp.Status != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "":
			return fmt.Errorf("make user %s: %s", user, resp)
		}
		return nil
	})
	return u
}

// await waits for an answer from now on with a status.
func (u *users) await(t *testing.T, status int) {
	t.Helper()
	u.mu.Lock()
	from := u.seen
	u.mu.Unlock()
	env.Eventually(t, fmt.Sprintf("making users gives %d", status), 60*time.Second, func() error {
		select {
		case <-u.ended:
			t.Fatal(u.err)
		default:
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.seen < from+2 || u.last != status {
			return fmt.Errorf("it gives %d", u.last)
		}
		return nil
	})
}

// end returns the users whose making was acknowledged.
func (u *users) end(t *testing.T) []string {
	t.Helper()
	if _, err := u.loop.end(); err != nil {
		t.Error(err)
	}
	return u.made
}

// TestStartWithoutEtcd starts the hub first, and etcd long after it (C7): the process lives, says that it is not ready, and is
// when etcd is there.
func TestStartWithoutEtcd(t *testing.T) {
	t.Parallel()
	w := env.New(t, env.Options{})
	w.AddUser(t, "alice")
	w.Hub.Stop()
	w.Etcd.Stop()
	w.Hub.Launch()
	pid, client := w.Hub.PID(), &http.Client{Timeout: hang, Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(path string, want int) func() error {
		return func() error {
			resp, err := client.Get("http://" + w.HubAddr() + path)
			if err != nil {
				return err
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want || want == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
				return fmt.Errorf("%s: %s, want %d", path, resp.Status, want)
			}
			return nil
		}
	}
	env.Eventually(t, "the hub says that it is not ready", 30*time.Second, ask("/hub/health", http.StatusServiceUnavailable))
	for _, path := range []string{"/hub/login", "/hub/api/users", "/hub/metrics"} {
		if err := ask(path, http.StatusServiceUnavailable)(); err != nil {
			t.Error(err)
		}
	}
	if err := ask("/hub/api/health", http.StatusOK)(); err != nil {
		t.Error(err)
	}
	env.Eventually(t, "the log says what it waits for", 30*time.Second, func() error {
		if !strings.Contains(w.Hub.Log(), "waiting for etcd") {
			return errors.New("it does not")
		}
		return nil
	})
	w.Etcd.Start()
	env.Eventually(t, "the hub is ready", 30*time.Second, ask("/hub/health", http.StatusOK))
	env.Eventually(t, "the front door finds it", 30*time.Second, func() error {
		if resp := w.Anonymous().Get(t, "/hub/health"); resp.Status != http.StatusOK {
			return errors.New(resp.String())
		}
		return nil
	})
	w.Login(t, "alice")
	if !w.Hub.Running() || w.Hub.PID() != pid {
		t.Error("the hub is another process")
	}
}
