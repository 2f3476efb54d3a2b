package e2e

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// TestHoldStart shows that with --hold-start programs need not ask again and again while a server starts.
func TestHoldStart(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := env.New(t, env.Options{Edge: e, Args: []string{"--hold-start", "2m"}})
		w.AddUser(t, "alice")
		w.Hold(t, "alice")
		alice := w.Login(t, "alice")

		asking := ask(t, w, http.MethodPost, "alice")
		answers := waiters(t, alice)
		if resp := w.Anonymous().Get(t, "/user/alice/api/x"); resp.Status != http.StatusFailedDependency {
			t.Errorf("nobody, while the server starts: %s, want 424", resp)
		}
		w.Release(t, "alice")
		for resp := range answers {
			if report := resp.Report(t); report.User != "alice" || report.Target != "/user/alice/api/x" {
				t.Errorf("after the start: %s", resp)
			}
		}
		asking.Wait()

		w.StopServer(t, "alice")
		w.Hold(t, "alice")
		asking = ask(t, w, http.MethodPost, "alice")
		answers = waiters(t, alice)
		w.StopServer(t, "alice")
		for resp := range answers {
			if resp.Status != http.StatusFailedDependency {
				t.Errorf("after a start that was cancelled: %s, want 424", resp)
			}
		}
		asking.Wait()
	})
}

// waiters sends one request more to alice's server than may wait for it. It returns when that one has been sent away: the
// others, whose answers come over the channel, wait then. Before the front door knows of the start they are all sent away, and
// come again.
func waiters(t *testing.T, alice *env.Client) <-chan *env.Response {
	t.Helper()
	const places = 100
	full, answers := make(chan struct{}), make(chan *env.Response, places)
	var all sync.WaitGroup
	for range places + 1 {
		all.Go(func() {
			for {
				resp, err := alice.Try(t.Context(), http.MethodGet, "/user/alice/api/x", nil, nil)
				if err != nil {
					t.Errorf("a request that waits: %v", err)
					return
				}
				if resp.Header.Get("Retry-After") != "" {
					close(full) // a second one would panic
					return
				}
				if resp.Status != http.StatusFailedDependency || closed(full) {
					answers <- resp
					return
				}
				time.Sleep(10 * time.Millisecond) // not to be busy with it
			}
		})
	}
	go func() { all.Wait(); close(answers) }()
	select {
	case <-full:
	case resp := <-answers:
		t.Fatalf("answered before the server could: %s", resp)
	case <-time.After(time.Minute):
		t.Fatal("nobody was sent away, so not all wait")
	}
	return answers
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
