package plugin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// naive is a route table as one would write it down: the longest prefix that is there decides.
type naive map[string]string // prefix -> target, empty for a record that cannot be read

func (n naive) find(path string) string {
	for p := path; p != ""; p = p[:strings.LastIndexByte(p, '/')] {
		if target := n[p+"/"]; target != "" {
			return target
		}
	}
	return ""
}

// FuzzTable does what its input says: puts, bad records, removals, lists and lookups, and compares find with the naive
// table after each, so with everything that find has remembered until then.
func FuzzTable(f *testing.F) {
	prefixes := []string{"/user/", "/user/al/", "/user/alice/", "/user/alice/lab/", "/user/alice/lab2/", "/user/a%20b/", "/services/x/"}
	paths := []string{"/user/alice", "/user/alice/lab", "/user/alice/lab/x", "/user/alice/lab2/x/y", "/user/alice/la", "/user/al/x", "/user/a%20b/x", "/services/x/y/z"}
	f.Add([]byte{0, 2, 0, 3, 1, 3, 0, 3, 2, 3, 3, 0, 0, 0, 1, 0, 2, 0})
	f.Add([]byte{0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 3, 1, 1, 2, 2, 2, 1, 3})
	f.Fuzz(func(t *testing.T, program []byte) {
		s := newState(newLogger())
		s.install(newView())
		want := naive{}
		for i := 0; i+1 < len(program) && i < 200; i += 2 {
			prefix := prefixes[int(program[i+1])%len(prefixes)]
			target := fmt.Sprintf("http://h:%d", i+1)
			switch program[i] % 4 {
			case 0:
				want[prefix] = target
				s.apply([]*record{routeRecord(prefix, target, int64(i))}, int64(i))
			case 1:
				want[prefix] = ""
				s.apply([]*record{routeRecord(prefix, "no URL", int64(i))}, int64(i))
			case 2:
				delete(want, prefix)
				s.apply([]*record{{tree: routes.RoutesTree, id: routes.RouteID(prefix), gone: true}}, int64(i))
			case 3:
				s.install(listed(s.view))
			}
			for _, path := range paths {
				got, err := find(s, path)
				if err != nil {
					t.Fatal(err)
				}
				target := ""
				if got.route != nil {
					target = got.route.Target
				}
				if target != want.find(path) || got.changes != s.changes {
					t.Fatalf("after step %d of %v: find(%q) = %q, want %q", i/2, program, path, target, want.find(path))
				}
			}
		}
	})
}

func routeRecord(prefix, target string, revision int64) *record {
	value := fmt.Sprintf(`{"v":1,"prefix":%q,"target":%q,"auth":"none"}`, prefix, target)
	kv := &routes.Record{Key: []byte(routes.RouteKey("/x/", prefix)), Value: []byte(value), Revision: revision}
	return readRecord("/x/", kv, false)
}

// listed is the view that a list would give of what v holds.
func listed(v *view) *view {
	next := newView()
	kvs := []*routes.Record{}
	for _, prefix := range []string{"/user/", "/user/al/", "/user/alice/", "/user/alice/lab/", "/user/alice/lab2/", "/user/a%20b/", "/services/x/"} {
		if r := v.table.Get(routes.RouteID(prefix)); r != nil {
			kvs = append(kvs, &routes.Record{Key: []byte(routes.RouteKey("/x/", prefix)), Value: append([]byte{}, r.Value...), Revision: r.Revision})
		}
	}
	next.table.Load(kvs, "/x/"+routes.RoutesTree, v.table)
	return next
}

func TestAnswersOutliveChangesOfOtherRoutes(t *testing.T) {
	s := newState(newLogger())
	s.install(newView())
	s.apply([]*record{routeRecord("/user/alice/", "http://h:1", 1)}, 1)
	first, _ := find(s, "/user/alice/x")
	s.apply([]*record{routeRecord("/user/bob/", "http://h:2", 2)}, 2)
	second, _ := find(s, "/user/alice/x")
	if second.match != first.match || second.changes == first.changes {
		t.Error("a change of another route ends a remembered answer, or its age is not brought up to date")
	}
	s.install(listed(s.view))
	third, _ := find(s, "/user/alice/x")
	if third.route != first.route || third.keyGen != second.keyGen {
		t.Error("a list that finds the same makes another route or other keys of it")
	}
}

func TestALargeChangeIsApplied(t *testing.T) {
	s := newState(newLogger())
	s.install(newView())
	records := []*record{}
	for i := range 3 * manyRecords {
		records = append(records, routeRecord(routes.UserPrefix(edgetest.UserOf(i), ""), "http://h:1", 1))
	}
	s.apply([]*record{routeRecord("/user/alice/", "http://h:1", 1)}, 1)
	old := s.view
	c := s.apply(records, 2)
	if s.view.count() != int64(len(records))+1 || s.view.revision != 2 || len(c.prefixes) != len(records) {
		t.Errorf("%d keys at revision %d, %d changes", s.view.count(), s.view.revision, len(c.prefixes))
	}
	if old == s.view || old.count() != 1 {
		t.Error("requests had to wait for a large change")
	}
}

func TestAListBringsOtherKeys(t *testing.T) {
	s := newState(newLogger())
	install := func(change func(k *routes.Key)) int64 {
		k := &routes.Key{ID: "k", Hub: "h", Public: make([]byte, 32)}
		change(k)
		v := newView()
		v.keys[k.ID] = k
		s.install(v)
		keys, gen := s.keyring()
		if got := keys[k.ID]; got == nil || got.Hub != k.Hub || got.NotAfter != k.NotAfter || string(got.Public) != string(k.Public) {
			t.Errorf("the key is %+v after a list with %+v", got, k)
		}
		return gen
	}
	gen := install(func(*routes.Key) {})
	if install(func(*routes.Key) {}) != gen {
		t.Error("the same keys end what was verified with them")
	}
	for name, change := range map[string]func(k *routes.Key){
		"id": func(k *routes.Key) { k.ID = "l" }, "hub": func(k *routes.Key) { k.Hub = "x" }, "end": func(k *routes.Key) { k.NotAfter = 5 },
		"begin": func(k *routes.Key) { k.NotBefore = 5 }, "public": func(k *routes.Key) { k.Public = append(make([]byte, 31), 1) },
	} {
		old := install(func(*routes.Key) {})
		if install(change) == old {
			t.Errorf("what was verified with the old keys holds with another %s", name)
		}
	}
}
