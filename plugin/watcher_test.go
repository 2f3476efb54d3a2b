package plugin

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// fakeGateway is an etcd gateway that misbehaves on purpose, in ways that a real etcd cannot be made to within a test.
type fakeGateway struct {
	server *httptest.Server

	mu       sync.Mutex
	revision int
	routes   map[string]int // user -> revision of the change
	lists    int
	watches  int
	checks   int
	watch    func(w io.Writer, n int) // what the n-th watch sends after "created"; it stays open afterwards
	created  func() int               // the revision in "created"
	onCheck  func() bool              // false: the check gets no answer
}

func newFakeGateway(t *testing.T) *fakeGateway {
	g := &fakeGateway{revision: 10, routes: map[string]int{"alice": 5}}
	g.created = func() int { return g.revision }
	g.server = httptest.NewServer(http.HandlerFunc(g.serve))
	t.Cleanup(func() { g.server.CloseClientConnections(); g.server.Close() })
	return g
}

func (g *fakeGateway) kv(user string, mod int) string {
	route := edgetest.Route(user, "http://127.0.0.1:1")
	value, _ := json.Marshal(route)
	enc := base64.StdEncoding
	return fmt.Sprintf(`{"key":%q,"value":%q,"mod_revision":"%d"}`, enc.EncodeToString([]byte(routes.RouteKey("/x/", route.Prefix))), enc.EncodeToString(value), mod)
}

func (g *fakeGateway) serve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Header.Get("Grpc-Metadata-hasleader") != "true" {
		http.Error(w, "no hasleader", http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/v3/kv/range" {
		g.list(w, r)
		return
	}
	g.watches++
	n, script := g.watches, g.watch
	fmt.Fprintf(w, `{"result":{"header":{"cluster_id":"7","revision":"%d"},"created":true}}`+"\n", g.created())
	w.(http.Flusher).Flush()
	g.mu.Unlock()
	if script != nil {
		script(w, n)
		w.(http.Flusher).Flush()
	}
	<-r.Context().Done()
	g.mu.Lock()
}

func (g *fakeGateway) list(w http.ResponseWriter, r *http.Request) {
	request := map[string]any{}
	_ = json.NewDecoder(r.Body).Decode(&request)
	kvs := []string{}
	for user, mod := range g.routes {
		kvs = append(kvs, g.kv(user, mod))
	}
	if request["count_only"] == true {
		g.checks++
		if g.onCheck != nil && !g.onCheck() {
			g.mu.Unlock()
			<-r.Context().Done()
			g.mu.Lock()
			return
		}
		kvs = nil
	} else if request["keys_only"] != true {
		g.lists++
	}
	fmt.Fprintf(w, `{"header":{"cluster_id":"7","revision":"%d"},"kvs":[%s],"count":"%d"}`, g.revision, strings.Join(kvs, ","), len(g.routes))
}

// change makes a change that no watch tells.
func (g *fakeGateway) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func (g *fakeGateway) count() (lists, watches int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lists, g.watches
}

func startOn(t *testing.T, urls ...string) *shared {
	t.Helper()
	h, _ := New(context.Background(), nil, &Config{Etcd: urls, Prefix: "/x/"}, t.Name())
	e := h.(*Edge)
	t.Cleanup(e.Close)
	eventually(t, "ready", e.Ready)
	return e.shared
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
	}
}

func (s *shared) has(user string) bool { return s.state.routeOf(routes.UserPrefix(user, "")) != nil }

func TestWatchesThatLieAreLeft(t *testing.T) {
	notShort(t)
	header := func(revision int) string { return fmt.Sprintf(`"header":{"cluster_id":"7","revision":"%d"}`, revision) }
	for name, script := range map[string]func(g *fakeGateway){
		"canceled by compaction, stream left open": func(g *fakeGateway) {
			g.watch = func(w io.Writer, n int) {
				if n == 1 {
					fmt.Fprintf(w, `{"result":{%s,"canceled":true,"compact_revision":"12"}}`, header(12))
				}
			}
		},
		"no leader": func(g *fakeGateway) {
			g.watch = func(w io.Writer, n int) {
				if n == 1 {
					fmt.Fprint(w, `{"error":{"code":14,"message":"etcdserver: no leader"}}`)
				}
			}
		},
		"garbage": func(g *fakeGateway) {
			g.watch = func(w io.Writer, n int) {
				if n == 1 {
					fmt.Fprint(w, `{"result":{]`)
				}
			}
		},
		"from the future": func(g *fakeGateway) {
			first := true
			g.created = func() int {
				if first {
					first = false
					return 3
				}
				return g.revision
			}
		},
		"another cluster": func(g *fakeGateway) {
			g.watch = func(w io.Writer, n int) {
				if n == 1 {
					fmt.Fprint(w, `{"result":{"header":{"cluster_id":"8","revision":"11"},"events":[]}}`)
				}
			}
		},
		"going back": func(g *fakeGateway) {
			g.watch = func(w io.Writer, n int) {
				if n == 1 {
					fmt.Fprintf(w, `{"result":{%s}}{"result":{%s}}`, header(12), header(11))
				}
			}
		},
		"silent while etcd does not answer": func(g *fakeGateway) {
			first := true
			g.onCheck = func() bool { ok := !first; first = false; return ok }
		},
		"silent although progress used to come": func(g *fakeGateway) {
			g.watch = func(w io.Writer, n int) {
				for range 3 {
					if n == 1 {
						time.Sleep(50 * time.Millisecond)
						fmt.Fprintf(w, `{"result":{%s}}`, header(10))
						w.(http.Flusher).Flush()
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newFakeGateway(t)
			script(g)
			s := startOn(t, g.server.URL)
			g.change(func() { g.routes["bob"] = 12; g.revision = 12 })
			eventually(t, "listed again", func() bool { return s.has("bob") && s.has("alice") })
			lists, watches := g.count()
			if lists > 4 || watches > 4 {
				t.Errorf("%d lists and %d watches for one fault", lists, watches)
			}
		})
	}
}

func TestLostEventsAreFound(t *testing.T) {
	notShort(t)
	t.Run("a lost key changes the count", func(t *testing.T) {
		t.Parallel()
		g := newFakeGateway(t)
		s := startOn(t, g.server.URL)
		g.change(func() { g.routes["bob"] = 11; g.revision = 11 })
		eventually(t, "found", func() bool { return s.has("bob") })
	})
	t.Run("a lost change is found by its revision", func(t *testing.T) {
		t.Parallel()
		g := newFakeGateway(t)
		s := startOn(t, g.server.URL)
		w := &watcher{gateway: s.gateway, state: s.state, live: s.live, fast: s.fast, log: s.log, prefix: "/x/"}
		m, err := s.gateway.member()
		if err != nil {
			t.Fatal(err)
		}
		if at, err := w.compareChanges(context.Background(), m, 10); err != nil || at != 10 {
			t.Errorf("nothing is lost, but: %d, %v", at, err)
		}
		g.change(func() { g.routes["alice"] = 11; g.revision = 11 })
		if _, err := w.compareChanges(context.Background(), m, 10); err == nil {
			t.Error("the comparison does not find a lost change")
		}
	})
	t.Run("a check that sees the past", func(t *testing.T) {
		t.Parallel()
		g := newFakeGateway(t)
		s := startOn(t, g.server.URL)
		g.change(func() { g.revision = 4; g.routes = map[string]int{"bob": 3} })
		eventually(t, "listed again", func() bool { return s.has("bob") && !s.has("alice") })
	})
}

func TestDeadMembersAreLeft(t *testing.T) {
	notShort(t)
	dead := "http://" + edgetest.FreeAddr(t)
	g := newFakeGateway(t)
	s := startOn(t, dead, g.server.URL)
	if !s.has("alice") {
		t.Error("the second member was not asked")
	}
}

func TestLongTreesAreReadInPages(t *testing.T) {
	t.Parallel()
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	const n = 2*pageSize + 7
	w.PutRoutes(n)
	s := startEdge(t, w, w.Etcd.Endpoint)
	if !s.has(edgetest.UserOf(0)) || !s.has(edgetest.UserOf(n-1)) {
		t.Error("the first or the last route is missing")
	}
	sameAsEtcd(t, s, w.Etcd.Client)
	t.Run("C17 one message deletes all", func(t *testing.T) {
		if _, err := w.Etcd.Client.Delete(context.Background(), w.Prefix+routes.RoutesTree, clientv3.WithPrefix()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "any is gone", func() bool { return s.state.position().count != n+1 })
		if left := s.state.position().count; left != 1 {
			t.Errorf("the change was not applied at once: %d keys are left", left)
		}
		sameAsEtcd(t, s, w.Etcd.Client)
	})
}

func TestEtcdWithAuthentication(t *testing.T) {
	notShort(t)
	etcd := edgetest.StartEtcd(t, false)
	w := edgetest.NewWorld(t, etcd)
	putUser(w, "alice")
	root, conf := secured(t, etcd, w)
	lines := captureLog(t)
	if err := os.WriteFile(conf.EtcdPasswordFile, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, _ := New(context.Background(), nil, conf, "m")
	e := h.(*Edge)
	t.Cleanup(e.Close)
	eventually(t, "refused", func() bool { return strings.Contains(lines.String(), errSignIn.Error()) })
	if e.Ready() {
		t.Fatal("ready without a password")
	}
	if err := os.WriteFile(conf.EtcdPasswordFile, []byte("canary-pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready with the right password", e.Ready)
	putAs(t, root, w, "bob")
	eventually(t, "the watch works", func() bool { return e.shared.has("bob") })
	etcd.Stop() // tokens die with the member
	if err := etcd.Start(); err != nil {
		t.Fatal(err)
	}
	putAs(t, root, w, "carol")
	eventually(t, "signed in again", func() bool { return e.shared.has("carol") })
	if strings.Contains(lines.String(), "canary") {
		t.Error("a password is in the log")
	}
}

func FuzzWatchStream(f *testing.F) {
	f.Add([]byte(`{"result":{"header":{"cluster_id":"7","revision":"10"},"created":true}}`))
	f.Add([]byte(`{"result":{"events":[{"type":"DELETE","kv":{"key":"L3gv","mod_revision":"5"}}]}}`))
	f.Add([]byte(`{"result":{"events":[null,{"kv":null}]}}`))
	f.Add([]byte(`{"error":{"code":16,"message":"x"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := newShared(&settings{etcd: []*address{{scheme: "http", host: "127.0.0.1:1"}}, prefix: "/x/"})
		s.state.install(newView())
		w := &watcher{gateway: s.gateway, state: s.state, live: s.live, fast: s.fast, log: s.log, prefix: "/x/", hubs: func() {}}
		in := &boundedReader{from: bytes.NewReader(text)}
		stream := &watchStream{gateway: s.gateway, body: io.NopCloser(in), in: in, dec: json.NewDecoder(in)}
		if err := w.consume(stream, "7", 1, newPulse(func() {})); err == nil {
			t.Fatal("a stream never ends well")
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add("/x/edge/routes/%2Fuser%2Falice%2F", []byte(`{"v":1,"prefix":"/user/alice/","target":"http://h:1","auth":"none"}`), false)
	f.Add("/x/edge/keys/k", []byte(`{"v":1}`), false)
	f.Add("/x/edge/revoked/user/u", []byte(``), true)
	f.Add("/x/edge/revoked/user", []byte(``), false)
	f.Add("/x/edge/hubs/h", []byte(`{"v":1,"url":"unix:///x"}`), false)
	f.Fuzz(func(t *testing.T, key string, value []byte, gone bool) {
		v := newView()
		v.put(readRecord("/x/", &routes.Record{Key: []byte(key), Value: value, Revision: 1}, gone), newChange())
		id := strings.TrimPrefix(key, "/x/"+routes.RoutesTree)
		if rec := v.table.Get(id); rec != nil && rec.Read(id) != routes.BadRoute {
			r := rec.Read(id)
			if routes.CheckPrefix(r.Prefix) != nil || routes.CheckTarget(r.Target) != nil {
				t.Fatalf("a route that nobody checked: %+v", r)
			}
		}
		for _, k := range v.keys {
			if len(k.Public) != 32 {
				t.Fatalf("a key that would panic: %+v", k)
			}
		}
	})
}

func TestMessagesHaveABound(t *testing.T) {
	in := &boundedReader{from: zeros{}}
	stream := &watchStream{gateway: newGateway(&settings{}), in: in, dec: json.NewDecoder(in)}
	if _, err := stream.next(); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("an endless message ends with %v", err)
	}
}

// zeros is endless white space.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestBackoffGrowsWithEachRoundOfTheEndpoints(t *testing.T) {
	log := newLogger()
	w := &watcher{state: newState(log), gateway: newGateway(&settings{etcd: []*address{{}, {}, {}}})}
	steps := func(err error) string {
		text := []string{}
		for _, failures := range []int{1, 3, 4, 6, 7, 10, 13, 16, 19, 22, 1000} {
			text = append(text, w.backoff(failures, err).String())
		}
		return strings.Join(text, " ")
	}
	if got, want := steps(io.EOF), "100ms 100ms 200ms 200ms 400ms 500ms 500ms 500ms 500ms 500ms 500ms"; got != want {
		t.Errorf("with nothing to serve: %s, want %s", got, want)
	}
	full := "100ms 100ms 200ms 200ms 400ms 800ms 1.6s 3.2s 5s 5s 5s"
	if got := steps(errSignIn); got != full {
		t.Errorf("refused: %s, want %s", got, full)
	}
	w.state.install(newView())
	if got := steps(io.EOF); got != full {
		t.Errorf("with a view: %s, want %s", got, full)
	}
}
