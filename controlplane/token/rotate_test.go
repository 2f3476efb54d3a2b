package token_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/routes"
)

// hubWithEdge is two replicas and a real edge in front of one server of alice, who is signed in.
type hubWithEdge struct {
	fixture
	replicas []*token.Service
	session  hub.Session
	cookie   string
	edge     string
}

// endpoint is the etcd of these tests, as the store's client reaches it.
func (f fixture) endpoint() string { return f.client.Endpoints()[0] }

func newHubWithEdge(t *testing.T, etcd func(f fixture) string) *hubWithEdge {
	t.Helper()
	f := newFixture(t)
	own, _ := storetest.Replica(t, f.store)
	signing, err := token.OpenSigning(t.Context(), own)
	f.must("OpenSigning", err)
	h := &hubWithEdge{fixture: f, replicas: []*token.Service{f.Service, token.New(own, signing)}}
	h.session, h.cookie, err = f.StartSession(t.Context(), alice)
	f.must("StartSession", err)
	server := httptest.NewServer(http.HandlerFunc(serveSlowly))
	t.Cleanup(server.Close)
	f.must("put the route", f.store.Apply(t.Context(), store.Put(routes.RouteKey(f.store.Prefix(), "/user/alice/"), routes.Route{
		Schema: routes.Schema, Prefix: "/user/alice/", Target: server.URL, Auth: routes.AuthSecret, Secret: "0123456789abcdef",
		Owner: "alice", OwnerID: alice.ID})))
	h.serveEdge(etcd(f))
	return h
}

// serveSlowly answers at once, and goes on for ever at /events.
func serveSlowly(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/user/alice/events" {
		return
	}
	fmt.Fprintln(w, "open")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func (h *hubWithEdge) serveEdge(etcd string) {
	h.t.Helper()
	config := plugin.CreateConfig()
	config.Etcd, config.Prefix = []string{etcd}, h.store.Prefix()
	handler, err := plugin.New(context.WithoutCancel(h.t.Context()), nil, config, h.t.Name())
	h.must("make the edge", err)
	edge := handler.(*plugin.Edge)
	h.t.Cleanup(edge.Close)
	front := httptest.NewServer(edge)
	h.t.Cleanup(front.Close)
	h.edge = front.URL
	h.eventually("the edge is ready", edge.Ready)
}

func (f fixture) eventually(what string, ok func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(storetest.Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("not in time: %s", what)
		}
	}
}

// fresh is a new edge token of alice's session from one of the replicas.
func (h *hubWithEdge) fresh(replica int) string {
	c := routes.Claims{Subject: "alice", UserID: alice.ID, Session: h.session.ID, Epoch: h.session.Epoch, Scopes: []string{"inherit"}}
	edge, err := h.replicas[replica%len(h.replicas)].EdgeToken(h.t.Context(), c)
	if err != nil {
		h.t.Errorf("EdgeToken: %v", err)
	}
	return edge
}

var plainClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (h *hubWithEdge) open(path, edgeToken string) *http.Response {
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.edge+path, nil)
	h.must("NewRequest", err)
	r.Header.Set("Authorization", "token "+edgeToken)
	resp, err := plainClient.Do(r)
	h.must("request to the edge", err)
	return resp
}

func (h *hubWithEdge) status(edgeToken string) int {
	resp := h.open("/user/alice/api", edgeToken)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// load visits with a fresh token and with one of each key so far, from both replicas, until it is ended. Every refusal is an
// error. n counts the requests.
func (h *hubWithEdge) load() (n *atomic.Int64, end func()) {
	var all sync.WaitGroup
	n = &atomic.Int64{}
	stop := make(chan struct{})
	for worker := range 2 {
		all.Go(func() {
			held := map[string]string{} // by the header, which names the key
			for {
				select {
				case <-stop:
					return
				default:
				}
				edge := h.fresh(worker)
				held[edge[:100]] = edge
				for _, edge := range held {
					if got := h.status(edge); got != http.StatusOK {
						h.t.Errorf("a valid token is refused with %d", got)
					}
					n.Add(1)
				}
			}
		})
	}
	return n, sync.OnceFunc(func() { close(stop); all.Wait() })
}

// TestRotationRefusesNobody is C45: keys change as fast as they can, and no valid token is refused, old or new.
func TestRotationRefusesNobody(t *testing.T) {
	t.Parallel()
	h := newHubWithEdge(t, fixture.endpoint)
	n, end := h.load()
	defer end()
	var keys []token.Key
	for i := 0; !t.Failed() && (len(keys) < 5 || keys[4].State != "active"); i++ {
		var err error
		keys, err = h.replicas[i%2].Rotate(t.Context(), 2*time.Second)
		h.must("Rotate", err)
		for _, k := range keys[:len(keys)-1] {
			if k.State != "next" && k.Until.IsZero() {
				t.Fatalf("keys %+v: an old one without an end", keys)
			}
		}
		time.Sleep(20 * time.Millisecond) // a hammer, not a wait
	}
	if t.Failed() {
		return
	}
	before := n.Load()
	h.eventually("requests with the fifth key", func() bool { return n.Load() > before+20 })
	end()
	if other, err := h.replicas[1].Keys(t.Context()); err != nil || len(other) < 5 || other[4] != keys[4] {
		t.Errorf("the other replica has %+v, %v; want %+v", other, err, keys)
	}
}

// TestRotationWithAStaleEdge: an edge that hears nothing of etcd for a part of the lead refuses nobody either.
func TestRotationWithAStaleEdge(t *testing.T) {
	t.Parallel()
	var link *slowLink
	h := newHubWithEdge(t, func(f fixture) string { link = newSlowLink(f); return link.endpoint })
	link.mu.Lock() // from here on the edge hears nothing
	keys, err := h.Rotate(t.Context(), 4*time.Second)
	h.must("Rotate", err)
	n, end := h.load()
	defer end()
	h.eventually("requests to the stale edge", func() bool { return n.Load() > 20 && time.Until(keys[1].From) < 2*time.Second })
	link.mu.Unlock()
	h.eventually("the new key is active", func() bool { return !time.Now().Before(keys[1].From) })
	before := n.Load()
	h.eventually("requests with the new key", func() bool { return n.Load() > before+20 })
}

// slowLink is a way to etcd on which nothing moves while its lock is held.
type slowLink struct {
	mu       sync.RWMutex
	endpoint string
}

func newSlowLink(f fixture) *slowLink {
	dir, err := os.MkdirTemp("", "link-") // t.TempDir can be too long for a Unix socket
	f.must("MkdirTemp", err)
	f.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	f.must("Listen", err)
	link := &slowLink{endpoint: "unix://" + socket}
	var all sync.WaitGroup
	f.t.Cleanup(func() { _ = listener.Close(); all.Wait() })
	all.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", f.endpoint()[len("unix://"):])
			if err != nil {
				_ = near.Close()
				continue
			}
			all.Go(func() { link.copy(near, far) })
			all.Go(func() { link.copy(far, near) })
		}
	})
	return link
}

func (l *slowLink) copy(to, from net.Conn) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		l.mu.RLock()
		_, werr := to.Write(buf[:n])
		l.mu.RUnlock()
		if err != nil || werr != nil {
			return
		}
	}
}

// TestEmergencyRotationEndsEverySession is C46: old tokens are refused, what is open is cut, no replica renews or accepts an
// old session, and everybody can sign in again.
func TestEmergencyRotationEndsEverySession(t *testing.T) {
	t.Parallel()
	h := newHubWithEdge(t, fixture.endpoint)
	_, err := h.Rotate(t.Context(), token.Lead) // a key that waits is withdrawn too: it may have leaked with the others
	h.must("Rotate", err)
	old := h.fresh(0)
	stream := h.open("/user/alice/events", old)
	defer func() { _ = stream.Body.Close() }()
	lines := bufio.NewReader(stream.Body)
	_, err = lines.ReadString('\n')
	h.must("open a stream", err)
	issued, secret := h.issue(alice.ID)
	from := h.revision() + 1

	keys, err := h.replicas[1].EndAll(t.Context())
	h.must("EndAll", err)
	if len(keys) != 1 || keys[0].State != "active" || !keys[0].Until.IsZero() {
		t.Errorf("keys afterwards: %+v, want one that is active", keys)
	}
	_, began, _ := storetest.Raw(t, h.client, h.store.Key(store.Secrets, "signing"))
	_, published, _ := storetest.Raw(t, h.client, routes.SigningKeyKey(h.store.Prefix(), keys[0].ID))
	if gone := h.goneAt(h.store.Key(routes.KeysTree, ""), from); gone != began || gone != published {
		t.Errorf("the old keys went at revision %d, the epoch began at %d, the new key came at %d: want one transaction", gone, began, published)
	}
	for _, replica := range h.replicas {
		_, err := replica.FindSession(t.Context(), h.cookie)
		wantKind(t, "FindSession", err, hub.Unauthenticated)
		_, err = replica.SessionByID(t.Context(), alice.ID, h.session.ID)
		wantKind(t, "SessionByID", err, hub.Unauthenticated)
		_, err = replica.OpenEdgeToken(t.Context(), old)
		wantKind(t, "OpenEdgeToken", err, hub.Unauthenticated)
		// A renewal that had found the session just before gets nothing.
		_, err = replica.EdgeToken(t.Context(), routes.Claims{Subject: "alice", UserID: alice.ID, Session: h.session.ID, Epoch: h.session.Epoch})
		wantKind(t, "EdgeToken for an ended session", err, hub.Unauthenticated)
		if _, err := replica.Find(t.Context(), secret); err != nil {
			t.Errorf("the API token has gone too: %v", err)
		}
		// Nor does an API token depend on sessions.
		if _, err := replica.EdgeToken(t.Context(), routes.Claims{Subject: "alice", UserID: alice.ID, Token: issued.ID}); err != nil {
			t.Errorf("EdgeToken for an API token: %v", err)
		}
	}
	h.eventually("the edge refuses the old token", func() bool { return h.status(old) == http.StatusForbidden })
	if rest, err := io.ReadAll(lines); err == nil {
		t.Errorf("the stream ended in good order after %q, want it cut", rest)
	}
	h.session, h.cookie, err = h.StartSession(t.Context(), alice)
	h.must("StartSession", err)
	if got := h.status(h.fresh(0)); got != http.StatusOK {
		t.Errorf("after signing in again: %d", got)
	}
	if _, err := h.replicas[1].FindSession(t.Context(), h.cookie); err != nil {
		t.Errorf("the new session: %v", err)
	}
}

// record is the signing record as JSON.
func (f fixture) record() map[string]any {
	f.t.Helper()
	raw, _, _ := storetest.Raw(f.t, f.client, f.store.Key(store.Secrets, "signing"))
	rec := map[string]any{}
	f.must("read the record", json.Unmarshal([]byte(raw), &rec))
	return rec
}

func (f fixture) putRecord(rec map[string]any) {
	f.t.Helper()
	f.must("write the record", f.store.Apply(f.t.Context(), store.Put(f.store.Key(store.Secrets, "signing"), rec)))
}

// age makes all signing keys older.
func (f fixture) age(by time.Duration) {
	f.t.Helper()
	rec := f.record()
	for _, k := range rec["keys"].([]any) {
		key := k.(map[string]any)
		for _, name := range []string{"not_before", "not_after"} {
			if at, ok := key[name].(float64); ok {
				key[name] = int64(at) - int64(by.Seconds())
			}
		}
	}
	f.putRecord(rec)
}

// TestTendReplacesAnOldKeyOnce: many replicas look after the keys, one of them acts; what has served goes.
func TestTendReplacesAnOldKeyOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	f.age(40 * 24 * time.Hour)
	f.must("Tend", token.TendOnce(f.Service, t.Context(), 0, log))
	if keys, err := f.Keys(t.Context()); err != nil || len(keys) != 1 {
		t.Fatalf("without a time: keys %+v, %v", keys, err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			own, _ := storetest.Replica(t, f.store)
			signing, err := token.OpenSigning(t.Context(), own)
			if err == nil {
				err = token.TendOnce(token.New(own, signing), t.Context(), 30*24*time.Hour, log)
			}
			if err != nil {
				t.Errorf("Tend: %v", err)
			}
		})
	}
	all.Wait()
	keys, err := f.Keys(t.Context())
	if err != nil || len(keys) != 2 || keys[0].State != "active" || keys[1].State != "next" {
		t.Fatalf("keys %+v, %v, want an active and a next one", keys, err)
	}
	if lead := time.Until(keys[1].From); lead > token.Lead || lead < token.Lead-time.Minute {
		t.Errorf("the new key is active in %s, want %s", lead, token.Lead)
	}
	if stays := keys[0].Until.Sub(keys[1].From); stays < (routes.TokenLife+routes.Leeway)*time.Second {
		t.Errorf("the old key stays for %s, shorter than its last token", stays)
	}
	if n := len(f.publishedKeys()); n != 2 {
		t.Errorf("%d keys are published, want 2", n)
	}
	f.age(2 * time.Hour)
	f.must("Tend", token.TendOnce(f.Service, t.Context(), 30*24*time.Hour, log))
	keys, err = f.Keys(t.Context())
	if published := f.publishedKeys(); err != nil || len(keys) != 1 || keys[0].State != "active" || len(published) != 1 || published[keys[0].ID] == nil {
		t.Errorf("keys %+v, %v, published %v; want the new one alone", keys, err, published)
	}
}

// TestAFirstVersionOfTheRecordIsRead: a hub that was made before keys rotated goes on with its key.
func TestAFirstVersionOfTheRecordIsRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rec := f.record()
	key := rec["keys"].([]any)[0].(map[string]any)
	delete(rec, "keys")
	rec["kid"], rec["seed"] = key["kid"], key["seed"]
	f.putRecord(rec)
	edge, err := f.EdgeToken(t.Context(), claims)
	f.must("EdgeToken", err)
	_, err = routes.VerifyToken(edge, f.publishedKeys(), time.Now().Unix())
	f.must("an edge's check", err)
	_, err = f.Rotate(t.Context(), token.Lead)
	f.must("Rotate", err)
	if rec := f.record(); rec["kid"] != nil || rec["seed"] != nil || len(rec["keys"].([]any)) != 2 {
		t.Errorf("after a rotation the record has %v", rec)
	}
	_, err = f.OpenEdgeToken(t.Context(), edge)
	f.must("OpenEdgeToken", err)
}
