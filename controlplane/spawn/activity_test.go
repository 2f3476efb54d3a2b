package spawn_test

import (
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
)

func TestActivityOfManyServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.replica("a").started("")
	m := w.idle("b")
	now := w.get("")
	at := now.LastActivity.Add(hub.ActivityResolution)
	good := spawn.Activity{User: alice.Name, Gen: now.Gen, At: at}
	early, old, none := good, good, good
	early.At = at.Add(-time.Second)
	old.Gen--
	none.Name = "never"
	due, err := m.DueActivity(t.Context(), []spawn.Activity{early, old, none, good})
	if err != nil || len(due) != 1 || due[0] != good {
		t.Errorf("due are %+v (%v), want only %+v", due, err, good)
	}
	for _, a := range []spawn.Activity{early, old, none} { // all may have come true since they were due
		if err := m.NoteActivity(t.Context(), a); err != nil {
			t.Errorf("note %+v: %v", a, err)
		}
	}
	if got := w.get("").LastActivity; !got.Equal(now.LastActivity) {
		t.Errorf("last activity moved to %s by what is not due", got)
	}
	if err := m.NoteActivity(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if got := w.get("").LastActivity; !got.Equal(at) {
		t.Errorf("last activity is %s, want %s", got, at)
	}
}
