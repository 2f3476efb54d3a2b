package env

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/edgehub/edgehub/controlplane/front"
	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/routes"
)

// Options say what a world is like.
type Options struct {
	// Edge is the front door, Embedded if empty.
	Edge Edge
	// Config is YAML for the hub's --config, on top of what the world needs itself. A key that both have is merged if it has
	// keys of its own, and else this one counts.
	Config string
	// Jupyter makes users' servers real Jupyter servers with jupyterhub-singleuser. Else they are echo servers.
	Jupyter bool
	// JupyterBin is the folder with the Jupyter of users' servers, if it is not the newest.
	JupyterBin string
	// Base is what the hub of Up is below, "/" if empty.
	Base routes.Base
	// Args are more arguments for `edgehub up`, or for `edgehub hub`.
	Args []string
	// Public tells the hub its public address.
	Public bool
	// ActivityInterval is how often the front door of New reports activity, a minute if empty.
	ActivityInterval string
	// Etcd are the endpoints of an etcd that is there already, for New. World.Etcd is nil then.
	Etcd []string
}

// World is a hub with everything around it.
type World struct {
	t testing.TB
	// Etcd, Hub and Front are the parts. In the world of Up, Etcd and Front are nil and Hub is all of it.
	Etcd, Hub, Front *Process
	// AdminToken is an API token with all rights.
	AdminToken string
	// EtcdURL is where etcd's clients are served, Endpoints are all such places.
	EtcdURL   string
	Endpoints []string
	// Data is the hub's data folder.
	Data string

	edge     Edge
	base     routes.Base
	dir      string
	front    string // http://host:port
	hub      string
	echoDir  string
	artifact string

	mu        sync.Mutex
	passwords map[string]string
}

// worlds counts those of this test process.
var worlds atomic.Int32

// NewAddress is a loopback address for one world or test, so that ports need no choosing and nobody else is there. Linux has all of
// 127.0.0.0/8.
func NewAddress() string {
	pid := os.Getpid()
	n := int(worlds.Add(1))
	return fmt.Sprintf("127.%d.%d.%d", 1+(pid>>8+n/250)%254, pid%256, 1+n%250)
}

// newWorld makes the folders and files of a world.
func newWorld(t testing.TB, o Options) *World {
	t.Helper()
	dir, err := os.MkdirTemp("", "eh") //nolint:usetesting // t.TempDir is too long for the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	if o.Edge == "" {
		o.Edge = Embedded
	}
	address := NewAddress()
	w := &World{t: t, edge: o.Edge, base: o.Base, dir: dir, Data: filepath.Join(dir, "data"), echoDir: filepath.Join(dir, "echo"),
		EtcdURL: "http://" + address + ":2379", front: "http://" + address + ":8000", hub: "http://" + address + ":8081",
		AdminToken: newSecret(), artifact: ArtifactDir(t), passwords: map[string]string{}}
	t.Cleanup(func() {
		w.killServers()
		w.keepLogs()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	old, _ := filepath.Glob(w.Artifact("jupyter-*.log")) // the pattern is good
	for _, log := range old {
		_ = os.Remove(log) // of a run before: only for people
	}
	if err := os.MkdirAll(w.echoDir, 0o777); err != nil {
		t.Fatal(err)
	}
	w.write("token", w.AdminToken)
	w.write("hub.yml", w.config(o))
	return w
}

func (w *World) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *World) file(name ...string) string {
	return filepath.Join(append([]string{w.dir}, name...)...)
}

// New makes a world with an etcd, a hub and a front door in processes of their own. It returns when all are ready.
func New(t testing.TB, o Options) *World {
	t.Helper()
	binary := Binary(t)
	w := newWorld(t, o)
	if w.Endpoints = o.Etcd; len(o.Etcd) == 0 {
		w.Endpoints = []string{w.EtcdURL}
		w.startEtcd()
	}
	w.Hub = w.process("hub", Process{path: binary, ready: w.answers(w.hub+"/hub/health", ""), env: w.hubEnv(o),
		args: append([]string{"hub", "--etcd", strings.Join(w.Endpoints, ","), "--listen", host(w.hub), "--data", w.Data, "--api-url", w.front + "/hub/api",
			"--bootstrap-token-file", w.file("token"), "--log-level", "debug", "--config", w.file("hub.yml")}, w.args(o)...)})
	w.Front = w.newFront(binary, o)
	w.Front.Launch() // it waits for the others by itself
	w.Hub.Start()
	w.Front.Await()
	Eventually(t, "the front door has found the hub", readyTime, func() error { return w.answer(t.Context(), w.URL("/hub/health"), "") })
	return w
}

func (w *World) startEtcd() {
	w.t.Helper()
	w.Etcd = w.process("etcd", Process{path: Peer(w.t, Etcd), code: -1, ready: w.answers(w.EtcdURL+"/health", `"health":"true"`),
		args: []string{"--data-dir", w.file("etcd"), "--listen-client-urls", w.EtcdURL, "--advertise-client-urls", w.EtcdURL,
			"--listen-peer-urls", strings.Replace(w.EtcdURL, "2379", "2380", 1), "--initial-advertise-peer-urls", strings.Replace(w.EtcdURL, "2379", "2380", 1),
			"--initial-cluster", "default=" + strings.Replace(w.EtcdURL, "2379", "2380", 1),
			"--watch-progress-notify-interval=5s", "--unsafe-no-fsync", "--log-level=warn"}})
	w.Etcd.Start()
}

// args are the options' arguments for the hub.
func (w *World) args(o Options) []string {
	if o.Public {
		return append([]string{"--public-url", w.front}, o.Args...)
	}
	return o.Args
}

// Up makes a world of one `edgehub up`.
func Up(t testing.TB, o Options) *World {
	t.Helper()
	w := newWorld(t, o)
	args := []string{"up", "--data", w.Data, "--listen", host(w.front), "--bootstrap-token-file", w.file("token"),
		"--log-level", "debug", "--config", w.file("hub.yml"), "--edge", string(w.edge), "--base-url", w.base.Path("/")}
	if w.edge == Traefik {
		args = append(args, "--traefik", Peer(t, TraefikProgram))
	}
	w.Hub = w.process("up", Process{path: Binary(t), ready: w.answers(w.URL("/hub/health"), ""), env: w.hubEnv(o), args: append(args, w.args(o)...)})
	w.hub = w.front
	w.Hub.Start()
	return w
}

// newFront is the front door of New.
func (w *World) newFront(binary string, o Options) *Process {
	w.t.Helper()
	p := Process{ready: w.frontReady}
	if w.edge == Embedded {
		p.path, p.args = binary, []string{"edge", "--etcd", strings.Join(w.Endpoints, ","), "--listen", host(w.front), "--log-level", "debug"}
		if o.ActivityInterval != "" {
			p.args = append(p.args, "--activity-interval", o.ActivityInterval)
		}
		return w.process("edge", p)
	}
	tr := &front.Traefik{Binary: Peer(w.t, TraefikProgram), Dir: w.file("traefik"), Listen: host(w.front), Log: slog.New(slog.DiscardHandler),
		Plugin: &plugin.Config{Etcd: w.Endpoints, Prefix: routes.DefaultPrefix, ActivityInterval: o.ActivityInterval}}
	if err := tr.Write(); err != nil {
		w.t.Fatal(err)
	}
	p.path, p.args, p.dir = tr.Binary, []string{"--configFile=" + w.file("traefik", "traefik.yml")}, tr.Dir
	return w.process("traefik", p)
}

func (w *World) process(name string, p Process) *Process {
	w.t.Helper()
	p.name, p.log = name, filepath.Join(w.artifact, name+".log")
	if err := os.Remove(p.log); err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	if p.env == nil {
		p.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, quickRace}
	}
	return newProcess(w.t, p)
}

// quickRace saves the second that the race detector sleeps at the end of each process.
const quickRace = "GORACE=atexit_sleep_ms=0"

func (w *World) hubEnv(o Options) []string {
	w.t.Helper()
	path := os.Getenv("PATH")
	if o.Jupyter {
		path = pathWith(cmp.Or(o.JupyterBin, Peer(w.t, Jupyter)))
	}
	return []string{"PATH=" + path, "HOME=" + w.dir, quickRace}
}

// config is the hub's configuration file.
func (w *World) config(o Options) string {
	w.t.Helper()
	base := map[string]any{}
	if !o.Jupyter {
		base["spawner"] = map[string]any{
			"auth": "secret",
			"command": []any{Echo(w.t), "--port={port}", "--prefix={prefix}", "--user={username}", "--dir=" + w.echoDir,
				"--parent=" + strconv.Itoa(os.Getpid())},
		}
	}
	var more map[string]any
	if err := yaml.Unmarshal([]byte(o.Config), &more); err != nil {
		w.t.Fatal(err)
	}
	text, err := yaml.Marshal(merge(base, more))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func merge(base, more map[string]any) map[string]any {
	for key, value := range more {
		below, ok1 := base[key].(map[string]any)
		above, ok2 := value.(map[string]any)
		if ok1 && ok2 {
			value = merge(below, above)
		}
		base[key] = value
	}
	return base
}

func host(url string) string { return strings.TrimPrefix(url, "http://") }

func newSecret() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}

// URL is the address of a path of the hub, without its base, at the front door.
func (w *World) URL(path string) string { return w.front + w.base.Path(path) }

// Addr is the host and port of the front door, HubAddr that of the hub itself.
func (w *World) Addr() string { return host(w.front) }

// HubAddr is where the front door finds the hub.
func (w *World) HubAddr() string { return host(w.hub) }

// TokenFile holds AdminToken.
func (w *World) TokenFile() string { return w.file("token") }

// Edge is the kind of front door.
func (w *World) Edge() Edge { return w.edge }

// Artifact is the path of a file that is kept after the test.
func (w *World) Artifact(name string) string { return filepath.Join(w.artifact, name) }

// direct is for looking at parts of the world: nothing is kept open.
var direct = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// answers waits until url answers 200 with text in it.
func (w *World) answers(url, text string) func(context.Context) error {
	return func(ctx context.Context) error {
		return poll(ctx, func() error { return w.answer(ctx, url, text) })
	}
}

func (w *World) answer(ctx context.Context, url, text string) error {
	status, body, err := get(ctx, url)
	if err == nil && (status != http.StatusOK || !strings.Contains(body, text)) {
		err = fmt.Errorf("%s: %d %s", url, status, body)
	}
	return err
}

// frontReady waits until the front door has read all routes. The hub may be away.
func (w *World) frontReady(ctx context.Context) error {
	url := w.URL("/hub/health")
	return poll(ctx, func() error {
		status, body, err := get(ctx, url)
		if err == nil && status != http.StatusOK && !strings.Contains(body, "The hub is not available") {
			err = fmt.Errorf("%s: %d %s", url, status, body)
		}
		return err
	})
}

func get(ctx context.Context, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := direct.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	return resp.StatusCode, string(body), err
}

// poll calls try until it returns nil or ctx ends, and returns the last error.
func poll(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Eventually waits until try returns nil, at most for the time given, and says how long it took.
func Eventually(t testing.TB, what string, atMost time.Duration, try func() error) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), atMost)
	defer cancel()
	start := time.Now()
	if err := poll(ctx, try); err != nil {
		t.Fatalf("%s: not within %s: %s", what, atMost, err)
	}
	return time.Since(start)
}

// killServers ends what the hub left: servers outlive it.
func (w *World) killServers() {
	for _, pid := range Processes(w.t, w.dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already, then
	}
}

// keepLogs looks through the logs in the data folder and copies them to the artefacts: that of Traefik below `edgehub up`
// always, those of users' servers if the test failed, which also get their ends printed.
func (w *World) keepLogs() {
	inner := filepath.Join(w.Data, "traefik", "traefik.log")
	if text, err := os.ReadFile(inner); err == nil {
		_ = os.WriteFile(w.Artifact("traefik.log"), text, 0o644) // only for people
		if found := alarms.Find(text); found != nil {
			w.t.Errorf("traefik: %.300s", found)
		}
	}
	if !w.t.Failed() {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(w.Data, "servers", "*", "server.log")) // the pattern is good
	for _, log := range logs {
		if text, err := os.ReadFile(log); err == nil {
			kept := w.Artifact(filepath.Base(filepath.Dir(log)) + ".log")
			_ = os.WriteFile(kept, text, 0o644) // only for people
			w.t.Log(tail(kept, string(text)))
		}
	}
}
