package storetest

import (
	"context"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Conformance runs the suite. Each of its tests states what the rest of the hub relies on.
func Conformance(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"create":                    testCreate,
		"get":                       testGet,
		"update":                    testUpdate,
		"update without a change":   testUnchanged,
		"update of nothing":         testUpdateMissing,
		"update that fails":         testUpdateFails,
		"unknown fields":            testUnknownFields,
		"delete":                    testDelete,
		"delete of a revision":      testDeleteRevision,
		"delete against update":     testDeleteDuringUpdate,
		"contention":                testContention,
		"lost race":                 testLostRace,
		"lost races until the end":  testLostRacesUntilTheEnd,
		"one transaction":           testOneTransaction,
		"callers keep their slices": testCallersSlices,
		"too large":                 testTooLarge,
		"list":                      testList,
		"get of many":               testGetMany,
		"list of one revision":      testListOneRevision,
		"prefixes":                  testPrefixes,
		"watch":                     testWatch,
		"watch of a part":           testWatchPart,
		"watch while others write":  testWatchWhileOthersWrite,
		"watch and compaction":      testWatchCompaction,
		"watch and restart":         testWatchRestart,
		"etcd away":                 testEtcdAway,
		"lease":                     testLease,
		"lease of a lost race":      testLeaseOfLostRace,
		"members":                   testMembers,
		"member that lost its seat": testMemberReturns,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// thing is the record of the suite.
type thing struct {
	Schema int      `json:"v"`
	Name   string   `json:"name"`
	Count  int64    `json:"count,omitempty"`
	List   []string `json:"list,omitempty"`
}

// bench is what most tests of the suite start from.
type bench struct {
	store  *store.Store
	client *clientv3.Client
	things store.Table[thing]
}

func newBench(t *testing.T) bench {
	t.Helper()
	s, client := Open(t)
	return bench{store: s, client: client, things: store.NewTable[thing](s, "things/", "thing")}
}

func (b bench) create(t *testing.T, id string, v thing) {
	t.Helper()
	if err := b.things.Create(t.Context(), id, v); err != nil {
		t.Fatalf("Create(%q): %v", id, err)
	}
}

func (b bench) get(t *testing.T, id string) store.Record[thing] {
	t.Helper()
	r, err := b.things.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("Get(%q): %v", id, err)
	}
	return r
}

// put writes behind the table's back.
func (b bench) put(t *testing.T, id, raw string) {
	t.Helper()
	if _, err := b.client.Put(t.Context(), b.things.Key(id), raw); err != nil {
		t.Fatalf("put %q: %v", id, err)
	}
}

// add is an update function.
func add(n int64) func(*thing) ([]store.Op, error) {
	return func(v *thing) ([]store.Op, error) {
		v.Count += n
		return nil, nil
	}
}

// wantKind fails the test unless err is of the kind and has a message for the client.
func wantKind(t *testing.T, what string, err error, want hub.Kind) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want kind %s", what, want)
		return
	}
	if got := hub.KindOf(err); got != want || hub.MessageOf(err) == "" {
		t.Errorf("%s:\n got %s (%v), message %q\nwant kind %s with a message", what, got, err, hub.MessageOf(err), want)
	}
}

func wantNoError(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// timed is the test's context with an end, so that what never happens fails the test instead of hanging it.
func timed(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}
