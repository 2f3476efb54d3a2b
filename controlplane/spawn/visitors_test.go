package spawn_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/routes"
)

// TestAShareThatEndsWhileTheServerStarts ends a share when the new route with it is on its way to etcd, after whoever looks after
// such changes has seen that there is no route yet. The replica dies right after it has written the route: another one must find
// out.
func TestAShareThatEndsWhileTheServerStarts(t *testing.T) {
	t.Parallel()
	var dying *store.Store
	w := newWorld(t, func(o *spawn.Options) {
		if o.Replica == "a" {
			o.Store = dying
		}
	})
	shares := store.NewTable[hub.Share](w.store, store.Shares, "share")
	id := store.ID("alice", "") + "/" + store.ID("user", bob.ID)
	share := hub.Share{Schema: hub.Schema, Owner: alice.Name, OwnerID: alice.ID, User: bob.Name, UserID: bob.ID, Scopes: []string{"access:servers!server=alice/"}}
	if err := shares.Create(t.Context(), id, share); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	var dead atomic.Bool
	dying, _ = storetest.Replica(t, w.store, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if dead.Load() {
				return errors.New("this process is dead")
			}
			if !putsRoute(req) {
				return invoke(ctx, method, req, reply, cc, opts...)
			}
			once.Do(func() {
				if err := shares.Delete(t.Context(), id, 0); err != nil {
					t.Error(err)
				}
			})
			err := invoke(ctx, method, req, reply, cc, opts...)
			dead.Store(err == nil)
			return err
		}))
	a := w.replica("a")
	a.start("")
	w.await(alice, "", hub.Running)
	a.kill()
	w.replica("b")
	ctx, cancel := context.WithTimeout(t.Context(), storetest.Patience)
	defer cancel()
	for range w.client.Watch(ctx, routes.RouteKey(w.store.Prefix(), "/user/alice/"), clientv3.WithRev(w.first)) {
		if r, _ := w.route(alice, ""); r != nil && len(r.Users) == 0 {
			return
		}
	}
	r, _ := w.route(alice, "")
	t.Errorf("the route is %+v, want it without bob", r)
}

// putsRoute reports whether a request to etcd writes a route.
func putsRoute(req any) bool {
	txn, ok := req.(*etcdserverpb.TxnRequest)
	if !ok {
		return false
	}
	for _, op := range txn.Success {
		if put := op.GetRequestPut(); put != nil && strings.Contains(string(put.Key), "/edge/routes/") {
			return true
		}
	}
	return false
}

// TestATokenOutlivesNoServer has etcd fail when the token of a server that stopped is deleted: the record must not forget the
// token before it is gone.
func TestATokenOutlivesNoServer(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(*testing.T, *world, *replica){
		"stopped": func(t *testing.T, _ *world, a *replica) {
			if _, err := a.Stop(t.Context(), alice.Name, ""); err != nil {
				t.Error(err)
			}
		},
		"exited": func(_ *testing.T, w *world, _ *replica) { w.sim.exit(alice) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var shaky *store.Store
			w := newWorld(t, func(o *spawn.Options) {
				signing, err := token.OpenSigning(t.Context(), shaky)
				if err != nil {
					t.Error(err)
				}
				o.Tokens = token.New(shaky, signing)
			})
			var failed atomic.Bool
			shaky, _ = storetest.Replica(t, w.store, grpc.WithChainUnaryInterceptor(
				func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
					if removes(req, "/tokens/") && failed.CompareAndSwap(false, true) {
						return errors.New("etcd elects a leader")
					}
					return invoke(ctx, method, req, reply, cc, opts...)
				}))
			a := w.replica("a")
			a.started("")
			end(t, w, a)
			w.await(alice, "", hub.Stopped)
			w.wantTokens(alice, 0)
			if !failed.Load() {
				t.Error("etcd has never failed")
			}
		})
	}
}

// removes reports whether a request to etcd removes a record of a tree.
func removes(req any, tree string) bool {
	txn, ok := req.(*etcdserverpb.TxnRequest)
	if !ok {
		return false
	}
	for _, op := range txn.Success {
		if del := op.GetRequestDeleteRange(); del != nil && strings.Contains(string(del.Key), tree) {
			return true
		}
	}
	return false
}
