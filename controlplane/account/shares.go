package account

import (
	"context"
	"slices"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// maxShares bounds with how many users and groups one server is shared: its route names them all.
const maxShares = 500

// SharedServer is the server of a share.
type SharedServer struct {
	Owner hub.User
	Name  hub.ServerName
}

// FullName is JupyterHub's name of the server: "alice/".
func (s SharedServer) FullName() string { return string(s.Owner.Name) + "/" + string(s.Name) }

// With is who a server is shared with: a user, or a group.
type With struct {
	User  *hub.User
	Group string
}

func (w With) key() string {
	if w.User != nil {
		return store.ID("user", w.User.ID)
	}
	return store.ID("group", w.Group)
}

func (s SharedServer) key() string { return store.ID(string(s.Owner.Name), string(s.Name)) }

// ShareScopes are the scopes of a share as they are stored. Without any it is access to the server. A scope without a filter
// gets that of the server; one with another filter is Invalid.
func (a *Accounts) ShareScopes(s SharedServer, raw []string) ([]string, error) {
	if len(raw) == 0 {
		raw = []string{routes.ScopeAccess}
	}
	scopes := make([]string, 0, len(raw))
	for _, scope := range raw {
		p, err := access.Parse(scope)
		if err != nil {
			return nil, hub.WithCause(hub.Errorf(hub.Invalid, "The scope '%s' cannot be shared: it is none.", hub.Clip(scope)), err)
		}
		if p.FilterKind == "" || p.FilterKind == access.FilterServer && p.FilterValue == "" {
			p.FilterKind, p.FilterValue = access.FilterServer, s.FullName()
		}
		if p.FilterKind != access.FilterServer || p.FilterValue != s.FullName() {
			return nil, hub.Errorf(hub.Invalid, "The scope '%s' cannot be shared: it must be about the server %s.", hub.Clip(scope), s.FullName())
		}
		if !shareable[p.Name] {
			return nil, hub.Errorf(hub.Invalid, "The scope '%s' cannot be shared: use access:servers, servers, read:servers, start:servers or delete:servers.", hub.Clip(p.Name))
		}
		scopes = append(scopes, p.String())
	}
	return tidy(scopes), nil
}

// shareable are the scopes about one server that an owner can give away. Those of administrators are not among them, and neither
// is shares, whose holders could share on.
var shareable = map[string]bool{"access:servers": true, "servers": true, "read:servers": true, "start:servers": true, "delete:servers": true}

// Share lets w have scopes on a server, besides what w has of it by now. The caller brings the routes of the owner's servers up
// to date.
func (a *Accounts) Share(ctx context.Context, s SharedServer, w With, scopes []string) (hub.Share, error) {
	if err := a.beginShares(ctx); err != nil {
		return hub.Share{}, err
	}
	id := s.key() + "/" + w.key()
	for {
		r, err := a.shares.Update(ctx, id, func(sh *hub.Share) ([]store.Op, error) {
			if sh.OwnerID != s.Owner.ID { // of a user who had the name before
				sh.OwnerID, sh.Scopes, sh.Created = s.Owner.ID, nil, time.Now().UTC()
			}
			sh.Scopes = tidy(slices.Concat(sh.Scopes, scopes))
			return a.shareOps(s, w, sh), nil
		})
		if hub.KindOf(err) != hub.NotFound {
			return r.Value, err
		}
		others, err := a.Shares(ctx, s.Owner, &s.Name)
		if err == nil && len(others) >= maxShares {
			err = hub.Errorf(hub.Invalid, "A server can be shared with %d users and groups at most. Put people into a group.", maxShares)
		}
		if err != nil {
			return hub.Share{}, err
		}
		sh := hub.Share{Schema: hub.Schema, Owner: s.Owner.Name, OwnerID: s.Owner.ID, Server: s.Name, Group: w.Group, Scopes: scopes, Created: time.Now().UTC()}
		if w.User != nil {
			sh.User, sh.UserID = w.User.Name, w.User.ID
		}
		if err := a.shares.Create(ctx, id, sh, a.shareOps(s, w, &sh)...); hub.KindOf(err) != hub.Conflict {
			return sh, err
		}
	}
}

// beginShares notes, before the first share of the hub, that there are some.
func (a *Accounts) beginShares(ctx context.Context) error {
	b, err := a.readBook(ctx)
	if err != nil || b.shares {
		return err
	}
	err = a.changes.Create(ctx, changesID, hub.RoleChanges{Schema: hub.Schema, Shares: true})
	if hub.KindOf(err) != hub.Conflict {
		return err
	}
	_, err = a.changes.Update(ctx, changesID, func(c *hub.RoleChanges) ([]store.Op, error) {
		c.Shares = true
		return nil, nil
	})
	return err
}

// shareOps are the writes that go with that of a share: its copy, and that the routes of the owner must follow.
func (a *Accounts) shareOps(s SharedServer, w With, sh *hub.Share) []store.Op {
	return []store.Op{store.Put(a.sharedWith.Key(w.key()+"/"+s.key()), *sh), a.regroup(s.Owner.Name)}
}

// Unshare takes scopes from w, all of them if there are none. It returns the share that is left, or nil. It is NotFound if there
// is no share.
func (a *Accounts) Unshare(ctx context.Context, s SharedServer, w With, scopes []string) (*hub.Share, error) {
	id := s.key() + "/" + w.key()
	for {
		r, err := a.shares.Get(ctx, id)
		if err != nil || r.Value.OwnerID != s.Owner.ID {
			return nil, noShare(err)
		}
		left := slices.DeleteFunc(slices.Clone(r.Value.Scopes), func(scope string) bool { return len(scopes) == 0 || slices.Contains(scopes, scope) })
		if len(left) > 0 {
			r, err := a.shares.Update(ctx, id, func(sh *hub.Share) ([]store.Op, error) {
				sh.Scopes = slices.DeleteFunc(sh.Scopes, func(scope string) bool { return slices.Contains(scopes, scope) })
				return a.shareOps(s, w, sh), nil
			})
			return &r.Value, err
		}
		err = a.shares.Delete(ctx, id, r.Revision, store.Delete(a.sharedWith.Key(w.key()+"/"+s.key())), a.regroup(s.Owner.Name))
		if hub.KindOf(err) != hub.Conflict {
			return nil, err
		}
	}
}

func noShare(err error) error {
	if err == nil || hub.KindOf(err) == hub.NotFound {
		return hub.Errorf(hub.NotFound, "No such share.")
	}
	return err
}

// Shares lists the shares of a user's servers, or of one of them, in the order of keys.
func (a *Accounts) Shares(ctx context.Context, owner hub.User, server *hub.ServerName) ([]hub.Share, error) {
	prefix := store.ID(string(owner.Name)) + "/"
	if server != nil {
		prefix = store.ID(string(owner.Name), string(*server)) + "/"
	}
	var all []hub.Share
	err := a.shares.List(ctx, prefix, func(r store.Record[hub.Share]) bool {
		if r.Value.OwnerID == owner.ID {
			all = append(all, r.Value)
		}
		return true
	})
	return all, err
}

// SharedWith lists what is shared with w itself, or with one of these groups, in the order of keys. Shares of users who are gone
// are not among them.
func (a *Accounts) SharedWith(ctx context.Context, w With, groups ...string) ([]hub.Share, error) {
	prefixes := []string{w.key() + "/"}
	for _, g := range groups {
		prefixes = append(prefixes, With{Group: g}.key()+"/")
	}
	var all []hub.Share
	err := a.sharedWith.EachBelow(ctx, prefixes, func(r store.Record[hub.Share]) { all = append(all, r.Value) })
	if err != nil {
		return nil, err
	}
	return a.living(ctx, all)
}

// living leaves out the shares of those who are gone, or whose name is somebody else's by now.
func (a *Accounts) living(ctx context.Context, all []hub.Share) ([]hub.Share, error) {
	if len(all) == 0 {
		return nil, nil
	}
	var ids []string
	for _, sh := range all {
		ids = append(ids, store.ID(string(sh.Owner)))
	}
	slices.Sort(ids)
	owners, err := a.users.GetMany(ctx, slices.Compact(ids))
	return slices.DeleteFunc(all, func(sh hub.Share) bool { return owners[store.ID(string(sh.Owner))].Value.ID != sh.OwnerID }), err
}

// shareScopes are the raw scopes that shares give a user, of the user's own and of all groups: "access:servers!server=bob/".
// Tokens have them too.
func (a *Accounts) shareScopes(ctx context.Context, b *book, u hub.User) ([]string, error) {
	if !b.shares {
		return nil, nil // nobody has ever shared anything: not worth a read for each request
	}
	all, err := a.SharedWith(ctx, With{User: &u}, u.Groups...)
	var scopes []string
	for _, sh := range all {
		scopes = append(scopes, sh.Scopes...)
	}
	return tidy(scopes), err
}

// dropShares removes what a user who is to be deleted shares, and what is shared with the user.
func (a *Accounts) dropShares(ctx context.Context, u hub.User) error {
	own, err := a.Shares(ctx, u, nil)
	if err != nil {
		return err
	}
	theirs, err := a.SharedWith(ctx, With{User: &u})
	if err != nil {
		return err
	}
	for _, sh := range slices.Concat(own, theirs) {
		if _, err := a.Unshare(ctx, serverOf(&sh), withOf(&sh), nil); err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return a.DeleteShareCodes(ctx, u, nil, func(*hub.ShareCode) bool { return true })
}

// dropGroupShares removes what is shared with a group that is to be deleted: a later one of its name is another group.
func (a *Accounts) dropGroupShares(ctx context.Context, group string) error {
	shares, err := a.SharedWith(ctx, With{Group: group})
	if err != nil {
		return err
	}
	for _, sh := range shares {
		if _, err := a.Unshare(ctx, serverOf(&sh), withOf(&sh), nil); err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return nil
}

func serverOf(sh *hub.Share) SharedServer {
	return SharedServer{Owner: hub.User{Name: sh.Owner, ID: sh.OwnerID}, Name: sh.Server}
}

func withOf(sh *hub.Share) With {
	if sh.Group != "" {
		return With{Group: sh.Group}
	}
	return With{User: &hub.User{Name: sh.User, ID: sh.UserID}}
}
