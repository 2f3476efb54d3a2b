package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// TestTheFrontDoorCanBeWatched is what an operator sees of `edgehub up`: an access log that says who and why and has no secret in it,
// metrics for who has the token, and readiness for everybody.
func TestTheFrontDoorCanBeWatched(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		const token, secret = "canary-status-token", "canary-in-the-address"
		dir := t.TempDir()
		log, file := filepath.Join(dir, "access.log"), filepath.Join(dir, "token")
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		w := env.Up(t, env.Options{Edge: e, Args: []string{"--access-log", log, "--status-path", "/.edgehub", "--status-token-file", file}})
		w.AddUser(t, "alice")
		w.StartServer(t, "alice")
		alice := w.Login(t, "alice")
		if resp := alice.Get(t, "/user/alice/seen?token="+secret); resp.Status != http.StatusOK {
			t.Fatal(resp)
		}
		w.Anonymous().Get(t, "/user/alice/unseen")
		assertLogged(t, log, "/user/alice/seen", `"alice"`, `"/user/alice/"`, `"allow"`, `"owner"`)
		assertLogged(t, log, "/user/alice/unseen", `"signin"`, `"no_credential"`)
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for _, hidden := range []string{secret, w.AdminToken, token} {
			if strings.Contains(string(text), hidden) {
				t.Errorf("the access log has %s in it", hidden)
			}
		}
		if resp := w.Bearer(token).Get(t, "/.edgehub/metrics"); resp.Status != http.StatusOK || !strings.Contains(string(resp.Body), "edgehub_edge_routes 1\n") {
			t.Errorf("metrics: %s", resp)
		}
		if resp := alice.Get(t, "/.edgehub/metrics"); resp.Status != http.StatusNotFound {
			t.Errorf("metrics without the token: %s", resp)
		}
		if resp := w.Anonymous().Get(t, "/.edgehub/ready"); resp.Status != http.StatusOK || string(resp.Body) != "ready\n" {
			t.Errorf("readiness: %s", resp)
		}
	})
}

// assertLogged waits for a line with a path and checks what else it has.
func assertLogged(t *testing.T, file, path string, has ...string) {
	t.Helper()
	env.Eventually(t, "the access log has "+path, 20*time.Second, func() error {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, line := range strings.Split(string(text), "\n") {
			if !strings.Contains(line, `"`+path+`"`) {
				continue
			}
			for _, value := range has {
				if !strings.Contains(line, value) {
					t.Fatalf("the line has no %s: %s", value, line)
				}
			}
			return nil
		}
		return errors.New("no line yet")
	})
}
