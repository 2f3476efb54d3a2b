package storetest

import (
	"context"
	"log/slog"
	"maps"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// awaitKey returns when key is in etcd, or is not, and says whose lease it has.
func (b bench) awaitKey(t *testing.T, key string, present bool) clientv3.LeaseID {
	t.Helper()
	return b.awaitLease(t, key, func(lease clientv3.LeaseID, found bool) bool { return found == present })
}

// awaitLease returns when ok accepts the state of key.
func (b bench) awaitLease(t *testing.T, key string, ok func(lease clientv3.LeaseID, found bool) bool) clientv3.LeaseID {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	resp, err := b.client.Get(ctx, key)
	wantNoError(t, "Get", err)
	lease, found := clientv3.LeaseID(0), len(resp.Kvs) > 0
	if found {
		lease = clientv3.LeaseID(resp.Kvs[0].Lease)
	}
	changes := b.client.Watch(ctx, key, clientv3.WithRev(resp.Header.Revision+1))
	for !ok(lease, found) {
		change, open := <-changes
		if !open || change.Err() != nil {
			t.Fatalf("waiting for %s: %v", key, ctx.Err())
		}
		for _, ev := range change.Events {
			lease, found = clientv3.LeaseID(ev.Kv.Lease), ev.Type == clientv3.EventTypePut
		}
	}
	return lease
}

func testLease(t *testing.T) {
	b := newBench(t)
	key := b.things.Key("short")
	wantNoError(t, "Apply", b.store.Apply(t.Context(),
		store.PutFor(key, thing{}, time.Second), store.PutFor(b.things.Key("long"), thing{}, time.Hour), store.Put(b.things.Key("ever"), thing{})))
	for id, least := range map[string]int64{"short": 1, "long": 3600, "ever": 0} {
		lease := b.awaitKey(t, b.things.Key(id), true)
		if least == 0 {
			if lease != 0 {
				t.Errorf("%s has a lease, want none", id)
			}
			continue
		}
		life, err := b.client.TimeToLive(t.Context(), lease)
		wantNoError(t, "TimeToLive", err)
		if life.GrantedTTL < least || life.GrantedTTL > least+5 {
			t.Errorf("%s was granted %d s, want at least %d and hardly more", id, life.GrantedTTL, least)
		}
	}
	b.awaitKey(t, key, false)
	b.get(t, "long")
	b.get(t, "ever")
}

// testLeaseOfLostRace checks that leases are bounded: what is not written needs none.
func testLeaseOfLostRace(t *testing.T) {
	e := Start(t)
	s, client := e.Open(t)
	b := bench{store: s, client: client, things: store.NewTable[thing](s, "things/", "thing")}
	b.create(t, "a", thing{})
	for range 3 {
		if err := b.things.Create(t.Context(), "a", thing{}, store.PutFor(b.things.Key("x"), thing{}, time.Hour)); err == nil {
			t.Fatal("Create of a record that exists: no error")
		}
	}
	if err := s.Apply(t.Context(), store.PutFor(b.things.Key("x"), thing{}, time.Hour), store.Put(b.things.Key("y"), func() {})); err == nil {
		t.Fatal("Apply of a function: no error")
	}
	leases, err := client.Leases(t.Context())
	wantNoError(t, "Leases", err)
	if n := len(leases.Leases); n != 0 {
		t.Errorf("%d leases are left of writes that were not made, want 0", n)
	}
}

// member runs a Member until the test, or the function it returns, ends it. It returns after the first registration; joined
// tells of the later ones.
func (b bench) member(t *testing.T, id, url string) (joined chan struct{}, leave func()) {
	t.Helper()
	joined = make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- store.NewMember(b.store, id, url, slog.New(slog.DiscardHandler)).Run(ctx, func() {
			joined <- struct{}{}
		})
	}()
	ended := false
	leave = func() {
		cancel()
		if ended {
			return
		}
		ended = true
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run returned %v, want nil", err)
			}
		case <-time.After(Patience):
			t.Error("Run does not return")
		}
	}
	t.Cleanup(leave)
	wantJoined(t, joined)
	return joined, leave
}

func wantJoined(t *testing.T, joined <-chan struct{}) {
	t.Helper()
	select {
	case <-joined:
	case <-time.After(Patience):
		t.Fatal("the replica does not register, or does not say so")
	}
}

func (b bench) wantMembers(t *testing.T, want ...string) {
	t.Helper()
	live, err := b.store.LiveMembers(t.Context())
	wantNoError(t, "LiveMembers", err)
	set := map[string]bool{}
	for _, id := range want {
		set[id] = true
	}
	if !maps.Equal(live, set) {
		t.Errorf("LiveMembers: got %v, want %v", live, set)
	}
}

func testMembers(t *testing.T) {
	b := newBench(t)
	b.wantMembers(t)
	_, leaveA := b.member(t, "a/1%", "http://127.0.0.1:1")
	b.member(t, "b", "unix:///run/b.sock")
	b.wantMembers(t, "a/1%", "b")
	key := routes.HubKey(b.store.Prefix(), "a/1%")
	raw, _, _ := Raw(t, b.client, key)
	if h, err := routes.ParseHub([]byte(raw)); err != nil || h.URL != "http://127.0.0.1:1" {
		t.Errorf("what edges read about a replica, %q: got %+v, %v", raw, h, err)
	}
	for _, k := range []string{key, b.store.Key(store.Members, store.ID("a/1%"))} {
		lease := b.awaitKey(t, k, true)
		life, err := b.client.TimeToLive(t.Context(), lease)
		wantNoError(t, "TimeToLive", err)
		if life.GrantedTTL != store.MemberTTL {
			t.Errorf("%s lives for %d s, want a lease of %d", k, life.GrantedTTL, store.MemberTTL)
		}
	}
	leaveA()
	b.wantMembers(t, "b")
	if raw, _, _ := Raw(t, b.client, key); raw != "" {
		t.Errorf("edges still see a replica that left: %s", raw)
	}
}

// testMemberReturns takes a replica's lease away, as etcd does when a replica was paused for too long.
func testMemberReturns(t *testing.T) {
	b := newBench(t)
	joined, leave := b.member(t, "a", "http://127.0.0.1:1")
	key := b.store.Key(store.Members, store.ID("a"))
	first := b.awaitKey(t, key, true)
	if _, err := b.client.Revoke(t.Context(), first); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	b.wantMembers(t)
	second := b.awaitLease(t, key, func(lease clientv3.LeaseID, found bool) bool { return found && lease != first })
	if second == 0 {
		t.Error("the replica is registered without a lease")
	}
	b.wantMembers(t, "a")
	wantJoined(t, joined)
	leave()
	b.wantMembers(t)
	if n := len(joined); n != 0 {
		t.Errorf("joined was called %d times more than the replica registered", n)
	}
	if raw, _, _ := Raw(t, b.client, routes.HubKey(b.store.Prefix(), "a")); raw != "" {
		t.Errorf("edges still see a replica that left: %s", raw)
	}
}
