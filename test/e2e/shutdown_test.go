package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// TestUpShutsDownByAPI shows that a hub ends as on SIGTERM when an administrator asks it to, after the answer has gone through
// its own front door, and with or without the servers as the request says.
func TestUpShutsDownByAPI(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := env.Up(t, env.Options{Edge: e}) // stops its servers unless it is told otherwise
		w.AddUser(t, "alice")
		w.StartServer(t, "alice")
		alice := w.Login(t, "alice")
		before := alice.Get(t, "/user/alice/x").Report(t)

		shutDown(t, w, map[string]any{"servers": false})
		if left := env.Processes(t, w.Data); len(left) != 1 || left[0] != before.PID {
			t.Errorf("these processes are left, want %d alone:\n%s", before.PID, env.Describe(left))
		}
		w.Hub.Start()
		w.AwaitRoute(t, "alice")
		if after := alice.Get(t, "/user/alice/x").Report(t); after.Instance != before.Instance {
			t.Error("alice's server is another one")
		}
		shutDown(t, w, map[string]any{"servers": true, "proxy": true})
		nothingLeft(t, w.Data, w.Addr())
	})
}

// shutDown asks the hub to end and waits until it has.
func shutDown(t *testing.T, w *env.World, body map[string]any) {
	t.Helper()
	resp := w.Bearer(w.AdminToken).Post(t, "/hub/api/shutdown", body)
	if resp.Status != http.StatusAccepted || string(resp.Body) != `{"message":"Shutting down Hub"}` {
		t.Fatalf("shut down: %s", resp)
	}
	if code := w.Hub.Wait(stopTime); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestOneReplicaShutsDown shows that only the replica ends that answers, and that front doors and servers are left alone.
func TestOneReplicaShutsDown(t *testing.T) {
	t.Parallel()
	w := env.New(t, env.Options{})
	w.AddUser(t, "alice")
	w.StartServer(t, "alice")
	second, address := w.AddHub(t)
	for body, want := range map[string]int{`{"proxy":true}`: http.StatusBadRequest, `{"servers":"all"}`: http.StatusBadRequest} {
		if status := postTo(t, address, w.AdminToken, body); status != want {
			t.Errorf("%s = %d, want %d", body, status, want)
		}
	}
	if status := postTo(t, address, w.AdminToken, `{"proxy":false}`); status != http.StatusAccepted {
		t.Fatalf("shut down = %d", status)
	}
	if code := second.Wait(stopTime); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if !w.Hub.Running() || !w.Front.Running() {
		t.Error("the other replica or the front door has ended, too")
	}
	if resp := w.Login(t, "alice").Get(t, "/user/alice/x"); resp.Status != http.StatusOK {
		t.Errorf("alice's server: %s", resp)
	}
}

// postTo asks the replica at an address to shut down.
func postTo(t *testing.T, address, token, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/hub/api/shutdown", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "token "+token)
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
