package spawn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// stopMargin is what a spawner may take to end an instance beyond the grace that the instance has.
const stopMargin = 10 * time.Second

// Stop asks for the end of a server. Its route is gone when Stop returns; Await tells when the instance is. A start in
// progress is cancelled. Stopping a server that is stopped or stopping changes nothing.
func (m *Manager) Stop(ctx context.Context, user hub.UserName, name hub.ServerName) (hub.Server, error) {
	return m.end(ctx, user, name, false)
}

// end stops a server, and marks it if it shall be removed then.
func (m *Manager) end(ctx context.Context, user hub.UserName, name hub.ServerName, remove bool) (hub.Server, error) {
	claimed := false
	s, err := m.update(ctx, serverID(user, name), func(s *hub.Server) ([]store.Op, error) {
		claimed = false
		marked := remove && !s.Remove
		s.Remove = s.Remove || remove
		switch s.State {
		case hub.Starting:
			s.Events = append(s.Events, hub.Event{Progress: 100, Failed: true, Message: "Spawn cancelled"})
		case hub.Running:
		case hub.Stopped, hub.Stopping:
			if marked {
				return nil, nil
			}
			return nil, store.ErrUnchanged
		}
		s.State, s.Owner = hub.Stopping, m.opts.Replica
		claimed = true
		return []store.Op{store.Delete(m.routeKey(s)), store.Delete(m.startingKey(s))}, nil
	})
	if hub.KindOf(err) == hub.NotFound {
		return hub.Server{User: user, Name: name, State: hub.Stopped}, nil
	}
	if err == nil && claimed {
		m.interrupt(ctx, serverID(user, name))
		m.submit(ctx, m.stopJob(s))
	}
	return s, err
}

func (m *Manager) stopJob(s hub.Server) job {
	id := serverID(s.User, s.Name)
	return job{id: id, do: func(ctx context.Context) { m.runStop(ctx, s) }}
}

// runStop takes a stopping server to stopped. If the spawner cannot say that the instance is gone, the record stays as it is
// and the reconciler tries again: "unknown" is not "gone". So it is with the token.
func (m *Manager) runStop(ctx context.Context, s hub.Server) {
	log := m.log.With("user", s.User, "server", s.Name, "gen", s.Gen)
	limited, cancel := context.WithTimeout(ctx, m.opts.StopGrace+stopMargin)
	defer cancel()
	began := time.Now()
	err := m.opts.Spawner.Stop(limited, m.instanceName(&s), s.Gen, s.Instance, m.opts.StopGrace)
	m.opts.Metrics.Stopped(err == nil, time.Since(began))
	if err != nil {
		log.Warn("cannot stop the instance yet", "err", err)
		return
	}
	if !m.dropToken(s.UserID, s.TokenID) {
		return
	}
	err = m.change(ctx, &s, func(s *hub.Server) []store.Op {
		m.settle(s)
		s.LastActivity = time.Now().UTC()
		return nil
	})
	if err != nil && ctx.Err() == nil {
		log.Warn("cannot record a stop yet", "err", err)
	}
	if err != nil {
		return
	}
	log.Info("server is stopped")
	if s.Remove {
		m.finish(ctx, s)
	}
}

// Forget removes the records of a user's servers, which must be stopped, with what is shared of them.
func (m *Manager) Forget(ctx context.Context, user hub.UserName) error {
	records, err := m.servers.All(ctx, store.ID(string(user))+"/")
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.Value.Active() {
			return hub.Errorf(hub.Invalid, "%s's server is in the process of stopping, please wait.", user)
		}
		if err := m.sharing.End(ctx, hub.User{Name: user, ID: r.Value.UserID}, &r.Value.Name); err != nil {
			return err
		}
		if err := m.servers.Delete(ctx, r.ID, r.Revision); err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return nil
}

// StopAll stops every server of the hub and waits for it, as far as it can, for a hub whose operator wants its servers to end with it.
func (m *Manager) StopAll(ctx context.Context) error {
	var active []hub.Server
	err := m.All(ctx, func(s hub.Server) bool {
		if s.Active() {
			active = append(active, s)
		}
		return true
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range active {
		_, err := m.Stop(ctx, s.User, s.Name)
		errs = append(errs, err)
	}
	for _, s := range active {
		last, err := m.Await(ctx, s.User, s.Name, m.opts.StopGrace+5*time.Second, func(s hub.Server) bool { return !s.Active() })
		if err == nil && last.Active() {
			err = fmt.Errorf("server %s is still %s", s.FullName(), last.State)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
