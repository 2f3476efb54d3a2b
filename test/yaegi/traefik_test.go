package yaegi

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// TestTraefik runs the suite through a real Traefik, if EDGEHUB_TEST_TRAEFIK names one.
func TestTraefik(t *testing.T) {
	program := os.Getenv("EDGEHUB_TEST_TRAEFIK")
	if program == "" {
		t.Skip("EDGEHUB_TEST_TRAEFIK does not name a Traefik")
	}
	edgetest.Run(t, func(t testing.TB, o edgetest.Options) http.Handler { return startTraefik(t, program, o) })
}

// traefik is a running Traefik whose only router goes through the plugin.
type traefik struct {
	http.Handler
	addr string
}

// Address implements edgetest.Remote.
func (r *traefik) Address() string { return r.addr }

type section map[string]any

func startTraefik(t testing.TB, program string, o edgetest.Options) *traefik {
	t.Helper()
	dir := t.TempDir()
	local := filepath.Join(dir, "plugins-local")
	write(t, local, "plugin", plugin.Files)
	write(t, local, "routes", routes.Files)
	manifest, err := os.ReadFile(filepath.Join("..", "..", ".traefik.yml"))
	if err != nil {
		t.Fatal(err)
	}
	save := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := func(name string, s section) string {
		text, err := json.Marshal(s) // JSON is YAML
		if err != nil {
			t.Fatal(err)
		}
		return save(name, text)
	}
	save(filepath.Join("plugins-local", "src", "github.com", "edgehub", "edgehub", ".traefik.yml"), manifest)
	addr := edgetest.FreeAddr(t)
	dynamic := config("dynamic.yml", section{"http": section{
		"routers": section{"all": section{"rule": "PathPrefix(`/`)", "service": "noop@internal", "middlewares": []string{"edge"}}},
		"middlewares": section{"edge": section{"plugin": section{"edgehub": section{
			"etcd": o.Etcd, "prefix": o.Prefix, "hub": o.Hub, "publicURL": o.PublicURL}}}},
	}})
	static := config("traefik.yml", section{
		"global":       section{"checkNewVersion": false, "sendAnonymousUsage": false},
		"log":          section{"level": "ERROR"},
		"entryPoints":  section{"web": section{"address": addr}},
		"providers":    section{"file": section{"filename": dynamic}},
		"experimental": section{"abortOnPluginFailure": true, "localPlugins": section{"edgehub": section{"moduleName": "github.com/edgehub/edgehub"}}},
	})
	cmd := exec.Command(program, "--configFile="+static)
	cmd.Dir = dir
	cmd.Env = []string{}
	out, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(out.Name()); err == nil && t.Failed() {
			t.Logf("Traefik's log:\n%s", text)
		}
	})
	r := &traefik{addr: addr}
	for {
		resp, err := http.Get("http://" + addr + "/ready-probe")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			return r
		}
	}
}
