package account_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
)

// replica is the accounts of another replica, which calls before with each write of it. An error there is the end of the process.
func (f fixture) replica(before func(*etcdserverpb.TxnRequest) error) *account.Accounts {
	f.t.Helper()
	var dead atomic.Bool
	s, _ := storetest.Replica(f.t, f.store, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			txn, ok := req.(*etcdserverpb.TxnRequest)
			if ok && len(txn.Success) > 0 && txn.Success[0].GetRequestRange() == nil && before(txn) != nil {
				dead.Store(true)
			}
			if dead.Load() {
				return errors.New("this process is dead")
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		}))
	return f.on(s)
}

func (f fixture) on(s *store.Store) *account.Accounts {
	f.t.Helper()
	signing, err := token.OpenSigning(f.t.Context(), s)
	f.must("OpenSigning", err)
	a, err := account.New(s, token.New(s, signing))
	f.must("New", err)
	return a
}

// TestAPasswordChangeThatIsBrokenOff has a replica die after any number of writes of a change of a password. Whoever signed in with
// the old one is out when it is the old one.
func TestAPasswordChangeThatIsBrokenOff(t *testing.T) {
	t.Parallel()
	for n, died := 0, true; died; n++ {
		f := newFixture(t)
		u, err := f.Create(t.Context(), account.NewUser{Name: "alice", Password: "the first one"})
		f.must("Create", err)
		_, cookie := f.session(u)
		left := n
		dying := f.replica(func(*etcdserverpb.TxnRequest) error {
			left--
			if left < 0 {
				return errors.New("now")
			}
			return nil
		})
		second := "the second one"
		_, err = dying.Update(t.Context(), "alice", account.Change{Password: &second})
		died = err != nil
		_, changed := f.Authenticate(t.Context(), "alice", second)
		if _, err := f.tokens.FindSession(t.Context(), cookie); err == nil && changed == nil {
			t.Errorf("after a death after %d writes the password is another one, and the session goes on", n)
		}
	}
}

// TestANewServiceHasNoTokens removes a service while a replica is about to make a token for it. A later service of the name is
// another one.
func TestANewServiceHasNoTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	bot := hub.Service{Name: "bot", Scopes: []string{"list:users"}}
	_, err := f.CreateService(t.Context(), bot, "")
	f.must("CreateService", err)
	f.must("DeleteService", f.DeleteService(t.Context(), "bot"))
	_, late, err := f.tokens.Issue(t.Context(), hub.Token{Service: "bot", Scopes: []string{"inherit"}})
	f.must("Issue", err)
	_, err = f.ByToken(t.Context(), late)
	wantKind(t, "the token of a service that is gone", err, hub.Unauthenticated)
	_, err = f.CreateService(t.Context(), bot, "")
	f.must("CreateService again", err)
	_, err = f.ByToken(t.Context(), late)
	wantKind(t, "the token with a new service of the name", err, hub.Unauthenticated)
}
