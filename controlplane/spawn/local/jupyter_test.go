package local

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// jupyterPath is a PATH with a real Jupyter on it (see test/setup/env.sh).
func jupyterPath(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("EDGEHUB_TEST_JUPYTER_BIN")
	switch {
	case bin != "":
	case testing.Short(): // `make test-quick` builds no peers; `make test` runs this afterwards
		t.Skip("needs a real Jupyter")
	case os.Getenv("CI") != "":
		t.Fatal("EDGEHUB_TEST_JUPYTER_BIN is not set: run `make setup`, and tests with test/setup/env.sh")
	default:
		t.Skip("needs a real Jupyter: `make setup`, then test/setup/env.sh go test")
	}
	return bin + ":/usr/bin:/bin"
}

// fakeHub knows one visitor's token. It answers like a hub, for jupyterhub-singleuser.
func fakeHub(t *testing.T, ticket string) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-JupyterHub-Version", hub.Version)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path != "/hub/api/user":
			fmt.Fprintf(w, `{"version": %q}`, hub.Version)
		case r.Header.Get("Authorization") == "token "+ticket:
			asked.Add(1)
			fmt.Fprint(w, `{"kind": "user", "name": "alice", "scopes": ["access:servers!server=alice/"], "groups": [], "admin": false}`)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/hub/api", asked
}

func jupyterSpec(t *testing.T, s *Spawner, api string) hub.Spec {
	t.Helper()
	spec := specFor(t, s, 1)
	const access = `["access:servers!server=alice/"]`
	spec.Server, spec.Prefix = "", "/user/alice/"
	spec.Env = map[string]string{
		"JUPYTERHUB_API_TOKEN": "0123456789abcdef0123456789abcdef", "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-alice",
		"JUPYTERHUB_HOST": "", "JUPYTERHUB_OAUTH_CALLBACK_URL": "/user/alice/oauth_callback", "JUPYTERHUB_USER": "alice",
		"JUPYTERHUB_OAUTH_ACCESS_SCOPES": access, "JUPYTERHUB_OAUTH_SCOPES": access, "JUPYTERHUB_SERVER_NAME": "",
		"JUPYTERHUB_API_URL": api, "JUPYTERHUB_ACTIVITY_URL": api + "/users/alice/activity", "JUPYTERHUB_BASE_URL": "/",
		"JUPYTERHUB_SERVICE_PREFIX": "/user/alice/",
	}
	return spec
}

func ask(ctx context.Context, method, url, token string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Close = true
	if token != "" {
		req.Header.Set("Authorization", "token "+token)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // follows no redirects
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func TestRealJupyter(t *testing.T) {
	t.Parallel()
	path := jupyterPath(t)
	for _, c := range []struct {
		command []string
		auth    string
	}{
		{[]string{"jupyterhub-singleuser"}, routes.AuthTicket},
		{[]string{"jupyter", "lab"}, routes.AuthSecret},
	} {
		t.Run(strings.Join(c.command, "_"), func(t *testing.T) {
			t.Parallel()
			opt := Options{Dir: filepath.Join(t.TempDir(), "servers"), Command: c.command, Env: map[string]string{"PATH": path}}
			s := newSpawner(t, opt)
			if s.look(c.command[0]) == "" || c.auth == routes.AuthSecret && s.look("jupyter-lab") == "" {
				t.Skipf("%v is not installed", c.command)
			}
			tryJupyter(t, s, c.auth)
		})
	}
}

func tryJupyter(t *testing.T, s *Spawner, auth string) {
	const ticket = "a-visitors-ticket-for-this-server"
	api, asked := fakeHub(t, ticket)
	spec := jupyterSpec(t, s, api)
	inst := start(t, s, spec)
	if inst.Auth != auth {
		t.Errorf("auth is %q, want %q", inst.Auth, auth)
	}
	awaitJupyter(t, s, inst.URL+"/user/alice/api")
	token := map[string]string{routes.AuthTicket: ticket, routes.AuthSecret: spec.Secret}[auth]
	for _, r := range []struct {
		method, path, token string
		want                int
	}{
		{"GET", "lab", "", 302},
		{"GET", "api/contents", "a-wrong-token-of-nobody", 403},
		{"GET", "lab", token, 200},
		{"GET", "api/contents", token, 200},
		{"POST", "api/kernels", token, 201},
	} {
		status, body, err := ask(t.Context(), r.method, inst.URL+"/user/alice/"+r.path, r.token)
		if err != nil || status != r.want {
			t.Errorf("%s %s with token %q: %d, %v, want %d\n%.300s", r.method, r.path, r.token, status, err, r.want, body)
		}
	}
	if got := asked.Load() > 0; got != (auth == routes.AuthTicket) {
		t.Errorf("the server asked the hub about its visitor: %v", got)
	}
	if n := len(livePrograms(t, s.opt.Dir, "srv")); n < 2 {
		t.Errorf("%d processes, want server and kernel", n)
	}
	began := time.Now()
	stop(t, s, 1, 30*time.Second)
	t.Logf("stopped in %v: %s", time.Since(began), waitGone(t, s, "srv").Reason)
	if log := s.LogTail("srv", 1000); strings.Contains(log, spec.Secret) || !strings.Contains(log, "/user/alice/lab") {
		t.Errorf("log:\n%s", log)
	}
}

func awaitJupyter(t *testing.T, s *Spawner, url string) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); _ = pause(t.Context()) {
		if status, _, err := ask(t.Context(), "GET", url, ""); err == nil && status < 500 {
			return
		}
		if status, err := s.Poll(t.Context(), "srv", nil); err != nil || !status.Running {
			break
		}
	}
	t.Fatalf("Jupyter does not answer; its log:\n%s", s.LogTail("srv", 30))
}
