package yaegi

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// traefikProgram is the Traefik that EDGEHUB_TEST_TRAEFIK names. Without one a test is skipped, and fails in CI.
func traefikProgram(t *testing.T) string {
	t.Helper()
	program := os.Getenv("EDGEHUB_TEST_TRAEFIK")
	switch {
	case program != "":
	case os.Getenv("CI") != "":
		t.Fatal("EDGEHUB_TEST_TRAEFIK is not set: run `make setup`, and tests with test/setup/env.sh")
	default:
		t.Skip("needs a Traefik: `make setup`, then test/setup/env.sh make yaegi")
	}
	return program
}

// TestTraefik runs the suite through a real Traefik.
func TestTraefik(t *testing.T) {
	program := traefikProgram(t)
	edgetest.Run(t, func(t testing.TB, o edgetest.Options) http.Handler { return startTraefik(t, program, o) })
}

// traefik is a running Traefik whose only router goes through the plugin.
type traefik struct {
	http.Handler
	addr    string
	dynamic string // the file with its routers
	log     string
}

// Address implements edgetest.Remote.
func (r *traefik) Address() string { return r.addr }

type section map[string]any

// routers sends everything through the plugin, except a host that shows which configuration is in use.
func routers(o edgetest.Options, probe string) section {
	return section{"http": section{
		"routers": section{
			"all":   section{"rule": "PathPrefix(`/`)", "service": "noop@internal", "middlewares": []string{"edge"}},
			"probe": section{"rule": "Host(`" + probe + "`)", "service": "noop@internal", "priority": 1000},
		},
		"middlewares": section{"edge": section{"plugin": section{"edgehub": section{
			"etcd": o.Etcd, "prefix": o.Prefix, "hub": o.Hub, "publicURL": o.PublicURL, "baseURL": o.BaseURL, "stoppedStatus": o.StoppedStatus,
			"activityInterval": o.ActivityInterval, "userDomain": o.UserDomain, "apiHosts": o.APIHosts, "queryTokens": o.QueryTokens,
			"logFields": o.LogFields, "statusPath": o.StatusPath, "statusTokenFile": o.StatusTokenFile}}}},
	}}
}

// TestTraefikReloads changes Traefik's configuration under an open WebSocket, which then must end with its session.
func TestTraefikReloads(t *testing.T) {
	program := traefikProgram(t)
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	w.PutRoute(edgetest.Route("alice", edgetest.Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(rw, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for {
			kind, data, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, data) != nil {
				return
			}
		}
	}).URL))
	options := edgetest.Options{Etcd: []string{w.Etcd.Endpoint}, Prefix: w.Prefix, Hub: []string{w.Hub.URL}}
	edge := startTraefik(t, program, options)
	w.Start(func(testing.TB, edgetest.Options) http.Handler { return edge })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, "http://"+w.Addr+"/user/alice/ws", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"token " + w.TokenOf("alice")}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	for _, probe := range []string{"one.test", "two.test", "three.test"} {
		text, err := json.Marshal(routers(options, probe))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(edge.dynamic, text, 0o600); err != nil {
			t.Fatal(err)
		}
		w.Eventually("the reload", func() bool {
			r := w.Request("GET", "/")
			r.Host = probe
			return w.Do(r).Status == http.StatusTeapot
		})
		if got := w.Get("alice", "/hub/x"); got.Status != 200 {
			t.Errorf("after a reload: %d %s", got.Status, got.Body)
		}
	}
	if err := socket.Write(ctx, websocket.MessageText, []byte("x")); err != nil {
		t.Fatal("a reload dropped the socket:", err)
	}
	if _, _, err := socket.Read(ctx); err != nil {
		t.Fatal("a reload dropped the socket:", err)
	}
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "session-alice"), routes.Revocation{Schema: 1})
	if _, _, err := socket.Read(ctx); err == nil || ctx.Err() != nil {
		t.Error("the socket outlives its session after reloads")
	}
	text, err := os.ReadFile(edge.log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "routes, 1 keys at revision"); n != 1 {
		t.Errorf("the routes were listed %d times over three reloads:\n%s", n, text)
	}
}

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
	dynamic := config("dynamic.yml", routers(o, "none.test"))
	traefikOptions := section{
		"global":       section{"checkNewVersion": false, "sendAnonymousUsage": false},
		"log":          section{"level": "ERROR"},
		"entryPoints":  section{"web": section{"address": addr}},
		"providers":    section{"file": section{"filename": dynamic}},
		"experimental": section{"abortOnPluginFailure": true, "localPlugins": section{"edgehub": section{"moduleName": "github.com/edgehub/edgehub"}}},
	}
	if o.AccessLog != "" {
		traefikOptions["accessLog"] = edgetest.TraefikLog(o.AccessLog)
	}
	static := config("traefik.yml", traefikOptions)
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
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Error(err)
		}
		_, _ = logged.Write(text)
		if t.Failed() {
			t.Logf("Traefik's log:\n%s", text)
		}
	})
	r := &traefik{addr: addr, dynamic: dynamic, log: out.Name()}
	base, err := routes.ParseBase(o.BaseURL)
	if err != nil {
		t.Fatal(err)
	}
	for { // 404 is Traefik's own, without its routers, and the edge's outside of the base
		resp, err := http.Get("http://" + addr + base.Path("/ready-probe"))
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound {
			return r
		}
	}
}
