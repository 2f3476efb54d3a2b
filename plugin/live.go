package plugin

import (
	"context"
	"net"
	"sync"

	"github.com/edgehub/edgehub/routes"
)

// live holds every request that is being proxied to a user's server, so that a revocation, a removed share or a stopped
// server also ends what is already open. Cancelling the context of a request closes its WebSocket at once.
type live struct {
	mu       sync.Mutex
	byPrefix map[string]map[*visit]bool
	over     bool // the edge stops
}

// visit is one request on its way to a user's server.
type visit struct {
	pass    *pass
	route   *routes.Route
	claims  *routes.Claims // nil for a route that is open to all
	slash   bool           // the path is below the prefix, not the prefix without its slash
	query   string         // what is forwarded
	refresh string         // a Set-Cookie header that gives the visitor a newer edge token, or empty

	use bool // what goes over its WebSocket is use of the server

	cancel context.CancelFunc // ends a request
	client net.Conn           // of a WebSocket, which ends when both are closed
	server net.Conn
	cut    bool // guarded by live.mu
}

// closeVisit ends what is under way. It may be called again.
func closeVisit(v *visit) {
	if v.client == nil {
		v.cancel()
		return
	}
	v.client.Close()
	v.server.Close()
}

func newLive() *live { return &live{byPrefix: make(map[string]map[*visit]bool)} }

func addLive(l *live, v *visit) {
	l.mu.Lock()
	putLive(l, v)
	l.mu.Unlock()
}

// putLive is addLive for a caller who holds the lock.
func putLive(l *live, v *visit) {
	set := l.byPrefix[v.route.Prefix]
	if set == nil {
		set = make(map[*visit]bool)
		l.byPrefix[v.route.Prefix] = set
	}
	set[v] = true
}

// joinLive adds v, and n goroutines that keep it open to wg, unless the edge stops.
func joinLive(l *live, v *visit, wg *sync.WaitGroup, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	wg.Add(n)
	putLive(l, v)
	return true
}

// removeLive ends v, which is over.
func removeLive(l *live, v *visit) {
	closeVisit(v)
	l.mu.Lock()
	set := l.byPrefix[v.route.Prefix]
	delete(set, v)
	if len(set) == 0 {
		delete(l.byPrefix, v.route.Prefix)
	}
	l.mu.Unlock()
}

// end cancels v and remembers that the edge did it.
func (l *live) end(v *visit) {
	l.mu.Lock()
	v.cut = true
	l.mu.Unlock()
	closeVisit(v)
}

func (l *live) wasCut(v *visit) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return v.cut
}

// count is the number of requests under way.
func (l *live) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, set := range l.byPrefix {
		n += len(set)
	}
	return n
}

// close ends every visit, and lets no WebSocket in any more.
func (l *live) close() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	for _, v := range l.all() {
		l.end(v)
	}
}

// all returns every visit; concerned returns those that c may end.
func (l *live) all() []*visit {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := []*visit{}
	for _, set := range l.byPrefix {
		for v := range set {
			list = append(list, v)
		}
	}
	return list
}

func (l *live) concerned(c *change) []*visit {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := []*visit{}
	for prefix := range c.prefixes {
		for v := range l.byPrefix[prefix] {
			list = append(list, v)
		}
	}
	if !c.revokes() && !c.keys {
		return list
	}
	for _, set := range l.byPrefix {
		for v := range set {
			if concerns(c, v.claims) {
				list = append(list, v)
			}
		}
	}
	return list
}

// concerns reports whether a revocation in c, or a new epoch of the keys, may be that of a visitor.
func concerns(c *change, claims *routes.Claims) bool {
	return claims != nil && (c.keys || c.sessions[claims.Session] || c.tokens[claims.Token] || c.users[claims.UserID] ||
		c.shared)
}

// review ends those of list that s no longer admits, and returns how many.
func (l *live) review(list []*visit, s *state) int {
	n := 0
	for _, v := range list {
		if _, ok := s.admits(v.route, v.claims); !ok {
			l.end(v)
			n++
		}
	}
	return n
}
