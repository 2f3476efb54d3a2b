package plugin

import (
	"strings"
	"sync"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// state is what the edge knows of the hub: a complete view that the watcher installs and then changes event by event.
// The lock is never held across I/O.
type state struct {
	mu      sync.RWMutex
	view    *view  // nil until the first complete list
	why     string // why there is no view yet
	changes int64  // grows with every change of the view, so that a request can see that nothing happened meanwhile
	keyGen  int64  // grows with every change of the keys
	hubs    []*address
	holds   *holds
	counts  *counts

	confirmed time.Time // when etcd last said that the view is right; at first the start

	recentMu sync.Mutex
	recent   map[string]*found // answers of find
}

func newState() *state {
	return &state{why: "waiting for etcd", recent: make(map[string]*found), holds: newHolds(), counts: newCounts(), confirmed: time.Now()}
}

// view is one complete picture of the tree below <prefix>edge/.
type view struct {
	cluster  string
	revision int64
	table    *routes.Table
	keys     map[string]*routes.Key // never changed in place: requests use it without the lock
	epoch    int64                  // the newest of the keys: what an earlier one admitted is over
	sessions map[string]bool
	tokens   map[string]bool
	users    map[string]int64 // user id -> end of the revoked time, 0 for ever
	hubs     map[string]*address
	starting map[string]*routes.Starting // by prefix
	bad      map[string]bool             // etcd keys of records that could not be read
	mods     map[string]int64            // every etcd key with its revision, also of records that could not be read
}

func newView() *view {
	return &view{
		table:    routes.NewTable(),
		keys:     make(map[string]*routes.Key),
		sessions: make(map[string]bool),
		tokens:   make(map[string]bool),
		users:    make(map[string]int64),
		hubs:     make(map[string]*address),
		starting: make(map[string]*routes.Starting),
		bad:      make(map[string]bool),
		mods:     make(map[string]int64),
	}
}

// record is one key of the tree, read and checked before any lock is taken. What could not be read is nil.
type record struct {
	key     string // etcd key
	mod     int64
	tree    string // one of the routes.*Tree constants, empty for a key that this version does not know
	id      string // what follows the tree
	gone    bool   // deleted
	route   *routes.Route
	pub     *routes.Key
	revoked routes.Revocation
	hub     *address
	start   *routes.Starting
	bad     bool
}

// readRecord reads one key below prefix. A bad record counts as absent, except a revocation, which then holds for all.
func readRecord(prefix string, kv *keyValue, gone bool) *record {
	rec := &record{key: string(kv.Key), mod: kv.ModRevision, gone: gone}
	rel := strings.TrimPrefix(rec.key, prefix)
	for _, tree := range []string{routes.RoutesTree, routes.KeysTree, routes.RevokedTree, routes.HubsTree, routes.StartingTree} {
		if strings.HasPrefix(rel, tree) {
			rec.tree = tree
			rec.id = rel[len(tree):]
		}
	}
	if gone {
		return rec
	}
	var err error
	switch rec.tree {
	case routes.RoutesTree:
		rec.route, err = routes.ParseRoute(rec.id, kv.Value)
	case routes.KeysTree:
		rec.pub, err = routes.ParseKey(rec.id, kv.Value)
	case routes.RevokedTree:
		rec.revoked = routes.ParseRevocation(kv.Value)
	case routes.HubsTree:
		rec.hub, err = readHub(kv.Value)
	case routes.StartingTree:
		rec.start, err = routes.ParseStarting(rec.id, kv.Value)
	}
	if err != nil {
		rec.bad = true
		rec.route = nil
		rec.pub = nil
		rec.hub = nil
		rec.start = nil
	}
	return rec
}

func readHub(value []byte) (*address, error) {
	h, err := routes.ParseHub(value)
	if err != nil {
		return nil, err
	}
	return parseAddress(h.URL)
}

// change says what a batch of records did, for the open connections that it may end.
type change struct {
	prefixes map[string]bool
	sessions map[string]bool
	tokens   map[string]bool
	users    map[string]bool
	keys     bool
	hubs     bool
}

func newChange() *change {
	return &change{prefixes: make(map[string]bool), sessions: make(map[string]bool),
		tokens: make(map[string]bool), users: make(map[string]bool)}
}

func (c *change) revokes() bool { return len(c.sessions)+len(c.tokens)+len(c.users) > 0 }

// put makes rec part of the view.
func (v *view) put(rec *record, c *change) {
	if rec.gone {
		delete(v.mods, rec.key)
	} else {
		v.mods[rec.key] = rec.mod
	}
	if rec.bad || len(v.bad) > 0 {
		setOrDelete(v.bad, rec.key, rec.bad)
	}
	switch rec.tree {
	case routes.RoutesTree:
		v.putRoute(rec, c)
	case routes.KeysTree:
		v.putKey(rec)
		c.keys = true
	case routes.RevokedTree:
		v.putRevocation(rec, c)
	case routes.HubsTree:
		delete(v.hubs, rec.id)
		if rec.hub != nil {
			v.hubs[rec.id] = rec.hub
		}
		c.hubs = true
	case routes.StartingTree:
		v.putStarting(rec, c)
	}
}

func (v *view) putRoute(rec *record, c *change) {
	if rec.route != nil {
		v.table.Put(rec.route)
		c.prefixes[rec.route.Prefix] = true
		return
	}
	// Only a canonical prefix is removed: a bad key like "/user/alice" must not take the good "/user/alice/" with it.
	if prefix, ok := routes.UnescapeKey(rec.id); ok && routes.CheckPrefix(prefix) == nil {
		v.table.Remove(prefix)
		c.prefixes[prefix] = true
	}
}

func (v *view) putStarting(rec *record, c *change) {
	prefix, ok := routes.UnescapeKey(rec.id)
	if !ok {
		return
	}
	delete(v.starting, prefix)
	if rec.start != nil {
		v.starting[prefix] = rec.start
	}
	c.prefixes[prefix] = true
}

// startOf is the server that is being started at an escaped path without a route, or nil.
func (v *view) startOf(escaped string) *routes.Starting {
	segments, _, err := routes.Split(escaped)
	if err != nil || !belowUserTree(escaped) {
		return nil
	}
	if len(segments) > 2 {
		if s := v.starting[routes.UserPrefix(segments[1], segments[2])]; s != nil {
			return s
		}
	}
	return v.starting[routes.UserPrefix(segments[1], "")]
}

func (v *view) putKey(rec *record) {
	keys := make(map[string]*routes.Key, len(v.keys)+1)
	for id, k := range v.keys {
		keys[id] = k
	}
	if kid, ok := routes.UnescapeKey(rec.id); ok {
		delete(keys, kid)
	}
	if rec.pub != nil {
		keys[rec.pub.ID] = rec.pub
	}
	v.keys = keys
	v.epoch = 0
	for _, k := range keys {
		if k.Epoch > v.epoch {
			v.epoch = k.Epoch
		}
	}
}

func (v *view) putRevocation(rec *record, c *change) {
	what, escaped, _ := strings.Cut(rec.id, "/")
	id, ok := routes.UnescapeKey(escaped)
	if !ok || id == "" {
		return
	}
	switch what {
	case routes.RevokedSession:
		setOrDelete(v.sessions, id, !rec.gone)
		c.sessions[id] = true
	case routes.RevokedToken:
		setOrDelete(v.tokens, id, !rec.gone)
		c.tokens[id] = true
	case routes.RevokedUser:
		delete(v.users, id)
		if !rec.gone {
			v.users[id] = rec.revoked.Before
		}
		c.users[id] = true
	}
}

func setOrDelete(m map[string]bool, id string, present bool) {
	delete(m, id)
	if present {
		m[id] = true
	}
}

// install replaces the whole view.
func (s *state) install(v *view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = v
	s.changes++
	s.keyGen++
	s.hubs = addresses(v.hubs)
	s.holds.wakeAll()
}

// apply changes the view by records that happened up to revision, all at once.
func (s *state) apply(records []*record, revision int64) *change {
	c := newChange()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rec := range records {
		s.view.put(rec, c)
	}
	if revision > s.view.revision {
		s.view.revision = revision
	}
	if len(records) > 0 {
		s.changes++
	}
	if c.keys {
		s.keyGen++
	}
	if c.hubs {
		s.hubs = addresses(s.view.hubs)
	}
	s.holds.wake(c)
	return c
}

func addresses(m map[string]*address) []*address {
	list := make([]*address, 0, len(m))
	for _, a := range m {
		list = append(list, a)
	}
	return list
}

// notReady remembers why there is no view yet.
func (s *state) notReady(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = why
}

// confirm remembers that etcd says nothing else than the view just now.
func (s *state) confirm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmed = time.Now()
}

// age is how long ago that was.
func (s *state) age() time.Duration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return time.Since(s.confirmed)
}

// whyNotReady is why there is no view, or "" if there is one.
func (s *state) whyNotReady() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.view != nil {
		return ""
	}
	return s.why
}

// position is the cluster, the newest revision and the number of keys of a view; all zero if there is none.
type position struct {
	cluster  string
	revision int64
	count    int64
}

func (s *state) position() position {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := position{}
	if s.view != nil {
		p.cluster = s.view.cluster
		p.revision = s.view.revision
		p.count = int64(len(s.view.mods))
	}
	return p
}

// behind returns those of the given keys that the view does not have in at least the given revision.
func (s *state) behind(kvs []*keyValue, into map[string]bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, kv := range kvs {
		if s.view.mods[string(kv.Key)] < kv.ModRevision {
			into[string(kv.Key)] = true
		}
	}
}

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
}

// recentPaths bounds how many answers find remembers.
const recentPaths = 10000

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
	return findAnew(s, escaped)
}

func findAnew(s *state, escaped string) (*found, error) {
	f, err := findInView(s, escaped)
	if err != nil || f.route == nil || len(escaped) > 256 {
		return f, err
	}
	s.recentMu.Lock()
	defer s.recentMu.Unlock()
	if len(s.recent) >= recentPaths {
		s.recent = make(map[string]*found)
	}
	s.recent[escaped] = f
	return f, nil
}

func findInView(s *state, escaped string) (*found, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.view == nil {
		return &found{}, nil
	}
	r, slash, err := s.view.table.Lookup(escaped)
	f := &found{ready: true, route: r, slash: slash, keys: s.view.keys, keyGen: s.keyGen, changes: s.changes}
	if r == nil && len(s.view.starting) > 0 {
		f.starting = s.view.startOf(escaped)
	}
	return f, err
}

// keyring returns the current public keys.
func (s *state) keyring() (map[string]*routes.Key, int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.view.keys, s.keyGen
}

// routeOf returns the route of exactly prefix, or nil.
func (s *state) routeOf(prefix string) *routes.Route {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.view.table.Get(prefix)
}

// hubAddresses returns where the control plane listens, as its replicas say.
func (s *state) hubAddresses() []*address {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.hubs
}

// Kinds of revocation, as revoked returns them.
const (
	notRevoked = iota
	revokedForGood
	revokedBefore // only what was issued until some moment, or in an earlier epoch: a newer token of the same user is good
)

// revoked reports whether the bearer of c has been revoked.
func revoked(s *state, c *routes.Claims) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return revokedIn(s.view, c)
}

func revokedIn(v *view, c *routes.Claims) int {
	if c.Session != "" && v.sessions[c.Session] || c.Token != "" && v.tokens[c.Token] {
		return revokedForGood
	}
	if c.Epoch < v.epoch {
		return revokedBefore
	}
	before, ok := v.users[c.UserID]
	switch {
	case !ok:
		return notRevoked
	case before == 0:
		return revokedForGood
	case c.IssuedAt <= before:
		return revokedBefore
	}
	return notRevoked
}

// admits reports whether a visit that was admitted to r may go on: the route still leads to the same instance, and its
// visitor, nil for a route that is open to all, is neither revoked nor taken off the list. changes is the version of the
// state that says so.
func (s *state) admits(r *routes.Route, c *routes.Claims) (changes int64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.view.table.Get(r.Prefix)
	if now == nil || now.Gen != r.Gen || now.Target != r.Target || now.Auth != r.Auth || now.Secret != r.Secret {
		return s.changes, false
	}
	ok = c == nil || revokedIn(s.view, c) == notRevoked && routes.Allows(now, c)
	return s.changes, ok
}
