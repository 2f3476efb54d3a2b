package account

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// ruler is a sample of the identities in a large tree, in order. Reads end at its marks, because etcd counts all of a range,
// however few records of it are asked for. It is a hint: with an old one, or none, reads are slower and as right.
type ruler []string

const (
	rulerMarks = 1024
	rulerLife  = 10 * time.Minute
	// rulerLeast is the number of users for whom nobody needs a ruler.
	rulerLeast = 8 * rulerMarks
)

// rulers keeps the last ruler of each order. All of them together are some ten kilobytes.
type rulers struct {
	mu   sync.Mutex
	kept map[string]keptRuler
}

type keptRuler struct {
	ruler
	made  time.Time
	users int
}

func (k *rulers) get(order string, users int) (ruler, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.kept[order]
	return r.ruler, ok && time.Since(r.made) < rulerLife && users < 2*r.users
}

func (k *rulers) put(order string, users int, r ruler) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept[order] = keptRuler{r, time.Now(), users}
}

// ruler is that of the tree of an order.
func (a *Accounts) ruler(ctx context.Context, order string, t tally) (ruler, error) {
	users := t.total()
	if users < rulerLeast {
		return nil, nil
	}
	if r, ok := a.rulers.get(order, users); ok {
		return r, nil
	}
	sample, err := a.sample(ctx, t)
	if err != nil {
		return nil, err
	}
	r := make(ruler, len(sample))
	for i, u := range sample {
		r[i] = placeOf(order)(u)
	}
	slices.Sort(r)
	a.rulers.put(order, users, r)
	return r, nil
}

// sample is some users of all numbers.
func (a *Accounts) sample(ctx context.Context, t tally) ([]hub.User, error) {
	var names []hub.UserName
	blocks := len(t) << (countBits - blockBits)
	for i := 0; i < blocks; i += max(1, blocks/rulerMarks) {
		number := t.first(i>>(countBits-blockBits)) + int64(i)<<blockBits&(1<<countBits-1)
		_, err := a.index.scanBlocks(ctx, number>>blockBits, number>>blockBits, false, func(e entry) bool {
			names = append(names, e.name)
			return false
		})
		if err != nil {
			return nil, err
		}
	}
	return a.records(ctx, names)
}

// above is the first mark above an identity, "" if there is none.
func (r ruler) above(id string) string {
	if i, _ := slices.BinarySearch(r, store.After(id)); i < len(r) {
		return r[i]
	}
	return ""
}

// below is the last mark below an identity, or of all if that is empty. It is "" if there is none.
func (r ruler) below(id string) string {
	i := len(r)
	if id != "" {
		i, _ = slices.BinarySearch(r, id)
	}
	if i == 0 {
		return ""
	}
	return r[i-1]
}

// forward are the first identities of a tree from one on, at most limit.
func forward[T any](ctx context.Context, tree store.Table[T], r ruler, from string, limit int) ([]string, error) {
	var ids []string
	for {
		part := store.Range{From: from, To: r.above(from), Limit: limit - len(ids)}
		found, err := tree.IDs(ctx, part)
		ids = append(ids, found...)
		if err != nil || len(ids) == limit || part.To == "" {
			return ids, err
		}
		from = part.To
	}
}

// backward are the last identities of a tree before one, the last first, at most limit. "" is the end of the tree.
func backward[T any](ctx context.Context, tree store.Table[T], r ruler, to string, limit int) ([]string, error) {
	var ids []string
	for {
		part := store.Range{From: r.below(to), To: to}
		found, err := tree.IDs(ctx, part)
		slices.Reverse(found)
		ids = append(ids, found[:min(len(found), limit-len(ids))]...)
		if err != nil || len(ids) == limit || part.From == "" {
			return ids, err
		}
		to = part.From
	}
}

// nth is the n-th identity of a tree of total, from 0, "" if there are fewer. etcd has no ranks, so it has to count what is
// before, or behind if that is less.
func nth[T any](ctx context.Context, tree store.Table[T], r ruler, n, total int) (string, error) {
	i := n * len(r) / max(total, 1)
	before, err := countBefore(ctx, tree, r.mark(i), 2*i > len(r), total)
	for ; before > n && err == nil; i-- { // the ruler is only about right
		var c int
		c, err = tree.Count(ctx, store.Range{From: r.mark(i - 1), To: r.mark(i)})
		before -= c
	}
	if err != nil {
		return "", err
	}
	ids, err := forward(ctx, tree, r, r.mark(i), n-before+1)
	if len(ids) <= n-before {
		return "", err
	}
	return ids[n-before], err
}

// mark is the i-th mark from 1, and the beginning for 0.
func (r ruler) mark(i int) string {
	if i <= 0 {
		return ""
	}
	return r[min(i, len(r))-1]
}

// countBefore is how many of a tree's total are before an identity.
func countBefore[T any](ctx context.Context, tree store.Table[T], id string, fromEnd bool, total int) (int, error) {
	switch {
	case id == "":
		return 0, nil
	case fromEnd:
		n, err := tree.Count(ctx, store.Range{From: id})
		return total - n, err
	}
	return tree.Count(ctx, store.Range{To: id})
}
