package spawn_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/routes"
)

// sim is a runtime in memory that keeps the contract of hub.Spawner. Its log says what ran when. A test stops, fails or
// hangs calls at the points "before start", "after start", "before poll", "before stop" and "after stop"; "after" is when
// the runtime has done it, and the answer is not given yet. At "listens", errStranger makes the answers a stranger's.
type sim struct {
	t   *testing.T
	web *httptest.Server

	mu      sync.Mutex
	live    map[string]*simInstance
	log     []entry
	hooks   map[string]hook
	status  map[string]int // URL prefix → what its program answers, 200 if missing
	changed chan struct{}
}

// hook runs at a point of a call about an instance.
type hook func(ctx context.Context, name string) error

type simInstance struct {
	gen      int64
	fullName string
	env      map[string]string
	reason   string
}

// entry is one line of the log: what ("made", "adopted", "replaced", "ended", "exited") happened to which instance.
type entry struct {
	what string
	name string
	gen  int64
}

func newSim(t *testing.T) *sim {
	s := &sim{t: t, live: map[string]*simInstance{}, hooks: map[string]hook{}, status: map[string]int{}, changed: make(chan struct{})}
	s.web = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.web.Close)
	t.Cleanup(s.checkLog)
	return s
}

// answer is what programs say to GET <prefix>api. A status of 0 keeps the caller waiting.
func (s *sim) answer(w http.ResponseWriter, r *http.Request) {
	prefix, ok := strings.CutSuffix(r.URL.Path, "api")
	s.mu.Lock()
	status, given := s.status[prefix]
	if !given {
		status = http.StatusOK
	}
	s.mu.Unlock()
	if !ok {
		s.t.Errorf("a program was asked for %s", r.URL.Path)
	}
	if err := s.call(r.Context(), "visit", prefix); err != nil {
		return
	}
	w.WriteHeader(status)
}

// answers sets what the program of a server says.
func (s *sim) answers(u hub.User, name hub.ServerName, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status[routes.UserPrefix(string(u.Name), string(name))] = status
}

// on runs h at a point, every time; nil runs nothing.
func (s *sim) on(point string, h hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks[point] = h
}

// gate holds the first call that comes to a point.
type gate struct {
	reached chan struct{} // closed when somebody is there
	open    chan struct{} // closed by the test to let it through
}

// hold returns a gate at a point. A call that it holds ends with its context, with that error.
func (s *sim) hold(point string) *gate { return s.gate(point, false) }

// freeze is hold for a caller that does not notice its context: a process that was paused.
func (s *sim) freeze(point string) *gate { return s.gate(point, true) }

func (s *sim) gate(point string, frozen bool) *gate {
	g := &gate{reached: make(chan struct{}), open: make(chan struct{})}
	var taken atomic.Bool
	s.on(point, func(ctx context.Context, _ string) error {
		if taken.Swap(true) {
			return nil
		}
		close(g.reached)
		done := ctx.Done()
		if frozen {
			done = nil
		}
		select {
		case <-g.open:
			return nil
		case <-done:
			return ctx.Err()
		case <-time.After(storetest.Patience):
			s.t.Errorf("nobody opened the gate at %q", point)
			return fmt.Errorf("held too long at %q", point)
		}
	})
	return g
}

func (s *sim) call(ctx context.Context, point, name string) error {
	s.mu.Lock()
	h := s.hooks[point]
	s.mu.Unlock()
	if h == nil {
		return nil
	}
	return h(ctx, name)
}

// Start makes or adopts an instance.
func (s *sim) Start(ctx context.Context, spec hub.Spec) (hub.Instance, error) {
	if err := s.call(ctx, "before start", spec.Name); err != nil {
		return hub.Instance{}, err
	}
	inst, err := s.make(spec)
	if err != nil {
		return inst, err
	}
	return inst, s.call(ctx, "after start", spec.Name)
}

func (s *sim) make(spec hub.Spec) (hub.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inst := hub.Instance{URL: s.web.URL, Auth: routes.AuthTicket, State: []byte(fmt.Sprintf(`{"gen":%d}`, spec.Gen))}
	if old := s.live[spec.Name]; old != nil {
		if old.gen == spec.Gen {
			s.note("adopted", spec.Name, spec.Gen)
			return inst, nil
		}
		if old.gen > spec.Gen {
			return hub.Instance{}, hub.Errorf(hub.Conflict, "a newer instance is live")
		}
		s.note("replaced", spec.Name, old.gen)
	}
	if spec.Env["JUPYTERHUB_API_TOKEN"] == "" || spec.Secret == "" {
		s.t.Errorf("generation %d of %s is made without its token or secret", spec.Gen, spec.Name)
	}
	s.live[spec.Name] = &simInstance{gen: spec.Gen, fullName: string(spec.User) + "/" + string(spec.Server), env: spec.Env}
	s.note("made", spec.Name, spec.Gen)
	return inst, nil
}

// Poll says whether an instance is live.
func (s *sim) Poll(ctx context.Context, name string, _ *hub.Instance) (hub.Status, error) {
	if err := s.call(ctx, "before poll", name); err != nil {
		return hub.Status{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if inst := s.live[name]; inst != nil {
		return hub.Status{Running: true, Gen: inst.gen}, nil
	}
	return hub.Status{Reason: "exited with code 3"}, nil
}

// Stop ends an instance.
func (s *sim) Stop(ctx context.Context, name string, gen int64, _ *hub.Instance, _ time.Duration) error {
	if err := s.call(ctx, "before stop", name); err != nil {
		return err
	}
	s.mu.Lock()
	if inst := s.live[name]; inst != nil && inst.gen <= gen {
		delete(s.live, name)
		s.note("ended", name, inst.gen)
	}
	s.mu.Unlock()
	return s.call(ctx, "after stop", name)
}

// Listens says whose program answers.
func (s *sim) Listens(ctx context.Context, name string, _ *hub.Instance) (bool, error) {
	err := s.call(ctx, "listens", name)
	if errors.Is(err, errStranger) {
		return false, nil
	}
	return err == nil, err
}

var errStranger = errors.New("a stranger answers")

// exit makes a user's instances end by themselves.
func (s *sim) exit(u hub.User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, inst := range s.live {
		if strings.HasPrefix(inst.fullName, string(u.Name)+"/") {
			delete(s.live, name)
			s.note("exited", name, inst.gen)
		}
	}
}

// note appends to the log. The caller holds the lock.
func (s *sim) note(what, name string, gen int64) {
	s.log = append(s.log, entry{what, name, gen})
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until done is true of the runtime, which it may look at.
func (s *sim) await(what string, done func() bool) {
	s.t.Helper()
	late := time.After(storetest.Patience)
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("waited too long for %s; the runtime's log is %v", what, s.entries())
		}
	}
}

func (s *sim) entries() []entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]entry(nil), s.log...)
}

// wantLog compares the log, written as "made 1, adopted 1".
func (s *sim) wantLog(want string) {
	s.t.Helper()
	var lines []string
	for _, e := range s.entries() {
		lines = append(lines, fmt.Sprintf("%s %d", e.what, e.gen))
	}
	if got := strings.Join(lines, ", "); got != want {
		s.t.Errorf("the runtime did %q, want %q", got, want)
	}
}

// env is the environment of a user's one live instance.
func (s *sim) env(u hub.User) map[string]string {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, inst := range s.live {
		if strings.HasPrefix(inst.fullName, string(u.Name)+"/") {
			return inst.env
		}
	}
	s.t.Fatalf("%s has no live instance", u.Name)
	return nil
}

// checkLog checks that the generations of a name are made in rising order (I1).
func (s *sim) checkLog() {
	newest := map[string]int64{}
	for _, e := range s.entries() {
		if e.what != "made" {
			continue
		}
		if e.gen <= newest[e.name] {
			s.t.Errorf("generation %d of %s was made after %d; the log is %v", e.gen, e.name, newest[e.name], s.entries())
		}
		newest[e.name] = e.gen
	}
}
