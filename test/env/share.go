package env

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/edgehub/edgehub/controlplane/front"
	"github.com/edgehub/edgehub/plugin"
)

// ShareTraefik starts a Traefik that serves hubs of Up at one origin, each below its own base URL, beside the front doors that they
// have themselves. It returns the address where the origin's host is found.
func ShareTraefik(t testing.TB, origin string, hubs ...*World) string {
	t.Helper()
	address := NewAddress() + ":8000"
	w := hubs[0]
	tr := &front.Traefik{Binary: Peer(t, TraefikProgram), Dir: w.file("shared"), Listen: address, Log: slog.New(slog.DiscardHandler), Plugin: &plugin.Config{}}
	if err := tr.Write(); err != nil {
		t.Fatal(err)
	}
	routers, middlewares := map[string]any{}, map[string]any{}
	for i, hub := range hubs {
		name := fmt.Sprint("hub", i)
		routers[name] = map[string]any{"rule": "PathPrefix(`" + hub.base.Path("/") + "`)", "middlewares": []string{name}, "service": "noop@internal"}
		middlewares[name] = map[string]any{"plugin": map[string]any{"edgehub": map[string]any{
			"etcd": []string{"unix://" + filepath.Join(hub.Data, "run", "etcd.sock")}, "publicURL": origin, "baseURL": hub.base.Path("/")}}}
	}
	dynamic, err := yaml.Marshal(map[string]any{"http": map[string]any{"routers": routers, "middlewares": middlewares}})
	if err != nil {
		t.Fatal(err)
	}
	w.write(filepath.Join("shared", "dynamic", "hub.yml"), string(dynamic))
	p := w.process("shared-traefik", Process{path: tr.Binary, dir: tr.Dir, args: []string{"--configFile=" + filepath.Join(tr.Dir, "traefik.yml")},
		ready: func(ctx context.Context) error {
			return poll(ctx, func() error { return everyHub(ctx, address, strings.TrimPrefix(origin, "http://"), hubs) })
		}})
	p.Start()
	return address
}

// everyHub returns nil when all hubs answer at address.
func everyHub(ctx context.Context, address, host string, hubs []*World) error {
	for _, hub := range hubs {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+hub.base.Path("/hub/health"), nil)
		if err != nil {
			return err
		}
		req.Host = host
		resp, err := direct.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", req.URL, resp.Status)
		}
	}
	return nil
}
