package store_test

import (
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
)

func TestConflictsAreCounted(t *testing.T) {
	t.Parallel()
	st, _ := storetest.Open(t)
	table := store.NewTable[counter](st, store.Servers, "counter")
	for _, want := range []hub.Kind{hub.Internal, hub.Conflict} { // Internal is what no error has
		if err := table.Create(t.Context(), "user/a", counter{}); hub.KindOf(err) != want {
			t.Fatal(err)
		}
	}
	_, err := table.Update(t.Context(), "user/a", func(c *counter) ([]store.Op, error) {
		if c.N++; c.N == 1 { // somebody else is faster, once
			put(t, table, "user/a", 7)
		}
		return nil, nil
	})
	if err != nil || st.Conflicts() != 2 {
		t.Errorf("%d conflicts, want 2; %v", st.Conflicts(), err)
	}
}

// TestAWatchThatLagsIsSeen holds up the watch and lets it go on.
func TestAWatchThatLagsIsSeen(t *testing.T) {
	t.Parallel()
	near, other, w := following(t)
	st := w.follower
	if err := other.Create(t.Context(), "user/a", counter{}); err != nil {
		t.Fatal(err)
	}
	w.awaitNear(t, near, "user/a")
	lags := func(want bool, what string) {
		t.Helper()
		for end := time.Now().Add(storetest.Patience); st.WatchLag() > 0 != want; {
			if time.Now().After(end) {
				t.Fatalf("%s: the watch lags by %v", what, st.WatchLag())
			}
			if _, err := near.Get(t.Context(), "user/a"); err != nil {
				t.Fatal(err)
			}
		}
	}
	lags(false, "up to date")
	w.hold.Lock()
	put(t, other, "user/a", 1)
	lags(true, "held up")
	before := st.WatchLag()
	lags(true, "held up for longer")
	if st.WatchLag() < before {
		t.Errorf("the lag of %v shrank to %v", before, st.WatchLag())
	}
	w.hold.Unlock()
	lags(false, "going on")
}
