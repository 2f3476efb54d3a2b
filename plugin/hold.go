package plugin

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// Bounds of the requests that wait for a server to start.
const (
	maxWaiting      = 1000 // of all servers
	maxWaitingOfOne = 100  // of one server, so that no user takes all places
)

// awaitRoute keeps the request of somebody who may visit a starting server until the server has a route, and returns what
// the path leads to then. Otherwise it returns nil, and whether the same request may have more luck soon: nobody but those
// who may wait learns that. It reads nothing of the request's body.
func awaitRoute(s *shared, r *http.Request, path string, f *found) (*found, bool) {
	if f.starting.Hold <= 0 {
		return nil, false
	}
	claims := waiterOf(s, r, f, time.Now().Unix())
	if claims == nil {
		return nil, false
	}
	prefix := f.starting.Prefix
	if !s.state.holds.enter(prefix) {
		return nil, true
	}
	defer s.state.holds.leave(prefix)
	wait, cancel := context.WithTimeout(r.Context(), time.Duration(f.starting.Hold)*time.Second)
	defer cancel()
	for {
		// First the context, then the look: a change after the look ends this very context.
		changed := s.state.holds.next(prefix)
		now, err := find(s.state, path)
		if err == nil && now.route != nil {
			return now, false
		}
		if err != nil || !stillWaits(s, now, claims) {
			return nil, false
		}
		if wait.Err() != nil {
			stays := r.Context().Err() == nil
			return nil, stays
		}
		awaitEither(wait, changed)
	}
}

// awaitEither waits until one of two contexts has ended.
func awaitEither(a, b context.Context) {
	either, cancel := context.WithCancel(a)
	stop := context.AfterFunc(b, cancel)
	<-either.Done()
	stop()
	cancel()
}

// waiterOf says who asks, if they may wait for the starting server of f, or nil. The cookie comes first here: JupyterLab's
// open pages also send the secret of the instance that is gone, which is not worth a question to the control plane. What
// the request may do is decided when there is a route.
func waiterOf(s *shared, r *http.Request, f *found, now int64) *routes.Claims {
	scheme, host := originOf(s.set, r)
	bound := boundTo(s.set, host)
	cookie, problem := cookieValue(r.Header["Cookie"], cookieName(s.set, scheme == "https"))
	if problem == nobody && cookie != "" && sameOrigin(r, scheme, host) && !intrudes(s.set, r) {
		if c := verify(s, cookie, f, bound, now); c != nil && routes.AllowsWaiting(f.starting, c) {
			return c
		}
	}
	token, problem := headerToken(r)
	if problem != nobody || token == "" || routes.IsTicket(token) {
		return nil
	}
	c, problem := headerClaims(s, token, f, bound, now)
	if problem != somebody || !routes.AllowsWaiting(f.starting, c) {
		return nil
	}
	return c
}

// stillWaits reports whether the start goes on and its waiter may still visit the server.
func stillWaits(s *shared, f *found, c *routes.Claims) bool {
	return f.starting != nil && routes.AllowsWaiting(f.starting, c) && revoked(s.state, c) == notRevoked && !s.state.holds.over()
}

// holds counts the requests that wait, and wakes them when what they wait for may have changed.
type holds struct {
	mu    sync.Mutex
	count int
	of    map[string]*held // by prefix
	ended bool
}

// held are the requests that wait for one server; changed ends when they should look again.
type held struct {
	count   int
	changed context.Context
	wake    context.CancelFunc
}

// renew makes what the next change ends.
func (one *held) renew() {
	ctx, cancel := context.WithCancel(context.Background())
	one.changed = ctx
	one.wake = cancel
}

func newHolds() *holds { return &holds{of: make(map[string]*held)} }

// enter takes a place, and reports false if there is none. leave gives it back.
func (h *holds) enter(prefix string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.of[prefix]
	if h.count >= maxWaiting || one != nil && one.count >= maxWaitingOfOne {
		return false
	}
	if one == nil {
		one = &held{}
		one.renew()
		h.of[prefix] = one
	}
	one.count++
	h.count++
	return true
}

func (h *holds) leave(prefix string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.of[prefix]
	one.count--
	h.count--
	if one.count == 0 {
		one.wake()
		delete(h.of, prefix)
	}
}

// waiting is how many requests wait.
func (h *holds) waiting() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(h.count)
}

// next ends with the next change, for somebody who has entered.
func (h *holds) next(prefix string) context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of[prefix].changed
}

// wake makes those look again whom c concerns: a revocation can be about anybody.
func (h *holds) wake(c *change) {
	if c.revokes() {
		h.wakeAll()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for prefix := range c.prefixes {
		if one := h.of[prefix]; one != nil {
			one.wake()
			one.renew()
		}
	}
}

func (h *holds) wakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.of {
		one.wake()
		one.renew()
	}
}

// end lets nobody wait any more.
func (h *holds) end() {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.wakeAll()
}

func (h *holds) over() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended
}
