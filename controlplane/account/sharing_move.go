package account

import (
	"context"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Move takes the shares and share codes of a user's servers, or of one of them, along to where the servers go, in a transaction
// of which it says how much room they take. If that is more than there is, it has done nothing.
func (x Sharing) Move(ctx context.Context, tx *store.Txn, owner hub.User, server *hub.ServerName, to func(SharedServer) SharedServer) (int, error) {
	// Whoever shares writes this, so that nothing is shared behind the transaction's back.
	if _, _, err := x.regroups.Read(tx, store.ID(string(owner.Name))); err != nil {
		return 0, err
	}
	shares, err := x.Shares(ctx, owner, server)
	if err != nil {
		return 0, err
	}
	entries, codes, err := x.codesBelow(ctx, owner.Name, server)
	if err != nil {
		return 0, err
	}
	room := 4*len(shares) + 3*len(entries)
	if room > store.MaxOps {
		return room, nil
	}
	for _, sh := range shares {
		if err := x.moveShare(tx, sh, to(serverOf(&sh))); err != nil {
			return 0, err
		}
	}
	for _, e := range entries {
		if c, ok := codes[e.Value.Hash]; ok {
			if err := x.moveCode(tx, e, c.Value, to(SharedServer{Owner: hub.User{Name: c.Value.Owner, ID: c.Value.OwnerID}, Name: c.Value.Server})); err != nil {
				return 0, err
			}
		}
	}
	return room, nil
}

func (x Sharing) moveShare(tx *store.Txn, sh hub.Share, to SharedServer) error {
	from, w := serverOf(&sh), withOf(&sh)
	if err := x.shares.Move(tx, shareID(from, w), shareID(to, w)); err != nil {
		return err
	}
	if err := x.sharedWith.Move(tx, copyID(from, w), copyID(to, w)); err != nil {
		return err
	}
	sh.Owner, sh.Server, sh.Scopes = to.Owner.Name, to.Name, movedScopes(sh.Scopes, from, to)
	if err := x.shares.Write(tx, shareID(to, w), sh); err != nil {
		return err
	}
	return x.sharedWith.Write(tx, copyID(to, w), sh)
}

func (x Sharing) moveCode(tx *store.Txn, e store.Record[serverCode], c hub.ShareCode, to SharedServer) error {
	from := SharedServer{Owner: hub.User{Name: c.Owner, ID: c.OwnerID}, Name: c.Server}
	if err := x.codesOf.Move(tx, e.ID, codeID(to, &c)); err != nil {
		return err
	}
	c.Owner, c.Server, c.Scopes = to.Owner.Name, to.Name, movedScopes(c.Scopes, from, to)
	return x.codes.Write(tx, e.Value.Hash, c)
}

// movedScopes are scopes about one server as they are about another.
func movedScopes(scopes []string, from, to SharedServer) []string {
	moved := make([]string, len(scopes))
	for i, scope := range scopes {
		moved[i] = strings.TrimSuffix(scope, "!server="+from.FullName())
		if moved[i] != scope {
			moved[i] += "!server=" + to.FullName()
		}
	}
	return moved
}

// renameWith writes the new name of a user, whose id stays, into what is shared with the user, in a transaction of which it says
// how much room that takes.
func (x Sharing) renameWith(ctx context.Context, tx *store.Txn, u hub.User, to hub.UserName) (int, error) {
	all, err := x.sharedWith.All(ctx, With{User: &u}.key()+"/")
	if err != nil || 2*len(all) > store.MaxOps {
		return 2 * len(all), err
	}
	for _, r := range all {
		s, w := serverOf(&r.Value), withOf(&r.Value)
		sh, found, err := x.shares.Read(tx, shareID(s, w))
		if err != nil {
			return 0, err
		}
		if sh.User = to; !found || sh.OwnerID != s.Owner.ID {
			continue
		}
		if err := x.shares.Write(tx, shareID(s, w), sh); err != nil {
			return 0, err
		}
		if err := x.sharedWith.Write(tx, copyID(s, w), sh); err != nil {
			return 0, err
		}
	}
	return 2 * len(all), nil
}
