package token_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/routes"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// fixture is a token service on an empty hub.
type fixture struct {
	*token.Service
	t       *testing.T
	store   *store.Store
	client  *clientv3.Client
	signing *token.Signing
}

func newFixture(t *testing.T, opts ...grpc.DialOption) fixture {
	t.Helper()
	s, client := storetest.Open(t, opts...)
	signing, err := token.OpenSigning(t.Context(), s)
	if err != nil {
		t.Fatalf("OpenSigning: %v", err)
	}
	return fixture{token.New(s, signing), t, s, client, signing}
}

func (f fixture) must(what string, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
}

// issue makes an API token of a user.
func (f fixture) issue(userID string) (hub.Token, string) {
	f.t.Helper()
	t, secret, err := f.Issue(f.t.Context(), hub.Token{User: "alice", UserID: userID, Scopes: []string{"inherit"}, Note: "n"})
	f.must("Issue", err)
	return t, secret
}

// dump is all of etcd as text.
func (f fixture) dump() string {
	var all strings.Builder
	for key, value := range storetest.Dump(f.t, f.store, f.client) {
		all.WriteString(key + "\n" + value + "\n")
	}
	return all.String()
}

// revocation is what edges read about id, or nil.
func (f fixture) revocation(what, id string) (*routes.Revocation, int64) {
	f.t.Helper()
	raw, rev, _ := storetest.Raw(f.t, f.client, routes.RevokedKey(f.store.Prefix(), what, id))
	if raw == "" {
		return nil, 0
	}
	r := routes.ParseRevocation([]byte(raw))
	return &r, rev
}

// wantRevoked fails the test unless edges refuse id for good, from the revision on at which the record went.
func (f fixture) wantRevoked(what, id string, since int64) {
	f.t.Helper()
	r, rev := f.revocation(what, id)
	if r == nil || r.Before != 0 || r.Schema != routes.Schema {
		f.t.Fatalf("revocation of %s %s: got %+v, want one for good", what, id, r)
	}
	if since != 0 && rev != since {
		f.t.Errorf("%s %s: revoked at revision %d, gone at %d; want one transaction", what, id, rev, since)
	}
	key := routes.RevokedKey(f.store.Prefix(), what, id)
	resp, err := f.client.Get(f.t.Context(), key)
	f.must("Get", err)
	life, err := f.client.TimeToLive(f.t.Context(), clientv3.LeaseID(resp.Kvs[0].Lease))
	f.must("TimeToLive", err)
	if least := int64(routes.TokenLife + 2*routes.Leeway); life.GrantedTTL < least || life.GrantedTTL > least+60 {
		f.t.Errorf("%s %s is revoked for %d s, want at least %d and hardly more", what, id, life.GrantedTTL, least)
	}
}

// goneAt is the revision at which the key was deleted, as a watch from revision `from` on tells.
func (f fixture) goneAt(keyPrefix string, from int64) int64 {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), storetest.Patience)
	defer cancel()
	for resp := range f.client.Watch(ctx, keyPrefix, clientv3.WithPrefix(), clientv3.WithRev(from)) {
		for _, ev := range resp.Events {
			if ev.Type == clientv3.EventTypeDelete {
				return ev.Kv.ModRevision
			}
		}
	}
	f.t.Fatalf("nothing below %s was deleted", keyPrefix)
	return 0
}

func (f fixture) revision() int64 {
	f.t.Helper()
	resp, err := f.client.Get(f.t.Context(), "/")
	f.must("Get", err)
	return resp.Header.Revision
}

func wantKind(t *testing.T, what string, err error, want hub.Kind) {
	t.Helper()
	if err == nil || hub.KindOf(err) != want {
		t.Errorf("%s: got %v (%s), want kind %s", what, err, hub.KindOf(err), want)
	}
}

// calls counts the calls to etcd by method and notes those that read more than one key.
type calls struct {
	sync.Mutex
	byMethod map[string]int
	ranges   int
}

func (c *calls) option() grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		c.Lock()
		c.byMethod[method[strings.LastIndexByte(method, '/')+1:]]++
		if r, ok := req.(interface{ GetRangeEnd() []byte }); ok && len(r.GetRangeEnd()) > 0 {
			c.ranges++
		}
		c.Unlock()
		return invoke(ctx, method, req, reply, cc, opts...)
	})
}

// during returns the calls made while do runs.
func (c *calls) during(do func()) (byMethod map[string]int, ranges int) {
	c.Lock()
	c.byMethod, c.ranges = map[string]int{}, 0
	c.Unlock()
	do()
	c.Lock()
	defer c.Unlock()
	return c.byMethod, c.ranges
}

func newCalls() *calls { return &calls{byMethod: map[string]int{}} }

func soon() time.Time { return time.Now().Add(time.Hour).UTC() }
