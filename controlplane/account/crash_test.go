package account_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// removing calls do, once, when a replica is about to remove a record of a tree.
func (f fixture) removing(tree string, do func()) *account.Accounts {
	var once sync.Once
	return f.replica(func(txn *etcdserverpb.TxnRequest) error {
		for _, op := range txn.Success {
			if del := op.GetRequestDeleteRange(); del != nil && strings.HasPrefix(string(del.Key), f.store.Key(tree, "")) {
				once.Do(do)
			}
		}
		return nil
	})
}

// TestAShareWithAGroupThatGoes shares a server with a group that is about to be removed. A later group of the name has nothing of it.
func TestAShareWithAGroupThatGoes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice := f.user("alice", false)
	_, err := f.CreateGroups(t.Context(), []string{"team"}, nil)
	f.must("CreateGroups", err)
	s, late := account.SharedServer{Owner: alice}, false
	deleting := f.removing(store.Groups, func() {
		_, err := f.Share(t.Context(), s, account.With{Group: "team"}, []string{"access:servers!server=alice/"})
		late = err == nil
	})
	f.must("DeleteGroup", deleting.DeleteGroup(t.Context(), "team"))
	_, err = f.CreateGroups(t.Context(), []string{"team"}, nil)
	f.must("CreateGroups", err)
	if shares, err := f.SharedWith(t.Context(), account.With{Group: "team"}); err != nil || len(shares) > 0 {
		t.Errorf("the new group has %+v, %v (shared late: %v)", shares, err, late)
	}
}

// TestACodeThatEndsWhileItIsUsed deletes a share code when somebody has shown it and has not got the share yet.
func TestACodeThatEndsWhileItIsUsed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice, bob := f.user("alice", false), f.user("bob", false)
	s := account.SharedServer{Owner: alice}
	scopes := []string{"access:servers!server=alice/"}
	_, code, err := f.NewShareCode(t.Context(), s, scopes, time.Hour)
	f.must("NewShareCode", err)
	_, err = f.Share(t.Context(), s, account.With{User: new(f.user("carol", false))}, scopes) // the hub's first writes more
	f.must("Share", err)
	var once sync.Once
	a := f.replica(func(*etcdserverpb.TxnRequest) error {
		once.Do(func() {
			f.must("DeleteShareCodes", f.DeleteShareCodes(t.Context(), alice, nil, func(*hub.ShareCode) bool { return true }))
		})
		return nil
	})
	_, err = a.Exchange(t.Context(), code, bob)
	wantKind(t, "the use of a code that was deleted", err, hub.NotFound)
	if shares, err := f.SharedWith(t.Context(), account.With{User: &bob}); err != nil || len(shares) > 0 {
		t.Errorf("bob has %+v, %v", shares, err)
	}
}
