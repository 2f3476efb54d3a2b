package spawn

import (
	"context"
	"slices"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// route is what edges need to serve a running server.
func (m *Manager) route(s *hub.Server, groups []string) routes.Route {
	return routes.Route{
		Schema: routes.Schema, Prefix: routes.UserPrefix(string(s.User), string(s.Name)), Target: s.Instance.URL, Auth: s.Instance.Auth,
		Secret: s.Secret, Owner: string(s.User), OwnerID: s.UserID, OwnerGroups: groups, Server: string(s.Name), Gen: s.Gen,
	}
}

// groupsOf are the groups of a server's owner. One who is gone has none.
func (m *Manager) groupsOf(ctx context.Context, s *hub.Server) ([]string, error) {
	r, err := m.users.Get(ctx, store.ID(string(s.User)))
	if hub.KindOf(err) == hub.NotFound || err == nil && r.Value.ID != s.UserID {
		return nil, nil
	}
	return r.Value.Groups, err
}

// recheckGroups is for a route that was just published with the groups of a moment before: a change of groups in between has not
// seen the route.
func (m *Manager) recheckGroups(ctx context.Context, s *hub.Server, published []string) {
	groups, err := m.groupsOf(ctx, s)
	if err != nil || !slices.Equal(groups, published) {
		err = m.regroup(ctx, s.User)
	}
	if err != nil {
		m.log.Warn("a route may not say the groups of its owner yet", "user", s.User, "server", s.Name, "err", err)
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

// regroup makes the routes of a user's servers say what groups the user has now.
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
			groups, err := m.groupsOf(ctx, s)
			return []store.Op{store.Put(m.routeKey(s), m.route(s, groups))}, err
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
		err := m.groups.Delete(ctx, r.ID, r.Revision)
		if kind := hub.KindOf(err); err != nil && kind != hub.NotFound && kind != hub.Conflict {
			return err
		}
	}
	return nil
}
