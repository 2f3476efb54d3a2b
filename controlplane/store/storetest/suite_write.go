package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

func testCreate(t *testing.T) {
	b := newBench(t)
	want := thing{Schema: 1, Name: "<ä/%>", Count: math.MaxInt64, List: []string{"x"}}
	b.create(t, "a", want)
	r := b.get(t, "a")
	if !reflect.DeepEqual(r.Value, want) || r.ID != "a" || r.Revision == 0 {
		t.Errorf("read back:\n got %+v\nwant %+v with id a and a revision", r, want)
	}
	err := b.things.Create(t.Context(), "a", thing{Name: "other"}, store.Put(b.store.Key("things/", "op"), thing{}))
	wantKind(t, "Create of a record that exists", err, hub.Conflict)
	if again := b.get(t, "a"); !reflect.DeepEqual(again, r) {
		t.Errorf("Create of a record that exists changed it:\n got %+v\nwant %+v", again, r)
	}
	_, err = b.things.Get(t.Context(), "op")
	wantKind(t, "the other write of a Create that failed", err, hub.NotFound)
}

func testGet(t *testing.T) {
	b := newBench(t)
	_, err := b.things.Get(t.Context(), "nobody")
	wantKind(t, "Get of nothing", err, hub.NotFound)
	if got, want := hub.MessageOf(err), "No such thing."; got != want {
		t.Errorf("message: got %q, want %q", got, want)
	}
	b.put(t, "broken", `{"v":1,"name":["secret text"]}`)
	_, err = b.things.Get(t.Context(), "broken")
	wantKind(t, "Get of a record that cannot be read", err, hub.Internal)
	_, err = b.things.Update(t.Context(), "broken", add(1))
	wantKind(t, "Update of a record that cannot be read", err, hub.Internal)
	if raw, _, _ := Raw(t, b.client, b.things.Key("broken")); !strings.Contains(raw, "secret text") {
		t.Errorf("a record that cannot be read was overwritten: %s", raw)
	}
}

func testUpdate(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", thing{Name: "first", Count: 1})
	before := b.get(t, "a")
	returned, err := b.things.Update(t.Context(), "a", add(2))
	wantNoError(t, "Update", err)
	after := b.get(t, "a")
	if after.Value.Count != 3 || after.Value.Name != "first" || after.Revision <= before.Revision {
		t.Errorf("after an update:\n got %+v\nwant count 3, the same name, a revision after %d", after, before.Revision)
	}
	if !reflect.DeepEqual(returned.Value, after.Value) {
		t.Errorf("Update returned %+v, stored is %+v", returned.Value, after.Value)
	}
}

func testUnchanged(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", thing{Count: 1})
	_, before, _ := Raw(t, b.client, b.things.Key("a"))
	r, err := b.things.Update(t.Context(), "a", func(v *thing) ([]store.Op, error) {
		return []store.Op{store.Put(b.things.Key("op"), thing{})}, store.ErrUnchanged
	})
	wantNoError(t, "Update that returns ErrUnchanged", err)
	if r.Value.Count != 1 || r.Revision != before {
		t.Errorf("Update that returns ErrUnchanged: got %+v, want count 1 at revision %d", r, before)
	}
	if _, after, version := Raw(t, b.client, b.things.Key("a")); after != before || version != 1 {
		t.Errorf("revision %d and version %d, want %d and 1: something was written", after, version, before)
	}
	_, err = b.things.Get(t.Context(), "op")
	wantKind(t, "the other write of an update without a change", err, hub.NotFound)
}

func testUpdateMissing(t *testing.T) {
	b := newBench(t)
	called := false
	_, err := b.things.Update(t.Context(), "nobody", func(*thing) ([]store.Op, error) {
		called = true
		return nil, nil
	})
	wantKind(t, "Update of nothing", err, hub.NotFound)
	if called {
		t.Error("Update of nothing called the update function")
	}
	if all := Dump(t, b.store, b.client); len(all) != 0 {
		t.Errorf("Update of nothing wrote %v", all)
	}
}

func testUpdateFails(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", thing{Count: 1})
	mine := errors.New("not today")
	_, err := b.things.Update(t.Context(), "a", func(v *thing) ([]store.Op, error) {
		v.Count = 7
		return []store.Op{store.Put(b.things.Key("op"), thing{})}, mine
	})
	if !errors.Is(err, mine) {
		t.Errorf("Update: got %v, want the update function's error", err)
	}
	if got := b.get(t, "a").Value.Count; got != 1 {
		t.Errorf("an update that failed was written: count is %d, want 1", got)
	}
	_, err = b.things.Get(t.Context(), "op")
	wantKind(t, "the other write of an update that failed", err, hub.NotFound)
}

// testUnknownFields is about two releases at work on the same records.
func testUnknownFields(t *testing.T) {
	b := newBench(t)
	b.put(t, "a", `{"v":2,"name":"n","count":5,"list":["x"],"future":{"deep":[1,{"k":"<&>"}],"big":12345678901234567890},"later":null}`)
	_, err := b.things.Update(t.Context(), "a", func(v *thing) ([]store.Op, error) {
		v.Count, v.List = 0, nil // both are omitted when empty, and must not come back
		v.Name = "new"
		return nil, nil
	})
	wantNoError(t, "Update", err)
	raw, _, _ := Raw(t, b.client, b.things.Key("a"))
	var got map[string]json.RawMessage
	if err := json.Unmarshal([]byte(raw), &got); err != nil {
		t.Fatalf("stored %s: %v", raw, err)
	}
	want := map[string]string{
		"v": "2", "name": `"new"`, "later": "null",
		"future": `{"deep":[1,{"k":"\u003c\u0026\u003e"}],"big":12345678901234567890}`, // the same string in JSON
	}
	if !maps.EqualFunc(got, want, func(g json.RawMessage, w string) bool { return string(g) == w }) {
		t.Errorf("after an update by a release that knows fewer fields:\n got %s\nwant %v", raw, want)
	}
}

func testDelete(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", thing{})
	wantNoError(t, "Delete", b.things.Delete(t.Context(), "a", 0, store.Put(b.things.Key("op"), thing{})))
	_, err := b.things.Get(t.Context(), "a")
	wantKind(t, "Get of a deleted record", err, hub.NotFound)
	b.get(t, "op")
	err = b.things.Delete(t.Context(), "a", 0, store.Put(b.things.Key("op2"), thing{}))
	wantKind(t, "Delete of nothing", err, hub.NotFound)
	_, err = b.things.Get(t.Context(), "op2")
	wantKind(t, "the other write of a Delete that failed", err, hub.NotFound)
}

func testDeleteRevision(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", thing{})
	seen := b.get(t, "a").Revision
	_, err := b.things.Update(t.Context(), "a", add(1))
	wantNoError(t, "Update", err)
	err = b.things.Delete(t.Context(), "a", seen, store.Put(b.things.Key("op"), thing{}))
	wantKind(t, "Delete of a record that has changed", err, hub.Conflict)
	now := b.get(t, "a")
	_, err = b.things.Get(t.Context(), "op")
	wantKind(t, "the other write of a Delete that failed", err, hub.NotFound)
	wantNoError(t, "Delete of the current revision", b.things.Delete(t.Context(), "a", now.Revision))
	wantKind(t, "Delete of a revision of nothing", b.things.Delete(t.Context(), "a", now.Revision), hub.NotFound)
	b.create(t, "a", thing{})
	wantKind(t, "Delete of a revision of an earlier record", b.things.Delete(t.Context(), "a", now.Revision), hub.Conflict)
}

func testDeleteDuringUpdate(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", thing{})
	_, err := b.things.Update(t.Context(), "a", func(v *thing) ([]store.Op, error) {
		v.Count++
		return []store.Op{store.Put(b.things.Key("op"), thing{})}, b.things.Delete(t.Context(), "a", 0)
	})
	wantKind(t, "Update of a record that is deleted meanwhile", err, hub.NotFound)
	if all := Dump(t, b.store, b.client); len(all) != 0 {
		t.Errorf("an update brought back a deleted record: %v", all)
	}
}

func testContention(t *testing.T) {
	const writers, each = 20, 5
	b := newBench(t)
	b.create(t, "counter", thing{})
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				if _, err := b.things.Update(t.Context(), "counter", add(1)); err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	all.Wait()
	_, _, version := Raw(t, b.client, b.things.Key("counter"))
	if got := b.get(t, "counter").Value.Count; got != writers*each || version != writers*each+1 {
		t.Errorf("%d writers, %d times each: count %d after %d writes, want %d after %d", writers, each, got, version, writers*each, writers*each+1)
	}
}

func testLostRace(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", thing{})
	var saw []int64
	_, err := b.things.Update(t.Context(), "a", func(v *thing) ([]store.Op, error) {
		saw = append(saw, v.Count)
		if len(saw) == 1 {
			if _, err := b.things.Update(t.Context(), "a", add(10)); err != nil {
				return nil, err
			}
		}
		v.Count++
		return []store.Op{store.Put(b.things.Key("op"), thing{Count: v.Count})}, nil
	})
	wantNoError(t, "Update", err)
	if want := []int64{0, 10}; !reflect.DeepEqual(saw, want) {
		t.Errorf("the update function saw %v, want %v", saw, want)
	}
	if a, op := b.get(t, "a"), b.get(t, "op"); a.Value.Count != 11 || op.Value.Count != 11 || a.Revision != op.Revision {
		t.Errorf("got %+v and %+v, want 11 in both, at one revision", a, op)
	}
	if _, _, version := Raw(t, b.client, b.things.Key("op")); version != 1 {
		t.Errorf("the other write was made %d times, want once, with the race that was won", version)
	}
}

func testLostRacesUntilTheEnd(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", thing{})
	var mine int
	lose := func(v *thing) ([]store.Op, error) {
		mine++
		v.Count = -1
		_, err := b.things.Update(t.Context(), "a", add(1))
		return nil, err
	}
	// If the context ends while a write is under way, nobody knows its result, and the error says Unavailable.
	var err error
	for try := 0; try < 50 && hub.KindOf(err) != hub.Conflict; try++ {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err = b.things.Update(ctx, "a", lose)
		cancel()
		if err == nil || hub.KindOf(err) != hub.Unavailable && hub.KindOf(err) != hub.Conflict {
			break
		}
	}
	wantKind(t, "Update that never wins", err, hub.Conflict)
	if got := b.get(t, "a").Value.Count; got != int64(mine) {
		t.Errorf("after %d lost races count is %d: want what the others wrote", mine, got)
	}
}

func testOneTransaction(t *testing.T) {
	b := newBench(t)
	b.put(t, "old", `{"v":1}`)
	b.put(t, "a", `{"v":1}`)
	key := b.things.Key
	_, err := b.things.Update(t.Context(), "a", func(v *thing) ([]store.Op, error) {
		v.Count = 1
		return []store.Op{store.Put(key("b"), thing{Count: 2}), store.Delete(key("old")), store.PutFor(key("c"), thing{Count: 3}, time.Minute)}, nil
	})
	wantNoError(t, "Update", err)
	a, second, third := b.get(t, "a"), b.get(t, "b"), b.get(t, "c")
	if a.Revision != second.Revision || a.Revision != third.Revision {
		t.Errorf("revisions %d, %d and %d, want one: it was not one transaction", a.Revision, second.Revision, third.Revision)
	}
	_, err = b.things.Get(t.Context(), "old")
	wantKind(t, "Get of a record deleted in the transaction", err, hub.NotFound)

	wantNoError(t, "Apply", b.store.Apply(t.Context(), store.Put(key("x"), thing{}), store.Delete(key("b")), store.Put(key("y"), thing{})))
	if x, y := b.get(t, "x"), b.get(t, "y"); x.Revision != y.Revision {
		t.Errorf("Apply: revisions %d and %d, want one", x.Revision, y.Revision)
	}
	err = b.store.Apply(t.Context(), store.Put(key("z"), thing{}), store.Put(key("bad"), func() {}))
	if _, missing := b.things.Get(t.Context(), "z"); err == nil || hub.KindOf(missing) != hub.NotFound {
		t.Errorf("Apply with a value that JSON cannot hold: got %v, and %v for its other write; want an error and nothing written", err, missing)
	}
}

// testCallersSlices is about a caller that passes the same operations twice.
func testCallersSlices(t *testing.T) {
	b := newBench(t)
	mine := store.Put(b.things.Key("mine"), thing{})
	ops := append(make([]store.Op, 0, 4), store.Put(b.things.Key("op"), thing{}))
	spare := append(ops, mine)
	wantNoError(t, "Create", b.things.Create(t.Context(), "a", thing{}, ops...))
	_, err := b.things.Update(t.Context(), "a", func(*thing) ([]store.Op, error) { return ops, nil })
	wantNoError(t, "Update", err)
	wantNoError(t, "Delete", b.things.Delete(t.Context(), "a", 0, ops...))
	if !reflect.DeepEqual(spare[1], mine) {
		t.Errorf("a write of the caller's was replaced:\n got %+v\nwant %+v", spare[1], mine)
	}
}

// testTooLarge is about a client that sends what etcd cannot take: trying again does not help it.
func testTooLarge(t *testing.T) {
	b := newBench(t)
	b.create(t, "a", thing{})
	for _, size := range []int{1_600_000, 3_000_000} {
		huge := thing{Name: strings.Repeat("x", size)}
		wantKind(t, "Create of too much", b.things.Create(t.Context(), "huge", huge), hub.Invalid)
		_, err := b.things.Update(t.Context(), "a", func(v *thing) ([]store.Op, error) { *v = huge; return nil, nil })
		wantKind(t, "Update to too much", err, hub.Invalid)
	}
	b.create(t, "large", thing{Name: strings.Repeat("x", 1_000_000)})
}
