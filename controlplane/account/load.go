package account

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// loaders is how many transactions Load has under way: etcd writes them to disk together.
const loaders = 16

// Load fills a hub that has no users with many of them, for measurements: user makes the i-th from its name and whatever else
// shall be in the record, from 0 on. It is faster than Create, because the index agrees with the records only when Load
// returns; nobody else may work with the hub until then.
func (a *Accounts) Load(ctx context.Context, n int, user func(i int) hub.User) error {
	if have, err := a.CountUsers(ctx); err != nil || have > 0 {
		return fmt.Errorf("load users into a hub that has %d: %w", have, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	places := make(chan struct{}, loaders)
	for first := 0; first < n && ctx.Err() == nil; first += 1 << blockBits {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			if err := a.loadBlock(ctx, first, min(first+1<<blockBits, n), user); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return a.loadCounts(ctx, n)
}

// loadBlock writes the users whose numbers are in one block, and the block.
func (a *Accounts) loadBlock(ctx context.Context, first, end int, user func(i int) hub.User) error {
	var ops []store.Op
	var block []byte
	for i := first; i < end; i++ {
		u := user(i)
		u.Schema, u.ID, u.Number = hub.Schema, newUserID(), int64(i)
		block = blockWith(block, u.Number, u.Name)
		ops = append(ops, store.Put(a.users.Key(store.ID(string(u.Name))), u))
		for key, name := range a.index.entries(&u) {
			ops = append(ops, store.Put(key, name))
		}
	}
	ops = append(ops, store.PutRaw(a.store.Key(store.UserBlocks, blockID(int64(first))), block))
	for part := range slices.Chunk(ops, store.MaxOps) {
		if err := a.store.Apply(ctx, part...); err != nil {
			return err
		}
	}
	return nil
}

// loadCounts writes what says that there are users with the numbers from 0 to before n.
func (a *Accounts) loadCounts(ctx context.Context, n int) error {
	for first := 0; first < n; first += 1 << countBits {
		users := int64(min(n-first, 1<<countBits))
		if err := a.store.Apply(ctx, store.Put(a.index.counts.Key(countID(int64(first))), count{Schema: hub.Schema, Users: users})); err != nil {
			return err
		}
	}
	return a.store.Apply(ctx, store.Put(a.index.numbers.Key("next"), numbering{Schema: hub.Schema, Next: int64(n), Complete: true}))
}
