package spawn

import (
	"context"
	"errors"
	"fmt"
	"html"
	"maps"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// Start asks for a server. It returns the record as soon as the intent is stored; Follow tells what becomes of it.
// options nil means those of the last start. Starting a server that is starting already changes nothing. A server that runs
// or is stopping gives an Invalid error with JupyterHub's words.
func (m *Manager) Start(ctx context.Context, u hub.User, name hub.ServerName, options map[string]any) (hub.Server, error) {
	return m.StartWith(ctx, u, name, Settings{Options: options})
}

// StartWith is Start for a server that gets settings first.
func (m *Manager) StartWith(ctx context.Context, u hub.User, name hub.ServerName, settings Settings) (hub.Server, error) {
	id := serverID(u.Name, name)
	claimed := false
	var s hub.Server
	err := m.opts.Store.Transact(ctx, func(tx *store.Txn) error {
		claimed = false
		var found bool
		var err error
		if s, found, err = m.servers.Read(tx, id); err != nil {
			return err
		}
		if !found {
			if s, err = m.newServer(ctx, u, name); err != nil {
				return err
			}
		}
		if s.Remove && !s.Active() {
			return hub.Errorf(hub.Invalid, "%s is being removed. Try again shortly.", displayName(&s))
		}
		switch s.State {
		case hub.Starting:
			return store.ErrUnchanged
		case hub.Running:
			return hub.Errorf(hub.Invalid, "%s is already running", displayName(&s))
		case hub.Stopping:
			return hub.Errorf(hub.Invalid, "%s is pending stop", displayName(&s))
		case hub.Stopped:
		}
		settings.apply(&s)
		m.begin(&s, u)
		claimed = true
		return m.write(tx, &s, m.announce(&s))
	})
	if err == nil && claimed {
		m.submit(ctx, m.startJob(s))
	}
	return s, err
}

// displayName is how JupyterHub names a server in messages.
func displayName(s *hub.Server) string {
	if s.Name == "" {
		return string(s.User)
	}
	return string(s.User) + ":" + string(s.Name)
}

// begin makes s the record of a new start that this replica owns.
func (m *Manager) begin(s *hub.Server, u hub.User) {
	now := time.Now().UTC()
	s.UserID, s.State, s.Gen, s.Owner = u.ID, hub.Starting, s.Gen+1, m.opts.Replica
	s.Instance, s.TokenID, s.Secret, s.Failure = nil, "", newSecret(), ""
	s.Events = []hub.Event{{Progress: 0, Message: "Server requested"}}
	s.Started, s.LastActivity = now, now
	s.Deadline = now.Add(m.opts.StartTimeout + m.opts.ReadyTimeout)
}

func (m *Manager) startJob(s hub.Server) job {
	id := serverID(s.User, s.Name)
	return job{id: id, do: func(ctx context.Context) { m.runStart(ctx, s) }}
}

// errLost says that the record went on without this worker: another generation, another owner or another state.
var errLost = errors.New("the server's record has changed")

// runStart takes a starting server to running, or to stopped with a reason.
func (m *Manager) runStart(ctx context.Context, s hub.Server) {
	log := m.log.With("user", s.User, "server", s.Name, "gen", s.Gen)
	if s.Failure != "" { // it failed already, and its worker died before it had cleaned up
		m.fail(ctx, s, s.Failure)
		return
	}
	deadline, cancel := context.WithDeadline(ctx, s.Deadline)
	defer cancel()
	err := m.bringUp(deadline, &s)
	took := time.Since(s.Started)
	switch {
	case err == nil:
		log.Info("server is running", "took", took.Round(time.Millisecond))
		m.opts.Metrics.Spawned("", took)
	case ctx.Err() != nil && !errors.Is(err, errLost):
		// This replica shuts down, or a stop interrupted us. The record says what shall be; whoever owns it next goes on.
		log.Info("start left to another worker")
		m.withdraw(&s)
	case errors.Is(err, errLost):
		log.Info("start was overtaken")
		m.withdraw(&s)
	default:
		log.Warn("start failed", "err", err)
		m.opts.Metrics.Spawned(whyFailed(err, deadline.Err() != nil), took)
		m.fail(ctx, s, startMessage(deadline, err))
	}
}

// startMessage is what the user is told of a failed start. Whatever broke off because the time was over is told as that.
func startMessage(ctx context.Context, err error) string {
	msg := hub.MessageOf(err)
	switch {
	case ctx.Err() != nil && (msg == "" || errors.Is(err, context.DeadlineExceeded)):
		return "The server did not become ready in time."
	case msg != "":
		return msg
	}
	return "The server could not be started. The hub's log says more."
}

// bringUp makes or adopts the instance of s, waits until it answers and publishes its route.
func (m *Manager) bringUp(ctx context.Context, s *hub.Server) error {
	name := m.instanceName(s)
	status, err := m.poll(ctx, name, s.Instance)
	if err != nil {
		return fmt.Errorf("look for an instance: %w", err)
	}
	switch live := status.Running && status.Gen == s.Gen; {
	case live && s.Instance != nil:
	case live:
		err = m.startInstance(ctx, s, name, nil) // a crash came between the instance and its record: adopt it
	default:
		err = m.makeInstance(ctx, s, name)
	}
	if err != nil {
		return err
	}
	if err := m.progress(ctx, s, hub.Event{Progress: 60, Message: "Waiting for the server to answer..."}); err != nil {
		return err
	}
	if err := m.awaitReady(ctx, s, name); err != nil {
		return err
	}
	return m.publish(ctx, s)
}

// makeInstance gives the server a token and has the spawner make its instance. A start that goes on after a crash gets a new
// token and generation, because the secret of the first one is known to nobody.
func (m *Manager) makeInstance(ctx context.Context, s *hub.Server, name string) error {
	oldToken := s.TokenID
	scopes, err := m.opts.TokenScopes(ctx)
	if err != nil {
		return fmt.Errorf("read the scopes of servers' tokens: %w", err)
	}
	// Not ctx: an issue that is broken off may have happened, and nobody would know the token's id.
	t, secret, err := m.opts.Tokens.Issue(context.WithoutCancel(ctx), hub.Token{
		User: s.User, UserID: s.UserID, Server: s.FullName(), Note: "Server at " + m.prefix(s), Scopes: scopes,
	})
	if err != nil {
		return err
	}
	err = m.change(ctx, s, func(s *hub.Server) []store.Op {
		again := s.TokenID != ""
		s.TokenID = t.ID
		s.Events = append(s.Events, hub.Event{Progress: 30, Message: "Spawning server..."})
		if !again {
			return nil
		}
		s.Gen++
		s.Secret = newSecret()
		return m.announce(s)
	})
	if err != nil {
		m.dropToken(s.UserID, t.ID)
		return err
	}
	m.dropToken(s.UserID, oldToken)
	return m.startInstance(ctx, s, name, m.environment(s, secret))
}

// startInstance has the spawner make or adopt the instance, and records it.
func (m *Manager) startInstance(ctx context.Context, s *hub.Server, name string, env map[string]string) error {
	inst, err := m.opts.Spawner.Start(ctx, hub.Spec{
		Name: name, Gen: s.Gen, User: s.User, Server: s.Name, Prefix: m.prefix(s),
		Secret: s.Secret, Env: env, Options: maps.Clone(s.Options),
	})
	if err != nil {
		return err
	}
	return m.change(ctx, s, func(s *hub.Server) []store.Op {
		s.Instance = &inst
		return nil
	})
}

// progress adds an event to the record, for everybody who follows the start.
func (m *Manager) progress(ctx context.Context, s *hub.Server, e hub.Event) error {
	return m.change(ctx, s, func(s *hub.Server) []store.Op {
		s.Events = append(s.Events, e)
		return nil
	})
}

// publish makes the server running and its route visible to edges, in one transaction.
func (m *Manager) publish(ctx context.Context, s *hub.Server) error {
	prefix := routes.UserPrefix(string(s.User), string(s.Name))
	address := m.prefix(s)
	if m.opts.Hosts != nil {
		address = m.opts.Hosts.Address(prefix)
	}
	v, err := m.visitorsOf(ctx, s)
	if err != nil {
		return err
	}
	err = m.change(ctx, s, func(s *hub.Server) []store.Op {
		s.State, s.Owner, s.Deadline = hub.Running, "", time.Time{}
		s.LastActivity = time.Now().UTC()
		s.Events = append(s.Events, hub.Event{Progress: 100, Ready: true, URL: address, Message: "Server ready at " + address,
			HTMLMessage: fmt.Sprintf("Server ready at <a href=\"%[1]s\">%[1]s</a>", html.EscapeString(address))})
		return []store.Op{store.Delete(m.startingKey(s)), store.Put(m.routeKey(s), m.route(s, v)), m.recheckLater(s)}
	})
	if err == nil {
		m.recheckVisitors(ctx, s, v)
	}
	return err
}

// change updates the record of a server on behalf of its worker, and s with it. It is errLost if the record has another
// user or server of the name, generation, owner or state by now.
func (m *Manager) change(ctx context.Context, s *hub.Server, apply func(*hub.Server) []store.Op) error {
	was := *s
	now, err := m.update(ctx, serverID(s.User, s.Name), func(cur *hub.Server) ([]store.Op, error) {
		if cur.UserID != was.UserID || cur.ID != was.ID || cur.Gen != was.Gen || cur.Owner != was.Owner || cur.State != was.State {
			return nil, errLost
		}
		return apply(cur), nil
	})
	if err == nil {
		*s = now
	}
	if hub.KindOf(err) == hub.NotFound {
		err = errLost
	}
	return err
}

// fail ends a start: the instance goes, the record keeps the reason. The reason is stored first. That shows that the start
// is still ours, so that a late owner never removes an instance that another worker adopted, and whoever goes on after us
// ends the start too. If the instance cannot be removed now, the reconciler tries again.
func (m *Manager) fail(ctx context.Context, s hub.Server, reason string) {
	log := m.log.With("user", s.User, "server", s.Name, "gen", s.Gen)
	if s.Failure == "" {
		err := m.change(ctx, &s, func(s *hub.Server) []store.Op {
			s.Failure = reason
			return []store.Op{store.Delete(m.startingKey(s))} // nobody waits for the cleaning up
		})
		if errors.Is(err, errLost) {
			m.withdraw(&s)
			return
		}
		if err != nil {
			log.Warn("cannot record a failed start, another worker will", "err", err)
			return
		}
	}
	if err := m.cleanUp(&s); err != nil {
		log.Warn("cannot remove the instance of a failed start yet", "err", err)
		return
	}
	if !m.dropToken(s.UserID, s.TokenID) {
		return // the reconciler tries again
	}
	err := m.change(ctx, &s, func(s *hub.Server) []store.Op {
		m.settle(s)
		s.Events = append(s.Events, hub.Event{Progress: 100, Failed: true, Message: "Spawn failed: " + reason})
		return nil
	})
	if err != nil {
		log.Warn("cannot record a failed start, another worker will", "err", err)
	}
}

// settle makes s the record of a server that is not there.
func (m *Manager) settle(s *hub.Server) {
	s.State, s.Owner, s.Instance, s.TokenID, s.Secret = hub.Stopped, "", nil, "", ""
	s.Started, s.Deadline = time.Time{}, time.Time{}
}

// cleanUp removes the instance of s's generation. It has its own time, because the worker's context may be what ended.
func (m *Manager) cleanUp(s *hub.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), m.opts.StopGrace+stopMargin)
	defer cancel()
	return m.opts.Spawner.Stop(ctx, m.instanceName(s), s.Gen, s.Instance, m.opts.StopGrace)
}

// withdraw removes what a worker made that does not go on, unless the record says that another worker has it or will see to
// it: a record that is past this generation or stopped never comes back to it, so nobody else would.
func (m *Manager) withdraw(s *hub.Server) {
	log := m.log.With("user", s.User, "server", s.Name, "gen", s.Gen)
	ctx, cancel := context.WithTimeout(context.Background(), stopMargin)
	defer cancel()
	cur, err := m.Get(ctx, s.User, s.Name)
	if err == nil && cur.Gen == s.Gen && cur.UserID == s.UserID && cur.ID == s.ID {
		switch {
		case cur.State == hub.Starting, cur.State == hub.Running:
			return
		case cur.State == hub.Stopping && cur.Owner == m.opts.Replica:
			return // our stop comes after us; one of another replica may have looked before there was anything
		}
	}
	if err == nil {
		err = m.cleanUp(s)
	}
	if err != nil {
		log.Warn("cannot remove an instance that may be left over", "err", err)
	}
}

// dropToken ends the API token of an instance that is gone, and reports whether it is gone, too. The record must not forget it
// before that: it would be good for ever.
func (m *Manager) dropToken(userID, id string) bool {
	if id == "" {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := m.opts.Tokens.Delete(ctx, userID, id)
	gone := err == nil || hub.KindOf(err) == hub.NotFound
	if !gone {
		m.log.Warn("cannot delete a server's token", "token", id, "err", err)
	}
	return gone
}
