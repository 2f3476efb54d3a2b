package account

import (
	"context"
	"log/slog"
	"slices"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Complete adds the users of a release without the index to it, once for a hub: in the order of their creation, with their
// groups and the states of their servers. Several replicas may do so at once, and one that is interrupted is no harm.
func (a *Accounts) Complete(ctx context.Context, log *slog.Logger) error {
	r, err := a.index.numbers.Get(ctx, "last")
	if err == nil && r.Value.Complete {
		return nil
	}
	if err != nil && hub.KindOf(err) != hub.NotFound {
		return err
	}
	old, err := a.unnumbered(ctx)
	if err != nil {
		return err
	}
	if len(old) > 0 {
		log.Info("adding users to the index that an older release did not have", "users", len(old))
	}
	if err := a.number(ctx, old); err != nil {
		return err
	}
	if err := a.noteServers(ctx); err != nil {
		return err
	}
	return a.store.Transact(ctx, func(tx *store.Txn) error {
		n, _, err := a.index.numbers.Read(tx, "last")
		if err != nil {
			return err
		}
		n.Schema, n.Complete = hub.Schema, true
		return a.index.numbers.Write(tx, "last", n)
	})
}

// unnumbered are the users who have no number, in the order of their creation.
func (a *Accounts) unnumbered(ctx context.Context) ([]hub.User, error) {
	var users []hub.User
	err := a.users.List(ctx, "", func(r store.Record[hub.User]) bool {
		if r.Value.Number == 0 {
			users = append(users, r.Value)
		}
		return true
	})
	slices.SortStableFunc(users, func(x, y hub.User) int { return x.Created.Compare(y.Created) })
	return users, err
}

// number gives users their numbers, and what follows from them, as many at a time as a transaction has room for.
func (a *Accounts) number(ctx context.Context, users []hub.User) error {
	for len(users) > 0 {
		n, room := 0, 100
		for n < len(users) && (n == 0 || room > 0) {
			room -= 4 + 2*len(users[n].Groups)
			n++
		}
		if err := a.numberPart(ctx, users[:n]); err != nil {
			return err
		}
		users = users[n:]
	}
	return nil
}

func (a *Accounts) numberPart(ctx context.Context, users []hub.User) error {
	return a.store.Transact(ctx, func(tx *store.Txn) error {
		for _, u := range users {
			_, err := a.edit(tx, u.Name, func(_ *store.Txn, u *hub.User) error {
				if u.Number != 0 {
					return hub.Errorf(hub.NotFound, "No such user.") // another replica was first
				}
				return nil
			})
			if err != nil && hub.KindOf(err) != hub.NotFound {
				return err
			}
		}
		return nil
	})
}

// noteServers writes the states of all servers into the records of their users.
func (a *Accounts) noteServers(ctx context.Context) error {
	servers := store.NewTable[hub.Server](a.store, store.Servers, "server")
	var ids []string
	err := servers.List(ctx, "", func(r store.Record[hub.Server]) bool {
		if r.Value.Active() {
			ids = append(ids, r.ID)
		}
		return true
	})
	for i := 0; i < len(ids) && err == nil; i++ {
		err = a.store.Transact(ctx, func(tx *store.Txn) error {
			s, found, err := servers.Read(tx, ids[i])
			if err != nil || !found {
				return err
			}
			err = Presence{users: a.users, index: a.index}.Note(tx, &s)
			if hub.KindOf(err) == hub.NotFound {
				return nil // a start whose user is gone
			}
			return err
		})
	}
	return err
}
