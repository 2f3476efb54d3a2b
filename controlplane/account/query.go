package account

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// The orders in which users can be listed.
const (
	ByID       = "id" // of their creation
	ByName     = "name"
	ByActivity = "last_activity" // those who were never active first
)

// The states by which users can be listed.
const (
	StateActive   = "active"   // has a server that is not stopped
	StateReady    = "ready"    // has a running server
	StateInactive = "inactive" // has none that is not stopped
)

// Query says which users to list.
type Query struct {
	Window
	// Sort is one of the orders; Reverse turns it round.
	Sort    string
	Reverse bool
	// State is one of the states, or empty.
	State string
	// Name is a part of the names in question, in lower case, or empty.
	Name string
	// Limited says that only the users in Only are in question.
	Limited bool
	Only    []hub.UserName
}

// order names the order of a query in cursors.
func (q *Query) order() string {
	if q.Reverse {
		return "-" + q.Sort
	}
	return q.Sort
}

// ListUsers is a part of the users that a query asks for. What has neither Name nor State costs the same at every cursor and
// for any number of users, and so do those in one state in the order of creation, but for counting them. Other queries read
// the records of all users in a state, or the names of all users.
func (a *Accounts) ListUsers(ctx context.Context, q Query) (Page[hub.User], error) {
	switch {
	case q.Limited:
		return a.listOnly(ctx, q, q.Only)
	case q.Name != "" || q.State == StateInactive:
		return a.search(ctx, q)
	case q.State != "" && q.Sort == ByID:
		return a.listInState(ctx, q)
	case q.State != "":
		names, err := a.namesInState(ctx, q.State)
		if err != nil {
			return Page[hub.User]{}, err
		}
		return a.listOnly(ctx, q, names)
	case q.Sort == ByID:
		return a.listByNumber(ctx, q)
	}
	return a.listByTree(ctx, q)
}

func (x *index) inState(state string) store.Table[hub.UserName] {
	if state == StateReady {
		return x.ready
	}
	return x.active
}

func (a *Accounts) namesInState(ctx context.Context, state string) ([]hub.UserName, error) {
	var names []hub.UserName
	err := eachInState(ctx, a.index.inState(state), func(_ int64, name hub.UserName) { names = append(names, name) })
	return names, err
}

// eachInState calls yield for all of a tree of users in one state, in few large reads.
func eachInState(ctx context.Context, tree store.Table[hub.UserName], yield func(number int64, name hub.UserName)) error {
	const atOnce = 20_000
	for r := (store.Range{Limit: atOnce}); ; {
		records, err := tree.Page(ctx, r)
		for _, rec := range records {
			yield(parseNumber(rec.ID), rec.Value)
		}
		if err != nil || len(records) < atOnce {
			return err
		}
		r.From = store.After(records[atOnce-1].ID)
	}
}

// listInState are users in a state, in the order of creation.
func (a *Accounts) listInState(ctx context.Context, q Query) (Page[hub.User], error) {
	tree := a.index.inState(q.State)
	total, err := tree.Count(ctx, store.Range{})
	if err != nil {
		return Page[hub.User]{}, err
	}
	return list(ctx, a, q, tree, nil, total)
}

// listByTree are all users, in the order of names or of activity.
func (a *Accounts) listByTree(ctx context.Context, q Query) (Page[hub.User], error) {
	t, err := a.index.tally(ctx)
	if err != nil {
		return Page[hub.User]{}, err
	}
	r, err := a.ruler(ctx, q.Sort, t)
	if err != nil {
		return Page[hub.User]{}, err
	}
	if q.Sort == ByName {
		return list(ctx, a, q, a.users, r, t.total())
	}
	return list(ctx, a, q, a.index.activity, r, t.total())
}

// list is a query that one tree of total records answers, in its order.
func list[T any](ctx context.Context, a *Accounts, q Query, tree store.Table[T], r ruler, total int) (Page[hub.User], error) {
	after, err := q.place(q.order())
	if err == nil && after == "" && q.Offset > 0 {
		if q.Offset >= total {
			return Page[hub.User]{Total: total}, nil
		}
		n := q.Offset - 1
		if q.Reverse {
			n = total - q.Offset
		}
		after, err = nth(ctx, tree, r, n, total)
	}
	if err != nil {
		return Page[hub.User]{}, err
	}
	var ids []string
	switch {
	case q.Reverse:
		ids, err = backward(ctx, tree, r, after, q.Limit+1)
	case after != "":
		ids, err = forward(ctx, tree, r, store.After(after), q.Limit+1)
	default:
		ids, err = forward(ctx, tree, r, "", q.Limit+1)
	}
	if err != nil {
		return Page[hub.User]{}, err
	}
	page := cut(q.Window, q.order(), total, ids, func(id string) string { return id })
	found, err := tree.GetMany(ctx, page.Items)
	if err != nil {
		return Page[hub.User]{}, err
	}
	users, err := usersOf(ctx, a, page.Items, found)
	return Page[hub.User]{Items: users, Total: total, Next: page.Next}, err
}

// usersOf are the users of records that are users themselves or their names, in the order of ids.
func usersOf[T any](ctx context.Context, a *Accounts, ids []string, found map[string]store.Record[T]) ([]hub.User, error) {
	var names []hub.UserName
	var users []hub.User
	for _, id := range ids {
		r, ok := found[id]
		if !ok {
			continue // gone meanwhile
		}
		switch v := any(r.Value).(type) {
		case hub.User:
			users = append(users, v)
		case hub.UserName:
			names = append(names, v)
		}
	}
	if users != nil {
		return users, nil
	}
	return a.records(ctx, names)
}

// records are the users of these names, in this order, without those that are gone by now.
func (a *Accounts) records(ctx context.Context, names []hub.UserName) ([]hub.User, error) {
	found, err := a.GetMany(ctx, names)
	if err != nil {
		return nil, err
	}
	users := make([]hub.User, 0, len(names))
	for _, name := range names {
		if u, ok := found[name]; ok {
			users = append(users, u)
		}
	}
	return users, nil
}

// listOnly answers a query from the records of the users in question.
func (a *Accounts) listOnly(ctx context.Context, q Query, names []hub.UserName) (Page[hub.User], error) {
	after, err := q.place(q.order())
	if err != nil {
		return Page[hub.User]{}, err
	}
	found, err := a.GetMany(ctx, slices.DeleteFunc(names, func(n hub.UserName) bool { return !strings.Contains(string(n), q.Name) }))
	if err != nil {
		return Page[hub.User]{}, err
	}
	var users []hub.User
	for _, u := range found {
		if isInState(&u, q.State) {
			users = append(users, u)
		}
	}
	compare := func(x, y string) int {
		if q.Reverse {
			x, y = y, x
		}
		return strings.Compare(x, y)
	}
	place := placeOf(q.Sort)
	slices.SortFunc(users, func(x, y hub.User) int { return compare(place(x), place(y)) })
	total := len(users)
	if after != "" {
		users = slices.DeleteFunc(users, func(u hub.User) bool { return compare(place(u), after) <= 0 })
	} else {
		users = users[min(q.Offset, total):]
	}
	return cut(q.Window, q.order(), total, users, place), nil
}

// placeOf says what puts users into an order: the identity of their record in the tree of that order.
func placeOf(sort string) func(hub.User) string {
	switch sort {
	case ByName:
		return func(u hub.User) string { return store.ID(string(u.Name)) }
	case ByActivity:
		return func(u hub.User) string { return activityID(&u) }
	}
	return func(u hub.User) string { return numberID(u.Number) }
}

func isInState(u *hub.User, state string) bool {
	switch state {
	case StateActive:
		return len(u.Servers) > 0
	case StateInactive:
		return len(u.Servers) == 0
	case StateReady:
		for _, s := range u.Servers {
			if s == hub.Running {
				return true
			}
		}
		return false
	}
	return true
}

// parseNumber reverses numberID.
func parseNumber(id string) int64 {
	n, err := strconv.ParseInt(id, 16, 64)
	if err != nil {
		return 0
	}
	return n
}
