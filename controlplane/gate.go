package controlplane

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// gate answers for a replica from the first moment on: until it is ready everybody hears so at once, instead of waiting with
// it for etcd. Whoever asks whether the process is alive hears that it is, or it would be killed for waiting.
type gate struct {
	alive  string // the path of that question
	soon   atomic.Bool
	opened chan struct{}
	inner  http.Handler
}

func newGate(alive string) *gate { return &gate{alive: alive, opened: make(chan struct{})} }

// soonTime is how long requests wait for a gate that is about to open.
const soonTime = 3 * time.Second

// expect says that the gate is about to open: edges may hear of the replica a moment before it does.
func (g *gate) expect() { g.soon.Store(true) }

// open lets requests through to h from now on.
func (g *gate) open(h http.Handler) {
	g.inner = h
	close(g.opened)
}

// ServeHTTP is http.Handler's.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case g.isOpen(r):
		g.inner.ServeHTTP(w, r)
	case r.URL.Path == g.alive:
		w.WriteHeader(http.StatusOK)
	default:
		web.JSONError(w, r, http.StatusServiceUnavailable, notReady)
	}
}

var notReady = hub.Errorf(hub.Unavailable, "The hub is starting, or waits for its database. Try again shortly.")

func (g *gate) isOpen(r *http.Request) bool {
	atMost := time.Duration(0)
	if g.soon.Load() {
		atMost = soonTime
	}
	select {
	case <-g.opened:
		return true
	default:
	}
	select {
	case <-g.opened:
		return true
	case <-time.After(atMost):
	case <-r.Context().Done():
	}
	return false
}
