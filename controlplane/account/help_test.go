package account_test

import (
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/routes"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// fixture is the accounts of an empty hub.
type fixture struct {
	*account.Accounts
	t      testing.TB
	store  *store.Store
	client *clientv3.Client
	tokens *token.Service
}

func newFixture(t testing.TB) fixture {
	t.Helper()
	s, client := storetest.Open(t)
	signing, err := token.OpenSigning(t.Context(), s)
	if err != nil {
		t.Fatalf("OpenSigning: %v", err)
	}
	f := fixture{nil, t, s, client, token.New(s, signing)}
	f.Accounts, err = account.New(s, f.tokens)
	f.must("New", err)
	return f
}

func (f fixture) must(what string, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
}

// user makes a user without a password.
func (f fixture) user(name hub.UserName, admin bool) hub.User {
	f.t.Helper()
	u, err := f.Create(f.t.Context(), account.NewUser{Name: name, Admin: admin})
	f.must("Create", err)
	return u
}

// api makes an API token of u with these scopes.
func (f fixture) api(u hub.User, scopes ...string) string {
	f.t.Helper()
	_, secret, err := f.tokens.Issue(f.t.Context(), hub.Token{User: u.Name, UserID: u.ID, Scopes: scopes})
	f.must("Issue", err)
	return secret
}

// session signs u in.
func (f fixture) session(u hub.User) (hub.Session, string) {
	f.t.Helper()
	s, cookie, err := f.tokens.StartSession(f.t.Context(), u)
	f.must("StartSession", err)
	return s, cookie
}

// byToken is the caller behind an API token that must be good.
func (f fixture) byToken(secret string) *account.Caller {
	f.t.Helper()
	c, err := f.ByToken(f.t.Context(), secret)
	f.must("ByToken", err)
	return c
}

// claims issues the edge token of c and reads it as an edge does: with the published key.
func (f fixture) claims(c *account.Caller) *routes.Claims {
	f.t.Helper()
	edge, life, err := f.EdgeToken(f.t.Context(), c, "")
	f.must("EdgeToken", err)
	keys := map[string]*routes.Key{}
	tree := f.store.Key(routes.KeysTree, "")
	for key, value := range storetest.Dump(f.t, f.store, f.client) {
		if segment, ok := strings.CutPrefix(key, tree); ok {
			k, err := routes.ParseKey(segment, []byte(value))
			f.must("ParseKey", err)
			keys[k.ID] = k
		}
	}
	got, err := routes.VerifyToken(edge, keys, time.Now().Unix())
	f.must("an edge's check", err)
	if life != routes.TokenLife*time.Second {
		f.t.Errorf("EdgeToken says it is good for %s, want %d s", life, routes.TokenLife)
	}
	return got
}

// revoked reports whether an edge refuses claims, as package plugin decides it from the records.
func (f fixture) revoked(c *routes.Claims) bool {
	f.t.Helper()
	for what, id := range map[string]string{routes.RevokedSession: c.Session, routes.RevokedToken: c.Token, routes.RevokedUser: c.UserID} {
		if id == "" {
			continue
		}
		raw, revision, _ := storetest.Raw(f.t, f.client, routes.RevokedKey(f.store.Prefix(), what, id))
		if raw == "" {
			continue
		}
		if r := routes.ParseRevocation([]byte(raw)); what != routes.RevokedUser || r.Before == 0 || c.IssuedAt <= r.Before || c.UserRevision < revision {
			return true
		}
	}
	return false
}

func wantKind(t *testing.T, what string, err error, want hub.Kind) {
	t.Helper()
	if err == nil || hub.KindOf(err) != want {
		t.Errorf("%s: got %v (%s), want kind %s", what, err, hub.KindOf(err), want)
	}
}
