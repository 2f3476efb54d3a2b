package account

import (
	"bytes"
	"context"
	"log/slog"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Check compares how many users and how many numbers there are, and repairs the index if that is not the same: a replica of a
// release without the index may have created or deleted users beside this one.
func (a *Accounts) Check(ctx context.Context, log *slog.Logger) error {
	users, err := a.users.Count(ctx, store.Range{})
	if err != nil {
		return err
	}
	if numbered, err := a.CountUsers(ctx); err != nil || numbered == users {
		return err
	}
	wrong, err := a.Repair(ctx)
	if wrong > 0 {
		log.Warn("repaired the index of users", "entries", wrong)
	}
	return err
}

// checkIndex does what keeps the index right, until it has been done or ctx ends.
func (a *Accounts) checkIndex(ctx context.Context, log *slog.Logger) {
	if err := a.Check(ctx, log); err != nil && ctx.Err() == nil {
		log.Warn("cannot check the index of users; the next start of a replica does", "err", err)
	}
}

// repairAtOnce is how many records a transaction of Repair compares.
const repairAtOnce = 20

// Repair makes the index say what the users' records say, and tells how much of it was wrong. It reads all of both. Others may
// work with the hub meanwhile.
func (a *Accounts) Repair(ctx context.Context) (int, error) {
	old, err := a.unnumbered(ctx)
	if err == nil {
		err = a.number(ctx, old)
	}
	wrong := len(old)
	for _, step := range []func(context.Context) (int, error){a.repairMissing, a.repairTrees, a.repairBlocks} {
		if err != nil {
			break
		}
		var n int
		n, err = step(ctx)
		wrong += n
	}
	return wrong, err
}

// repairMissing adds what users' records say and the index does not.
func (a *Accounts) repairMissing(ctx context.Context) (int, error) {
	return repairEach(ctx, a.store, a.users, func(tx *store.Txn, id string) (int, error) {
		u, found, err := a.users.Read(tx, id)
		if err != nil || !found {
			return 0, err
		}
		wrong := 0
		for key, name := range a.index.entries(&u) {
			value := `"` + string(name) + `"`
			data, err := tx.Raw(key)
			if err != nil {
				return wrong, err
			}
			if string(data) != value {
				tx.SetRaw(key, []byte(value))
				wrong++
			}
		}
		block, err := tx.Raw(a.store.Key(store.UserBlocks, blockID(u.Number)))
		if err != nil || string(blockWith(block, u.Number, u.Name)) == string(block) {
			return wrong, err
		}
		return wrong + 1, a.index.changeBlock(tx, u.Number, u.Name)
	})
}

// repairTrees removes entries of which no user's record says anything.
func (a *Accounts) repairTrees(ctx context.Context) (int, error) {
	wrong := 0
	for _, tree := range []store.Table[hub.UserName]{a.index.activity, a.index.active, a.index.ready, a.index.members} {
		n, err := repairEach(ctx, a.store, tree, func(tx *store.Txn, id string) (int, error) {
			name, found, err := tree.Read(tx, id)
			if err != nil || !found {
				return 0, err
			}
			u, found, err := a.users.Read(tx, store.ID(string(name)))
			if err != nil || found && a.index.entries(&u)[tree.Key(id)] == name {
				return 0, err
			}
			return 1, tree.Remove(tx, id)
		})
		if wrong += n; err != nil {
			return wrong, err
		}
	}
	return wrong, nil
}

// repairEach calls fix for every record of a tree, some in each transaction, and adds up what it had to do.
func repairEach[T any](ctx context.Context, s *store.Store, tree store.Table[T], fix func(tx *store.Txn, id string) (int, error)) (int, error) {
	total, from := 0, ""
	for {
		ids, err := tree.IDs(ctx, store.Range{From: from, Limit: repairAtOnce})
		if err != nil || len(ids) == 0 {
			return total, err
		}
		wrong := 0
		err = s.Transact(ctx, func(tx *store.Txn) error {
			wrong = 0
			for _, id := range ids {
				n, err := fix(tx, id)
				if wrong += n; err != nil {
					return err
				}
			}
			return nil
		})
		if total += wrong; err != nil {
			return total, err
		}
		from = store.After(ids[len(ids)-1])
	}
}

// repairBlocks removes names from blocks that are nobody's or have another number, and counts what is left.
func (a *Accounts) repairBlocks(ctx context.Context) (int, error) {
	r, err := a.index.numbers.Get(ctx, "last")
	if err != nil {
		return 0, err
	}
	wrong := 0
	for first := int64(0); first <= r.Value.Last; first += 1 << countBits {
		blocks, err := a.index.store.RawPage(ctx, store.UserBlocks, store.Range{From: blockID(first), To: blockID(first + 1<<countBits)})
		if err != nil {
			return wrong, err
		}
		for _, b := range blocks {
			n, err := a.repairBlock(ctx, b)
			if wrong += n; err != nil {
				return wrong, err
			}
		}
		fixed, err := a.index.recount(ctx, first)
		if err != nil {
			return wrong, err
		}
		if fixed {
			wrong++
		}
	}
	return wrong, nil
}

func (a *Accounts) repairBlock(ctx context.Context, b store.RawRecord) (int, error) {
	var entries []entry
	var names []hub.UserName
	eachEntry(b, false, func(e entry) bool {
		entries, names = append(entries, e), append(names, e.name)
		return true
	})
	users, err := a.GetMany(ctx, names)
	wrong := 0
	for _, e := range entries {
		if err != nil || users[e.name].Number == e.number {
			continue
		}
		err = a.store.Transact(ctx, func(tx *store.Txn) error {
			u, found, err := a.users.Read(tx, store.ID(string(e.name)))
			if err != nil || found && u.Number == e.number {
				return err
			}
			wrong++
			return a.index.changeBlock(tx, e.number, "")
		})
	}
	return wrong, err
}

// recount makes the count of a part of the numbers that of its blocks, and reports whether it was another one.
func (x *index) recount(ctx context.Context, first int64) (bool, error) {
	wrong := false
	err := x.store.Transact(ctx, func(tx *store.Txn) error {
		var keys []string
		for n := first; n < first+1<<countBits; n += 1 << blockBits {
			keys = append(keys, x.store.Key(store.UserBlocks, blockID(n)))
		}
		if err := tx.Fetch(keys...); err != nil {
			return err
		}
		users := 0
		for _, key := range keys {
			data, err := tx.Raw(key)
			if err != nil {
				return err
			}
			users += bytes.Count(data, []byte("\n"))
		}
		c, found, err := x.counts.Read(tx, countID(first))
		wrong = err == nil && c.Users != int64(users)
		switch {
		case !wrong:
			return err
		case users == 0 && found:
			return x.counts.Remove(tx, countID(first))
		}
		c.Schema, c.Users = hub.Schema, int64(users)
		return x.counts.Write(tx, countID(first), c)
	})
	return wrong, err
}
