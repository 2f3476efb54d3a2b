package plugin

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// linger is how long a watcher outlives the last handler that uses it. Traefik cancels the old handlers' context before
// it builds the new ones, on every change of its configuration, and the old ones go on serving until the switch.
const linger = 10 * time.Second

// registry holds the one shared object of each configuration. It is the only package variable: Traefik calls New for
// every router and again on every configuration change, and offers no other place to keep anything between the calls.
var registry = &registryOf{all: make(map[string]*shared)}

type registryOf struct {
	mu  sync.Mutex
	all map[string]*shared
}

// shared is everything that outlives one handler: the watcher and its state, the caches, the open connections, and the
// proxies with their idle connections.
type shared struct {
	key  string // of the registry
	refs int    // guarded by registry.mu
	uses int    // counts acquisitions; guarded by registry.mu

	set      *settings
	noting   bool // somebody wants to know of each request: see note
	log      *logger
	counts   *counts
	state    *state
	live     *live
	fast     *fast
	gateway  *gateway
	verdicts *verdicts
	exchange *exchange
	renewal  *renewal
	passes   *cache // what was worked out for a visitor of a route
	tickets  *cache
	control  *control
	reach    *reach // where users' servers may be
	activity *activity
	carrier  *http.Transport // to users' servers
	// instances tells when what is open to one of them leads nowhere.
	instances *instances
	buffers   *sync.Pool
	stalled   time.Duration // stalledAfter; tests do not wait that long
	sockets   chan *visit   // WebSockets after the handshake, see startSockets

	cancel  context.CancelFunc
	wg      sync.WaitGroup
	handing sync.WaitGroup // startSockets, which ends last
}

// acquire returns the shared object of a configuration and starts it if it is the first use.
func (g *registryOf) acquire(config *Config, set *settings) *shared {
	text, err := json.Marshal(config)
	if err != nil {
		text = []byte(err.Error()) // cannot happen: Config holds strings and numbers
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.all[string(text)]
	if s == nil {
		s = newShared(set)
		s.key = string(text)
		g.all[s.key] = s
		s.start()
	}
	s.refs++
	s.uses++
	return s
}

// release gives one use back. The object stops after wait, unless somebody acquires it before.
func (g *registryOf) release(s *shared, wait time.Duration) {
	g.mu.Lock()
	s.refs--
	uses := s.uses
	g.mu.Unlock()
	if wait <= 0 {
		g.stopUnused(s, uses)
		return
	}
	time.AfterFunc(wait, func() {
		defer s.recovered("linger")
		g.stopUnused(s, uses)
	})
}

// stopUnused stops s if nobody uses it, nor has used it since the given number of uses.
func (g *registryOf) stopUnused(s *shared, uses int) {
	g.mu.Lock()
	stop := s.refs == 0 && s.uses == uses && g.all[s.key] == s
	if stop {
		delete(g.all, s.key)
	}
	g.mu.Unlock()
	if stop {
		s.stop()
	}
}

func newShared(set *settings) *shared {
	log := newLogger()
	s := &shared{
		set:      set,
		log:      log,
		state:    newState(log),
		live:     newLive(),
		fast:     newFast(),
		gateway:  newGateway(set),
		verdicts: newVerdicts(),
		passes:   newCache(cacheSize),
		tickets:  newCache(cacheSize),
		reach:    newReach(set),
		buffers:  newBuffers(),
		stalled:  stalledAfter,
		sockets:  make(chan *visit),
	}
	s.noting = set.logFields || set.statusPath != ""
	s.counts = s.state.counts
	s.control = newControl(s)
	s.activity = newActivity(s)
	s.exchange = newExchange(s)
	s.renewal = newRenewal(s)
	s.carrier = newCarrier(s)
	s.instances = newInstances(s.carrier)
	return s
}

func (s *shared) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	w := &watcher{gateway: s.gateway, state: s.state, live: s.live, fast: s.fast, log: s.log, prefix: s.set.prefix,
		// A replica that says good-bye gets no more requests, not even over a connection that is open.
		hubs: func() { s.control.transport.CloseIdleConnections() }}
	s.handing.Add(1)
	go startSockets(s)
	s.startClock(ctx)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for ctx.Err() == nil {
			s.guarded(ctx, w)
			pause(ctx, time.Second)
		}
	}()
	if s.activity.every > 0 {
		s.background("activity", func() { s.activity.run(ctx) })
	}
}

// guarded runs the watcher until it ends or panics. A panic in a goroutine of a plugin would end all of Traefik.
func (s *shared) guarded(ctx context.Context, w *watcher) {
	defer s.recovered("watcher")
	w.run(ctx)
}

// background runs f in a goroutine that cannot end the process.
func (s *shared) background(name string, f func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		defer s.recovered(name)
		f()
	}()
}

// recovered is deferred in every goroutine.
func (s *shared) recovered(name string) {
	if r := recover(); r != nil {
		s.counts.add(panics, 1)
		s.log.printf("panic "+name, "%s panicked: %v", name, r)
	}
}

// stop ends the watcher and whatever is still open: nobody would tell these connections of a revocation any more.
// It returns when every goroutine has ended.
func (s *shared) stop() {
	s.live.close()
	s.state.holds.end()
	s.cancel()
	s.wg.Wait()
	close(s.sockets) // nobody who has joined is left to send
	s.handing.Wait()
	s.gateway.close()
	s.carrier.CloseIdleConnections()
	s.control.transport.CloseIdleConnections()
}
