// Package spawn runs the state machine of each server: start, ready, stop, fail. It is the only caller of Spawners, and the
// only writer of server records and of their routes.
//
//	stopped ─Start→ starting ─ready→ running ─Stop→ stopping ─gone→ stopped
//	                   └─failed→ stopped          └─exited→ stopped
//
// A named server that shall be removed is marked, stopped, and gone. Every arrow is a compare-and-swap on the record. Start and Stop only write what shall be; a worker of the replica that
// wrote it does it. If that replica dies, its lease ends and another replica goes on from the record (Run).
//
// Invariants: a server's route exists only while its record says running, and both change in one transaction. So it is with
// the record for edges that it is starting, if there is one (HoldStart). The route goes before the instance. The generation of a record only grows, and a worker whose generation is not the record's any
// more has lost: it cleans up what it made and writes nothing.
package spawn

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/metrics"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/routes"
)

// Options configure a Manager.
type Options struct {
	Store   *store.Store
	Tokens  *token.Service
	Spawner hub.Spawner
	Log     *slog.Logger
	// Replica is the id under which this replica is a member.
	Replica string
	// HubID is the hub's identity; it is part of instance names.
	HubID string
	// APIURL is where servers reach the hub's API: "http://127.0.0.1:8000/hub/api".
	APIURL string
	// PublicURL is the hub's origin as browsers see it, with a slash at the end, or empty if it is not known.
	PublicURL string
	// Base is what the hub is below.
	Base routes.Base
	// Hosts are the hub's hosts if every user has one, else nil.
	Hosts *routes.Hosts
	// StartTimeout bounds the making of an instance, ReadyTimeout the wait for its first answer. JupyterHub's names are
	// start_timeout (60 s) and http_timeout (30 s).
	StartTimeout time.Duration
	ReadyTimeout time.Duration
	// StopGrace is how long an instance may take to end by itself.
	StopGrace time.Duration
	// HoldStart is how long edges may keep a program's request while its server starts, in whole seconds; zero: not at all.
	HoldStart time.Duration
	// ClientScopes is what servers may ask of their visitors as OAuth clients.
	ClientScopes []string
	// TokenScopes are those of the token that a server gets at its start. Nil is what the role server has by default.
	TokenScopes func(context.Context) ([]string, error)
	// Metrics hears of starts, stops and polls. It may be nil.
	Metrics *metrics.Metrics
}

func (o Options) withDefaults() Options {
	if o.StartTimeout == 0 {
		o.StartTimeout = 60 * time.Second
	}
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = 60 * time.Second
	}
	if o.StopGrace == 0 {
		o.StopGrace = 10 * time.Second
	}
	if o.TokenScopes == nil {
		o.TokenScopes = func(context.Context) ([]string, error) { return access.RoleScopes(access.DefaultRoles(), "server") }
	}
	return o
}

// Manager runs the servers of one hub, together with the Managers of the other replicas. It is safe for concurrent use.
type Manager struct {
	opts     Options
	servers  store.Table[hub.Server]
	users    store.Table[hub.User]
	shares   store.Table[hub.Share]
	groups   store.Table[hub.Regroup]
	presence account.Presence
	sharing  account.Sharing
	log      *slog.Logger
	client   *http.Client
	jobs     chan job
	stopped  chan struct{}

	regroups chan struct{} // has a place for one request of Regroup

	mu   sync.Mutex
	busy map[string]*worker // server id → the worker of this replica
}

// job is work on one server record that this replica has claimed.
type job struct {
	id string
	do func(context.Context)
}

type worker struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// New returns a Manager. It starts nothing; work waits for Run.
func New(opts Options) *Manager {
	return &Manager{
		opts:     opts.withDefaults(),
		servers:  store.NewTable[hub.Server](opts.Store, store.Servers, "server"),
		users:    store.NewTable[hub.User](opts.Store, store.Users, "user"),
		shares:   store.NewTable[hub.Share](opts.Store, store.Shares, "share"),
		groups:   store.NewTable[hub.Regroup](opts.Store, store.Regroups, "change of groups"),
		presence: account.NewPresence(opts.Store),
		sharing:  account.NewSharing(opts.Store),
		log:      opts.Log,
		client: &http.Client{
			Timeout:       10 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     &http.Transport{DisableKeepAlives: true},
		},
		jobs:    make(chan job),
		stopped: make(chan struct{}),

		regroups: make(chan struct{}, 1),
		busy:     map[string]*worker{},
	}
}

// Run does the work of this replica until ctx ends, and returns after its last worker has. What is unfinished then stays in
// the records for the next replica.
func (m *Manager) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	defer close(m.stopped)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all.Go(func() { m.reconcileLoop(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-m.jobs:
			w := m.take(ctx, j.id)
			if w == nil {
				continue // a worker is at it already
			}
			all.Go(func() {
				defer m.release(j.id, w)
				j.do(w.ctx)
			})
		}
	}
}

// running is a worker with its context.
type running struct {
	*worker
	ctx context.Context
}

// take registers a worker for server id, or returns nil if there is one.
func (m *Manager) take(ctx context.Context, id string) *running {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[id] != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &worker{cancel: cancel, done: make(chan struct{})}
	m.busy[id] = w
	return &running{worker: w, ctx: ctx}
}

func (m *Manager) release(id string, w *running) {
	m.mu.Lock()
	delete(m.busy, id)
	m.mu.Unlock()
	w.cancel()
	close(w.done)
}

// isBusy reports whether a worker of this replica is at server id.
func (m *Manager) isBusy(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.busy[id] != nil
}

// interrupt ends this replica's worker at server id, if there is one, and waits for it.
func (m *Manager) interrupt(ctx context.Context, id string) {
	m.mu.Lock()
	w := m.busy[id]
	m.mu.Unlock()
	if w == nil {
		return
	}
	w.cancel()
	select {
	case <-w.done:
	case <-ctx.Done():
	}
}

// submit hands a job to Run. If Run has ended, the job is left to another replica, which finds it in the record.
func (m *Manager) submit(ctx context.Context, j job) {
	select {
	case m.jobs <- j:
	case <-m.stopped:
	case <-ctx.Done():
	}
}

// serverID is the identity of a server's record.
func serverID(user hub.UserName, name hub.ServerName) string {
	return store.ID(string(user), string(name))
}

// Get returns a server's record. A server that was never started has an empty record in state Stopped.
func (m *Manager) Get(ctx context.Context, user hub.UserName, name hub.ServerName) (hub.Server, error) {
	r, err := m.servers.Get(ctx, serverID(user, name))
	if hub.KindOf(err) == hub.NotFound {
		return hub.Server{User: user, Name: name, State: hub.Stopped}, nil
	}
	return r.Value, err
}

// OfUser lists the records of a user's servers, the default one first.
func (m *Manager) OfUser(ctx context.Context, user hub.UserName) ([]hub.Server, error) {
	records, err := m.servers.All(ctx, store.ID(string(user))+"/")
	if err != nil {
		return nil, err
	}
	all := make([]hub.Server, len(records))
	for i, r := range records {
		all[i] = r.Value
	}
	return all, nil
}

// All calls yield for every server record, in the order of users, until it returns false.
func (m *Manager) All(ctx context.Context, yield func(hub.Server) bool) error {
	return m.servers.List(ctx, "", func(r store.Record[hub.Server]) bool { return yield(r.Value) })
}

// Follow calls yield with the record of a server and again after each change, until yield returns false or ctx ends.
func (m *Manager) Follow(ctx context.Context, user hub.UserName, name hub.ServerName, yield func(hub.Server) bool) error {
	id := serverID(user, name)
	seen := false
	return m.servers.Watch(ctx, id, func(e store.Event[hub.Server]) bool {
		if e.Reset {
			seen = false
		}
		switch {
		case e.Synced && !seen, e.ID == id && e.Value == nil:
			return yield(hub.Server{User: user, Name: name, State: hub.Stopped})
		case e.ID == id:
			seen = true
			return yield(*e.Value)
		}
		return true
	})
}

// Await waits until a server's record satisfies done or the time is over, and returns the last record that it saw.
func (m *Manager) Await(ctx context.Context, user hub.UserName, name hub.ServerName, atMost time.Duration, done func(hub.Server) bool) (hub.Server, error) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	var last hub.Server
	err := m.Follow(ctx, user, name, func(s hub.Server) bool {
		last = s
		return !done(s)
	})
	switch {
	case !errors.Is(err, context.DeadlineExceeded):
	case last.State == "":
		err = hub.WithCause(hub.Errorf(hub.Unavailable, "The hub cannot reach its database at the moment. Try again shortly."), err)
	default:
		err = nil
	}
	return last, err
}

// instanceName is the name of a server's instance for spawners: readable, safe everywhere, different for different hubs,
// users and servers. The ids of the user and the server are part of it, because generations start again with a new one of an old
// name.
func (m *Manager) instanceName(s *hub.Server) string {
	sum := sha256.Sum256([]byte(m.opts.HubID + "/" + s.UserID + "/" + s.FullName() + s.ID))
	readable := make([]byte, 0, 20)
	for i := 0; i < len(s.User) && len(readable) < 20; i++ {
		if c := s.User[i]; 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			readable = append(readable, c)
		}
	}
	return "jupyter-" + string(readable) + "-" + hex.EncodeToString(sum[:6])
}

// ProgressURL is the path of the API's stream of a server's events, without the base.
func ProgressURL(s *hub.Server) string {
	base := "/hub/api/users/" + routes.EscapeSegment(string(s.User))
	if s.Name == "" {
		return base + "/server/progress"
	}
	return base + "/servers/" + routes.EscapeSegment(string(s.Name)) + "/progress"
}

// prefix is the path that a server is at: what its program is told, and serves under. The records of edges are without the base.
func (m *Manager) prefix(s *hub.Server) string {
	return m.opts.Base.Path(routes.UserPrefix(string(s.User), string(s.Name)))
}

// routeKey is the etcd key of a server's route.
func (m *Manager) routeKey(s *hub.Server) string {
	return routes.RouteKey(m.opts.Store.Prefix(), routes.UserPrefix(string(s.User), string(s.Name)))
}

// announce is the write that tells edges of the start of s, for the transaction that begins it. A replica that holds no
// requests takes away what another one may have announced.
func (m *Manager) announce(s *hub.Server) []store.Op {
	hold := int64(m.opts.HoldStart / time.Second)
	if hold <= 0 {
		return []store.Op{store.Delete(m.startingKey(s))}
	}
	return []store.Op{store.Put(m.startingKey(s), routes.Starting{
		Schema: routes.Schema, Prefix: routes.UserPrefix(string(s.User), string(s.Name)), Owner: string(s.User), OwnerID: s.UserID,
		Server: string(s.Name), Gen: s.Gen, Hold: hold,
	})}
}

// startingKey is the etcd key that tells edges that a server starts. It goes in the transaction that decides how the start
// ends.
func (m *Manager) startingKey(s *hub.Server) string {
	return routes.StartingKey(m.opts.Store.Prefix(), routes.UserPrefix(string(s.User), string(s.Name)))
}

func newSecret() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
