package spawn_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
)

// moment is a point at which a replica can be when it dies.
type moment struct {
	// hold keeps it there.
	hold func(*sim) *gate
	// answered says that the call it was in had its answer in the very moment.
	answered bool
	// log is what the runtime did in the end.
	log string
}

// die waits until r is at the gate and kills it there.
func (m moment) die(t *testing.T, r *replica, g *gate) {
	t.Helper()
	wait(t, g.reached, "the replica to come to the point where it dies")
	if m.answered {
		go close(g.open)
	}
	r.kill()
}

func at(point string) func(*sim) *gate { return func(s *sim) *gate { return s.hold(point) } }

func TestAnotherReplicaFinishesTheStartOfOneThatDied(t *testing.T) {
	t.Parallel()
	moments := map[string]moment{
		"after the claim":                       {hold: at("before poll"), log: "made 1"},
		"before the spawner is called":          {hold: at("before start"), log: "made 2"},
		"in the spawner, its answer is lost":    {hold: at("after start"), log: "made 1, adopted 1"},
		"before it records the instance":        {hold: at("after start"), answered: true, log: "made 1"},
		"while it waits for the server's reply": {hold: at("visit"), log: "made 1"},
	}
	for name, m := range moments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.replica("a")
			g := m.hold(w.sim)
			a.start("")
			m.die(t, a, g)
			b := w.replica("b")
			s := w.await(alice, "", hub.Running)
			if route, _ := w.route(alice, ""); route == nil || route.Gen != s.Gen {
				t.Errorf("record %+v, route %+v", s, route)
			}
			if !m.answered { // else either order is right
				w.sim.wantLog(m.log)
			}
			w.awaitTokens(alice, 1)
			if tok, err := w.tokens.Find(t.Context(), w.sim.env(alice)["JUPYTERHUB_API_TOKEN"]); err != nil || tok.ID != s.TokenID {
				t.Errorf("the instance's token is %+v, %v, the record's %s", tok, err, s.TokenID)
			}
			w.wantSettled()
			if _, err := b.Stop(t.Context(), alice.Name, ""); err != nil {
				t.Fatal(err)
			}
			w.await(alice, "", hub.Stopped)
			w.wantSettled()
		})
	}
}

func TestIntentOfAReplicaThatNeverWorkedOnItIsCarriedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("a")
	a.kill() // so that it stores what shall be, and does nothing
	a.start("")
	b := w.replica("b")
	if s := w.await(alice, "", hub.Running); s.Gen != 1 {
		t.Errorf("record = %+v", s)
	}
	w.sim.wantLog("made 1")

	b.kill()
	if _, err := a.Stop(t.Context(), alice.Name, ""); err != nil {
		t.Fatal(err)
	}
	w.wantNoRoute(alice, "")
	w.replica("c")
	w.await(alice, "", hub.Stopped)
	w.sim.wantLog("made 1, ended 1")
	w.wantSettled()
}

func TestAnotherReplicaFinishesTheStopOfOneThatDied(t *testing.T) {
	t.Parallel()
	moments := map[string]moment{
		"before the spawner is called":       {hold: at("before stop")},
		"in the spawner, its answer is lost": {hold: at("after stop")},
		"before it records the end":          {hold: at("after stop"), answered: true},
	}
	for name, m := range moments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.replica("a")
			a.started("")
			g := m.hold(w.sim)
			if _, err := a.Stop(t.Context(), alice.Name, ""); err != nil {
				t.Fatal(err)
			}
			m.die(t, a, g)
			w.replica("b")
			w.await(alice, "", hub.Stopped)
			w.sim.wantLog("made 1, ended 1")
			w.awaitTokens(alice, 0)
			w.wantSettled()
		})
	}
}

func TestDeathWhileAFailedStartIsCleanedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("a")
	w.sim.on("after start", func(context.Context, string) error { return hub.Errorf(hub.Unavailable, "The disk is full.") })
	g := w.sim.hold("before stop")
	a.start("")
	wait(t, g.reached, "the clean-up")
	w.sim.on("after start", nil)
	a.leave() // its clean-up hangs until its own time is over
	w.replica("b")
	if s := w.await(alice, "", hub.Stopped); s.Failure != "The disk is full." {
		t.Errorf("record = %+v, want the reason of the replica that died", s)
	}
	close(g.open)
	a.stop()
	w.sim.wantLog("made 1, ended 1")
	w.wantSettled()
}

func TestRestOfTheTimeIsTheNextOwners(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *spawn.Options) { o.StartTimeout, o.ReadyTimeout = 3*time.Second, time.Second })
	w.sim.answers(alice, "", http.StatusServiceUnavailable)
	a := w.replica("a")
	g := w.sim.hold("visit")
	deadline := a.start("").Deadline
	wait(t, g.reached, "the first visit")
	a.kill()
	w.replica("b")
	s := w.await(alice, "", hub.Stopped)
	if s.Failure != "The server did not become ready in time." {
		t.Errorf("reason = %q", s.Failure)
	}
	if late := time.Since(deadline); late < 0 {
		t.Errorf("given up %s before the deadline", -late)
	}
	w.wantSettled()
}

// lateOwner is a replica that lost its lease while it was paused in a call to the spawner, and does not know it.
func lateOwner(t *testing.T, w *world, point string) (*replica, *gate) {
	t.Helper()
	a := w.replica("a")
	g := w.sim.freeze(point)
	a.start("")
	wait(t, g.reached, "the replica to be paused")
	a.leave()
	return a, g
}

// wake lets the late owner go on and waits until its work has ended.
func wake(a *replica, g *gate) {
	close(g.open)
	a.ended()
}

// ended waits until a replica's start has come to an end, and then for its clean-up.
func (r *replica) ended() {
	r.w.t.Helper()
	r.log.await("start failed", "start was overtaken")
	r.stop()
}

// wantUntouched checks that a late owner changed nothing of the server that another one runs.
func wantUntouched(t *testing.T, w *world, before store.Record[hub.Server]) {
	t.Helper()
	after, err := w.servers.Get(t.Context(), store.ID("alice", ""))
	if err != nil || after.Revision != before.Revision {
		t.Errorf("record = %+v, %v, want it as it was: %+v", after.Value, err, before.Value)
	}
	w.wantTokens(alice, 1)
	if tok, err := w.tokens.Find(t.Context(), w.sim.env(alice)["JUPYTERHUB_API_TOKEN"]); err != nil || tok.ID != before.Value.TokenID {
		t.Errorf("the instance's token is %+v, %v, the record's %s", tok, err, before.Value.TokenID)
	}
	w.wantSettled()
}

func runningRecord(t *testing.T, w *world) store.Record[hub.Server] {
	t.Helper()
	w.await(alice, "", hub.Running)
	w.awaitTokens(alice, 1)
	rec, err := w.servers.Get(t.Context(), store.ID("alice", ""))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestLateOwnerOfAnOlderGenerationChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, g := lateOwner(t, w, "before start")
	w.replica("b")
	rec := runningRecord(t, w)
	if rec.Value.Gen != 2 {
		t.Errorf("generation %d, want 2: the secret of the first is known to the late owner only", rec.Value.Gen)
	}
	wake(a, g)
	wantUntouched(t, w, rec)
	w.sim.wantLog("made 2")
}

func TestLateOwnerNeverRemovesAnInstanceThatWasAdopted(t *testing.T) {
	t.Parallel()
	for name, point := range map[string]string{"that it made": "after start", "that it has not looked for": "before poll"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a, g := lateOwner(t, w, point)
			w.replica("b")
			rec := runningRecord(t, w)
			if rec.Value.Gen != 1 {
				t.Errorf("generation %d, want 1", rec.Value.Gen)
			}
			wake(a, g)
			wantUntouched(t, w, rec)
		})
	}
}

func TestLateOwnerWhoseStartFailedNeverRemovesAnInstanceThatWasAdopted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	reached, open := make(chan struct{}), make(chan struct{})
	var taken atomic.Bool
	w.sim.on("after start", func(context.Context, string) error {
		if taken.Swap(true) {
			return nil
		}
		close(reached)
		<-open
		return errors.New("connection reset")
	})
	a := w.replica("a")
	a.start("")
	wait(t, reached, "the replica to be paused")
	a.leave()
	w.replica("b")
	rec := runningRecord(t, w)
	close(open)
	a.ended()
	wantUntouched(t, w, rec)
	w.sim.wantLog("made 1, adopted 1")
}

func TestLateOwnerPastItsDeadlineNeverRemovesARunningServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *spawn.Options) { o.StartTimeout, o.ReadyTimeout = 7*time.Second, time.Second })
	w.sim.answers(alice, "", http.StatusServiceUnavailable)
	a := w.replica("a")
	visit := w.sim.hold("visit") // a waits for this answer until its time is over
	deadline := a.start("").Deadline
	wait(t, visit.reached, "the first visit")
	a.leave()
	w.sim.answers(alice, "", http.StatusOK)
	w.replica("b")
	rec := runningRecord(t, w)
	if !time.Now().Before(deadline) {
		t.Skip("this machine was too slow for the other replica to finish before the deadline")
	}
	a.ended()
	wantUntouched(t, w, rec)
}

func TestLateOwnerRemovesWhatItMadeForAServerThatIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, g := lateOwner(t, w, "before start")
	b := w.replica("b")
	b.kill()
	if _, err := b.Stop(t.Context(), alice.Name, ""); err != nil {
		t.Fatal(err)
	}
	w.replica("c")
	w.await(alice, "", hub.Stopped)
	wake(a, g)
	w.sim.wantLog("made 1, ended 1")
	w.awaitTokens(alice, 0)
	w.wantSettled()
}

// An orderly end of a replica in the same situation must not leave the instance either.
func TestReplicaThatEndsRemovesWhatNobodyElseWill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("a")
	g := w.sim.freeze("before start")
	a.start("")
	wait(t, g.reached, "the start")
	if _, err := w.replica("b").Stop(t.Context(), alice.Name, ""); err != nil {
		t.Fatal(err)
	}
	w.await(alice, "", hub.Stopped)
	a.quit()
	close(g.open)
	a.stop()
	w.sim.wantLog("made 1, ended 1")
	w.wantSettled()
}
