package routes

import (
	"bytes"
	"strings"
)

// Record is one key of etcd as the JSON of its gateway has it, decoded by the library. A table keeps the record of each
// route as it came and its value is read when somebody first asks for the route: an edge starts with 100,000 of them, and
// looks at those of its visitors only.
type Record struct {
	Key      []byte `json:"key"`
	Value    []byte `json:"value"`
	Revision int64  `json:"mod_revision,string"`
	// Route is what Value says: nil until it has been read, BadRoute if it cannot be used.
	Route *Route `json:"-"`
}

// BadRoute stands for every record that cannot be used. Lookup passes it over.
var BadRoute = &Route{}

// Read says what the value of a record says, which id is the last segment of its key. It changes nothing.
func (r *Record) Read(id string) *Route {
	route, err := ParseRoute(id, r.Value)
	if err != nil {
		return BadRoute
	}
	return route
}

// Table finds the record that decides about a path. It is not safe for concurrent change; what only reads may run
// concurrently with itself. A record in the table is never changed, except that its Route is filled in.
type Table struct {
	records map[string]*Record // by the last segment of the key
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{records: make(map[string]*Record)} }

// Put adds the record whose key ends with id, or replaces it.
func (t *Table) Put(id string, r *Record) { t.records[id] = r }

// Remove takes the record of id away, if there is one.
func (t *Table) Remove(id string) { delete(t.records, id) }

// Get returns the record of id, or nil.
func (t *Table) Get(id string) *Record { return t.records[id] }

// Len is the number of records, also of those that cannot be used.
func (t *Table) Len() int { return len(t.records) }

// Copy returns a table that can be changed without this one.
func (t *Table) Copy() *Table {
	records := make(map[string]*Record, len(t.records)+1)
	for id, r := range t.records {
		records[id] = r
	}
	return &Table{records: records}
}

// Load adds those of records whose keys begin with tree and returns the others. What known, which may be nil, holds in
// the same revision with the same value stays the same record: what was derived from it stays true, and no memory is
// taken twice. This is the one loop that an interpreter runs for every route, so it does as little as it can.
func (t *Table) Load(records []*Record, tree string, known *Table) []*Record {
	others := []*Record{}
	for _, r := range records {
		key := string(r.Key)
		if !strings.HasPrefix(key, tree) {
			others = append(others, r)
			continue
		}
		id := key[len(tree):]
		if known != nil && same(known.records[id], r) {
			t.records[id] = known.records[id]
			continue
		}
		r.Key = nil
		t.records[id] = r
	}
	return others
}

func same(old, r *Record) bool {
	return old != nil && old.Revision == r.Revision && bytes.Equal(old.Value, r.Value)
}

// Match is the answer of a lookup.
type Match struct {
	// ID and Record are those of the longest prefix that holds the path. Record is nil if there is none: the control plane
	// answers then. If its Route is nil, somebody has to read it and look again, since it may turn out to be bad.
	ID     string
	Record *Record
	// Slash is false when the path is the prefix without its last slash ("/user/alice"): redirect then.
	Slash bool

	ids  []string  // where the lookup has looked, in this order
	seen []*Record // what it has found there
}

// Lookup finds the longest prefix that holds the escaped path, comparing whole segments. It returns ErrPath for a path
// that must be refused.
func (t *Table) Lookup(escaped string) (*Match, error) {
	segments, ends, err := Split(escaped)
	if err != nil {
		return nil, err
	}
	m := &Match{Slash: true, ids: candidates(segments), seen: make([]*Record, 0, len(segments))}
	for i, id := range m.ids {
		r := t.records[id]
		m.seen = append(m.seen, r)
		if r != nil && r.Route != BadRoute {
			m.ID = id
			m.Record = r
			m.Slash = i > 0 || ends
			return m, nil
		}
	}
	return m, nil
}

// Holds reports whether the lookup that made m would find the same again: whether there are the same records wherever it
// has looked.
func (t *Table) Holds(m *Match) bool {
	for i, r := range m.seen {
		if t.records[m.ids[i]] != r {
			return false
		}
	}
	return true
}

// candidates are the ids of the prefixes that hold a path with these decoded segments, the longest first.
func candidates(segments []string) []string {
	ids := make([]string, len(segments))
	id := "%2F"
	for i, s := range segments {
		if strings.Trim(s, plainBytes) != "" {
			s = strings.ReplaceAll(EscapeSegment(s), "%", "%25")
		}
		id += s + "%2F"
		ids[len(ids)-1-i] = id
	}
	return ids
}

// plainBytes are those that EscapeSegment leaves alone.
const plainBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~@"

// RouteID is the last segment of the key of the route with this canonical prefix: EscapeKey in two steps of the library.
func RouteID(prefix string) string {
	return strings.ReplaceAll(strings.ReplaceAll(prefix, "%", "%25"), "/", "%2F")
}

// PrefixOf reverses RouteID.
func PrefixOf(id string) string {
	return strings.ReplaceAll(strings.ReplaceAll(id, "%2F", "/"), "%25", "%")
}
