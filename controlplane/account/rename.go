package account

import (
	"context"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// rename gives a user another name, in the transaction of the change: API tokens, the records of stopped servers and the shares go
// with the user, whose id stays. Sessions end, because their records have the old name. All servers must be stopped: programs,
// addresses and home directories have the name in them.
func (a *Accounts) rename(ctx context.Context, tx *store.Txn, u *hub.User, to hub.UserName) error {
	if to == u.Name {
		return nil
	}
	if len(u.Servers) > 0 {
		return hub.Errorf(hub.Invalid, "%s has a server that is not stopped. Stop it before changing the name.", u.Name)
	}
	if _, taken, err := a.users.Read(tx, store.ID(string(to))); err != nil {
		return err
	} else if taken {
		return hub.Errorf(hub.Invalid, "User %s already exists, username must be unique", to)
	}
	servers, err := a.servers.IDs(ctx, below(u.Name))
	if err != nil {
		return err
	}
	tokens, err := a.tokens.Rename(ctx, tx, u.ID, to)
	if err != nil {
		return err
	}
	shares, err := a.renameShares(ctx, tx, *u, to)
	if err != nil {
		return err
	}
	if 12+2*len(u.Groups)+len(u.Roles)+2*len(servers)+tokens+shares > store.MaxOps {
		return hub.Errorf(hub.Invalid, "%s has too many API tokens, groups, servers and shares to change the name, which is done in one step: "+
			"delete API tokens, servers, shares and share codes that are not needed.", u.Name)
	}
	for _, id := range servers {
		if err := a.moveServer(tx, id, to); err != nil {
			return err
		}
	}
	for role, id := range u.Roles {
		tx.Do(store.Put(a.holderKey(role, *u), hub.RoleHolder{Schema: hub.Schema, Role: id, User: to}))
	}
	u.Name = to
	return nil
}

// renameShares writes a user's new name into what the user shares, and into what is shared with the user.
func (a *Accounts) renameShares(ctx context.Context, tx *store.Txn, u hub.User, to hub.UserName) (int, error) {
	own, err := a.Move(ctx, tx, u, nil, func(s SharedServer) SharedServer {
		return SharedServer{Owner: hub.User{Name: to, ID: u.ID}, Name: s.Name}
	})
	if err != nil || own > store.MaxOps {
		return own, err
	}
	theirs, err := a.renameWith(ctx, tx, u, to)
	return own + theirs, err
}

// below are the servers of a user.
func below(name hub.UserName) store.Range {
	id := store.ID(string(name))
	return store.Range{From: id + "/", To: id + "0"} // "0" comes after "/"
}

func (a *Accounts) moveServer(tx *store.Txn, id string, to hub.UserName) error {
	s, found, err := a.servers.Read(tx, id)
	if err != nil || !found {
		return err
	}
	s.User = to
	newID := store.ID(string(to), string(s.Name))
	if err := a.servers.Move(tx, id, newID); err != nil {
		return err
	}
	return a.servers.Write(tx, newID, s)
}
