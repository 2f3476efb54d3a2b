package spawn

import (
	"context"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// reconcileEvery is how soon the exit of a server, and the death of a replica after its lease, are noticed.
const reconcileEvery = time.Second

// pollTimeout bounds one question to the spawner, so that one server that it cannot tell about holds up no other.
const pollTimeout = 5 * time.Second

// reconcileLoop compares what the records say with what there is, until ctx ends.
func (m *Manager) reconcileLoop(ctx context.Context) {
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	failing := false
	for {
		err := m.reconcile(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			m.log.Warn("cannot compare servers with their records, trying again every second", "err", err)
		}
		failing = err != nil
		if !m.idle(ctx, tick.C) {
			return
		}
	}
}

// idle waits for the next round, and does meanwhile what Regroup asks for. It reports false when ctx ends.
func (m *Manager) idle(ctx context.Context, next <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-next:
			return true
		case <-m.regroups:
			if err := m.regroupAll(ctx); err != nil {
				return true // the next round tries again, and says what is wrong
			}
		}
	}
}

func (m *Manager) reconcile(ctx context.Context) error {
	if err := m.regroupAll(ctx); err != nil {
		return err
	}
	// Records first, members second: a replica that wrote a record is a member at that time or dead.
	records, err := m.servers.All(ctx, "")
	if err != nil {
		return err
	}
	live, err := m.opts.Store.LiveMembers(ctx)
	if err != nil {
		return err
	}
	for _, r := range records {
		switch s := r.Value; s.State {
		case hub.Starting, hub.Stopping:
			if s.Owner == m.opts.Replica && !m.isBusy(r.ID) || s.Owner != m.opts.Replica && !live[s.Owner] {
				m.takeOver(ctx, s)
			}
		case hub.Running:
			m.check(ctx, s)
		case hub.Stopped:
			if s.Remove {
				m.finish(ctx, s)
			}
		}
	}
	return nil
}

// takeOver claims the unfinished work of a replica that is gone, or of this one, and goes on with it.
func (m *Manager) takeOver(ctx context.Context, s hub.Server) {
	err := m.change(ctx, &s, func(s *hub.Server) []store.Op {
		s.Owner = m.opts.Replica
		return nil
	})
	if err != nil {
		return // somebody else did, or etcd is away: the next round sees
	}
	m.log.Info("going on with unfinished work", "user", s.User, "server", s.Name, "state", s.State, "gen", s.Gen)
	if s.State == hub.Stopping {
		m.submit(ctx, m.stopJob(s))
		return
	}
	m.submit(ctx, m.startJob(s))
}

// check records the end of a running server whose instance is gone. Only the spawner's word counts.
func (m *Manager) check(ctx context.Context, s hub.Server) {
	status, err := m.poll(ctx, m.instanceName(&s), s.Instance)
	if err != nil || status.Running || !m.dropToken(s.UserID, s.TokenID) {
		return
	}
	err = m.change(ctx, &s, func(s *hub.Server) []store.Op {
		m.settle(s)
		s.Failure = "The server ended by itself: " + status.Reason
		// Only this one: the ready event of the start would send those who follow to a server that is gone.
		s.Events = []hub.Event{{Progress: 100, Failed: true, Message: s.Failure}}
		return []store.Op{store.Delete(m.routeKey(s))}
	})
	if err == nil {
		m.log.Warn("server ended by itself", "user", s.User, "server", s.Name, "reason", status.Reason)
	}
}

// poll asks the spawner about an instance. An error means unknown.
func (m *Manager) poll(ctx context.Context, name string, inst *hub.Instance) (hub.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	began := time.Now()
	status, err := m.opts.Spawner.Poll(ctx, name, inst)
	said := "stopped"
	if err != nil {
		said = "unknown"
	} else if status.Running {
		said = "running"
	}
	m.opts.Metrics.Polled(said, time.Since(began))
	return status, err
}
