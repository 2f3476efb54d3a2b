package storetest

import (
	"fmt"
	"slices"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

func testList(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"b/2", "a", "b/10", "c", "b/1", "bb"} {
		b.create(t, id, thing{Name: id})
	}
	for prefix, want := range map[string][]string{
		"": {"a", "b/1", "b/10", "b/2", "bb", "c"}, "b/": {"b/1", "b/10", "b/2"}, "b/1": {"b/1", "b/10"}, "z": nil,
	} {
		all, err := b.things.All(t.Context(), prefix)
		wantNoError(t, "All", err)
		var got []string
		for _, r := range all {
			got = append(got, r.ID)
			if r.Value.Name != r.ID || r.Revision == 0 {
				t.Errorf("All(%q): got %+v, want a record named like its id, with a revision", prefix, r)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("All(%q): got %q, want %q", prefix, got, want)
		}
	}
	n := 0
	wantNoError(t, "List", b.things.List(t.Context(), "", func(store.Record[thing]) bool { n++; return n < 2 }))
	if n != 2 {
		t.Errorf("List went on to %d records after yield said to stop at 2", n)
	}
	b.put(t, "b/3", "not JSON")
	wantKind(t, "List with a record that cannot be read", b.things.List(t.Context(), "", func(store.Record[thing]) bool { return true }), hub.Internal)
}

// fill creates n records, named 00000, 00001 and so on, faster than one by one.
func (b bench) fill(t *testing.T, n int) {
	t.Helper()
	for start := 0; start < n; start += 100 {
		var ops []clientv3.Op
		for i := start; i < min(start+100, n); i++ {
			ops = append(ops, clientv3.OpPut(b.things.Key(fmt.Sprintf("%05d", i)), `{"v":1}`))
		}
		if _, err := b.client.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatalf("fill: %v", err)
		}
	}
}

// testListOneRevision changes records behind and before a list that needs several reads.
func testListOneRevision(t *testing.T) {
	const records = 2500
	b := newBench(t)
	b.fill(t, records)
	n := 0
	err := b.things.List(t.Context(), "", func(r store.Record[thing]) bool {
		if want := fmt.Sprintf("%05d", n); r.ID != want || r.Value.Count != 0 {
			t.Errorf("record %d: got %+v, want id %s and count 0", n, r, want)
			return false
		}
		if n == 500 {
			for _, id := range []string{"00100", "01500", "02499"} {
				_, err := b.things.Update(t.Context(), id, add(1))
				wantNoError(t, "Update", err)
			}
			wantNoError(t, "Delete", b.things.Delete(t.Context(), "01600", 0))
			b.create(t, "01500a", thing{})
			b.create(t, "99999", thing{})
		}
		n++
		return true
	})
	wantNoError(t, "List", err)
	if n != records {
		t.Errorf("List gave %d records, want %d", n, records)
	}
	all, err := b.things.All(t.Context(), "")
	wantNoError(t, "All", err)
	if len(all) != records+1 {
		t.Errorf("a new list gave %d records, want %d", len(all), records+1)
	}
}

// testGetMany reads more records than one transaction of etcd can.
func testGetMany(t *testing.T) {
	b := newBench(t)
	b.fill(t, 250)
	b.put(t, "00007", "not JSON")
	ids := []string{"missing", "00003"} // one twice
	for i := range 250 {
		ids = append(ids, fmt.Sprintf("%05d", i))
	}
	found, err := b.things.GetMany(t.Context(), ids)
	wantNoError(t, "GetMany", err)
	if len(found) != 249 {
		t.Errorf("GetMany found %d records, want 249: all but the missing and the bad one", len(found))
	}
	for id, r := range found {
		if r.ID != id || r.Revision == 0 || r.Value.Schema != 1 {
			t.Errorf("GetMany: record %s is %+v", id, r)
		}
	}
	none, err := b.things.GetMany(t.Context(), nil)
	if err != nil || len(none) != 0 {
		t.Errorf("GetMany of nothing: %v, %v", none, err)
	}
}

// testPrefixes is about several hubs, and several tables, in one etcd.
func testPrefixes(t *testing.T) {
	b := newBench(t)
	e, err := sharedEtcd()
	wantNoError(t, "etcd", err)
	longer, _ := e.OpenAt(t, b.store.Prefix()+"more")
	neighbour, _ := e.OpenAt(t, b.store.Prefix()[:len(b.store.Prefix())-1]+"0")
	b.create(t, "a", thing{Name: "mine"})
	for what, other := range map[string]store.Table[thing]{
		"a hub below":          store.NewTable[thing](longer, "things/", "thing"),
		"a hub named alike":    store.NewTable[thing](neighbour, "things/", "thing"),
		"a table named alike":  store.NewTable[thing](b.store, "things2/", "thing"),
		"a table with a slash": store.NewTable[thing](b.store, "things/a/", "thing"),
	} {
		if _, err := other.Get(t.Context(), "a"); hub.KindOf(err) != hub.NotFound {
			t.Errorf("%s sees a record of another: %v", what, err)
		}
		if all, err := other.All(t.Context(), ""); err != nil || len(all) != 0 {
			t.Errorf("%s lists %v, %v; want nothing", what, all, err)
		}
	}
}
