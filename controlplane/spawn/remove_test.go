package spawn_test

import (
	"fmt"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
)

// awaitGone waits until there is no record of a server of alice's.
func (w *world) awaitGone(name hub.ServerName) {
	w.t.Helper()
	_, err := w.watcher().Await(w.t.Context(), alice.Name, name, storetest.Patience, func(s hub.Server) bool { return s.Schema == 0 })
	if _, getErr := w.servers.Get(w.t.Context(), store.ID("alice", string(name))); err != nil || hub.KindOf(getErr) != hub.NotFound {
		w.t.Fatalf("the record of %s: %v, %v, want none", name, err, getErr)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	first := r.started("gpu")
	stopping := w.sim.hold("before stop")
	if s, err := r.Remove(t.Context(), alice.Name, "gpu"); err != nil || s.State != hub.Stopping || !s.Remove {
		t.Fatalf("Remove = %+v, %v", s, err)
	}
	w.wantNoRoute(alice, "gpu")
	wait(t, stopping.reached, "the instance's end")
	if _, err := r.Start(t.Context(), alice, "gpu", nil); hub.KindOf(err) != hub.Invalid {
		t.Errorf("a start of a server that goes: %v", err)
	}
	close(stopping.open)
	w.awaitGone("gpu")
	w.awaitTokens(alice, 0)
	second := r.started("gpu")
	if second.ID == first.ID || second.Gen != 1 {
		t.Errorf("a new server of the name is %+v, the one before was %+v", second, first)
	}
	w.sim.wantLog("made 1, ended 1, made 1")
	w.wantSettled()
}

// TestRemoveOfAServerThatStops is remembered until it has stopped, whoever asked for the stop.
func TestRemoveOfAServerThatStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.replica("a"), w.replica("b")
	a.started("gpu")
	stopping := w.sim.hold("before stop")
	if _, err := a.Stop(t.Context(), alice.Name, "gpu"); err != nil {
		t.Fatal(err)
	}
	wait(t, stopping.reached, "the instance's end")
	for range 2 {
		if _, err := b.Remove(t.Context(), alice.Name, "gpu"); err != nil {
			t.Fatal(err)
		}
	}
	close(stopping.open)
	w.awaitGone("gpu")
}

// TestRemoveOfAReplicaThatDied is finished by another one, whatever there was left to do.
func TestRemoveOfAReplicaThatDied(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"stopping", "stopped"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.replica("a")
			a.started("gpu")
			if state == "stopping" {
				stopping := w.sim.hold("before stop")
				if _, err := a.Remove(t.Context(), alice.Name, "gpu"); err != nil {
					t.Fatal(err)
				}
				wait(t, stopping.reached, "the instance's end")
			} else if _, err := a.Stop(t.Context(), alice.Name, "gpu"); err != nil {
				t.Fatal(err)
			} else {
				w.await(alice, "gpu", hub.Stopped)
			}
			a.kill()
			if state == "stopped" { // marked, and nothing more
				_, err := w.servers.Update(t.Context(), store.ID("alice", "gpu"), func(s *hub.Server) ([]store.Op, error) {
					s.Remove = true
					return nil, nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.idle("c").Start(t.Context(), alice, "gpu", nil); hub.KindOf(err) != hub.Invalid {
					t.Errorf("a start of a server that goes: %v", err)
				}
			}
			w.replica("b")
			w.awaitGone("gpu")
		})
	}
}

func TestCreateAndConfigure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	made, err := r.Create(t.Context(), alice, "gpu", spawn.Settings{DisplayName: "Big", Options: map[string]any{"n": "1"}})
	if err != nil || made.Active() || made.DisplayName != "Big" {
		t.Fatalf("Create = %+v, %v", made, err)
	}
	if _, err := r.Create(t.Context(), alice, "gpu", spawn.Settings{}); hub.KindOf(err) != hub.Conflict {
		t.Errorf("a second one: %v", err)
	}
	gone := hub.User{Name: "nobody", ID: "u9"}
	if _, err := r.Create(t.Context(), gone, "gpu", spawn.Settings{}); hub.KindOf(err) != hub.NotFound {
		t.Errorf("for a user who is gone: %v", err)
	}
	if s := r.started("gpu"); s.ID != made.ID || s.DisplayName != "Big" || s.Options["n"] != "1" {
		t.Errorf("it runs as %+v", s)
	}
	to := hub.ServerName("tpu")
	if _, err := r.Configure(t.Context(), alice, "gpu", spawn.Settings{}, &to); hub.KindOf(err) != hub.Invalid {
		t.Errorf("a change while it runs: %v", err)
	}
	if _, err := r.Stop(t.Context(), alice.Name, "gpu"); err != nil {
		t.Fatal(err)
	}
	w.await(alice, "gpu", hub.Stopped)
	if s, err := r.Configure(t.Context(), alice, "gpu", spawn.Settings{DisplayName: "Other"}, &to); err != nil || s.Name != to || s.DisplayName != "Other" || s.ID != made.ID {
		t.Fatalf("Configure = %+v, %v", s, err)
	}
	w.awaitGone("gpu")
	if s := r.started(to); s.Gen != 2 || s.Options["n"] != "1" {
		t.Errorf("by its new name it runs as %+v", s)
	}
	w.wantSettled()
}

// TestTheDefaultServerGetsAName leaves its user with a new default server.
func TestTheDefaultServerGetsAName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	to := hub.ServerName("old")
	if s, err := r.Configure(t.Context(), alice, "", spawn.Settings{Options: map[string]any{"n": "1"}}, &to); err != nil || s.Name != to {
		t.Fatalf("Configure = %+v, %v", s, err)
	}
	if s := w.get(""); s.Options != nil {
		t.Errorf("the new default server: %+v", s)
	}
	if s := r.started(to); s.Options["n"] != "1" {
		t.Errorf("the old one: %+v", s)
	}
}

func TestNobodyHasTooManyServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.idle("a")
	if _, err := r.Configure(t.Context(), alice, "", spawn.Settings{DisplayName: "Mine"}, nil); err != nil { // does not count
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := r.Create(t.Context(), alice, hub.ServerName(fmt.Sprintf("s%d", i)), spawn.Settings{}); err != nil {
			t.Fatal(i, err)
		}
	}
	to := hub.ServerName("more")
	_, create := r.Create(t.Context(), alice, to, spawn.Settings{})
	_, start := r.Start(t.Context(), alice, to, nil)
	_, rename := r.Configure(t.Context(), alice, "", spawn.Settings{}, &to)
	for what, err := range map[string]error{"Create": create, "Start": start, "Configure": rename} {
		if hub.KindOf(err) != hub.Invalid {
			t.Errorf("%s of one more: %v", what, err)
		}
	}
	if _, err := r.Remove(t.Context(), alice.Name, "s7"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(t.Context(), alice, to, spawn.Settings{}); err != nil {
		t.Errorf("after one is removed: %v", err)
	}
}
