package api

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
)

func TestStartThatTakesLong(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	secret := as(h.token(alice))
	h.runtime.set(func(rt *runtime) { rt.status = http.StatusBadGateway })
	var all sync.WaitGroup
	for range 2 { // the second is a start of a server that is starting
		all.Go(func() {
			a := h.do("POST", "/hub/api/users/alice/server", "", secret).want(202)
			if a.body != "" || a.header.Get("Content-Type") != "text/plain" {
				t.Errorf("202 with %q of type %q", a.body, a.header.Get("Content-Type"))
			}
		})
	}
	all.Wait()
	if s := h.await("alice", "", hub.Starting); s.Gen != 1 {
		t.Errorf("the second start made generation %d", s.Gen)
	}
	h.runtime.set(func(rt *runtime) { rt.status = http.StatusOK })
	h.await("alice", "", hub.Running)
}

func TestStopThatTakesLong(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	secret := as(h.token(alice))
	h.running(alice, "")
	gate := make(chan struct{})
	h.runtime.set(func(rt *runtime) { rt.stop = gate })
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if a := h.do("DELETE", "/hub/api/users/alice/server", "", secret).want(202); a.body != "" {
				t.Errorf("202 with %q", a.body)
			}
		})
	}
	all.Go(func() {
		h.await("alice", "", hub.Stopping)
		h.do("POST", "/hub/api/users/alice/server", "", secret).wantError(400, "alice is pending stop")
		h.do("GET", "/hub/api/users/alice/server/progress", "", secret).wantError(400, "alice is not starting")
	})
	all.Wait()
	close(gate)
	h.await("alice", "", hub.Stopped)
	h.do("DELETE", "/hub/api/users/alice/server", "", secret).want(204)
}

func TestStartThatFails(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	secret := as(h.token(alice))
	h.runtime.set(func(rt *runtime) { rt.fail = hub.Errorf(hub.Unavailable, "The disk is full.") })
	h.do("POST", "/hub/api/users/alice/server", "", secret).wantError(500, "Spawn failed: The disk is full.")
	h.runtime.set(func(rt *runtime) { rt.fail = errors.New("dial tcp 10.0.0.7:2376: refused") })
	a := h.do("POST", "/hub/api/users/alice/server", "", secret)
	a.wantError(500, "Spawn failed: The server could not be started. The hub's log says more.")
	if strings.Contains(a.body, "10.0.0.7") {
		t.Errorf("the answer tells internals: %s", a.body)
	}
	h.runtime.set(func(rt *runtime) { rt.fail = nil })
	h.do("POST", "/hub/api/users/alice/server", "", secret).want(201)
}

func TestBodiesOfAStart(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	secret := as(h.token(h.user("alice", false)))
	for _, step := range []struct{ body, want string }{
		{``, `{}`},
		{`{"profile":"x","n":[1,{"a":null}]}`, `{"profile":"x","n":[1,{"a":null}]}`},
		{``, `{"profile":"x","n":[1,{"a":null}]}`},
		{`{}`, `{"profile":"x","n":[1,{"a":null}]}`},
		{`null`, `{"profile":"x","n":[1,{"a":null}]}`},
		{`{"user_options":null}`, `{"profile":"x","n":[1,{"a":null}]}`},
		{`{"display_name":"Mine"}`, `{"profile":"x","n":[1,{"a":null}]}`},
		{`{"display_name":"Mine","user_options":{"a":"b"}}`, `{"a":"b"}`},
		{`{"user_options":{}}`, `{}`},
	} {
		a := h.do("POST", "/hub/api/users/alice/server", step.body, secret)
		a.what += " with " + step.body
		a.want(201)
		model := strings.Replace(serverJSON("", "/user/alice/", "/hub/api/users/alice/server/progress", true, "OPTIONS"), "OPTIONS", step.want, 1)
		h.do("GET", "/hub/api/users/alice/server", "", secret).wantJSON(200, model)
		h.do("DELETE", "/hub/api/users/alice/server", "", secret).want(204)
	}
}

func TestServerThatEndedByItself(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	secret := as(h.token(alice))
	h.running(alice, "")
	h.runtime.set(func(rt *runtime) { clear(rt.live) })
	h.await("alice", "", hub.Stopped)
	a := h.do("GET", "/hub/api/users/alice/server/progress", "", secret).want(200)
	want := `data: {"progress":100,"message":"The server ended by itself: exited with code 3","failed":true}`
	if got := strings.TrimSpace(a.body); got != want {
		t.Errorf("progress = %q, want %q", got, want)
	}
	h.do("DELETE", "/hub/api/users/alice/server", "", secret).want(204)
	h.do("POST", "/hub/api/users/alice/server", "", secret).want(201)
}
