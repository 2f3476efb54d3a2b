package account

import (
	"context"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

const groupOrder = "groups"

func groupPlace(g hub.Group) string { return store.ID(g.Name) }

// ListGroups is a part of all groups, in the order of names.
func (a *Accounts) ListGroups(ctx context.Context, w Window) (Page[hub.Group], error) {
	after, err := w.place(groupOrder)
	if err != nil {
		return Page[hub.Group]{}, err
	}
	total, err := a.groups.Count(ctx, store.Range{})
	if err != nil || after == "" && w.Offset >= total {
		return Page[hub.Group]{Total: total}, err
	}
	if after == "" && w.Offset > 0 {
		if after, err = nth(ctx, a.groups, nil, w.Offset-1, total); err != nil {
			return Page[hub.Group]{}, err
		}
	}
	from := store.Range{Limit: w.Limit + 1}
	if after != "" {
		from.From = store.After(after)
	}
	records, err := a.groups.Page(ctx, from)
	return cut(w, groupOrder, total, values(records), groupPlace), err
}

func values[T any](records []store.Record[T]) []T {
	all := make([]T, len(records))
	for i, r := range records {
		all[i] = r.Value
	}
	return all
}

// ListGroupsOf is a part of those groups of these names that exist.
func (a *Accounts) ListGroupsOf(ctx context.Context, names []string, w Window) (Page[hub.Group], error) {
	after, err := w.place(groupOrder)
	if err != nil {
		return Page[hub.Group]{}, err
	}
	ids := make([]string, len(names))
	for i, name := range names {
		ids[i] = store.ID(name)
	}
	records, err := a.groups.GetMany(ctx, ids)
	if err != nil {
		return Page[hub.Group]{}, err
	}
	var all []hub.Group
	for _, r := range records {
		all = append(all, r.Value)
	}
	slices.SortFunc(all, func(x, y hub.Group) int { return strings.Compare(groupPlace(x), groupPlace(y)) })
	total := len(all)
	if after != "" {
		all = slices.DeleteFunc(all, func(g hub.Group) bool { return groupPlace(g) <= after })
	} else {
		all = all[min(w.Offset, total):]
	}
	return cut(w, groupOrder, total, all, groupPlace), nil
}
