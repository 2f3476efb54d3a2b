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

// Share lets w have scopes on a server, besides what w has of it by now. It is NotFound if the server is gone, or goes. The caller
// brings the routes of the owner's servers up to date.
func (a *Accounts) Share(ctx context.Context, s SharedServer, w With, scopes []string) (hub.Share, error) {
	err := a.beginShares(ctx)
	if err == nil {
		err = a.roomForShare(ctx, s, w)
	}
	if err != nil {
		return hub.Share{}, err
	}
	var sh hub.Share
	err = a.store.Transact(ctx, func(tx *store.Txn) error {
		if err := a.there(tx, s); err != nil {
			return err
		}
		if sh, _, err = a.shares.Read(tx, shareID(s, w)); err != nil {
			return err
		}
		if sh.OwnerID != s.Owner.ID { // there is none, or of a user who had the name before
			sh = newShare(s, w)
		}
		sh.Scopes = tidy(slices.Concat(sh.Scopes, scopes))
		return a.write(tx, s, w, sh)
	})
	return sh, err
}

func newShare(s SharedServer, w With) hub.Share {
	sh := hub.Share{Schema: hub.Schema, Owner: s.Owner.Name, OwnerID: s.Owner.ID, Server: s.Name, Group: w.Group, Created: time.Now().UTC()}
	if w.User != nil {
		sh.User, sh.UserID = w.User.Name, w.User.ID
	}
	return sh
}

// roomForShare refuses a new share of a server that has very many.
func (a *Accounts) roomForShare(ctx context.Context, s SharedServer, w With) error {
	all, err := a.Shares(ctx, s.Owner, &s.Name)
	known := slices.ContainsFunc(all, func(sh hub.Share) bool { return withOf(&sh).key() == w.key() })
	if err == nil && !known && len(all) >= maxShares {
		err = hub.Errorf(hub.Invalid, "A server can be shared with %d users and groups at most. Put people into a group.", maxShares)
	}
	return err
}

// there refuses to share, in the transaction of the share, a server that is gone or goes. A default server is there as long as
// its user is.
func (a *Accounts) there(tx *store.Txn, s SharedServer) error {
	gone := hub.Errorf(hub.NotFound, "No such server: %s", s.FullName())
	u, _, err := a.users.Read(tx, store.ID(string(s.Owner.Name)))
	if err != nil {
		return err
	}
	if u.ID != s.Owner.ID {
		return gone
	}
	rec, _, err := a.servers.Read(tx, s.key())
	if err == nil && s.Name != "" && (rec.UserID != s.Owner.ID || rec.Remove) {
		err = gone
	}
	return err
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
	theirs, err := a.SharedWith(ctx, With{User: &u})
	if err == nil {
		err = a.unshareAll(ctx, theirs)
	}
	if err != nil {
		return err
	}
	return a.End(ctx, u, nil)
}

// dropGroupShares removes what is shared with a group that is to be deleted: a later one of its name is another group.
func (a *Accounts) dropGroupShares(ctx context.Context, group string) error {
	shares, err := a.SharedWith(ctx, With{Group: group})
	if err != nil {
		return err
	}
	return a.unshareAll(ctx, shares)
}
