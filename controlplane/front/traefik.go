package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/routes"
)

const module = "github.com/edgehub/edgehub"

// Traefik is a Traefik child process that interprets the plugin.
type Traefik struct {
	// Binary is the traefik program, Dir the folder for its configuration and log.
	Binary string
	Dir    string
	Listen string
	Plugin *Config
	Log    *slog.Logger
	// AccessLog is the file for Traefik's access log, "-" for its own log, empty for none.
	AccessLog string
}

// FindTraefik returns the path of the traefik program: binary if it is given, else the one on PATH.
func FindTraefik(binary string) (string, error) {
	name := binary
	if name == "" {
		name = "traefik"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", hub.Errorf(hub.Unavailable, "No Traefik found (%s). Install Traefik 3.7.9 or newer, or name its program with --traefik FILE, or use --edge=embedded.", name)
	}
	return filepath.Abs(path)
}

// LogFile is where Traefik's output goes.
func (t *Traefik) LogFile() string { return filepath.Join(t.Dir, "traefik.log") }

// Write writes Traefik's configuration and the plugin's source below Dir, replacing what an older version left there.
func (t *Traefik) Write() error {
	plugins := filepath.Join(t.Dir, "plugins-local")
	if err := os.RemoveAll(plugins); err != nil {
		return err
	}
	root := filepath.Join(plugins, "src", filepath.FromSlash(module))
	for name, list := range map[string]func() (map[string][]byte, error){"plugin": plugin.Files, "routes": routes.Files} {
		files, err := list()
		if err != nil {
			return err
		}
		for file, data := range files {
			if err := write(filepath.Join(root, name, file), data); err != nil {
				return err
			}
		}
	}
	manifest := map[string]any{
		"displayName": "edgehub", "type": "middleware", "import": module + "/plugin", "summary": "edgehub's edge",
		"testData": map[string]any{"etcd": []string{"http://127.0.0.1:2379"}},
	}
	for file, config := range map[string]any{
		filepath.Join(root, ".traefik.yml"):        manifest,
		filepath.Join(t.Dir, "traefik.yml"):        t.static(),
		filepath.Join(t.Dir, "dynamic", "hub.yml"): t.dynamic(),
	} {
		data, err := yaml.Marshal(config)
		if err != nil {
			return err
		}
		if err := write(file, data); err != nil {
			return err
		}
	}
	return nil
}

func write(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

type section = map[string]any

// static is Traefik's static configuration: one entry point, one plugin, and no start without it.
func (t *Traefik) static() section {
	s := section{
		"global": section{"checkNewVersion": false, "sendAnonymousUsage": false},
		"log":    section{"level": "INFO", "noColor": true},
		"entryPoints": section{"web": section{
			"address": t.Listen,
			"transport": section{
				// For one request to arrive, headers and body. Without it, one that never finishes its headers stays for ever;
				// with Traefik's own 60 s long uploads are cut. Answers and WebSockets are not limited by it.
				"respondingTimeouts": section{"readTimeout": "10m"},
				"lifeCycle":          section{"graceTimeOut": "3s"},
			},
		}},
		"providers": section{"file": section{"directory": filepath.Join(t.Dir, "dynamic"), "watch": true}},
		"experimental": section{
			"abortOnPluginFailure": true,
			"localPlugins":         section{"edgehub": section{"moduleName": module}},
		},
	}
	if t.AccessLog != "" {
		s["accessLog"] = t.accessLog()
	}
	return s
}

// accessLog logs the edge's own fields, and no query and no other header: they may have tokens and cookies in them.
func (t *Traefik) accessLog() section {
	keep := section{}
	for _, name := range []string{"User", "Server", "Decision", "Reason"} {
		keep["X-Edgehub-"+name] = "keep"
	}
	s := section{"format": "json", "addInternals": true, "fields": section{
		"queryParameters": section{"defaultMode": "drop"}, "headers": section{"defaultMode": "drop", "names": keep}}}
	if t.AccessLog != "-" {
		s["filePath"] = t.AccessLog
	}
	return s
}

// dynamic is Traefik's dynamic configuration: one router for everything, so that nothing falls through to another one.
func (t *Traefik) dynamic() section {
	return section{"http": section{
		"routers": section{"edgehub": section{
			"entryPoints": []string{"web"}, "rule": "PathPrefix(`/`)", "middlewares": []string{"edgehub"}, "service": "noop@internal",
		}},
		"middlewares": section{"edgehub": section{"plugin": section{"edgehub": t.settings()}}},
	}}
}

// settings are the plugin's options by the names that an operator writes.
func (t *Traefik) settings() section {
	s := section{"etcd": t.Plugin.Etcd, "prefix": t.Plugin.Prefix}
	if t.Plugin.PublicURL != "" {
		s["publicURL"] = t.Plugin.PublicURL
	}
	if b := t.Plugin.BaseURL; b != "" && b != "/" {
		s["baseURL"] = t.Plugin.BaseURL
	}
	if t.Plugin.UserDomain != "" {
		s["userDomain"] = t.Plugin.UserDomain
	}
	if len(t.Plugin.APIHosts) > 0 {
		s["apiHosts"] = t.Plugin.APIHosts
	}
	if t.Plugin.QueryTokens {
		s["queryTokens"] = true
	}
	if t.Plugin.StoppedStatus != 0 {
		s["stoppedStatus"] = t.Plugin.StoppedStatus
	}
	if t.Plugin.ActivityInterval != "" {
		s["activityInterval"] = t.Plugin.ActivityInterval
	}
	if t.Plugin.LogFields {
		s["logFields"] = true
	}
	if t.Plugin.StatusPath != "" {
		s["statusPath"] = t.Plugin.StatusPath
	}
	if t.Plugin.StatusTokenFile != "" {
		s["statusTokenFile"] = t.Plugin.StatusTokenFile
	}
	if len(t.Plugin.Hub) > 0 {
		s["hub"] = t.Plugin.Hub
	}
	return s
}

// Run keeps Traefik running until ctx ends, then stops it gracefully. It starts Traefik again when it ends by itself, but
// gives up when that happens again and again: then something is wrong that a restart does not mend.
func (t *Traefik) Run(ctx context.Context) error {
	const patience = 5
	failures := 0
	for {
		started := time.Now()
		err := t.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(started) > time.Minute {
			failures = 0
		}
		if failures++; failures >= patience {
			return fmt.Errorf("the front door, Traefik, ended %d times in a row: %w (its log is %s)", failures, err, t.LogFile())
		}
		t.Log.Warn("Traefik ended by itself, starting it again", "err", err, "log", t.LogFile())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(failures) * 200 * time.Millisecond):
		}
	}
}

// once runs Traefik until it ends.
func (t *Traefik) once(ctx context.Context) error {
	// Pdeathsig below is about the thread that starts the child, not the process: keep that thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	log, err := os.OpenFile(t.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(ctx, t.Binary, "--configFile="+filepath.Join(t.Dir, "traefik.yml"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.Dir, log, log
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.Dir} // plugins see Traefik's environment
	// Its own group, so that Ctrl-C reaches us first; it dies with us, so that a crash leaves no stale front door.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	if err == nil {
		err = errors.New("exit status 0")
	}
	return err
}
