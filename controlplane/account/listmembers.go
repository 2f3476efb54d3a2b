package account

import (
	"context"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// ListMembers is a part of a group's members, in the order of names. A group may have all users, so nobody reads it as a whole for
// a page.
func (a *Accounts) ListMembers(ctx context.Context, group string, w Window) (Page[hub.UserName], error) {
	order := "members of " + group
	after, err := w.place(order)
	if err != nil {
		return Page[hub.UserName]{}, err
	}
	below := store.ID(group) + "/"
	all := store.Range{From: below, To: strings.TrimSuffix(below, "/") + "0"} // "0" comes right after "/"
	total, err := a.index.members.Count(ctx, all)
	if err != nil {
		return Page[hub.UserName]{}, err
	}
	part := store.Range{From: all.From, To: all.To, Limit: w.Limit + 1}
	if after != "" {
		part.From = store.After(below + after)
	}
	records, err := a.index.members.Page(ctx, part)
	return cut(w, order, total, values(records), func(name hub.UserName) string { return store.ID(string(name)) }), err
}
