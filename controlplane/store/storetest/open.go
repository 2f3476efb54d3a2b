package storetest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/edgehub/edgehub/controlplane/store"
)

// shared is the etcd of this test process.
var shared struct {
	sync.Mutex
	main bool
	etcd *Etcd
	err  error
}

// Main runs the tests of a package, ends the shared etcd, and exits. It fails if a goroutine is left.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for packages whose TestMain has more to do. It returns the exit code.
func Run(m *testing.M) int {
	shared.Lock()
	shared.main = true
	shared.Unlock()
	code := m.Run()
	shared.Lock()
	e := shared.etcd
	shared.Unlock()
	if e != nil {
		e.close()
	}
	if code != 0 {
		return code
	}
	if err := goleak.Find(embeddedLeftovers()...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// embeddedLeftovers are goroutines that an embedded etcd never ends.
func embeddedLeftovers() []goleak.Option {
	if os.Getenv("EDGEHUB_TEST_ETCD") != "" {
		return nil
	}
	return []goleak.Option{
		goleak.IgnoreAnyFunction("go.etcd.io/etcd/client/pkg/v3/logutil.(*MergeLogger).outputLoop"),
		goleak.IgnoreAnyFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"),
	}
}

// Open returns a store with a prefix of its own in the shared etcd, and the client that it uses. The client closes at the
// end of the test. opts are added to the client's, for tests that look at the calls.
func Open(t testing.TB, opts ...grpc.DialOption) (*store.Store, *clientv3.Client) {
	t.Helper()
	e, err := sharedEtcd()
	if err != nil {
		t.Fatal(err)
	}
	return e.Open(t, opts...)
}

func sharedEtcd() (*Etcd, error) {
	shared.Lock()
	defer shared.Unlock()
	if !shared.main {
		return nil, fmt.Errorf("this package has no TestMain that calls storetest.Main, so nobody would end etcd")
	}
	if shared.etcd == nil && shared.err == nil {
		shared.etcd, shared.err = start()
	}
	return shared.etcd, shared.err
}

var prefixes atomic.Int64

// Open returns a store with a prefix of its own in e, and the client that it uses.
func (e *Etcd) Open(t testing.TB, opts ...grpc.DialOption) (*store.Store, *clientv3.Client) {
	t.Helper()
	return e.OpenAt(t, fmt.Sprintf("/test/%d/", prefixes.Add(1)), opts...)
}

// OpenAt returns a store with a given prefix in e, for a test with several replicas, and the client that it uses.
func (e *Etcd) OpenAt(t testing.TB, prefix string, opts ...grpc.DialOption) (*store.Store, *clientv3.Client) {
	t.Helper()
	client, err := dial(e.Endpoint(), opts...)
	if err != nil {
		t.Fatalf("set up an etcd client: %v", err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return store.New(client, prefix), client
}

// Endpoint is the shared etcd's, for a process of its own.
func Endpoint(t testing.TB) string {
	t.Helper()
	e, err := sharedEtcd()
	if err != nil {
		t.Fatal(err)
	}
	return e.Endpoint()
}

// Replica returns another store with the prefix of s in the shared etcd, and a client of its own.
func Replica(t testing.TB, s *store.Store, opts ...grpc.DialOption) (*store.Store, *clientv3.Client) {
	t.Helper()
	e, err := sharedEtcd()
	if err != nil {
		t.Fatal(err)
	}
	return e.OpenAt(t, s.Prefix(), opts...)
}

// dial has the options of the control plane, but comes back sooner after a restart.
func dial(endpoint string, opts ...grpc.DialOption) (*clientv3.Client, error) {
	soon := backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 200 * time.Millisecond}
	return clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, DialTimeout: 3 * time.Second, Logger: zap.NewNop(),
		DialOptions: append([]grpc.DialOption{
			grpc.WithDisableServiceConfig(),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: soon, MinConnectTimeout: time.Second}),
		}, opts...),
	})
}

// Dump returns every key below the prefix of s with its value, as somebody with a backup of etcd sees them.
func Dump(t testing.TB, s *store.Store, client *clientv3.Client) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	resp, err := client.Get(ctx, s.Prefix(), clientv3.WithPrefix())
	if err != nil {
		t.Fatalf("dump %s: %v", s.Prefix(), err)
	}
	all := make(map[string]string, len(resp.Kvs))
	for _, kv := range resp.Kvs {
		all[string(kv.Key)] = string(kv.Value)
	}
	return all
}

// Raw returns the stored value at the absolute key, or "" if there is none, with the revision of its last change and the
// number of its changes.
func Raw(t testing.TB, client *clientv3.Client, key string) (value string, revision, version int64) {
	t.Helper()
	resp, err := client.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	if len(resp.Kvs) == 0 {
		return "", 0, 0
	}
	kv := resp.Kvs[0]
	return string(kv.Value), kv.ModRevision, kv.Version
}

// Spellings are the ways in which a secret could lie in a record without being hidden by a hash.
func Spellings(secret string) []string {
	b := []byte(secret)
	all := []string{
		secret, url.QueryEscape(secret), hex.EncodeToString(b),
		base64.RawStdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b),
	}
	if raw, err := hex.DecodeString(secret); err == nil {
		all = append(all, base64.RawStdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw))
	}
	return all
}
