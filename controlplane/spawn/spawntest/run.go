package spawntest

import (
	"sync"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// Run tries the contract of hub.Spawner. Each part gets a backend of its own from newBackend and runs in parallel with the
// others.
func Run(t *testing.T, newBackend func(t *testing.T) Backend) {
	for _, part := range []struct {
		name string
		test func(w *world)
	}{
		{"start_makes_one_that_runs", (*world).startRuns},
		{"start_again_adopts", (*world).startAdopts},
		{"newer_generation_replaces_older", (*world).newerReplaces},
		{"older_generation_is_refused", (*world).olderRefused},
		{"concurrent_starts_make_one", (*world).concurrentStarts},
		{"concurrent_generations_never_overlap", (*world).concurrentGenerations},
		{"stop_is_idempotent", (*world).stopTwice},
		{"stop_of_nothing_is_fine", (*world).stopNothing},
		{"stop_with_older_generation_does_nothing", (*world).stopOlder},
		{"stop_during_start_leaves_nothing", (*world).stopDuringStart},
		{"end_is_noticed_with_reason", (*world).endNoticed},
		{"next_hub_adopts_and_stops", (*world).nextHub},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newBackend(t))
			part.test(w)
			w.wantNoOverlap()
		})
	}
}

func (w *world) startRuns() {
	s := w.Spawner(w.t)
	spec := w.spec(s, 1)
	w.wantGone(s, spec.Name, nil)
	inst := w.start(s, spec)
	w.wantRunning(s, spec.Name, 1, &inst)
	w.identity(inst)
}

func (w *world) startAdopts() {
	s := w.Spawner(w.t)
	spec := w.spec(s, 1)
	first := w.start(s, spec)
	id := w.identity(first)
	for who, s := range map[string]hub.Spawner{"same": s, "other": w.Spawner(w.t)} {
		inst := w.start(s, spec)
		if got := w.identity(inst); got != id || inst.URL != first.URL || inst.Auth != first.Auth {
			w.t.Fatalf("the %s spawner started %s at %s, want %s at %s adopted", who, got, inst.URL, id, first.URL)
		}
	}
	w.wantRunning(s, spec.Name, 1, &first)
}

func (w *world) newerReplaces() {
	a, b := w.Spawner(w.t), w.Spawner(w.t)
	spec := w.spec(a, 1)
	id := w.identity(w.start(a, spec))
	spec.Gen = 2
	inst := w.start(b, spec)
	if got := w.identity(inst); got == id {
		w.t.Fatalf("generation 2 is still %s", got)
	}
	w.wantRunning(a, spec.Name, 2, &inst)
}

func (w *world) olderRefused() {
	a, b := w.Spawner(w.t), w.Spawner(w.t)
	spec := w.spec(a, 2)
	inst := w.start(a, spec)
	spec.Gen = 1
	_, err := b.Start(w.ctx, spec)
	wantConflict(w.t, err)
	w.wantRunning(b, spec.Name, 2, &inst)
}

// concurrentStarts has two replicas start the same generation eight times at once: one instance is made.
func (w *world) concurrentStarts() {
	replicas := []hub.Spawner{w.Spawner(w.t), w.Spawner(w.t)}
	spec := w.spec(replicas[0], 0)
	for range 5 {
		spec.Gen++
		insts, errs := make([]hub.Instance, 8), make([]error, 8)
		var all sync.WaitGroup
		for i := range insts {
			all.Go(func() { insts[i], errs[i] = replicas[i%2].Start(w.ctx, spec) })
		}
		all.Wait()
		for i := range insts {
			if errs[i] != nil || insts[i].URL != insts[0].URL {
				w.t.Fatalf("start %d gave %+v, %v; start 0 gave %+v, want the same", i, insts[i], errs[i], insts[0])
			}
		}
		w.wantRunning(replicas[1], spec.Name, spec.Gen, &insts[0])
		w.identity(insts[0])
	}
}

// concurrentGenerations starts several generations at once: some are refused or ended, the newest one lives.
func (w *world) concurrentGenerations() {
	replicas := []hub.Spawner{w.Spawner(w.t), w.Spawner(w.t)}
	spec := w.spec(replicas[0], 0)
	const newest = 5
	var all sync.WaitGroup
	for i := range newest {
		mine := spec
		mine.Gen = int64(i + 1)
		all.Go(func() {
			if _, err := replicas[i%2].Start(w.ctx, mine); err != nil && (hub.KindOf(err) != hub.Conflict || mine.Gen == newest) {
				w.t.Errorf("Start(generation %d): %v", mine.Gen, err)
			}
		})
	}
	all.Wait()
	w.wantRunning(replicas[1], spec.Name, newest, nil)
}

func (w *world) stopTwice() {
	a, b := w.Spawner(w.t), w.Spawner(w.t)
	spec := w.spec(a, 1)
	inst := w.start(a, spec)
	for _, s := range []hub.Spawner{a, a, b} {
		w.stop(s, spec.Name, 1)
		w.wantGone(s, spec.Name, &inst)
	}
	spec.Gen = 2
	next := w.start(b, spec)
	w.wantRunning(a, spec.Name, 2, &next)
}

func (w *world) stopNothing() {
	s := w.Spawner(w.t)
	spec := w.spec(s, 1)
	w.stop(s, spec.Name, 1)
	w.wantGone(s, spec.Name, nil)
}

func (w *world) stopOlder() {
	a, b := w.Spawner(w.t), w.Spawner(w.t)
	spec := w.spec(a, 2)
	inst := w.start(a, spec)
	id := w.identity(inst)
	w.stop(b, spec.Name, 1)
	w.wantRunning(b, spec.Name, 2, &inst)
	if got := w.identity(inst); got != id {
		w.t.Fatalf("the instance is %s, want %s", got, id)
	}
}

// stopDuringStart lets another replica stop what is just being started. The start may fail, but nothing may stay once
// both have returned and Stop came again.
func (w *world) stopDuringStart() {
	a, b := w.Spawner(w.t), w.Spawner(w.t)
	spec := w.spec(a, 1)
	for range 10 {
		var both sync.WaitGroup
		both.Go(func() { _, _ = a.Start(w.ctx, spec) })
		both.Go(func() { w.check(b.Stop(w.ctx, spec.Name, spec.Gen, nil, w.Patience)) })
		both.Wait()
		w.stop(b, spec.Name, spec.Gen)
		w.wantGone(a, spec.Name, nil)
		spec.Gen++
	}
}

func (w *world) check(err error) {
	if err != nil {
		w.t.Error(err)
	}
}

func (w *world) endNoticed() {
	s := w.Spawner(w.t)
	spec := w.spec(s, 1)
	inst := w.start(s, spec)
	w.fail(spec.Name, inst)
	var got hub.Status
	w.eventually("end noticed", func() bool {
		got = w.poll(s, spec.Name, &inst)
		return !got.Running
	})
	if want := "exited with code 3"; got.Reason != want {
		w.t.Errorf("Poll says %q, want %q", got.Reason, want)
	}
	w.wantGone(w.Spawner(w.t), spec.Name, &inst)
	w.stop(s, spec.Name, 1)
}

func (w *world) nextHub() {
	spec := w.spec(w.Spawner(w.t), 1)
	inst := w.start(w.Spawner(w.t), spec)
	id := w.identity(inst)
	next := w.Spawner(w.t)
	w.wantRunning(next, spec.Name, 1, &inst)
	if got := w.identity(w.start(next, spec)); got != id {
		w.t.Fatalf("the next hub started %s, want %s adopted", got, id)
	}
	w.stop(next, spec.Name, 1)
	w.wantGone(next, spec.Name, &inst)
}
