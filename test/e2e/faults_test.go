package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// TestFaults shows that those who are signed in go on working in their running servers whatever becomes of the hub and of
// etcd: with each fault 1,000 requests and a WebSocket, and none of them fails.
func TestFaults(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := echo(t, env.Options{Edge: e}, "alice", "bob")
		alice, bob := w.Login(t, "alice"), w.Login(t, "bob")
		token := w.Bearer(alice.Token(t).Secret) // it has been exchanged when the first request with it is answered
		id := instance(t, token, "alice")
		socket := talk(t, alice.WebSocket(t, "/user/alice/ws"))
		nothing := func() {}
		for _, fault := range []struct {
			name        string
			cause, mend func()
			noticed     bool // the front door knows that something is wrong
		}{
			{"hub paused", w.Hub.Pause, w.Hub.Resume, false},
			{"etcd paused", w.Etcd.Pause, w.Etcd.Resume, true},
			{"hub stopped", w.Hub.Stop, nothing, false},
			{"hub and etcd stopped", w.Etcd.Stop, nothing, false},
			{"etcd stopped", w.Hub.Launch, w.Etcd.Start, false},
			{"etcd killed", w.Etcd.Kill, w.Etcd.Start, false},
			{"nothing", nothing, nothing, false},
		} {
			t.Run(fault.name, func(t *testing.T) {
				before := len(w.Front.Log())
				fault.cause()
				env.Eventually(t, "the front door notices", 30*time.Second, func() error {
					if fault.noticed && !strings.Contains(w.Front.Log()[before:], "listing again") {
						return errors.New("its log says nothing")
					}
					return nil
				})
				mustWork(t, alice, token, id)
				if resp := bob.Get(t, "/user/alice/x"); resp.Status != http.StatusForbidden {
					t.Errorf("bob at alice's server: %s, want 403", resp)
				}
				talk(t, alice.WebSocket(t, "/user/alice/ws")).mustGoOn(t, "a WebSocket that was opened meanwhile")
				socket.mustGoOn(t, "the WebSocket that was open before")
				fault.mend()
			})
		}
		t.Run("front door starts without etcd", func(t *testing.T) { notReady(t, w, alice) })
		t.Run("afterwards", func(t *testing.T) { recovered(t, w, alice) })
	})
}

// mustWork does 1,000 requests, half of them with a cookie and half with an API token.
func mustWork(t *testing.T, browser, program *env.Client, instance string) {
	t.Helper()
	start := time.Now()
	for _, c := range []*env.Client{browser, program} {
		if failed := storm(c, 500, "/user/alice/x", instance); len(failed) > 0 {
			t.Errorf("%d of 500 requests failed, the first: %s", len(failed), failed[0])
		}
	}
	t.Logf("1000 requests in %s", time.Since(start).Round(time.Millisecond))
}

// notReady shows that a front door that knows nothing lets nobody in, and says that it will know soon.
func notReady(t *testing.T, w *env.World, alice *env.Client) {
	w.Etcd.Stop()
	w.Front.Stop()
	w.Front.Launch()
	env.Eventually(t, "the front door listens", 30*time.Second, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		resp, err := alice.Try(ctx, http.MethodGet, "/user/alice/x", nil, nil)
		if err == nil && resp.Status == http.StatusNotFound { // Traefik reads its own configuration
			err = errors.New("no route yet")
		}
		return err
	})
	for _, path := range []string{"/user/alice/x", "/user/nobody/", "/hub/home", "/hub/api/user", "/", "/x"} {
		for what, c := range map[string]*env.Client{"cookie": alice, "nobody": w.Anonymous(), "token": w.Bearer(w.AdminToken)} {
			resp := c.Get(t, path)
			if resp.Status != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(resp.Body), "not ready") {
				t.Errorf("%s with %s: %s, want 503 with a Retry-After", path, what, resp)
			}
			if strings.Contains(path, "/api/") {
				continue // programs' addresses give JSON to everybody
			}
			if opened := c.Page(t, path); opened.Status != http.StatusServiceUnavailable || !strings.Contains(opened.Header.Get("Content-Type"), "text/html") {
				t.Errorf("page %s with %s: %s, want 503 as a page", path, what, opened)
			}
		}
	}
	w.Etcd.Start()
	w.Front.Await()
	if resp := alice.Get(t, "/user/alice/x"); resp.Status != http.StatusOK {
		t.Errorf("alice when the front door is ready: %s", resp)
	}
}

// recovered shows that the hub and the front door are all there when etcd is back: what has changed meanwhile arrives, and
// what changes from then on arrives within a second.
func recovered(t *testing.T, w *env.World, alice *env.Client) {
	w.Hub.Await()
	env.Eventually(t, "the hub writes again", 30*time.Second, func() error {
		if resp := w.Bearer(w.AdminToken).Post(t, "/hub/api/users/carol", nil); resp.Status != http.StatusCreated && resp.Status != http.StatusConflict {
			return fmt.Errorf("%s", resp)
		}
		return nil
	})
	w.StartServer(t, "carol")
	thief := alice.Clone()
	alice.Logout(t)
	gone(t, "the cookie after logout", time.Now(), thief, nil, http.StatusForbidden)
	if n := len(w.Lives(t, "alice")); n != 2 {
		t.Errorf("alice's server: %+v, want one start", w.Lives(t, "alice"))
	}
}

// TestFaultsJupyter shows the same with a real Jupyter, whose visitors are unknown to it until the front door tells it who
// they are: the hub is away from the first request on.
func TestFaultsJupyter(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := env.New(t, env.Options{Edge: e, Jupyter: true})
		w.AddUser(t, "alice")
		w.StartServer(t, "alice")
		alice, late := w.Login(t, "alice"), w.Login(t, "alice")
		w.Hub.Stop()
		kernel := alice.Kernel(t, "alice")
		for _, fault := range []struct {
			name  string
			cause func()
		}{{"hub stopped", func() {}}, {"hub and etcd stopped", w.Etcd.Stop}} {
			t.Run(fault.name, func(t *testing.T) {
				fault.cause()
				for i := range 20 {
					if got, want := kernel.Run(t, fmt.Sprintf("print(6*%d)", i)), fmt.Sprint(6*i); got != want {
						t.Fatalf("a cell printed %q, want %q", got, want)
					}
				}
				for range 50 {
					if resp := alice.Get(t, "/user/alice/api/contents"); resp.Status != http.StatusOK {
						t.Fatalf("list files: %s", resp)
					}
				}
			})
		}
		t.Run("another session", func(t *testing.T) {
			if got := late.Kernel(t, "alice").Run(t, "print(6*7)"); got != "42" {
				t.Errorf("a cell printed %q, want 42", got)
			}
		})
	})
}
