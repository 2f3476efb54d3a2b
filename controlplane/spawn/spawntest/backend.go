package spawntest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// Backend is one runtime (a folder, a Docker daemon, a cluster) in which a test makes instances.
type Backend struct {
	// Spawner makes another Spawner over the same backend, as a second replica or a restarted hub does.
	Spawner func(t *testing.T) hub.Spawner
	// Live counts the live instances of a name by looking at the runtime, not by asking a Spawner. Nil if that cannot be.
	Live func(t *testing.T, name string) int
	// Fail makes an instance end by itself with exit code 3. Nil if the instance is a Program, which does so when asked.
	Fail func(t *testing.T, name string, inst hub.Instance)
	// Env is added to the environment of every instance.
	Env map[string]string
	// Serves says that instances are Programs that the test can reach at Instance.URL.
	Serves bool
	// Patience bounds each wait; 20 seconds if zero.
	Patience time.Duration
}

// world is a backend in one test.
type world struct {
	Backend
	t   *testing.T
	ctx context.Context
	dir string // where Programs note overlaps
}

func newWorld(t *testing.T, b Backend) *world {
	if b.Patience == 0 {
		b.Patience = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*b.Patience)
	t.Cleanup(cancel)
	return &world{Backend: b, t: t, ctx: ctx, dir: t.TempDir()}
}

// spec makes a name of its own for each test and sees to it that nothing of it stays.
func (w *world) spec(s hub.Spawner, gen int64) hub.Spec {
	name := "spawntest-" + strings.ToLower(strings.ReplaceAll(w.t.Name()[strings.LastIndex(w.t.Name(), "/")+1:], "_", "-"))
	spec := hub.Spec{
		Name: name, Gen: gen, User: "alice", Prefix: "/user/alice/", Secret: "spawntest-secret-0123456789abcdef",
		Env: ProgramEnv(name, w.dir),
	}
	for key, value := range w.Env {
		spec.Env[key] = value
	}
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), w.Patience)
		defer cancel()
		if err := s.Stop(ctx, name, 1<<40, nil, 0); err != nil {
			w.t.Errorf("cleaning up: %v", err)
		}
	})
	return spec
}

func (w *world) start(s hub.Spawner, spec hub.Spec) hub.Instance {
	w.t.Helper()
	inst, err := s.Start(w.ctx, spec)
	if err != nil {
		w.t.Fatalf("Start(%s, generation %d): %v", spec.Name, spec.Gen, err)
	}
	if inst.URL == "" || inst.Auth == "" {
		w.t.Fatalf("Start(%s, generation %d) = %+v, want URL and Auth", spec.Name, spec.Gen, inst)
	}
	return inst
}

func (w *world) stop(s hub.Spawner, name string, gen int64) {
	w.t.Helper()
	if err := s.Stop(w.ctx, name, gen, nil, w.Patience); err != nil {
		w.t.Fatalf("Stop(%s, generation %d): %v", name, gen, err)
	}
}

func (w *world) poll(s hub.Spawner, name string, inst *hub.Instance) hub.Status {
	w.t.Helper()
	status, err := s.Poll(w.ctx, name, inst)
	if err != nil {
		w.t.Fatalf("Poll(%s): %v", name, err)
	}
	return status
}

// wantRunning checks Poll with and without the instance, and that the runtime agrees.
func (w *world) wantRunning(s hub.Spawner, name string, gen int64, inst *hub.Instance) {
	w.t.Helper()
	for _, in := range []*hub.Instance{inst, nil} {
		if got := w.poll(s, name, in); !got.Running || got.Gen != gen {
			w.t.Fatalf("Poll(%s) = %+v, want running with generation %d", name, got, gen)
		}
	}
	w.wantLive(name, 1)
}

func (w *world) wantGone(s hub.Spawner, name string, inst *hub.Instance) {
	w.t.Helper()
	if got := w.poll(s, name, inst); got.Running {
		w.t.Fatalf("Poll(%s) = %+v, want not running", name, got)
	}
	w.wantLive(name, 0)
}

func (w *world) wantLive(name string, want int) {
	w.t.Helper()
	if w.Live == nil {
		return
	}
	if got := w.Live(w.t, name); got != want {
		w.t.Fatalf("%d live instances of %s, want %d", got, name, want)
	}
}

// wantNoOverlap asks what the Programs themselves have seen.
func (w *world) wantNoOverlap() {
	w.t.Helper()
	if seen := Overlaps(w.dir); seen != "" {
		w.t.Errorf("two instances of one name were alive at the same time:\n%s", seen)
	}
}

// identity asks the Program itself who it is, once it answers. Without one it is the instance's state.
func (w *world) identity(inst hub.Instance) string {
	w.t.Helper()
	if !w.Serves {
		return string(inst.State)
	}
	var id string
	w.eventually("answer of "+inst.URL, func() bool {
		var err error
		id, err = call(w.ctx, http.MethodGet, inst.URL+"/user/alice/api")
		return err == nil
	})
	return id
}

// fail makes the instance end by itself.
func (w *world) fail(name string, inst hub.Instance) {
	w.t.Helper()
	if w.Fail != nil {
		w.Fail(w.t, name, inst)
		return
	}
	w.identity(inst) // it listens now
	if _, err := call(w.ctx, http.MethodPost, inst.URL+"/user/alice/fail"); err != nil {
		w.t.Fatalf("asking the instance to fail: %v", err)
	}
}

// eventually asks again and again, for what has no event to wait for.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(w.Patience); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	w.t.Fatalf("not within %v: %s", w.Patience, what)
}

func wantConflict(t *testing.T, err error) {
	t.Helper()
	if hub.KindOf(err) != hub.Conflict || hub.MessageOf(err) == "" {
		t.Fatalf("error is %v (%v), want a Conflict with a message", err, hub.KindOf(err))
	}
}
