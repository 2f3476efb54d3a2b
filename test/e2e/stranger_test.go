package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// TestStranger has another program answer on the port of a server that does not listen yet: it gets the hub's questions and
// never a visitor's request. When it goes, the server runs.
func TestStranger(t *testing.T) {
	t.Parallel()
	w := echo(t, env.Options{})
	w.AddUser(t, "alice")
	alice := w.Login(t, "alice")
	w.Hold(t, "alice")
	answer := ask(t, w, http.MethodPost, "alice")
	processMade(t, w, "alice")
	env.Eventually(t, "the port", 20*time.Second, func() error {
		if w.Server(t, "alice").State.Port == 0 {
			return errors.New("it is not known")
		}
		return nil
	})
	asked, visited := stranger(t, w.Server(t, "alice").State.Port, func(asked *atomic.Int32) {
		env.Eventually(t, "questions of the hub", 30*time.Second, func() error {
			if n := asked.Load(); n < 3 {
				return fmt.Errorf("there were %d", n)
			}
			return nil
		})
		if s := w.Server(t, "alice"); s.Ready {
			t.Errorf("the server is said to run: %+v", s)
		}
		if resp := alice.Get(t, "/user/alice/x"); resp.Status != http.StatusFailedDependency {
			t.Errorf("alice at a server that does not listen: %s, want 424", resp)
		}
	})
	if visited != 0 {
		t.Errorf("the stranger got %d requests beside %d questions", visited, asked)
	}
	w.Release(t, "alice")
	w.AwaitServer(t, "alice")
	answer.Wait()
	if user := alice.Get(t, "/user/alice/x").Report(t).User; user != "alice" {
		t.Errorf("at alice's address is the server of %q", user)
	}
}

// stranger answers everything on a port during a call. It returns how often it was asked whether it is ready, and anything else.
func stranger(t *testing.T, port int, during func(asked *atomic.Int32)) (int32, int32) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	var asked, other atomic.Int32
	s := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/api") {
			asked.Add(1)
			return
		}
		other.Add(1)
	})}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer func() { _ = s.Close() }()
	serving.Go(func() { _ = s.Serve(l) }) // until it is closed
	during(&asked)
	return asked.Load(), other.Load()
}
