package plugin

import (
	"strings"

	"github.com/edgehub/edgehub/routes"
)

// view is one complete picture of the tree below <prefix>edge/. Only the watcher changes it, with the lock; so the watcher
// may read it without.
type view struct {
	cluster  string
	revision int64
	table    *routes.Table
	keys     map[string]*routes.Key // never changed in place: requests use it without the lock
	epoch    int64                  // the newest of the keys: what an earlier one admitted is over
	sessions map[string]bool
	tokens   map[string]bool
	users    map[string]int64 // user id -> end of the revoked time, 0 for ever
	usersAt  map[string]int64 // user id -> the revision of that, before which tokens are revoked
	shared   map[string]int64 // "role/" and a mark, "group/" or "service/" and a name -> the revision before which tokens are revoked
	hubs     map[string]*address
	starting map[string]*routes.Starting // by prefix
	bad      map[string]bool             // records that could not be read: etcd keys, and "/" with the id of a route
	mods     map[string]int64            // every etcd key but the routes' with its revision, also of records that could not be read
}

func newView() *view {
	return &view{
		table:    routes.NewTable(),
		keys:     make(map[string]*routes.Key),
		sessions: make(map[string]bool),
		tokens:   make(map[string]bool),
		users:    make(map[string]int64),
		usersAt:  make(map[string]int64),
		shared:   make(map[string]int64),
		hubs:     make(map[string]*address),
		starting: make(map[string]*routes.Starting),
		bad:      make(map[string]bool),
		mods:     make(map[string]int64),
	}
}

// count is the number of etcd keys in the view.
func (v *view) count() int64 { return int64(v.table.Len()) + int64(len(v.mods)) }

// record is one key of the tree, read and checked before any lock is taken. What could not be read is nil. The value of a
// route is read later, when somebody asks for it.
type record struct {
	key     string // etcd key
	mod     int64
	tree    string // one of the routes.*Tree constants, empty for a key that this version does not know
	id      string // what follows the tree
	gone    bool   // deleted
	route   *routes.Record
	pub     *routes.Key
	revoked routes.Revocation
	hub     *address
	start   *routes.Starting
	bad     bool
}

// readRecord reads one key below prefix. A bad record counts as absent, except a revocation, which then holds for all.
func readRecord(prefix string, kv *routes.Record, gone bool) *record {
	rec := &record{key: string(kv.Key), mod: kv.Revision, gone: gone}
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
		kv.Key = nil
		rec.route = kv
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
	shared   bool // revocations that concern many
	keys     bool
	hubs     bool
}

func newChange() *change {
	return &change{prefixes: make(map[string]bool), sessions: make(map[string]bool),
		tokens: make(map[string]bool), users: make(map[string]bool)}
}

// any reports whether anything that the edge uses has changed.
func (c *change) any() bool { return c.keys || c.hubs || len(c.prefixes) > 0 || c.revokes() }

func (c *change) revokes() bool { return c.shared || len(c.sessions)+len(c.tokens)+len(c.users) > 0 }

func (v *view) putAll(records []*record, c *change) {
	for _, rec := range records {
		v.put(rec, c)
	}
}

// put makes rec part of the view.
func (v *view) put(rec *record, c *change) {
	if rec.tree == routes.RoutesTree {
		v.putRoute(rec, c)
		return
	}
	delete(v.mods, rec.key)
	if !rec.gone {
		v.mods[rec.key] = rec.mod
	}
	if rec.bad || len(v.bad) > 0 {
		setOrDelete(v.bad, rec.key, rec.bad)
	}
	switch rec.tree {
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
	c.prefixes[routes.PrefixOf(rec.id)] = true
	if len(v.bad) > 0 {
		delete(v.bad, "/"+rec.id)
	}
	if rec.gone {
		v.table.Remove(rec.id)
		return
	}
	v.table.Put(rec.id, rec.route)
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
		delete(v.usersAt, id)
		if !rec.gone {
			v.users[id] = rec.revoked.Before
			v.usersAt[id] = rec.mod
		}
		c.users[id] = true
	case routes.RevokedRole, routes.RevokedGroup, routes.RevokedService:
		delete(v.shared, what+"/"+id)
		if !rec.gone {
			v.shared[what+"/"+id] = rec.mod
		}
		c.shared = true
	}
}

func setOrDelete(m map[string]bool, id string, present bool) {
	delete(m, id)
	if present {
		m[id] = true
	}
}

// copy returns a view that can be changed without this one.
func (v *view) copy() *view {
	c := newView()
	c.cluster = v.cluster
	c.revision = v.revision
	c.table = v.table.Copy()
	c.keys = v.keys
	c.epoch = v.epoch
	for prefix, start := range v.starting {
		c.starting[prefix] = start
	}
	for key := range v.bad {
		c.bad[key] = true
	}
	for id := range v.sessions {
		c.sessions[id] = true
	}
	for id := range v.tokens {
		c.tokens[id] = true
	}
	for id, at := range v.usersAt {
		c.usersAt[id] = at
	}
	for id, before := range v.users {
		c.users[id] = before
	}
	for key, before := range v.shared {
		c.shared[key] = before
	}
	for id, a := range v.hubs {
		c.hubs[id] = a
	}
	for key, mod := range v.mods {
		c.mods[key] = mod
	}
	return c
}
