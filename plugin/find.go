package plugin

import (
	"github.com/edgehub/edgehub/routes"
)

// found is the answer of one lookup, with what is needed to check a token against the same view.
type found struct {
	ready bool          // false: there is no view yet
	route *routes.Route // nil: the control plane answers
	slash bool          // false: the path is the prefix without its last slash
	// starting is the server that is being started there, nil if there is a route or no such server.
	starting *routes.Starting
	keys     map[string]*routes.Key
	keyGen   int64
	changes  int64
	match    *routes.Match
}

// Bounds of what find remembers.
const (
	recentPaths = 10000
	recentSize  = 256 // longer paths are looked up every time
)

// find looks an escaped path up. It returns routes.ErrPath for a path that must be refused. Until the view changes, the
// same path gets the same answer without another look: notebooks ask for the same few paths all day.
func find(s *state, escaped string) (*found, error) {
	s.mu.RLock()
	changes := s.changes
	s.mu.RUnlock()
	s.recentMu.Lock()
	f := s.recent[escaped]
	s.recentMu.Unlock()
	if f != nil && f.changes == changes {
		return f, nil
	}
	return findAnew(s, escaped, f)
}

// findAnew answers from the view. Routes come and go all the time, so an old answer is not thrown away with every change,
// but brought up to date if no record that decided about it has changed.
func findAnew(s *state, escaped string, old *found) (*found, error) {
	f := stillFound(s, old)
	if f == nil {
		var err error
		f, err = findInView(s, escaped)
		if err != nil || f.route == nil || len(escaped) > recentSize {
			return f, err
		}
	}
	s.recentMu.Lock()
	defer s.recentMu.Unlock()
	if len(s.recent) >= recentPaths {
		s.recent = make(map[string]*found)
	}
	s.recent[escaped] = f
	return f, nil
}

func stillFound(s *state, old *found) *found {
	if old == nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.view.table.Holds(old.match) {
		return nil
	}
	return s.found(old.match)
}

// found makes the answer out of a match in the view, whose lock the caller holds.
func (s *state) found(m *routes.Match) *found {
	f := &found{ready: true, slash: m.Slash, keys: s.view.keys, keyGen: s.keyGen, changes: s.changes, match: m}
	if m.Record != nil {
		f.route = m.Record.Route
	}
	return f
}

// findInView looks until it finds a route that has been read, or none.
func findInView(s *state, escaped string) (*found, error) {
	for {
		f, err := lookUp(s, escaped)
		if err != nil || f.match == nil || f.match.Record == nil || f.route != nil {
			return f, err
		}
		s.read(f.match.ID, f.match.Record)
	}
}

func lookUp(s *state, escaped string) (*found, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.view == nil {
		return &found{}, nil
	}
	m, err := s.view.table.Lookup(escaped)
	if err != nil {
		return &found{ready: true}, err
	}
	f := s.found(m)
	if m.Record == nil && len(s.view.starting) > 0 {
		f.starting = s.view.startOf(escaped)
	}
	return f, nil
}

// read fills in the route of a record. Of several that do so at once one wins, so that everybody holds the same route.
func (s *state) read(id string, r *routes.Record) *routes.Route {
	route := r.Read(id)
	s.mu.Lock()
	first := r.Route == nil
	if first {
		r.Route = route
		if route == routes.BadRoute {
			s.view.bad["/"+id] = true
		}
	}
	route = r.Route
	s.mu.Unlock()
	if first && route == routes.BadRoute {
		s.log.printf("record", "ignored the route %s: its record cannot be read", clip(routes.PrefixOf(id)))
	}
	return route
}

// routeOf returns the route of exactly prefix, or nil.
func (s *state) routeOf(prefix string) *routes.Route {
	id := routes.RouteID(prefix)
	s.mu.RLock()
	r := s.view.table.Get(id)
	var route *routes.Route
	if r != nil {
		route = r.Route
	}
	s.mu.RUnlock()
	if r != nil && route == nil {
		route = s.read(id, r)
	}
	if route == routes.BadRoute {
		return nil
	}
	return route
}
