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
	for block := int64(0); block<<blockBits <= int64(n) && ctx.Err() == nil; block++ {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			if err := a.loadBlock(ctx, max(block<<blockBits, 1), min((block+1)<<blockBits, int64(n)+1), user); err != nil {
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

// loadBlock writes the users from one number to before another, all in one block, and the block.
func (a *Accounts) loadBlock(ctx context.Context, first, end int64, user func(i int) hub.User) error {
	var ops []store.Op
	var block []byte
	for number := first; number < end; number++ {
		u := user(int(number) - 1)
		u.Schema, u.ID, u.Number = hub.Schema, newUserID(), number
		block = blockWith(block, u.Number, u.Name)
		ops = append(ops, store.Put(a.users.Key(store.ID(string(u.Name))), u))
		for key, name := range a.index.entries(&u) {
			ops = append(ops, store.Put(key, name))
		}
	}
	ops = append(ops, store.PutRaw(a.store.Key(store.UserBlocks, blockID(first)), block))
	for part := range slices.Chunk(ops, store.MaxOps) {
		if err := a.store.Apply(ctx, part...); err != nil {
			return err
		}
	}
	return nil
}

// loadCounts writes what says that there are users with the numbers from 1 to n.
func (a *Accounts) loadCounts(ctx context.Context, n int) error {
	for first := int64(0); first <= int64(n); first += 1 << countBits {
		users := min(int64(n)+1, first+1<<countBits) - max(first, 1)
		if err := a.store.Apply(ctx, store.Put(a.index.counts.Key(countID(first)), count{Schema: hub.Schema, Users: users})); err != nil {
			return err
		}
	}
	return a.store.Apply(ctx, store.Put(a.index.numbers.Key("last"), numbering{Schema: hub.Schema, Last: int64(n), Complete: true}))
}
