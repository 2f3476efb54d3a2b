package plugin

import (
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
	end := time.NewTimer(time.Duration(f.starting.Hold) * time.Second)
	defer end.Stop()
	for {
		// First the channel, then the look: a change after the look closes this very channel.
		changed := s.state.holds.next(prefix)
		now, err := find(s.state, path)
		if err == nil && now.route != nil {
			return now, false
		}
		if err != nil || !stillWaits(s, now, claims) {
			return nil, false
		}
		select {
		case <-changed:
		case <-end.C:
			return nil, true
		case <-r.Context().Done():
			return nil, false
		}
	}
}

// waiterOf says who asks, if they may wait for the starting server of f, or nil. The cookie comes first here: JupyterLab's
// open pages also send the secret of the instance that is gone, which is not worth a question to the control plane. What
// the request may do is decided when there is a route.
func waiterOf(s *shared, r *http.Request, f *found, now int64) *routes.Claims {
	scheme, host := originOf(s.set, r)
	bound := boundTo(s.set, host)
	cookie, problem := cookieValue(r.Header["Cookie"], cookieName(scheme == "https"))
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

// held are the requests that wait for one server; changed is closed when they should look again.
type held struct {
	count   int
	changed chan bool
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
		one = &held{changed: make(chan bool)}
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
		delete(h.of, prefix)
	}
}

// waiting is how many requests wait.
func (h *holds) waiting() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(h.count)
}

// next is the channel that the next change closes, for somebody who has entered.
func (h *holds) next(prefix string) chan bool {
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
			close(one.changed)
			one.changed = make(chan bool)
		}
	}
}

func (h *holds) wakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.of {
		close(one.changed)
		one.changed = make(chan bool)
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
