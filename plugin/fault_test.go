package plugin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// The names of these tests begin with the rows of docs/reliability.md.

// faulty is an edge on a cluster whose members suffer, with somebody who visits a running server all the time.
type faulty struct {
	*edgetest.World
	cluster *edgetest.Cluster
	shared  *shared
	failed  atomic.Int64 // visits
	visits  atomic.Int64
}

func newFaulty(t *testing.T, c *edgetest.Cluster) *faulty {
	t.Helper()
	f := &faulty{World: edgetest.NewWorld(t, c.Members[0].Etcd), cluster: c}
	f.PutRoute(edgetest.Route("alice", edgetest.Server(t, "alice").URL))
	f.World.Start(func(t testing.TB, o edgetest.Options) http.Handler {
		o.Etcd = c.Endpoints()
		h := makeEdge(t, o)
		f.shared = h.(*Edge).shared
		return h
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan bool)
	go func() {
		defer close(done)
		f.visit(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

// visit visits the server and watches the revision of the edge, which must never go back (I15).
func (f *faulty) visit(ctx context.Context) {
	revision := int64(0)
	for ctx.Err() == nil {
		r := httptest.NewRequest("GET", "http://"+f.Addr+"/user/alice/x", nil)
		r.Header.Set("Cookie", "edgehub="+f.TokenOf("alice"))
		rec := httptest.NewRecorder()
		f.Edge.ServeHTTP(rec, r)
		f.visits.Add(1)
		now := f.shared.state.position().revision
		if rec.Code != 200 || now < revision {
			f.failed.Add(1)
			f.T.Errorf("a visit during the fault: status %d, revision %d after %d", rec.Code, now, revision)
			return
		}
		revision = now
		pause(ctx, 5*time.Millisecond)
	}
}

// connected is the index of the member that the edge uses.
func (f *faulty) connected() int {
	f.shared.gateway.mu.Lock()
	defer f.shared.gateway.mu.Unlock()
	return f.shared.gateway.next
}

// settled waits until the edge follows one member, and makes the test write through another.
func (f *faulty) settled(t *testing.T) int {
	t.Helper()
	for {
		i := f.connected()
		f.Etcd = f.cluster.Members[(i+1)%len(f.cluster.Members)].Etcd
		f.arrives(t, 10*time.Second)
		if f.connected() == i {
			return i
		}
	}
}

// arrives puts a new route with the member that the test writes through and waits until the edge has it.
func (f *faulty) arrives(t *testing.T, limit time.Duration) {
	t.Helper()
	user := fmt.Sprintf("user%d", time.Now().UnixNano())
	start := time.Now()
	within(t, 2*limit, "a write is accepted", func() bool { return f.TryPutRoute(edgetest.Route(user, "http://127.0.0.1:1")) == nil })
	within(t, 2*limit, "a route change arrives", func() bool { return f.shared.has(user) })
	t.Logf("a change arrived after %v", time.Since(start).Round(time.Millisecond))
}

func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// sameAsEtcd is invariant I14: the edge holds what etcd holds, key by key.
func sameAsEtcd(t *testing.T, s *shared, c *clientv3.Client) {
	t.Helper()
	difference := ""
	same := func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		tree := s.set.prefix + routes.EdgeTree
		answer, err := c.Get(ctx, tree, clientv3.WithPrefix())
		if err != nil {
			difference = err.Error()
			return false
		}
		s.state.mu.RLock()
		defer s.state.mu.RUnlock()
		difference = compare(s.state.view, answer, s.set.prefix+routes.RoutesTree)
		return difference == ""
	}
	for deadline := time.Now().Add(20 * time.Second); !same(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the edge and etcd differ: " + difference)
		}
	}
}

func compare(v *view, etcd *clientv3.GetResponse, tree string) string {
	if v.count() != etcd.Count {
		return fmt.Sprintf("%d keys, etcd %d", v.count(), etcd.Count)
	}
	for _, kv := range etcd.Kvs {
		id, isRoute := strings.CutPrefix(string(kv.Key), tree)
		if !isRoute {
			if v.mods[string(kv.Key)] != kv.ModRevision {
				return "revision of " + string(kv.Key)
			}
			continue
		}
		r := v.table.Get(id)
		if r == nil || r.Revision != kv.ModRevision || string(r.Value) != string(kv.Value) {
			return "route " + id
		}
	}
	return ""
}

// TestThreeMembers puts one edge through the faults of a cluster, one after the other.
func TestThreeMembers(t *testing.T) {
	t.Parallel()
	notShort(t)
	c := edgetest.StartCluster(t)
	f := newFaulty(t, c)
	restart := func(t *testing.T, m *edgetest.Member) {
		t.Helper()
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, fault := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"C1 the leader is killed", func(t *testing.T) {
			leader := c.Leader(t, 0)
			f.Etcd = c.Members[(leader+1)%3].Etcd
			c.Members[leader].Stop()
			f.arrives(t, 5*time.Second)
			restart(t, c.Members[leader])
		}},
		{"C2 the edge's member is killed", func(t *testing.T) {
			m := c.Members[f.settled(t)]
			m.Stop()
			f.arrives(t, 5*time.Second)
			restart(t, m)
		}},
		{"C3 the edge's member is paused", func(t *testing.T) {
			m := c.Members[f.settled(t)]
			m.Pause(t)
			f.arrives(t, 15*time.Second)
			m.Resume(t)
			f.arrives(t, 5*time.Second)
		}},
		{"C3 the way to the edge's member is silent", func(t *testing.T) {
			c.Members[f.settled(t)].Front.Freeze()
			f.arrives(t, 15*time.Second)
		}},
		{"C3 the edge's member does not hear it", func(t *testing.T) {
			m := c.Members[f.settled(t)]
			m.Front.Deafen()
			within(t, 30*time.Second, "another member is used", func() bool { return c.Members[f.connected()] != m })
			f.arrives(t, 5*time.Second)
		}},
		{"C4 the edge's member is cut off from the quorum", func(t *testing.T) {
			i := f.settled(t)
			c.Isolate(i)
			f.arrives(t, 5*time.Second)
			if f.connected() == i {
				t.Error("the edge uses the member that is cut off")
			}
		}},
		{"C5 two members are gone", func(t *testing.T) {
			i := f.settled(t)
			for j, m := range c.Members {
				if j != i {
					m.Stop()
				}
			}
			visits := f.visits.Load()
			within(t, 30*time.Second, "the edge notices", func() bool { return f.connected() != i })
			within(t, 30*time.Second, "people go on visiting", func() bool { return f.visits.Load() > visits+100 })
			go func() { _ = c.Members[(i+1)%3].Start() }()
			restart(t, c.Members[(i+2)%3])
			f.arrives(t, 5*time.Second)
		}},
		{"C11 every answer is late", func(t *testing.T) {
			for _, m := range c.Members {
				m.Front.Delay(200 * time.Millisecond)
			}
			f.arrives(t, time.Second)
			before, start := requests(c), time.Now()
			for _, m := range c.Members {
				m.Front.Delay(2 * time.Second)
			}
			f.arrives(t, 5*time.Second)
			within(t, 30*time.Second, "two checks", func() bool { return time.Since(start) > 2*checkEvery })
			normal := int(time.Since(start)/checkEvery) + 4 // a new session is a count, a page and a watch
			if n := requests(c) - before; n > 2*normal {
				t.Errorf("%d requests in %v: a storm", n, time.Since(start))
			}
		}},
		{"C14 members are restarted one by one, and one is replaced", func(t *testing.T) {
			for i, m := range c.Members {
				f.Etcd = c.Members[(i+1)%3].Etcd
				m.Stop()
				f.arrives(t, 5*time.Second)
				restart(t, m)
			}
			i := f.settled(t)
			c.Replace(t, i)
			f.arrives(t, 5*time.Second)
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			defer func() {
				c.Heal()
				c.Leader(t, 0)
			}()
			fault.run(t)
			sameAsEtcd(t, f.shared, f.Etcd.Client)
		})
		if f.failed.Load() > 0 {
			t.Fatal("people were disturbed by: " + fault.name)
		}
	}
}

func requests(c *edgetest.Cluster) int {
	n := 0
	for _, m := range c.Members {
		n += m.Front.Requests()
	}
	return n
}

// notShort leaves a test that waits for timeouts out of `make test-quick`.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("waits for timeouts; not with -short")
	}
}
