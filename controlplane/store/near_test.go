package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
)

// wire sees what a client and etcd say to each other.
type wire struct {
	records atomic.Int64 // requests for records; those for the revision alone do not count
	calls   atomic.Int64 // all requests
	hold    sync.RWMutex // holds up watches while it is locked

	follower *store.Store
}

func (w *wire) options() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			w.calls.Add(1)
			if r, ok := req.(*etcdserverpb.RangeRequest); !ok || !r.CountOnly {
				w.records.Add(1)
			}
			return call(ctx, method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			s, err := open(ctx, desc, cc, method, opts...)
			return heldStream{s, w}, err
		}),
	}
}

type heldStream struct {
	grpc.ClientStream
	w *wire
}

func (s heldStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	s.w.hold.RLock()
	defer s.w.hold.RUnlock()
	return err
}

type counter struct {
	N int `json:"n"`
}

// following is a store in an etcd of its own that keeps records near, and another replica's that does not.
func following(t *testing.T) (near, other store.Table[counter], w *wire) {
	t.Helper()
	etcd := storetest.Start(t)
	w = &wire{}
	a, _ := etcd.OpenAt(t, "/near/", w.options()...)
	b, _ := etcd.OpenAt(t, "/near/")
	w.follower = a
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { a.Follow(ctx) })
	t.Cleanup(func() { cancel(); all.Wait() })
	return store.NewTable[counter](a, store.Servers, "counter"), store.NewTable[counter](b, store.Servers, "counter"), w
}

func (w *wire) awaitNear(t *testing.T, near store.Table[counter], id string) {
	t.Helper()
	for before := w.records.Load(); ; before = w.records.Load() {
		if _, err := near.Get(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if w.records.Load() == before {
			return
		}
	}
}

func put(t *testing.T, table store.Table[counter], id string, n int) {
	t.Helper()
	if _, err := table.Update(t.Context(), id, func(c *counter) ([]store.Op, error) { c.N = n; return nil, nil }); err != nil {
		t.Fatal(err)
	}
}

// TestWhatAnotherReplicaWroteIsReadAtOnce writes and reads again and again: an acknowledged write is never missed.
func TestWhatAnotherReplicaWroteIsReadAtOnce(t *testing.T) {
	t.Parallel()
	near, other, w := following(t)
	var all sync.WaitGroup
	for i := range 6 {
		id := store.ID("user", fmt.Sprint(i))
		if err := other.Create(t.Context(), id, counter{}); err != nil {
			t.Fatal(err)
		}
		w.awaitNear(t, near, id)
		all.Go(func() {
			for n := range 150 {
				put(t, other, id, n)
				for range 3 {
					r, err := near.Get(t.Context(), id)
					if err != nil || r.Value.N != n {
						t.Errorf("%s: read %d after %d was written, %v", id, r.Value.N, n, err)
						return
					}
				}
				list, err := near.All(t.Context(), "user/")
				if err != nil || len(list) != 6 && n > 100 || !includes(list, id, n) {
					t.Errorf("%s: the list lacks %d: %v %v", id, n, list, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func includes(list []store.Record[counter], id string, n int) bool {
	for _, r := range list {
		if r.ID == id {
			return r.Value.N == n
		}
	}
	return false
}

// TestReadsAskForNoRecordsTwice shows that the watch saves reads, and which changes end that.
func TestReadsAskForNoRecordsTwice(t *testing.T) {
	t.Parallel()
	near, other, w := following(t)
	for _, id := range []string{"user/a", "user/b"} {
		if err := other.Create(t.Context(), id, counter{N: 1}); err != nil {
			t.Fatal(err)
		}
	}
	w.awaitNear(t, near, "user/a")
	before := w.records.Load()
	for range 20 {
		if _, err := near.Get(t.Context(), "user/a"); err != nil {
			t.Fatal(err)
		}
	}
	if after := w.records.Load(); after != before {
		t.Errorf("%d reads of etcd for what was there", after-before)
	}
	for name, change := range map[string]func() error{
		"delete": func() error { return other.Delete(t.Context(), "user/a", 0) },
		"create": func() error { return other.Create(t.Context(), "user/a", counter{N: 2}) },
	} {
		list, err := near.All(t.Context(), "user/")
		if err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil && hub.KindOf(err) != hub.Conflict && hub.KindOf(err) != hub.NotFound {
			t.Fatal(err)
		}
		now, err := near.All(t.Context(), "user/")
		want, wantErr := other.All(t.Context(), "user/")
		if err != nil || wantErr != nil || fmt.Sprint(now) != fmt.Sprint(want) {
			t.Errorf("%s: %v became %v, want %v", name, list, now, want)
		}
	}
}

// TestARecordIsNotTheListThatBeginsWithIt: a user's default server has the key that all servers of the user begin with.
func TestARecordIsNotTheListThatBeginsWithIt(t *testing.T) {
	t.Parallel()
	near, other, w := following(t)
	first, second := store.ID("alice", ""), store.ID("alice", "gpu")
	if err := other.Create(t.Context(), second, counter{N: 2}); err != nil {
		t.Fatal(err)
	}
	w.awaitNear(t, near, second)
	list := func(want int) {
		t.Helper()
		for range 3 {
			if all, err := near.All(t.Context(), "alice/"); err != nil || len(all) != want {
				t.Errorf("the list is %v, %v, want %d", all, err, want)
			}
		}
	}
	list(1)
	if r, err := near.Get(t.Context(), first); hub.KindOf(err) != hub.NotFound {
		t.Errorf("the record that is not there is %v, %v", r, err)
	}
	if err := other.Create(t.Context(), first, counter{N: 1}); err != nil {
		t.Fatal(err)
	}
	w.awaitNear(t, near, first)
	list(2)
	if r, err := near.Get(t.Context(), first); err != nil || r.Value.N != 1 {
		t.Errorf("the record is %v, %v", r, err)
	}
}

// TestAWatchThatHangsMakesNothingOlder holds the watch up: reads ask etcd then.
func TestAWatchThatHangsMakesNothingOlder(t *testing.T) {
	t.Parallel()
	near, other, w := following(t)
	if err := other.Create(t.Context(), "user/a", counter{}); err != nil {
		t.Fatal(err)
	}
	w.awaitNear(t, near, "user/a")
	w.hold.Lock()
	for n := range 20 {
		put(t, other, "user/a", n)
		if r, err := near.Get(t.Context(), "user/a"); err != nil || r.Value.N != n {
			t.Errorf("read %d, %v, after %d was written", r.Value.N, err, n)
		}
	}
	w.hold.Unlock()
	w.awaitNear(t, near, "user/a")
}

// TestReadsShareTransactions has many reads at once, which need few requests, and one whose caller goes away.
func TestReadsShareTransactions(t *testing.T) {
	t.Parallel()
	w := &wire{}
	st, _ := storetest.Start(t).OpenAt(t, "/share/", w.options()...)
	table := store.NewTable[counter](st, store.Servers, "counter")
	for i := range 200 {
		if err := table.Create(t.Context(), fmt.Sprintf("user/%d", i), counter{N: i}); err != nil {
			t.Fatal(err)
		}
	}
	before := w.calls.Load()
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			ctx := t.Context()
			if i%10 == 0 {
				gone, cancel := context.WithCancel(ctx)
				cancel()
				ctx = gone
			}
			r, err := table.Get(ctx, fmt.Sprintf("user/%d", i))
			if ctx.Err() == nil && (err != nil || r.Value.N != i) {
				t.Errorf("record %d: %+v %v", i, r, err)
			}
		})
	}
	all.Wait()
	if n := w.calls.Load() - before; n > 120 {
		t.Errorf("%d requests for 200 reads at once", n)
	}
	if _, err := table.Get(t.Context(), strings.Repeat("x", 5)); hub.KindOf(err) != hub.NotFound {
		t.Errorf("a record that is not there: %v", err)
	}
}
