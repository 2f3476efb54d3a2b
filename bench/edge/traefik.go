package edge

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/edgehub/edgehub/controlplane/front"
	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/routes"
)

const module = "github.com/edgehub/edgehub"

// findTraefik returns the traefik program: the one asked for, the one on PATH, or the one that `make setup` has built.
func findTraefik(binary string) (string, error) {
	if binary != "" {
		return front.FindTraefik(binary)
	}
	if path, err := exec.LookPath("traefik"); err == nil {
		return filepath.Abs(path)
	}
	built := filepath.Join(cacheDir(), "traefik", "bin", "traefik")
	if _, err := os.Stat(built); err == nil {
		return built, nil
	}
	return "", errors.New("no Traefik found: not on PATH, and not in " + filepath.Dir(built) + ", where `make setup` puts one. " +
		"Name its program with --traefik FILE or EDGEHUB_TRAEFIK, or do without: --sides direct,embedded")
}

// cacheDir is where `make setup` keeps what it has built.
func cacheDir() string {
	if dir := os.Getenv("EDGEHUB_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "edgehub")
}

type section = map[string]any

// startTraefik starts one of the sides that are a Traefik. All have one router for everything and, but for what is
// compared, the same configuration.
func (w *world) startTraefik(ctx context.Context, s *side) (err error) {
	if s.addr, err = freeAddr(); err != nil {
		return err
	}
	dir := filepath.Join(w.dir, s.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	dynamic, err := w.router(ctx, s, dir)
	if err != nil {
		return err
	}
	s.dynamic = filepath.Join(dir, "dynamic.yml")
	if err := writeConfig(s.dynamic, dynamic); err != nil {
		return err
	}
	static, err := w.static(s)
	if err != nil {
		return err
	}
	if err := writeConfig(filepath.Join(dir, "traefik.yml"), static); err != nil {
		return err
	}
	s.proxy, err = w.startProcess(ctx, "traefik", dir, w.opts.Traefik, "--configFile="+filepath.Join(dir, "traefik.yml"))
	return err
}

// static is the static configuration.
func (w *world) static(s *side) (section, error) {
	static := section{
		"global":      section{"checkNewVersion": false, "sendAnonymousUsage": false},
		"log":         section{"level": "ERROR", "noColor": true},
		"entryPoints": section{"web": section{"address": s.addr, "transport": section{"respondingTimeouts": section{"readTimeout": "0s"}}}},
		"providers":   section{"file": section{"filename": s.dynamic}},
	}
	if w.opts.throttle != "" {
		static["providers"].(section)["providersThrottleDuration"] = w.opts.throttle
	}
	if s.name == Plugin {
		static["experimental"] = section{"abortOnPluginFailure": true, "localPlugins": section{"edgehub": section{"moduleName": module}}}
	}
	if !w.opts.inside {
		return static, nil
	}
	inside, err := freeAddr()
	if err != nil {
		return nil, err
	}
	s.inside = inside
	static["api"] = section{"debug": true, "insecure": true}
	static["entryPoints"].(section)["traefik"] = section{"address": inside}
	return static, nil
}

// router is the dynamic configuration: one router whose service is the user server, and the middleware that is compared.
// The plugin is its own proxy and does not use the service.
func (w *world) router(ctx context.Context, s *side, dir string) (section, error) {
	router := section{"entryPoints": []string{"web"}, "rule": "PathPrefix(`/`)", "service": "server"}
	http := section{
		"routers":  section{"all": router},
		"services": section{"server": section{"loadBalancer": section{"servers": []section{{"url": "http://" + w.backend}}}}},
	}
	middleware := section(nil)
	switch s.name {
	case ForwardAuth:
		auth, addr, err := w.startPart(ctx, "auth")
		if err != nil {
			return nil, err
		}
		s.auth = auth
		middleware = section{"forwardAuth": section{"address": "http://" + addr + "/", "authResponseHeaders": []string{"X-User"}}}
	case Plugin:
		middleware = section{"plugin": section{"edgehub": section{"etcd": []string{w.etcd}, "prefix": routes.DefaultPrefix}}}
		if err := writePlugin(dir); err != nil {
			return nil, err
		}
	}
	if middleware != nil {
		router["middlewares"] = []string{"compared"}
		http["middlewares"] = section{"compared": middleware}
	}
	return section{"http": http}, nil
}

// writePlugin writes the plugin's source as Traefik wants a local plugin.
func writePlugin(dir string) error {
	root := filepath.Join(dir, "plugins-local", "src", filepath.FromSlash(module))
	for name, list := range map[string]func() (map[string][]byte, error){"plugin": plugin.Files, "routes": routes.Files} {
		files, err := list()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(root, name), 0o700); err != nil {
			return err
		}
		for file, data := range files {
			if err := os.WriteFile(filepath.Join(root, name, file), data, 0o600); err != nil {
				return err
			}
		}
	}
	return writeConfig(filepath.Join(root, ".traefik.yml"), section{
		"displayName": "edgehub", "type": "middleware", "import": module + "/plugin", "summary": "edgehub's edge",
		"testData": section{"etcd": []string{"http://127.0.0.1:2379"}},
	})
}

// writeConfig writes JSON, which is YAML, in one step: Traefik reads the file whenever it changes.
func writeConfig(file string, config section) error {
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
