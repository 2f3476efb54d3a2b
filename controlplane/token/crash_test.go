package token_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/routes"
)

// dying is the token service of a replica whose process dies after n more writes.
func (f fixture) dying(n int) *token.Service {
	f.t.Helper()
	var writes atomic.Int64
	s, _ := storetest.Replica(f.t, f.store, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if txn, ok := req.(*etcdserverpb.TxnRequest); ok && writing(txn) {
				writes.Add(1)
			}
			if writes.Load() > int64(n) {
				return errors.New("this process is dead")
			}
			return invoke(ctx, method, req, reply, cc, opts...)
		}))
	return token.New(s, f.signing)
}

func writing(txn *etcdserverpb.TxnRequest) bool {
	for _, op := range txn.Success {
		if op.GetRequestRange() == nil {
			return true
		}
	}
	return false
}

// visit has carol sign in to a client that proves who it is with issuer, and returns her access token.
func (f fixture) visit(issuer hub.Token) (hub.Session, hub.Token, string) {
	f.t.Helper()
	session, _, err := f.StartSession(f.t.Context(), hub.User{Name: "carol", ID: "id of carol"})
	f.must("StartSession", err)
	code, err := f.StartCode(f.t.Context(), token.Code{Client: "a client", User: "carol", UserID: "id of carol", Session: session.ID, Scopes: []string{"self"}})
	f.must("StartCode", err)
	t, secret, err := f.RedeemCode(f.t.Context(), code, issuer, time.Hour, func(token.Code) error { return nil })
	f.must("RedeemCode", err)
	return session, t, secret
}

// TestTokensOfAClientThatIsGone ends what makes a client, in each way there is, by a replica that dies after any number of writes.
// Whoever tries again ends the access tokens that the client got.
func TestTokensOfAClientThatIsGone(t *testing.T) {
	t.Parallel()
	service, server := hub.Token{Service: "bot"}, hub.Token{User: "alice", UserID: "id of alice", Server: "alice/"}
	for what, c := range map[string]struct {
		issuer hub.Token
		end    func(context.Context, *token.Service, hub.Token) error
	}{
		"a service is removed": {service, func(ctx context.Context, s *token.Service, _ hub.Token) error {
			return s.DeleteForService(ctx, "bot", "")
		}},
		"a service gets another token": {service, func(ctx context.Context, s *token.Service, _ hub.Token) error {
			return s.AdoptForService(ctx, service, "another secret")
		}},
		"a server stops":    {server, func(ctx context.Context, s *token.Service, t hub.Token) error { return s.Delete(ctx, t.UserID, t.ID) }},
		"a user is deleted": {server, func(ctx context.Context, s *token.Service, t hub.Token) error { return s.DeleteAll(ctx, t.UserID) }},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for n, died := 0, true; died; n++ {
				f := newFixture(t)
				issuer, _, err := f.Issue(t.Context(), c.issuer)
				f.must("Issue", err)
				_, access, secret := f.visit(issuer)
				died = c.end(t.Context(), f.dying(n), issuer) != nil
				if err := c.end(t.Context(), f.Service, issuer); err != nil && hub.KindOf(err) != hub.NotFound {
					t.Fatalf("again after a death after %d writes: %v", n, err)
				}
				_, err = f.Find(t.Context(), secret)
				wantKind(t, fmt.Sprintf("the access token of a client, after a death after %d writes", n), err, hub.Unauthenticated)
				f.wantRevoked(routes.RevokedToken, access.ID, 0)
			}
		})
	}
}

// TestASessionThatIsOverHasNoTokens has a replica die after any number of writes of a sign-out. Nobody can sign out again who is not
// signed in: when the session is over, so are its access tokens, at edges too.
func TestASessionThatIsOverHasNoTokens(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(*token.Service, hub.Session) error{
		"one browser":  func(s *token.Service, x hub.Session) error { return s.EndSession(t.Context(), x.UserID, x.ID) },
		"all browsers": func(s *token.Service, x hub.Session) error { return s.EndSessions(t.Context(), x.UserID) },
	} {
		t.Run(what, func(t *testing.T) {
			for n, died := 0, true; died; n++ {
				f := newFixture(t)
				issuer, _, err := f.Issue(t.Context(), hub.Token{Service: "bot"})
				f.must("Issue", err)
				session, access, _ := f.visit(issuer)
				died = end(f.dying(n), session) != nil
				if _, err := f.SessionByID(t.Context(), session.UserID, session.ID); err == nil && !died {
					t.Error("the session goes on")
				} else if err == nil {
					continue
				}
				f.wantRevoked(routes.RevokedToken, access.ID, 0)
			}
		})
	}
}
