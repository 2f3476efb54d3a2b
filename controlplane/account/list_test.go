package account_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// names visits all pages of a query by cursor and returns who is on them.
func (f fixture) names(q account.Query, between ...func()) []string {
	f.t.Helper()
	names := []string{}
	for {
		p, err := f.ListUsers(f.t.Context(), q)
		f.must("ListUsers", err)
		if len(p.Items) > q.Limit {
			f.t.Fatalf("a page of %d has %d users", q.Limit, len(p.Items))
		}
		for _, u := range p.Items {
			names = append(names, string(u.Name))
		}
		if q.Cursor = p.Next; p.Next == "" {
			return names
		}
		for _, do := range between {
			do()
		}
	}
}

// sound fails if the index and the records disagree.
func (f fixture) sound(what string) {
	f.t.Helper()
	if wrong, err := f.Repair(f.t.Context()); err != nil || wrong != 0 {
		f.t.Errorf("%s: %d entries of the index were wrong, %v", what, wrong, err)
	}
}

// crowd fills a hub with users of which every third has been active, at times that go back and forth.
func (f fixture) crowd(n int) []hub.User {
	f.t.Helper()
	users := make([]hub.User, n)
	f.must("Load", f.Load(f.t.Context(), n, func(i int) hub.User {
		u := hub.User{Name: hub.UserName(fmt.Sprintf("u%05d", i*7919%n)), Created: time.Now().UTC()}
		if i%3 == 0 {
			u.LastActivity = time.Unix(1_700_000_000+int64(i*31%n), 0).UTC()
		}
		if i%5 == 0 {
			u.Servers = map[hub.ServerName]hub.State{"": hub.Running}
		}
		if i%5 == 1 {
			u.Servers = map[hub.ServerName]hub.State{"lab": hub.Starting}
		}
		u.Number = int64(i) // for the naive answer only
		users[i] = u
		return u
	}))
	return users
}

// naive answers a query by looking at everybody.
func naive(users []hub.User, q account.Query) []string {
	var in []hub.User
	for _, u := range users {
		ready := slices.Contains([]hub.State{u.Servers[""], u.Servers["lab"]}, hub.Running)
		active := len(u.Servers) > 0
		ok := q.State == "" || q.State == account.StateActive && active || q.State == account.StateReady && ready || q.State == account.StateInactive && !active
		if ok && strings.Contains(string(u.Name), q.Name) {
			in = append(in, u)
		}
	}
	slices.SortStableFunc(in, func(x, y hub.User) int {
		switch q.Sort {
		case account.ByName:
			return strings.Compare(string(x.Name), string(y.Name))
		case account.ByActivity:
			return x.LastActivity.Compare(y.LastActivity)
		}
		return 0
	})
	if q.Reverse {
		slices.Reverse(in)
	}
	names := []string{}
	for _, u := range in {
		names = append(names, string(u.Name))
	}
	return names
}

// TestListsAreWhatANaiveOneIs compares every kind of query, by cursor and by offset, with one that reads everybody. The hub is
// large enough for rulers and for several counts.
func TestListsAreWhatANaiveOneIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	users := f.crowd(17_000)
	f.sound("Load")
	for _, sort := range []string{account.ByID, account.ByName, account.ByActivity} {
		for _, state := range []string{"", account.StateActive, account.StateReady, account.StateInactive} {
			for _, name := range []string{"", "u10"} {
				if state == account.StateActive && (name != "" || sort != account.ByID) {
					continue // the same way as ready
				}
				for _, reverse := range []bool{false, true} {
					q := account.Query{Window: account.Window{Limit: 5900}, Sort: sort, Reverse: reverse, State: state, Name: name}
					want := naive(users, q)
					what := fmt.Sprintf("sort %s reverse %t state %q name %q", sort, reverse, state, name)
					if got := f.names(q); !slices.Equal(got, want) {
						t.Errorf("%s: the pages have %d users, want %d", what, len(got), len(want))
					}
					for _, offset := range []int{len(want) / 2, len(want) - 1, len(want) + 10} {
						q.Offset, q.Limit = max(offset, 0), 3
						p, err := f.ListUsers(t.Context(), q)
						f.must("ListUsers", err)
						var got []string
						for _, u := range p.Items {
							got = append(got, string(u.Name))
						}
						part := want[min(q.Offset, len(want)):min(q.Offset+3, len(want))]
						if !slices.Equal(got, part) || p.Total != len(want) || (p.Next != "") != (q.Offset+3 < len(want)) {
							t.Errorf("%s offset %d of %d: %q, total %d, next %q; want %q", what, q.Offset, len(want), got, p.Total, p.Next, part)
						}
					}
				}
			}
		}
	}
}

// TestNobodyIsSkippedWhileOthersAreDeleted is JupyterHub's paging by offset, done right.
func TestNobodyIsSkippedWhileOthersAreDeleted(t *testing.T) {
	t.Parallel()
	for _, sort := range []string{account.ByID, account.ByName, account.ByActivity} {
		f := newFixture(t)
		var all []string
		for i := range 30 {
			all = append(all, string(f.user(hub.UserName(fmt.Sprintf("u%02d", i)), false).Name))
		}
		gone := 0
		got := f.names(account.Query{Window: account.Window{Limit: 7}, Sort: sort}, func() {
			u, err := f.Get(t.Context(), hub.UserName(all[gone])) // one of a page that was seen
			f.must("Get", err)
			f.must("Delete", f.Delete(t.Context(), u))
			gone++
		})
		if !slices.Equal(got, all) {
			t.Errorf("sorted by %s: visited %q, want everybody once", sort, got)
		}
		f.sound("after deleting")
		if n, err := f.CountUsers(t.Context()); err != nil || n != 30-gone {
			t.Errorf("%d users, %v; want %d", n, err, 30-gone)
		}
	}
}

func TestCursorsOfOtherLists(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("alice", false)
	f.user("bob", false)
	p, err := f.ListUsers(t.Context(), account.Query{Window: account.Window{Limit: 1}, Sort: account.ByID})
	f.must("ListUsers", err)
	for _, cursor := range []string{p.Next, "x", "%%", strings.Repeat("A", 4000)} {
		_, err := f.ListUsers(t.Context(), account.Query{Window: account.Window{Limit: 1, Cursor: cursor}, Sort: account.ByName})
		wantKind(t, "cursor "+cursor, err, hub.Invalid)
	}
	p, err = f.ListUsers(t.Context(), account.Query{Window: account.Window{Limit: 5}, Sort: account.ByID, Limited: true, Only: []hub.UserName{"bob", "nobody"}})
	if err != nil || p.Total != 1 || len(p.Items) != 1 || p.Items[0].Name != "bob" {
		t.Errorf("a limited list: %+v, %v; want bob", p, err)
	}
}

// TestOldUsersAreNumberedOnce is an upgrade from a release without the index, with three replicas that start together.
func TestOldUsersAreNumberedOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	users := store.NewTable[hub.User](f.store, store.Users, "user")
	servers := store.NewTable[hub.Server](f.store, store.Servers, "server")
	var want []string
	for i := range 150 {
		u := hub.User{Schema: hub.Schema, ID: fmt.Sprint("id", i), Name: hub.UserName(fmt.Sprintf("u%03d", (i*77)%150)),
			Created: time.Unix(int64(i), 0), LastActivity: time.Unix(int64(2000-i), 0), Groups: []string{"staff", fmt.Sprint("g", i%7)}}
		want = append(want, string(u.Name))
		f.must("Create", users.Create(t.Context(), store.ID(string(u.Name)), u))
	}
	f.must("Create", servers.Create(t.Context(), store.ID("u000", ""), hub.Server{User: "u000", UserID: "id0", State: hub.Running}))
	f.must("Create", servers.Create(t.Context(), store.ID("u077", ""), hub.Server{User: "u077", UserID: "id1", State: hub.Stopped}))
	done := make(chan error)
	for range 3 {
		go func() { done <- f.Complete(t.Context(), quiet) }()
	}
	for range 3 {
		f.must("Complete", <-done)
	}
	f.sound("after the upgrade")
	if got := f.names(account.Query{Window: account.Window{Limit: 40}, Sort: account.ByID}); !slices.Equal(got, want) {
		t.Errorf("the users are %q, want %q", got, want)
	}
	if got := f.names(account.Query{Window: account.Window{Limit: 40}, Sort: account.ByID, State: account.StateReady}); !slices.Equal(got, []string{"u000"}) {
		t.Errorf("with a running server are %q, want u000", got)
	}
	members, err := f.Members(t.Context(), "staff")
	if err != nil || len(members) != 150 {
		t.Errorf("the group has %d members, %v; want all", len(members), err)
	}
	if _, err := f.Group(t.Context(), "g3"); err != nil {
		t.Errorf("a group that was only a name: %v", err)
	}
}

// TestRepair breaks every part of the index, and lets an older release create and delete users beside this one.
func TestRepair(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i := range 10 {
		f.user(hub.UserName(fmt.Sprint("u", i)), false)
	}
	groups := []string{"g"}
	_, err := f.Update(t.Context(), "u1", account.Change{Groups: &groups})
	f.must("Update", err)
	key := func(tree, id string) string { return f.store.Key(tree, id) }
	f.must("Apply", f.store.Apply(t.Context(),
		store.Delete(key(store.UserActivity, "000000000000000000000003")), store.Put(key(store.UserActivity, "000000000000050000000003"), "u2"),
		store.Put(key(store.ActiveUsers, "0000000004"), "u3"), store.Put(key(store.ReadyUsers, "0000000099"), "nobody"),
		store.Delete(key(store.GroupMembers, "g/u1")), store.Put(key(store.GroupMembers, "g/u5"), "u5"),
		store.PutRaw(key(store.UserBlocks, "00000000"), []byte("01 u0\n02 u1\n03 u7\n77 nobody\n")),
		store.Put(key(store.UserCounts, "00000000"), map[string]int{"v": 1, "users": 99}),
		store.Put(key(store.Users, "old"), hub.User{Schema: 1, ID: "old", Name: "old"}), store.Delete(key(store.Users, "u9")),
	))
	wrong, err := f.Repair(t.Context())
	if err != nil || wrong < 10 {
		t.Errorf("Repair found %d wrong entries, %v", wrong, err)
	}
	f.sound("after the repair")
	want := []string{"u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "old"}
	if got := f.names(account.Query{Window: account.Window{Limit: 4}, Sort: account.ByID}); !slices.Equal(got, want) {
		t.Errorf("the users are %q, want %q", got, want)
	}
	if members, err := f.Members(t.Context(), "g"); err != nil || !slices.Equal(members, []hub.UserName{"u1"}) {
		t.Errorf("the members are %q, %v; want u1", members, err)
	}
}
