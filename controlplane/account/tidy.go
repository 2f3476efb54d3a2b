package account

import (
	"context"
	"log/slog"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// A deleted role grants nothing from the write on that says so: what users are given is the role's id. What is left is to tidy
// up, which may take long and which any replica goes on with.

// tidyEvery is how soon a replica goes on with what another one left.
const tidyEvery = 10 * time.Second

// tidyBatch is how many holders are tidied up before others get a turn.
const tidyBatch = 100

// Tend checks the index of users once, and tidies up after deleted roles until ctx ends.
func (a *Accounts) Tend(ctx context.Context, log *slog.Logger) {
	a.checkIndex(ctx, log)
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		if err := a.tidyRoles(ctx); err != nil && ctx.Err() == nil {
			log.Warn("cannot tidy up after deleted roles, trying again in a moment", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (a *Accounts) tidyRoles(ctx context.Context) error {
	b, err := a.readBook(ctx)
	if err != nil {
		return err
	}
	for name, r := range b.roles {
		for r.Ending {
			if err := a.tidyRole(ctx, name, tidyBatch); err != nil {
				return err
			}
			b, err := a.readBook(ctx)
			if err != nil {
				return err
			}
			r = b.roles[name]
		}
	}
	return nil
}

// tidyRole removes up to n holders of a deleted role, and the role itself when none is left.
func (a *Accounts) tidyRole(ctx context.Context, name string, n int) error {
	var batch []store.Record[hub.RoleHolder]
	err := a.holders.List(ctx, store.ID(name)+"/", func(h store.Record[hub.RoleHolder]) bool {
		batch = append(batch, h)
		return len(batch) < n
	})
	if err != nil {
		return err
	}
	for _, h := range batch {
		if err := a.dropRole(ctx, name, h); err != nil {
			return err
		}
	}
	if len(batch) == n {
		return nil
	}
	return a.changeRoles(ctx, func(b *book, rv *revocations) error {
		if !b.roles[name].Ending {
			return store.ErrUnchanged
		}
		rv.ops = append(rv.ops, store.Delete(a.roles.Key(store.ID(name))))
		return nil
	})
}

// dropRole takes a deleted role out of the record of a user, and then removes the holder. The user may be gone.
func (a *Accounts) dropRole(ctx context.Context, name string, h store.Record[hub.RoleHolder]) error {
	_, err := a.update(ctx, h.Value.User, func(_ *store.Txn, u *hub.User) error {
		if u.Roles[name] != h.Value.Role {
			return store.ErrUnchanged
		}
		delete(u.Roles, name)
		return nil
	})
	if err != nil && hub.KindOf(err) != hub.NotFound {
		return err
	}
	err = a.holders.Delete(ctx, h.ID, h.Revision)
	if kind := hub.KindOf(err); err != nil && kind != hub.NotFound && kind != hub.Conflict {
		return err
	}
	return nil
}
