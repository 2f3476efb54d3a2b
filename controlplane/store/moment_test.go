package store_test

import (
	"testing"

	"github.com/edgehub/edgehub/controlplane/store"
)

// TestARequestAsksOnce shows that all reads of a request go by one question, that they see what was written before the request
// began, and that a request does not see less than it has seen.
func TestARequestAsksOnce(t *testing.T) {
	t.Parallel()
	near, other, w := following(t)
	ids := []string{"user/a", "user/b", "user/c"}
	for _, id := range ids {
		if err := other.Create(t.Context(), id, counter{}); err != nil {
			t.Fatal(err)
		}
		w.awaitNear(t, near, id)
	}
	for n := 1; n < 100; n++ {
		put(t, other, ids[n%3], n)
		ctx := store.AtOnce(t.Context())
		if r, err := near.Get(ctx, ids[n%3]); err != nil || r.Value.N != n {
			t.Fatalf("read %v %v after %d was written", r.Value, err, n)
		}
		all, err := near.GetMany(ctx, ids)
		if err != nil || all[ids[n%3]].Value.N != n {
			t.Fatalf("%v %v: a request that has seen %d does not see it any more", all, err, n)
		}
	}
	for { // what changed last is near again when nothing asks for records
		ctx := store.AtOnce(t.Context())
		if _, err := near.Get(ctx, ids[0]); err != nil {
			t.Fatal(err)
		}
		calls := w.calls.Load()
		for _, id := range ids {
			if _, err := near.Get(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		if w.calls.Load() == calls {
			return
		}
	}
}

// TestAWriteDoesNotGoByAMoment shows that an update reads what is there now, and not what its request has seen.
func TestAWriteDoesNotGoByAMoment(t *testing.T) {
	t.Parallel()
	near, other, w := following(t)
	if err := other.Create(t.Context(), "user/a", counter{}); err != nil {
		t.Fatal(err)
	}
	w.awaitNear(t, near, "user/a")
	ctx := store.AtOnce(t.Context())
	for n := 1; n < 50; n++ {
		if _, err := near.Get(ctx, "user/a"); err != nil {
			t.Fatal(err)
		}
		w.hold.Lock() // the watch is late
		put(t, other, "user/a", n)
		tries := 0
		_, err := near.Update(ctx, "user/a", func(c *counter) ([]store.Op, error) {
			if tries++; c.N != n {
				t.Errorf("the update saw %d after %d was written", c.N, n)
			}
			return nil, nil
		})
		w.hold.Unlock()
		if err != nil || tries != 1 {
			t.Fatalf("%d tries: %v", tries, err)
		}
	}
}
