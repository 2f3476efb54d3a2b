package account_test

import (
	"slices"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// Pages of members have each one once, and none of a group whose name begins or sorts alike.
func TestListMembers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	want := []hub.UserName{"a", "a.b", "a@b", "b", "c", "d+e", "e"}
	for _, name := range append(slices.Clone(want), "other") {
		f.user(name, false)
	}
	for _, group := range []string{"staf", "staff", "staff 0", "staff0", "stafg"} {
		members := []hub.UserName{"other"}
		if group == "staff" {
			members = want
		}
		_, err := f.CreateGroups(t.Context(), []string{group}, members)
		f.must("CreateGroups", err)
	}
	for limit := 1; limit <= 8; limit++ {
		var got []hub.UserName
		for w := (account.Window{Limit: limit}); ; {
			p, err := f.ListMembers(t.Context(), "staff", w)
			f.must("ListMembers", err)
			if p.Total != len(want) || len(p.Items) > limit {
				t.Fatalf("a page of %d of %d members has %+v", limit, len(want), p)
			}
			got = append(got, p.Items...)
			if w.Cursor = p.Next; p.Next == "" {
				break
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d have %q, want %q", limit, got, want)
		}
	}
	p, err := f.ListMembers(t.Context(), "staff", account.Window{Limit: 2})
	f.must("ListMembers", err)
	_, err = f.ListMembers(t.Context(), "staff0", account.Window{Limit: 2, Cursor: p.Next})
	wantKind(t, "a cursor of another group", err, hub.Invalid)
	if p, err := f.ListMembers(t.Context(), "nobody's", account.Window{Limit: 2}); err != nil || len(p.Items) > 0 || p.Total != 0 {
		t.Errorf("a group without members has %+v, %v", p, err)
	}
}
