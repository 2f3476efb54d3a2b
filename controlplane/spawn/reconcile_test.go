package spawn_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
)

func TestExitOfAnInstanceIsNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	w.replica("b")
	r.started("")
	w.sim.exit(alice)
	s := w.await(alice, "", hub.Stopped)
	w.wantNoRoute(alice, "") // the history checks that it went in the same transaction
	want := "The server ended by itself: exited with code 3"
	if s.Failure != want {
		t.Errorf("reason %q, want %q", s.Failure, want)
	}
	for _, e := range s.Events {
		if e.Ready {
			t.Errorf("the events still send people to the server: %+v", s.Events)
		}
	}
	if last := s.Events[len(s.Events)-1]; !last.Failed || last.Message != want {
		t.Errorf("last event = %+v", last)
	}
	w.awaitTokens(alice, 0)
	if s := r.started(""); s.Gen != 2 {
		t.Errorf("the start after it = %+v", s)
	}
	w.wantSettled()
}

// counter makes polls of a user's instance do something, and tells how many there were.
type counter struct {
	mu    sync.Mutex
	n     int
	until map[int]chan struct{}
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if ch := c.until[c.n]; ch != nil {
		close(ch)
	}
}

// more is closed after n further calls.
func (c *counter) more(n int) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan struct{})
	c.until = map[int]chan struct{}{c.n + n: ch}
	return ch
}

func TestUnknownNeverStopsARunningServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	r.started("")
	before, err := w.servers.Get(t.Context(), store.ID("alice", ""))
	if err != nil {
		t.Fatal(err)
	}
	var polls counter
	w.sim.on("before poll", func(context.Context, string) error {
		polls.add()
		return errors.New("429 from the runtime")
	})
	w.sim.exit(alice) // it is gone, but nobody can know
	wait(t, polls.more(3), "three rounds")
	after, err := w.servers.Get(t.Context(), store.ID("alice", ""))
	if err != nil || after.Revision != before.Revision {
		t.Errorf("record = %+v, %v, want it unchanged", after.Value, err)
	}
	if route, _ := w.route(alice, ""); route == nil {
		t.Error("the route is gone")
	}
	w.sim.on("before poll", nil)
	w.await(alice, "", hub.Stopped)
}

func TestServerThatCannotBeAskedForHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	r.started("")
	if _, err := r.Start(t.Context(), bob, "", nil); err != nil {
		t.Fatal(err)
	}
	w.await(bob, "", hub.Running)
	w.sim.on("before poll", func(ctx context.Context, name string) error {
		if !strings.Contains(name, "alice") {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	})
	w.sim.exit(bob)
	w.await(bob, "", hub.Stopped)
	if s := w.get(""); s.State != hub.Running {
		t.Errorf("alice's server is %s", s.State)
	}
}

func TestAllReplicasRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.replica("a")
	a.started("")
	hanging := w.sim.hold("before start")
	a.start("lab2")
	wait(t, hanging.reached, "the second start")
	a.kill()
	route, rev := w.route(alice, "")
	if route == nil || w.get("").State != hub.Running {
		t.Fatal("without any replica the running server is not what it was")
	}

	w.replica("b")
	w.await(alice, "lab2", hub.Running)
	if _, now := w.route(alice, ""); now != rev {
		t.Error("the restart touched the route of a running server")
	}
	w.wantSettled()
}

func TestActivityMovesForwardOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.idle("a")
	if err := r.Active(t.Context(), alice.Name, "", time.Now()); hub.KindOf(err) != hub.NotFound {
		t.Errorf("activity of a server that never was: %v, want NotFound", err)
	}
	w.replica("b").started("")
	at := w.get("").LastActivity
	for _, step := range []struct{ give, want time.Time }{
		{at.Add(time.Hour), at.Add(time.Hour)},
		{at, at.Add(time.Hour)},
		{at.Add(2 * time.Hour), at.Add(2 * time.Hour)},
	} {
		if err := r.Active(t.Context(), alice.Name, "", step.give); err != nil {
			t.Fatal(err)
		}
		if got := w.get("").LastActivity; !got.Equal(step.want) {
			t.Errorf("after activity at %s the last is %s, want %s", step.give, got, step.want)
		}
	}
}

func TestAwaitReturnsTheLastRecordWhenTheTimeIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.idle("a")
	s, err := r.Await(t.Context(), alice.Name, "", 3*time.Second, func(hub.Server) bool { return false })
	if err != nil || s.State != hub.Stopped || s.User != alice.Name {
		t.Errorf("Await = %+v, %v, want the stopped server and no error", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Await(ctx, alice.Name, "", storetest.Patience, func(hub.Server) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("Await of a caller who left = %v", err)
	}
}

// A record can go while its follower is cut off: the snapshot after that must tell.
func TestFollowersNoticeThatARecordIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.replica("a")
	r.started("")
	if _, err := r.Stop(t.Context(), alice.Name, ""); err != nil {
		t.Fatal(err)
	}
	w.await(alice, "", hub.Stopped)
	first := make(chan struct{})
	done := make(chan error, 1)
	n := 0
	go func() {
		done <- w.watcher().Follow(t.Context(), alice.Name, "", func(s hub.Server) bool {
			if n++; n == 1 {
				close(first)
			}
			return s.Gen != 0
		})
	}()
	wait(t, first, "the first record")
	if err := r.Forget(t.Context(), alice.Name); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
