package spawn_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
)

func TestStopTakesTheRouteBeforeTheInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	r.started("")
	stopping := w.sim.hold("before stop")
	s, err := r.Stop(t.Context(), alice.Name, "")
	if err != nil || s.State != hub.Stopping {
		t.Fatalf("Stop = %+v, %v", s, err)
	}
	w.wantNoRoute(alice, "")
	wait(t, stopping.reached, "the instance's end")
	w.sim.wantLog("made 1")
	close(stopping.open)
	w.await(alice, "", hub.Stopped)
	w.sim.wantLog("made 1, ended 1")
	w.awaitTokens(alice, 0)
	w.wantSettled()
}

func TestStopOfWhatDoesNotRunChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	if s, err := r.Stop(t.Context(), "nobody", ""); err != nil || s.State != hub.Stopped {
		t.Errorf("Stop of a server that never was = %+v, %v", s, err)
	}
	r.started("")
	for range 2 {
		if _, err := r.Stop(t.Context(), alice.Name, ""); err != nil {
			t.Fatal(err)
		}
		w.await(alice, "", hub.Stopped)
	}
	rec, err := w.servers.Get(t.Context(), store.ID("alice", ""))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := r.Stop(t.Context(), alice.Name, ""); err != nil || s.State != hub.Stopped {
		t.Errorf("Stop of a stopped server = %+v, %v", s, err)
	}
	if again, _ := w.servers.Get(t.Context(), store.ID("alice", "")); again.Revision != rec.Revision {
		t.Error("Stop of a stopped server wrote its record")
	}
	w.sim.wantLog("made 1, ended 1")
}

func TestStopCancelsAStart(t *testing.T) {
	t.Parallel()
	points := map[string]func(*world) <-chan struct{}{
		"before the spawner is called": func(w *world) <-chan struct{} { return w.sim.hold("before poll").reached },
		"in the spawner":               func(w *world) <-chan struct{} { return w.sim.hold("before start").reached },
		"before the spawner answers":   func(w *world) <-chan struct{} { return w.sim.hold("after start").reached },
		"before it is ready": func(w *world) <-chan struct{} {
			w.sim.answers(alice, "", http.StatusServiceUnavailable)
			return w.sim.hold("visit").reached
		},
	}
	for name, arrange := range points {
		for _, same := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, same replica %t", name, same), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				starter := w.replica("a")
				stopper := starter
				if !same {
					stopper = w.replica("b")
				}
				reached := arrange(w)
				starter.start("")
				wait(t, reached, "the start")
				s, err := stopper.Stop(t.Context(), alice.Name, "")
				if err != nil {
					t.Fatal(err)
				}
				if last := s.Events[len(s.Events)-1]; last.Message != "Spawn cancelled" || !last.Failed {
					t.Errorf("last event = %+v", last)
				}
				if s := w.await(alice, "", hub.Stopped); s.Failure != "" {
					t.Errorf("a cancelled start is told as failed: %q", s.Failure)
				}
				w.sim.on("before start", nil)
				starter.stop() // a start on another replica notices at its next write, or here
				w.awaitTokens(alice, 0)
			})
		}
	}
}

// A stop on another replica than the start's cannot interrupt the start, which may be in the middle of making the instance.
func TestStartThatWasStoppedElsewhereRemovesWhatItMakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.replica("a"), w.replica("b")
	start := w.sim.freeze("before start")
	a.start("")
	wait(t, start.reached, "the start")
	if _, err := b.Stop(t.Context(), alice.Name, ""); err != nil {
		t.Fatal(err)
	}
	w.await(alice, "", hub.Stopped)
	close(start.open)
	w.sim.await("the late instance to be removed", func() bool { return len(w.sim.log) == 2 && len(w.sim.live) == 0 })
	w.sim.wantLog("made 1, ended 1")
	w.awaitTokens(alice, 0)
	w.wantSettled()
}

func TestUnknownIsNotStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	r.started("")
	tries, third := 0, make(chan struct{})
	var mu sync.Mutex
	w.sim.on("before stop", func(context.Context, string) error {
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries == 3 {
			close(third)
		}
		return errors.New("runtime is away")
	})
	if _, err := r.Stop(t.Context(), alice.Name, ""); err != nil {
		t.Fatal(err)
	}
	wait(t, third, "the third try")
	if s := w.get(""); s.State != hub.Stopping {
		t.Errorf("the server is %s although nobody knows", s.State)
	}
	w.wantNoRoute(alice, "")
	w.sim.on("before stop", nil)
	w.await(alice, "", hub.Stopped)
	w.sim.wantLog("made 1, ended 1")
	w.wantSettled()
}

// Whatever is asked for at once on three replicas: at most one instance, every revision of the records is sound, and after
// the last stop nothing is left.
func TestStartsAndStopsRace(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			replicas := []*replica{w.replica("a"), w.replica("b"), w.replica("c")}
			var all sync.WaitGroup
			for i := range 6 {
				rnd := rand.New(rand.NewPCG(seed, uint64(i)))
				all.Go(func() {
					for range 8 {
						r := replicas[rnd.IntN(3)]
						var err error
						if rnd.IntN(2) == 0 {
							_, err = r.Start(t.Context(), alice, "", nil)
						} else {
							_, err = r.Stop(t.Context(), alice.Name, "")
						}
						if err != nil && hub.KindOf(err) != hub.Invalid {
							t.Errorf("%v", err)
						}
					}
				})
			}
			all.Wait()
			stopped := func(s hub.Server) bool { return !s.Active() }
			for s := w.get(""); s.Active(); s = w.get("") {
				if _, err := replicas[0].Stop(t.Context(), alice.Name, ""); err != nil {
					t.Fatal(err)
				}
				if _, err := replicas[0].Await(t.Context(), alice.Name, "", storetest.Patience, stopped); err != nil {
					t.Fatal(err)
				}
			}
			w.wantSettled()
			w.awaitTokens(alice, 0)
			if r := replicas[1].started(""); r.Gen != w.get("").Gen {
				t.Errorf("the start after it = %+v", r)
			}
		})
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	r.started("")
	r.started("lab2")
	if _, err := r.Start(t.Context(), bob, "", nil); err != nil {
		t.Fatal(err)
	}
	w.await(bob, "", hub.Running)

	err := r.Forget(t.Context(), alice.Name)
	if hub.KindOf(err) != hub.Invalid || hub.MessageOf(err) != "alice's server is in the process of stopping, please wait." {
		t.Errorf("Forget of running servers = %v", err)
	}
	for _, name := range []hub.ServerName{"", "lab2"} {
		if _, err := r.Stop(t.Context(), alice.Name, name); err != nil {
			t.Fatal(err)
		}
		w.await(alice, name, hub.Stopped)
	}
	for range 2 {
		if err := r.Forget(t.Context(), alice.Name); err != nil {
			t.Fatalf("Forget: %v", err)
		}
	}
	if all, err := r.OfUser(t.Context(), alice.Name); err != nil || len(all) != 0 {
		t.Errorf("servers after Forget = %+v, %v", all, err)
	}
	if s := w.await(bob, "", hub.Running); s.Gen != 1 {
		t.Errorf("bob's server = %+v", s)
	}
}

func TestStopAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.replica("a"), w.replica("b")
	a.started("")
	b.started("lab2")
	w.sim.answers(bob, "", http.StatusServiceUnavailable)
	if _, err := b.Start(t.Context(), bob, "", nil); err != nil { // it stays starting
		t.Fatal(err)
	}
	w.sim.await("bob's instance", func() bool { return len(w.sim.live) == 3 })
	if err := a.StopAll(t.Context()); err != nil {
		t.Errorf("StopAll: %v", err)
	}
	for _, name := range []hub.ServerName{"", "lab2"} {
		if s := w.get(name); s.State != hub.Stopped {
			t.Errorf("alice/%s is %s", name, s.State)
		}
	}
	b.stop()
	w.wantSettled()
}

func TestStopAllSaysWhatItCouldNotStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *spawn.Options) { o.StopGrace = time.Millisecond })
	r := w.replica("a")
	r.started("")
	w.sim.on("before stop", func(context.Context, string) error { return errors.New("runtime is away") })
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := r.StopAll(ctx); err == nil {
		t.Error("StopAll of a server that cannot be stopped reports success")
	}
}
