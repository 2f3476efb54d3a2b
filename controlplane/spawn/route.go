package spawn

import (
	"context"
	"reflect"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// visitors are who may visit a server besides its owner.
type visitors struct{ ownerGroups, users, groups []string }

// route is what edges need to serve a running server.
func (m *Manager) route(s *hub.Server, v visitors) routes.Route {
	return routes.Route{
		Schema: routes.Schema, Prefix: routes.UserPrefix(string(s.User), string(s.Name)), Target: s.Instance.URL, Auth: s.Instance.Auth,
		Secret: s.Secret, Owner: string(s.User), OwnerID: s.UserID, OwnerGroups: v.ownerGroups, Server: string(s.Name), Gen: s.Gen,
		Users: v.users, Groups: v.groups,
	}
}

// visitorsOf are the groups of a server's owner, and with whom it is shared. One who is gone has none, and shares nothing.
func (m *Manager) visitorsOf(ctx context.Context, s *hub.Server) (visitors, error) {
	r, err := m.users.Get(ctx, store.ID(string(s.User)))
	if hub.KindOf(err) == hub.NotFound || err == nil && r.Value.ID != s.UserID {
		return visitors{}, nil
	}
	if err != nil {
		return visitors{}, err
	}
	v := visitors{ownerGroups: r.Value.Groups}
	var shares []hub.Share
	err = m.shares.List(ctx, serverID(s.User, s.Name)+"/", func(r store.Record[hub.Share]) bool {
		shares = append(shares, r.Value)
		return true
	})
	v.users, v.groups = hub.Admits(shares, s.UserID)
	return v, err
}

// recheckLater is the write that has any replica look at the visitors of a server again, in the transaction that publishes its
// route: who wrote the route may not live to do it.
func (m *Manager) recheckLater(s *hub.Server) store.Op {
	return store.Put(m.groups.Key(serverID(s.User, s.Name)), hub.Regroup{Schema: hub.Schema, User: s.User})
}

// recheckVisitors is for a route that was just published with the visitors of a moment before: a change in between has not seen
// the route. What it does not get done any replica does a second later.
func (m *Manager) recheckVisitors(ctx context.Context, s *hub.Server, published visitors) {
	left, err := m.groups.Get(ctx, serverID(s.User, s.Name))
	if hub.KindOf(err) == hub.NotFound {
		return // another replica was faster
	}
	var v visitors
	if err == nil {
		v, err = m.visitorsOf(ctx, s)
	}
	if err == nil && !reflect.DeepEqual(v, published) {
		err = m.regroup(ctx, s.User)
	}
	if err == nil {
		err = m.done(ctx, left)
	}
	if err != nil && ctx.Err() == nil {
		m.log.Warn("a route may not say who may visit yet", "user", s.User, "server", s.Name, "err", err)
	}
}

// Reshare has the routes of a user's servers follow what has just changed of their shares, before it returns: who ended a share
// can be sure of it. What it cannot do any replica does a second later.
func (m *Manager) Reshare(ctx context.Context, user hub.UserName) {
	if err := m.regroup(ctx, user); err != nil {
		m.log.Warn("a change of shares has not reached all routes yet", "user", user, "err", err)
	}
}

// Regroup has the routes of users' servers follow what has just changed of groups, in the background. What this replica does not
// get done any replica does a second later.
func (m *Manager) Regroup() {
	select {
	case m.regroups <- struct{}{}:
	default: // it will be done already
	}
}

// regroup makes the routes of a user's servers say what groups the user has now, and with whom they are shared.
func (m *Manager) regroup(ctx context.Context, user hub.UserName) error {
	servers, err := m.servers.All(ctx, store.ID(string(user))+"/")
	if err != nil {
		return err
	}
	for _, r := range servers {
		_, err := m.servers.Update(ctx, r.ID, func(s *hub.Server) ([]store.Op, error) {
			if s.State != hub.Running {
				return nil, store.ErrUnchanged
			}
			v, err := m.visitorsOf(ctx, s)
			return []store.Op{store.Put(m.routeKey(s), m.route(s, v))}, err
		})
		if err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return nil
}

// regroupAll does what records say that is left to do. A record that was renewed meanwhile stays for the next time.
func (m *Manager) regroupAll(ctx context.Context) error {
	left, err := m.groups.All(ctx, "")
	if err != nil {
		return err
	}
	for _, r := range left {
		if err := m.regroup(ctx, r.Value.User); err != nil {
			return err
		}
		if err := m.done(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// done removes the record of what was left to do, unless it was renewed meanwhile.
func (m *Manager) done(ctx context.Context, r store.Record[hub.Regroup]) error {
	err := m.groups.Delete(ctx, r.ID, r.Revision)
	if kind := hub.KindOf(err); kind == hub.NotFound || kind == hub.Conflict {
		return nil
	}
	return err
}
