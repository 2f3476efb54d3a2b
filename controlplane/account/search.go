package account

import (
	"context"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// fewEnough is how many users a search reads to put them into the order of their activity. More than that are looked for in
// that order.
const fewEnough = 2000

// search answers a query by a part of the name, or for users without servers, from the names of all users. It holds no more of
// them than a page, or a bit for each.
func (a *Accounts) search(ctx context.Context, q Query) (Page[hub.User], error) {
	t, err := a.index.tally(ctx)
	if err != nil {
		return Page[hub.User]{}, err
	}
	wanted, err := a.wanted(ctx, q)
	if err != nil {
		return Page[hub.User]{}, err
	}
	if q.Sort == ByActivity {
		return a.searchByActivity(ctx, q, t, wanted)
	}
	after, err := q.place(q.order())
	if err != nil {
		return Page[hub.User]{}, err
	}
	best := &firsts{q: &q, after: after, most: q.Limit + 1}
	if after == "" {
		best.most += q.Offset
	}
	total := 0
	err = a.index.scan(ctx, t, 0, maxNumber, q.Reverse, func(e entry) bool {
		if wanted(e) {
			total++
			best.add(e)
		}
		return true
	})
	if err != nil {
		return Page[hub.User]{}, err
	}
	entries := best.all()
	if after == "" {
		entries = entries[min(q.Offset, len(entries)):]
	}
	return a.pageOf(ctx, q, total, entries)
}

// wanted tells which users a query asks for.
func (a *Accounts) wanted(ctx context.Context, q Query) (func(entry) bool, error) {
	if q.State == "" {
		return func(e entry) bool { return strings.Contains(string(e.name), q.Name) }, nil
	}
	tree, in := a.index.inState(q.State), numbers{}
	err := eachInState(ctx, tree, func(number int64, _ hub.UserName) { in.add(number) })
	return func(e entry) bool {
		return strings.Contains(string(e.name), q.Name) && in.has(e.number) != (q.State == StateInactive)
	}, err
}

// numbers is a set of users, a bit for each.
type numbers map[int64]*[4]uint64

func (n numbers) add(number int64) {
	b := n[number>>8]
	if b == nil {
		b = new([4]uint64)
		n[number>>8] = b
	}
	b[number>>6&3] |= 1 << (number & 63)
}

func (n numbers) has(number int64) bool {
	b := n[number>>8]
	return b != nil && b[number>>6&3]>>(number&63)&1 == 1
}

// firsts keeps the first users behind a place in the order of a query.
type firsts struct {
	q     *Query
	after string
	most  int
	kept  []entry
	// worst is the place of the last that is kept, once others were dropped.
	worst string
}

func (f *firsts) add(e entry) {
	place := e.place(f.q.Sort)
	if f.after != "" && f.compare(place, f.after) <= 0 || f.worst != "" && f.compare(place, f.worst) >= 0 {
		return
	}
	if f.q.Sort == ByID {
		if len(f.kept) < f.most { // they come in order
			f.kept = append(f.kept, e)
		}
		return
	}
	e.name = hub.UserName(strings.Clone(string(e.name))) // not all names of its block
	if f.kept = append(f.kept, e); len(f.kept) > 4*f.most+1000 {
		f.all()
	}
}

// all are the users that are kept, in order.
func (f *firsts) all() []entry {
	if f.q.Sort == ByName {
		slices.SortFunc(f.kept, func(x, y entry) int { return f.compare(x.place(ByName), y.place(ByName)) })
	}
	if len(f.kept) > f.most {
		f.kept = f.kept[:f.most]
		f.worst = f.kept[f.most-1].place(f.q.Sort)
	}
	return f.kept
}

func (f *firsts) compare(x, y string) int {
	if f.q.Reverse {
		x, y = y, x
	}
	return strings.Compare(x, y)
}

// searchByActivity reads the records of the users in question if they are few. Otherwise it goes through all users in the
// order of activity, until it has a page.
func (a *Accounts) searchByActivity(ctx context.Context, q Query, t tally, wanted func(entry) bool) (Page[hub.User], error) {
	set, total := numbers{}, 0
	var names []hub.UserName
	err := a.index.scan(ctx, t, 0, maxNumber, false, func(e entry) bool {
		if wanted(e) {
			set.add(e.number)
			if total++; total <= fewEnough {
				names = append(names, hub.UserName(strings.Clone(string(e.name))))
			}
		}
		return true
	})
	if err != nil {
		return Page[hub.User]{}, err
	}
	if total <= fewEnough {
		return a.listOnly(ctx, q, names)
	}
	r, err := a.ruler(ctx, ByActivity, t)
	if err != nil {
		return Page[hub.User]{}, err
	}
	ids, err := a.walkActivity(ctx, q, r, set)
	if err != nil {
		return Page[hub.User]{}, err
	}
	page := cut(q.Window, q.order(), total, ids, func(id string) string { return id })
	found, err := a.index.activity.GetMany(ctx, page.Items)
	if err != nil {
		return Page[hub.User]{}, err
	}
	users, err := usersOf(ctx, a, page.Items, found)
	return Page[hub.User]{Items: users, Total: total, Next: page.Next}, err
}

// walkActivity are the identities of a page's users and of one more in the tree of activity.
func (a *Accounts) walkActivity(ctx context.Context, q Query, r ruler, set numbers) ([]string, error) {
	at, err := q.place(q.order())
	if err != nil {
		return nil, err
	}
	skip := q.Offset
	if at != "" {
		skip = 0
	}
	var ids []string
	for len(ids) <= q.Limit {
		var part []string
		switch {
		case q.Reverse:
			part, err = backward(ctx, a.index.activity, r, at, fewEnough)
		case at == "":
			part, err = forward(ctx, a.index.activity, r, "", fewEnough)
		default:
			part, err = forward(ctx, a.index.activity, r, store.After(at), fewEnough)
		}
		for _, id := range part {
			switch {
			case !set.has(parseNumber(id[len(id)-len(numberID(0)):])):
			case skip > 0:
				skip--
			default:
				ids = append(ids, id)
			}
		}
		if err != nil || len(part) < fewEnough {
			return ids, err
		}
		at = part[len(part)-1]
	}
	return ids, nil
}
