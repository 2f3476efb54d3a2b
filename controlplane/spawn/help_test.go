package spawn_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/routes"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // most of the time they wait for the reconciler's next round
	storetest.Main(m)
}

// world is one hub: its records in etcd, its runtime, and the replicas that a test starts. When the test ends, the whole
// history of the records is checked against the invariants.
type world struct {
	t       *testing.T
	store   *store.Store
	client  *clientv3.Client
	tokens  *token.Service
	hubID   string
	sim     *sim
	servers store.Table[hub.Server]
	adjust  func(*spawn.Options)
	first   int64 // revision before the first write
}

func newWorld(t *testing.T, adjust ...func(*spawn.Options)) *world {
	t.Helper()
	st, client := storetest.Open(t)
	signing, err := token.OpenSigning(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: st, client: client, tokens: token.New(st, signing), hubID: signing.HubID(), sim: newSim(t),
		servers: store.NewTable[hub.Server](st, store.Servers, "server"),
		adjust: func(o *spawn.Options) {
			for _, f := range adjust {
				f(o)
			}
		}}
	for _, u := range []hub.User{alice, bob} {
		w.user(u)
	}
	resp, err := client.Get(t.Context(), st.Prefix())
	if err != nil {
		t.Fatal(err)
	}
	w.first = resp.Header.Revision
	t.Cleanup(w.checkHistory)
	return w
}

// user stores the record of a user.
func (w *world) user(u hub.User) {
	w.t.Helper()
	if err := store.NewTable[hub.User](w.store, store.Users, "user").Create(w.t.Context(), store.ID(string(u.Name)), u); err != nil {
		w.t.Fatal(err)
	}
}

// replica is one control plane of a world.
type replica struct {
	*spawn.Manager
	w   *world
	id  string
	log *notes
	// quit tells its work to end. stop does that and waits; leave does the same to its lease. All may be called twice.
	quit, stop, leave func()
}

// notes is a log that tests can wait for.
type notes struct {
	t       *testing.T
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text.Write(p)
	close(n.changed)
	n.changed = make(chan struct{})
	return n.t.Output().Write(p)
}

// await waits until one of the texts is in the log.
func (n *notes) await(texts ...string) {
	n.t.Helper()
	late := time.After(storetest.Patience)
	for {
		n.mu.Lock()
		all, changed := n.text.String(), n.changed
		n.mu.Unlock()
		for _, text := range texts {
			if strings.Contains(all, text) {
				return
			}
		}
		select {
		case <-changed:
		case <-late:
			n.t.Fatalf("waited too long for one of %q in the log", texts)
		}
	}
}

// replica starts one that works and is a member.
func (w *world) replica(id string) *replica {
	w.t.Helper()
	r := w.idle(id)
	r.join()
	r.run()
	return r
}

// idle makes a replica that is no member and does no work yet.
func (w *world) idle(id string) *replica {
	log := &notes{t: w.t, changed: make(chan struct{})}
	opts := spawn.Options{
		Store: w.store, Tokens: w.tokens, Spawner: w.sim, Log: slog.New(slog.NewTextHandler(log, nil)).With("replica", id),
		Replica: id, HubID: w.hubID, APIURL: "http://127.0.0.1:8000/hub/api", PublicURL: "https://hub.example/",
		StartTimeout: storetest.Patience, ReadyTimeout: storetest.Patience, StopGrace: 2 * time.Second, HoldStart: 30 * time.Second,
	}
	w.adjust(&opts)
	return &replica{Manager: spawn.New(opts), w: w, id: id, log: log, stop: func() {}, leave: func() {}}
}

func (r *replica) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.Run(ctx); err != nil {
			r.w.t.Errorf("Run: %v", err)
		}
	}()
	r.quit, r.stop = cancel, func() { cancel(); <-ended }
	r.w.t.Cleanup(r.stop)
}

func (r *replica) join() {
	ctx, cancel := context.WithCancel(context.Background())
	ended, joined := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = store.NewMember(r.w.store, r.id, "http://127.0.0.1:1", slog.New(slog.DiscardHandler)).Run(ctx, func() { close(joined) })
	}()
	r.leave = func() { cancel(); <-ended }
	r.w.t.Cleanup(r.leave)
	wait(r.w.t, joined, "the replica to join")
}

// kill is what a crash looks like to the others: the work ends in the middle of whatever it was, and then the lease.
func (r *replica) kill() {
	r.stop()
	r.leave()
}

var (
	alice = hub.User{Schema: hub.Schema, ID: "id-of-alice", Name: "alice"}
	bob   = hub.User{Schema: hub.Schema, ID: "id-of-bob", Name: "bob"}
)

// start asks for alice's server and reports an error.
func (r *replica) start(name hub.ServerName) hub.Server {
	r.w.t.Helper()
	s, err := r.Start(r.w.t.Context(), alice, name, nil)
	if err != nil {
		r.w.t.Fatalf("Start: %v", err)
	}
	return s
}

// started starts alice's server and waits until it runs.
func (r *replica) started(name hub.ServerName) hub.Server {
	r.w.t.Helper()
	r.start(name)
	return r.w.await(alice, name, hub.Running)
}

// watcher is a Manager that only reads.
func (w *world) watcher() *spawn.Manager { return w.idle("watcher").Manager }

// await waits until a server is in a state.
func (w *world) await(u hub.User, name hub.ServerName, state hub.State) hub.Server {
	w.t.Helper()
	s, err := w.watcher().Await(w.t.Context(), u.Name, name, storetest.Patience, func(s hub.Server) bool { return s.State == state })
	if err != nil || s.State != state {
		w.t.Fatalf("server of %s = %+v, %v, want it %s", u.Name, s, err, state)
	}
	return s
}

// get is the record of alice's server now.
func (w *world) get(name hub.ServerName) hub.Server {
	w.t.Helper()
	s, err := w.watcher().Get(w.t.Context(), alice.Name, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// route is a server's route with the revision of its last change, or nil.
func (w *world) route(u hub.User, name hub.ServerName) (*routes.Route, int64) {
	w.t.Helper()
	prefix := routes.UserPrefix(string(u.Name), string(name))
	raw, rev, _ := storetest.Raw(w.t, w.client, routes.RouteKey(w.store.Prefix(), prefix))
	if raw == "" {
		return nil, 0
	}
	r, err := routes.ParseRoute(routes.EscapeKey(prefix), []byte(raw))
	if err != nil {
		w.t.Fatalf("route %s: %v", raw, err)
	}
	return r, rev
}

func (w *world) wantNoRoute(u hub.User, name hub.ServerName) {
	w.t.Helper()
	if r, _ := w.route(u, name); r != nil {
		w.t.Errorf("route = %+v, want none", r)
	}
}

// tokensOf are the API tokens that a user has.
func (w *world) wantTokens(u hub.User, want int) {
	w.t.Helper()
	got, err := w.tokens.OfUser(w.t.Context(), u.ID)
	if err != nil || len(got) != want {
		w.t.Errorf("%s has %d tokens, %v, want %d", u.Name, len(got), err, want)
	}
}

// awaitTokens waits until a user has that many API tokens: the token goes right after the record has changed.
func (w *world) awaitTokens(u hub.User, want int) {
	w.t.Helper()
	table := store.NewTable[json.RawMessage](w.store, store.TokenOwners, "token")
	ctx, cancel := context.WithTimeout(w.t.Context(), storetest.Patience)
	defer cancel()
	have, synced := map[string]bool{}, false
	err := table.Watch(ctx, store.ID("user", u.ID)+"/", func(e store.Event[json.RawMessage]) bool {
		synced = synced || e.Synced
		if e.ID != "" {
			have[e.ID] = e.Value != nil
		}
		n := 0
		for _, exists := range have {
			if exists {
				n++
			}
		}
		return !synced || n != want
	})
	if err != nil {
		w.t.Fatalf("tokens of %s: %v, want %d: %v", u.Name, have, want, err)
	}
}

// wantSettled waits until every instance has its running record and the other way round, and nothing is pending (I10).
func (w *world) wantSettled() {
	w.t.Helper()
	running := map[string]int64{} // full name → generation
	records, err := w.servers.All(w.t.Context(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range records {
		s := r.Value
		switch s.State {
		case hub.Running:
			running[s.FullName()] = s.Gen
		case hub.Stopped:
		case hub.Starting, hub.Stopping:
			w.t.Errorf("%s is left %s by %s", s.FullName(), s.State, s.Owner)
		}
		if s.State == hub.Stopped && (s.Owner != "" || s.Instance != nil || s.TokenID != "" || s.Secret != "" || !s.Deadline.IsZero()) {
			w.t.Errorf("the record of a stopped server keeps something: %+v", s)
		}
	}
	w.sim.await("the instances to be those of the records "+fmt.Sprint(running), func() bool {
		if len(running) != len(w.sim.live) {
			return false
		}
		for _, inst := range w.sim.live {
			if running[inst.fullName] != inst.gen {
				return false
			}
		}
		return true
	})
}

// wait fails the test if ch does not close in time.
func wait(t testing.TB, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(storetest.Patience):
		t.Fatalf("waited too long for %s", what)
	}
}

// checkHistory replays every revision of the records and checks what must be true at each of them (I2, I5, and the arrows of
// the state machine).
func (w *world) checkHistory() {
	ctx, cancel := context.WithTimeout(context.Background(), storetest.Patience)
	defer cancel()
	end := w.store.Key("zz-end", "")
	put, err := w.client.Put(ctx, end, "")
	if err != nil {
		w.t.Errorf("end of history: %v", err)
		return
	}
	h := history{world: w, servers: map[string]hub.Server{}, routes: map[string]routes.Route{}, starting: map[string]routes.Starting{}}
	stream := w.client.Watch(ctx, w.store.Prefix(), clientv3.WithPrefix(), clientv3.WithRev(w.first))
	var rev int64
	for resp := range stream {
		if resp.Err() != nil {
			w.t.Errorf("history: %v", resp.Err())
			return
		}
		for _, ev := range resp.Events {
			if ev.Kv.ModRevision != rev {
				h.check(rev)
				rev = ev.Kv.ModRevision
			}
			if rev == put.Header.Revision {
				return
			}
			h.apply(ev)
		}
	}
	w.t.Errorf("history ended at revision %d, before its end at %d", rev, put.Header.Revision)
}

// history is the state of servers and routes at one revision.
type history struct {
	*world
	servers map[string]hub.Server
	routes  map[string]routes.Route
	// starting are the starts that edges are told of.
	starting map[string]routes.Starting
}

func (h *history) apply(ev *clientv3.Event) {
	key := string(ev.Kv.Key)
	gone := ev.Type == clientv3.EventTypeDelete
	if id, ok := strings.CutPrefix(key, h.store.Key(store.Servers, "")); ok {
		if gone {
			if s := h.servers[id]; s.Active() {
				h.t.Errorf("revision %d deletes %s, which is %s", ev.Kv.ModRevision, id, s.State)
			}
			delete(h.servers, id)
			return
		}
		var s hub.Server
		if err := json.Unmarshal(ev.Kv.Value, &s); err != nil {
			h.t.Errorf("revision %d: %v", ev.Kv.ModRevision, err)
		}
		h.checkStep(ev.Kv.ModRevision, h.servers[id], s)
		h.servers[id] = s
	}
	if name, ok := strings.CutPrefix(key, h.store.Key(routes.RoutesTree, "")); ok {
		delete(h.routes, name)
		if !gone {
			r, err := routes.ParseRoute(name, ev.Kv.Value)
			if err != nil {
				h.t.Errorf("revision %d has a route that no edge accepts: %s", ev.Kv.ModRevision, ev.Kv.Value)
				return
			}
			h.routes[name] = *r
		}
	}
	if name, ok := strings.CutPrefix(key, h.store.Key(routes.StartingTree, "")); ok {
		delete(h.starting, name)
		if !gone {
			s, err := routes.ParseStarting(name, ev.Kv.Value)
			if err != nil {
				h.t.Errorf("revision %d has a start that no edge accepts: %s", ev.Kv.ModRevision, ev.Kv.Value)
				return
			}
			h.starting[name] = *s
		}
	}
}

// arrows of the state machine.
var arrows = map[hub.State]string{
	"":           "starting stopped", // which is prepared and does not run yet
	hub.Stopped:  "stopped starting",
	hub.Starting: "starting running stopping stopped",
	hub.Running:  "running stopping stopped",
	hub.Stopping: "stopping stopped",
}

func (h *history) checkStep(rev int64, from, to hub.Server) {
	if !strings.Contains(" "+arrows[from.State]+" ", " "+string(to.State)+" ") {
		h.t.Errorf("revision %d takes %s from %q to %q", rev, to.FullName(), from.State, to.State)
	}
	grow := int64(0)
	if to.State == hub.Starting {
		grow = 1 // at most: a start that goes on after a crash may have its own
	}
	if from.Remove && !to.Remove {
		h.t.Errorf("revision %d: %s shall not go any more", rev, to.FullName())
	}
	if from.Schema == 0 && to.State == hub.Stopped {
		return // prepared, or it had another name
	}
	if to.Gen < from.Gen || to.Gen > from.Gen+grow || from.State != hub.Starting && to.State == hub.Starting && to.Gen == from.Gen {
		h.t.Errorf("revision %d takes %s from %s %d to %s %d", rev, to.FullName(), from.State, from.Gen, to.State, to.Gen)
	}
	if pending := to.State == hub.Starting || to.State == hub.Stopping; pending != (to.Owner != "") {
		h.t.Errorf("revision %d: %s is %s with owner %q", rev, to.FullName(), to.State, to.Owner)
	}
}

// check compares what edges are told with servers: a route is there exactly while its server runs, and requests wait for a
// server exactly while its start goes on.
func (h *history) check(rev int64) {
	for _, s := range h.servers {
		name := routes.EscapeKey(routes.UserPrefix(string(s.User), string(s.Name)))
		r, ok := h.routes[name]
		if ok != (s.State == hub.Running) || ok && (r.Gen != s.Gen || r.OwnerID != s.UserID || r.Secret != s.Secret) {
			h.t.Errorf("revision %d: %s is %s with generation %d, and its route is %+v", rev, s.FullName(), s.State, s.Gen, r)
		}
		start, ok := h.starting[name]
		if ok != (s.State == hub.Starting && s.Failure == "") || ok && (start.Gen != s.Gen || start.OwnerID != s.UserID || start.Hold != 30) {
			h.t.Errorf("revision %d: %s is %s with generation %d and failure %q, and its announcement is %+v", rev, s.FullName(), s.State, s.Gen, s.Failure, start)
		}
	}
	if len(h.starting) > len(h.servers) {
		h.t.Errorf("revision %d has %d starts of %d servers", rev, len(h.starting), len(h.servers))
	}
	if running := len(h.routes); running > len(h.servers) {
		h.t.Errorf("revision %d has %d routes of %d servers", rev, running, len(h.servers))
	}
}
