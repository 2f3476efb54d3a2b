package differential

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

const (
	driver   = "6f1f0d3f2c6d4f0a9b8e7d6c5b4a3928" // the token of a service that may make users and tokens
	password = "a password of everybody"
)

// installed is the JupyterHub 6 of this machine as its Python and its version, or empty.
func installed() (python, version string) {
	dir := os.Getenv(env.Jupyter)
	if dir == "" {
		return "", ""
	}
	out, err := exec.Command(filepath.Join(dir, "jupyterhub"), "--version").Output()
	version = strings.TrimSpace(string(out))
	if err != nil || !strings.HasPrefix(version, "6.") {
		return "", ""
	}
	// Debian's programs are links beside each other, those of a virtual environment scripts with its Python.
	if python = filepath.Join(dir, "python"); exec.Command(python, "-c", "import jupyterhub").Run() != nil {
		return "", ""
	}
	return python, version
}

// startJupyterHub returns the address of a JupyterHub that ends with the test.
func startJupyterHub(t *testing.T, python string) string {
	t.Helper()
	origin := "http://" + env.NewAddress() + ":8081"
	config, err := filepath.Abs("testdata/jupyterhub_config.py")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(python, "-m", "jupyterhub", "-f", config)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &log, &log
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "DIFFERENTIAL_URL=" + origin, "DIFFERENTIAL_TOKEN=" + driver,
		"DIFFERENTIAL_PASSWORD=" + password, "PYTHONDONTWRITEBYTECODE=1"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it stops its servers
		_ = cmd.Wait()
		if t.Failed() {
			text := log.String()
			t.Logf("the end of JupyterHub's log:\n%s", text[max(0, len(text)-3000):])
		}
	})
	env.Eventually(t, "JupyterHub answers", time.Minute, func() error {
		resp, err := http.Get(origin + "/hub/health")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	return origin
}

// startEdgehub returns the address of an edgehub that ends with the test.
func startEdgehub(t *testing.T) (origin, token string) {
	t.Helper()
	w := env.Up(t, env.Options{Args: []string{"--admin="}})
	return w.URL(""), w.AdminToken
}

// prepare makes the users that sign in, boss and alice, and a token for each. extra is JSON that only one of the hubs wants.
func prepare(ctx context.Context, origin, token, extra string) (*side, error) {
	s := newSide(origin, map[string]string{"driver_token": token, "bogus_token": strings.Repeat("0", 32),
		"password": strings.ReplaceAll(password, " ", "+")})
	for _, user := range []string{"boss", "alice"} {
		body := fmt.Sprintf(`{"admin": %t%s}`, user == "boss", extra)
		if _, err := s.send(ctx, &step{who: "driver", method: "POST", path: "/hub/api/users/" + user, body: body}); err != nil {
			return nil, err // that boss exists already is none
		}
		a, err := s.send(ctx, &step{who: "driver", method: "POST", path: "/hub/api/users/" + user + "/tokens",
			save: [][2]string{{user + "_token", ".token"}}})
		if err != nil || a["status"] != "201" {
			return nil, fmt.Errorf("no token for %s: %v %w", user, a, err)
		}
	}
	return s, nil
}
