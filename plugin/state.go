package plugin

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// state is what the edge knows of the hub: a complete view that the watcher installs and then changes event by event.
// The lock is never held across I/O, nor while a record is parsed.
type state struct {
	log *logger

	mu      sync.RWMutex
	view    *view     // nil until the first complete list
	why     string    // why there is no view yet
	changes int64     // grows with every change of the view, so that a request can see that nothing happened meanwhile
	keyGen  int64     // grows with every change of the keys
	proved  time.Time // when the view was last compared with etcd and found the same
	hubs    []*address
	holds   *holds
	counts  *counts

	recentMu sync.Mutex
	recent   map[string]*found // answers of find
}

func newState(log *logger) *state {
	return &state{log: log, why: "waiting for etcd", recent: make(map[string]*found), holds: newHolds(), counts: newCounts(), proved: time.Now()}
}

// install replaces the whole view. Keys that are the same stay the same, and with them what was verified with them.
func (s *state) install(v *view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view != nil && sameKeys(s.view.keys, v.keys) {
		v.keys = s.view.keys
	} else {
		s.keyGen++
	}
	s.view = v
	s.changes++
	s.proved = time.Now()
	s.hubs = addresses(v.hubs)
	s.holds.wakeAll()
}

func sameKeys(a, b map[string]*routes.Key) bool {
	if len(a) != len(b) {
		return false
	}
	for id, k := range a {
		other := b[id]
		if other == nil || other.Hub != k.Hub || other.NotBefore != k.NotBefore || other.NotAfter != k.NotAfter || other.Epoch != k.Epoch ||
			!bytes.Equal(other.Public, k.Public) {
			return false
		}
	}
	return true
}

// manyRecords are so many that requests must not wait while they are put into the view.
const manyRecords = 200

// apply changes the view by records that happened up to revision, all at once.
func (s *state) apply(records []*record, revision int64) *change {
	c := newChange()
	v := s.current()
	if len(records) > manyRecords {
		v = v.copy()
		v.putAll(records, c)
		records = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = v
	v.putAll(records, c)
	if revision > v.revision {
		v.revision = revision
	}
	if c.any() {
		s.changes++
	}
	if c.keys {
		s.keyGen++
	}
	if c.hubs {
		s.hubs = addresses(v.hubs)
	}
	s.holds.wake(c)
	return c
}

// prove notes that the view has been compared with etcd. A message of the watch proves nothing: a watch can lie.
func (s *state) prove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proved = time.Now()
}

// age is how long ago the view was last compared with etcd, or the edge was started.
func (s *state) age() time.Duration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return time.Since(s.proved)
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

// whyNotReady is why there is no view, or "" if there is one.
func (s *state) whyNotReady() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.view != nil {
		return ""
	}
	return s.why
}

// position is the cluster, the newest revision and the number of keys of a view, and when it was last proved; all zero if
// there is none.
type position struct {
	cluster  string
	revision int64
	count    int64
	proved   time.Time
}

func (s *state) position() position {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := position{}
	if s.view != nil {
		p.cluster = s.view.cluster
		p.revision = s.view.revision
		p.count = s.view.count()
		p.proved = s.proved
	}
	return p
}

// current is the view, for the watcher.
func (s *state) current() *view {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.view
}

// behind adds those of the given keys that the view does not have in at least the given revision. tree is that of the
// routes.
func (s *state) behind(kvs []*routes.Record, tree string, into map[string]int64) {
	for _, kv := range kvs {
		key := string(kv.Key)
		if s.revisionOf(key, tree) < kv.Revision {
			into[key] = kv.Revision
		}
	}
}

func (s *state) revisionOf(key, tree string) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !strings.HasPrefix(key, tree) {
		return s.view.mods[key]
	}
	if r := s.view.table.Get(key[len(tree):]); r != nil {
		return r.Revision
	}
	return 0
}

// keyring returns the current public keys.
func (s *state) keyring() (map[string]*routes.Key, int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.view.keys, s.keyGen
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
	if ok && before == 0 {
		return revokedForGood
	}
	// Times do not tell of a token that was made while the change was under way, or by a hub whose clock is ahead.
	if ok && (c.IssuedAt <= before || c.UserRevision != 0 && c.UserRevision < v.usersAt[c.UserID]) || len(v.shared) > 0 && c.Revision < lastChange(v, c) {
		return revokedBefore
	}
	return notRevoked
}

// lastChange is the revision of the last change of a role or group that the rights of c depend on, 0 if there is none.
func lastChange(v *view, c *routes.Claims) int64 {
	last := v.shared[c.UserID] // a service
	for _, key := range dependsOn(v, c) {
		if v.shared[key] > last {
			last = v.shared[key]
		}
	}
	return last
}

// dependsOn are the keys of v.shared that may concern the bearer of c.
func dependsOn(v *view, c *routes.Claims) []string {
	keys := make([]string, 0, len(c.Roles)+len(c.Groups))
	for _, group := range c.Groups {
		keys = append(keys, "group/"+group)
	}
	for _, mark := range c.Roles {
		if mark != routes.AnyRole {
			keys = append(keys, "role/"+mark)
			continue
		}
		for key := range v.shared {
			if strings.HasPrefix(key, "role/") {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// admits reports whether a visit that was admitted to r may go on: the route still leads to the same instance, and its
// visitor, nil for a route that is open to all, is neither revoked nor taken off the list. changes is a version of the state
// that nothing older than the answer has gone into.
func (s *state) admits(r *routes.Route, c *routes.Claims) (changes int64, ok bool) {
	s.mu.RLock()
	changes = s.changes
	s.mu.RUnlock()
	now := s.routeOf(r.Prefix)
	if now == nil || now != r && (now.Gen != r.Gen || now.Target != r.Target || now.Auth != r.Auth || now.Secret != r.Secret) {
		return changes, false
	}
	ok = c == nil || revoked(s, c) == notRevoked && routes.Allows(now, c)
	return changes, ok
}
