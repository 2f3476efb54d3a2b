package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// follower runs a Watch and hands its events to the test one by one.
type follower struct {
	t      *testing.T
	events chan store.Event[thing]
}

// follow starts a Watch, which ends before the test does. hook, if not nil, runs inside it before an event is handed over.
func follow(t *testing.T, table store.Table[thing], idPrefix string, hook func(store.Event[thing])) *follower {
	t.Helper()
	f := &follower{t: t, events: make(chan store.Event[thing])}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- table.Watch(ctx, idPrefix, func(e store.Event[thing]) bool {
			if hook != nil {
				hook(e)
			}
			select {
			case f.events <- e:
			case <-ctx.Done():
			}
			return true
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Watch returned %v after its context ended, want the context's error", err)
			}
		case <-time.After(Patience):
			t.Error("Watch does not return after its context ended")
		}
	})
	return f
}

// next is the next event.
func (f *follower) next() store.Event[thing] {
	f.t.Helper()
	select {
	case e := <-f.events:
		return e
	case <-time.After(Patience):
		f.t.Fatal("no event")
		return store.Event[thing]{}
	}
}

// want fails the test unless the next event is about id with a count (-1: it is gone).
func (f *follower) want(id string, count int64) store.Event[thing] {
	f.t.Helper()
	e := f.next()
	got := int64(-1)
	if e.Value != nil {
		got = e.Value.Count
	}
	if e.ID != id || got != count || e.Synced {
		f.t.Fatalf("event: got %s, want %s with count %d", show(e), id, count)
	}
	return e
}

// synced fails the test unless the next event is the end of a snapshot.
func (f *follower) synced() store.Event[thing] {
	f.t.Helper()
	e := f.next()
	if !e.Synced || e.ID != "" || e.Value != nil || e.Revision == 0 {
		f.t.Fatalf("event: got %s, want the end of the snapshot with its revision", show(e))
	}
	return e
}

func show(e store.Event[thing]) string {
	v := "gone"
	if e.Value != nil {
		v = fmt.Sprintf("%+v", *e.Value)
	}
	return fmt.Sprintf("{%q %s rev %d reset %t synced %t}", e.ID, v, e.Revision, e.Reset, e.Synced)
}

func testWatch(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", thing{Count: 1})
	b.create(t, "b", thing{Count: 2})
	f := follow(t, b.things, "", nil)
	if e := f.want("a", 1); !e.Reset || e.Revision != b.get(t, "a").Revision {
		t.Errorf("first event: %s, want Reset and the record's revision", show(e))
	}
	if e := f.want("b", 2); e.Reset {
		t.Errorf("second event: %s, want no Reset", show(e))
	}
	last := f.synced().Revision
	for i := range int64(5) {
		_, err := b.things.Update(t.Context(), "a", add(1))
		wantNoError(t, "Update", err)
		wantNoError(t, "Delete", b.things.Delete(t.Context(), "b", 0))
		b.create(t, "b", thing{Count: 10 + i})
		for _, e := range []store.Event[thing]{f.want("a", 2+i), f.want("b", -1), f.want("b", 10+i)} {
			if e.Revision <= last || e.Reset {
				t.Fatalf("event: %s, want a revision after %d and no Reset", show(e), last)
			}
			last = e.Revision
		}
	}
	n := 0
	wantNoError(t, "Watch that is told to stop", b.things.Watch(timed(t), "", func(store.Event[thing]) bool { n++; return n < 2 }))
	if n != 2 {
		t.Errorf("Watch went on to %d events after yield said to stop at 2", n)
	}
}

func testWatchPart(t *testing.T) {
	b := newBench(t)
	b.create(t, "x/1", thing{Count: 1})
	f := follow(t, b.things, "y/", nil)
	if e := f.synced(); !e.Reset {
		t.Errorf("the first event of an empty snapshot: %s, want Reset", show(e))
	}
	b.create(t, "y", thing{Count: 2})
	b.create(t, "z/1", thing{Count: 3})
	b.create(t, "y/1", thing{Count: 4})
	f.want("y/1", 4)
}

// testWatchWhileOthersWrite checks that snapshot and changes add up: no change is lost or seen twice between them.
func testWatchWhileOthersWrite(t *testing.T) {
	const writers, each = 4, 25
	b := newBench(t)
	for i := range writers {
		b.create(t, fmt.Sprint(i), thing{})
	}
	var all sync.WaitGroup
	defer all.Wait()
	for i := range writers {
		all.Go(func() {
			for range each {
				if _, err := b.things.Update(t.Context(), fmt.Sprint(i), add(1)); err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	f := follow(t, b.things, "", nil)
	counts, last, synced := map[string]int64{}, int64(0), false
	for full := 0; full < writers; {
		e := f.next()
		if e.Synced {
			synced, last = true, e.Revision
			continue
		}
		before, known := counts[e.ID]
		if synced && (e.Revision <= last || e.Value.Count != before+1) || !synced && known {
			t.Fatalf("event %s after count %d at revision %d", show(e), before, last)
		}
		if synced {
			last = e.Revision
		}
		if counts[e.ID] = e.Value.Count; e.Value.Count == each {
			full++
		}
	}
}

// testWatchCompaction compacts between the snapshot and the stream, and between two reads of a snapshot.
func testWatchCompaction(t *testing.T) {
	e := Start(t)
	s, client := e.Open(t)
	b := bench{store: s, client: client, things: store.NewTable[thing](s, "things/", "thing")}
	b.create(t, "a", thing{Count: 1})
	b.create(t, "b", thing{Count: 2})
	var once sync.Once
	f := follow(t, b.things, "", func(ev store.Event[thing]) {
		if !ev.Synced {
			return
		}
		once.Do(func() {
			for range 3 {
				if _, err := b.things.Update(t.Context(), "a", add(1)); err != nil {
					t.Errorf("Update: %v", err)
				}
			}
			if err := b.things.Delete(t.Context(), "b", 0); err != nil {
				t.Errorf("Delete: %v", err)
			}
			e.Compact(t, client)
		})
	})
	f.want("a", 1)
	f.want("b", 2)
	f.synced()
	if ev := f.want("a", 4); !ev.Reset {
		t.Errorf("first event after the compaction: %s, want Reset", show(ev))
	}
	f.synced() // b is not repeated: it is gone
	_, err := b.things.Update(t.Context(), "a", add(1))
	wantNoError(t, "Update", err)
	f.want("a", 5)

	b.fill(t, 1500)
	pages := 0
	err = b.things.Watch(timed(t), "0", func(ev store.Event[thing]) bool {
		if ev.Reset {
			pages = 0
		}
		pages++
		if ev.ID == "00000" && ev.Value.Count == 0 {
			_, err := b.things.Update(t.Context(), "00000", add(1))
			wantNoError(t, "Update", err)
			e.Compact(t, client)
		}
		return !ev.Synced
	})
	if err != nil || pages != 1501 {
		t.Errorf("Watch with a compaction between two reads of its snapshot: %d events since Reset, %v; want 1501", pages, err)
	}
}

func testWatchRestart(t *testing.T) {
	e := Start(t)
	s, client := e.Open(t)
	b := bench{store: s, client: client, things: store.NewTable[thing](s, "things/", "thing")}
	b.create(t, "a", thing{Count: 1})
	b.create(t, "b", thing{Count: 2})
	f := follow(t, b.things, "", nil)
	f.want("a", 1)
	f.want("b", 2)
	f.synced()
	e.Restart(t)
	b.await(t)
	wantNoError(t, "Delete", b.things.Delete(t.Context(), "b", 0))
	b.create(t, "c", thing{Count: 3})
	_, err := b.things.Update(t.Context(), "a", add(9))
	wantNoError(t, "Update", err)
	// The watch may go on or start over; what it said adds up to what is there.
	seen := map[string]int64{"a": 1, "b": 2}
	for want := (map[string]int64{"a": 10, "c": 3}); !maps.Equal(seen, want); {
		ev := f.next()
		if ev.Reset {
			clear(seen)
		}
		switch {
		case ev.Synced:
		case ev.Value == nil:
			delete(seen, ev.ID)
		default:
			seen[ev.ID] = ev.Value.Count
		}
	}
}

// await returns when the store answers again.
func (b bench) await(t *testing.T) {
	t.Helper()
	for ctx := timed(t); ; {
		err := b.store.Ping(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("etcd does not come back: %v", err)
		}
	}
}

// testEtcdAway is about a hub without its database: it says so, in time, and loses nothing that it acknowledged.
func testEtcdAway(t *testing.T) {
	e := Start(t)
	s, client := e.Open(t)
	b := bench{store: s, client: client, things: store.NewTable[thing](s, "things/", "thing")}
	for i := range 20 {
		b.create(t, fmt.Sprint(i), thing{Count: int64(i)})
	}
	e.Stop()
	var all sync.WaitGroup
	for what, call := range map[string]func(context.Context) error{
		"Get":         func(ctx context.Context) error { _, err := b.things.Get(ctx, "1"); return err },
		"List":        func(ctx context.Context) error { _, err := b.things.All(ctx, ""); return err },
		"Create":      func(ctx context.Context) error { return b.things.Create(ctx, "new", thing{}) },
		"Update":      func(ctx context.Context) error { _, err := b.things.Update(ctx, "1", add(1)); return err },
		"Delete":      func(ctx context.Context) error { return b.things.Delete(ctx, "1", 0) },
		"Apply":       func(ctx context.Context) error { return s.Apply(ctx, store.PutFor(b.things.Key("x"), 1, time.Minute)) },
		"Ping":        s.Ping,
		"LiveMembers": func(ctx context.Context) error { _, err := s.LiveMembers(ctx); return err },
	} {
		all.Go(func() {
			start := time.Now()
			wantKind(t, what+" without etcd", call(t.Context()), hub.Unavailable)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("%s without etcd took %s", what, took)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s for a caller that is gone: got %v, want context.Canceled", what, err)
			}
		})
	}
	all.Wait()
	e.Restart(t)
	b.await(t)
	records, err := b.things.All(t.Context(), "")
	if err != nil || len(records) != 20 {
		t.Errorf("after the restart: %d records, %v; want all 20", len(records), err)
	}
}
