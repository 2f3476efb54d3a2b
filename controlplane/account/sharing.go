package account

import (
	"context"
	"slices"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Sharing has the shares and share codes of all servers. Package spawn takes care with it that they end with their server, or go
// where it goes.
type Sharing struct {
	store  *store.Store
	shares store.Table[hub.Share]
	// sharedWith has the shares once more, by who they are with.
	sharedWith store.Table[hub.Share]
	codes      store.Table[hub.ShareCode]
	codesOf    store.Table[serverCode]
	regroups   store.Table[hub.Regroup]
}

// NewSharing returns that of the servers in s.
func NewSharing(s *store.Store) Sharing {
	return Sharing{
		store:      s,
		shares:     store.NewTable[hub.Share](s, store.Shares, "share"),
		sharedWith: store.NewTable[hub.Share](s, store.SharedWith, "share"),
		codes:      store.NewTable[hub.ShareCode](s, store.ShareCodes, "share code"),
		codesOf:    store.NewTable[serverCode](s, store.ServerCodes, "share code"),
		regroups:   store.NewTable[hub.Regroup](s, store.Regroups, "change of groups"),
	}
}

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

// belowServers is what the identities of all that belongs to a user's servers, or to one of them, begin with.
func belowServers(owner hub.UserName, server *hub.ServerName) string {
	if server == nil {
		return store.ID(string(owner)) + "/"
	}
	return store.ID(string(owner), string(*server)) + "/"
}

// shareID is the identity of a share, copyID that of its copy.
func shareID(s SharedServer, w With) string { return s.key() + "/" + w.key() }
func copyID(s SharedServer, w With) string  { return w.key() + "/" + s.key() }

// regroup is the write that has the routes of the user's servers follow a change of groups or shares.
func (x Sharing) regroup(name hub.UserName) store.Op {
	return store.Put(x.regroups.Key(store.ID(string(name))), hub.Regroup{Schema: hub.Schema, User: name})
}

// write writes a share with its copy, and that the routes of the owner must follow.
func (x Sharing) write(tx *store.Txn, s SharedServer, w With, sh hub.Share) error {
	tx.Do(x.regroup(s.Owner.Name))
	if err := x.shares.Write(tx, shareID(s, w), sh); err != nil {
		return err
	}
	return x.sharedWith.Write(tx, copyID(s, w), sh)
}

// Unshare takes scopes from w, all of them if there are none. It returns the share that is left, or nil. It is NotFound if there
// is no share.
func (x Sharing) Unshare(ctx context.Context, s SharedServer, w With, scopes []string) (*hub.Share, error) {
	var left *hub.Share
	err := x.store.Transact(ctx, func(tx *store.Txn) error {
		left = nil
		sh, _, err := x.shares.Read(tx, shareID(s, w))
		if err != nil {
			return err
		}
		if sh.OwnerID != s.Owner.ID {
			return hub.Errorf(hub.NotFound, "No such share.")
		}
		sh.Scopes = slices.DeleteFunc(sh.Scopes, func(scope string) bool { return len(scopes) == 0 || slices.Contains(scopes, scope) })
		if len(sh.Scopes) == 0 {
			tx.Do(store.Delete(x.sharedWith.Key(copyID(s, w))), x.regroup(s.Owner.Name))
			return x.shares.Remove(tx, shareID(s, w))
		}
		left = &sh
		return x.write(tx, s, w, sh)
	})
	return left, err
}

// Shares lists the shares of a user's servers, or of one of them, in the order of keys.
func (x Sharing) Shares(ctx context.Context, owner hub.User, server *hub.ServerName) ([]hub.Share, error) {
	var all []hub.Share
	err := x.shares.List(ctx, belowServers(owner.Name, server), func(r store.Record[hub.Share]) bool {
		if r.Value.OwnerID == owner.ID {
			all = append(all, r.Value)
		}
		return true
	})
	return all, err
}

// End removes all shares and share codes of a server, or of all servers of a user.
func (x Sharing) End(ctx context.Context, owner hub.User, server *hub.ServerName) error {
	if err := x.UnshareAll(ctx, owner, server); err != nil {
		return err
	}
	return x.DeleteShareCodes(ctx, owner, server, func(c *hub.ShareCode) bool { return c.OwnerID == owner.ID })
}

// UnshareAll removes all shares of a server, or of all servers of a user.
func (x Sharing) UnshareAll(ctx context.Context, owner hub.User, server *hub.ServerName) error {
	shares, err := x.Shares(ctx, owner, server)
	if err != nil {
		return err
	}
	return x.unshareAll(ctx, shares)
}

func (x Sharing) unshareAll(ctx context.Context, shares []hub.Share) error {
	for _, sh := range shares {
		if _, err := x.Unshare(ctx, serverOf(&sh), withOf(&sh), nil); err != nil && hub.KindOf(err) != hub.NotFound {
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
