package account_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

var quiet = slog.New(slog.DiscardHandler)

// TestTheIndexAgreesUnderContention has many at once create, delete, rename, regroup and use the same few users, and start
// and stop their servers.
func TestTheIndexAgreesUnderContention(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	presence := account.NewPresence(f.store)
	var all sync.WaitGroup
	for w := range 6 {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(w), 7))
			for range 60 {
				name, other := hub.UserName(fmt.Sprint("u", dice.IntN(8))), hub.UserName(fmt.Sprint("u", dice.IntN(8)))
				var err error
				u, getErr := f.Get(t.Context(), name)
				switch dice.IntN(8) {
				case 0, 1:
					_, err = f.Create(t.Context(), account.NewUser{Name: name})
				case 2:
					_, err = f.CreateMany(t.Context(), []hub.UserName{name, other + "x"}, false)
				case 3:
					if getErr == nil {
						err = f.Delete(t.Context(), u)
					}
				case 4:
					_, err = f.Update(t.Context(), name, account.Change{Name: &other})
				case 5:
					groups := []string{fmt.Sprint("g", dice.IntN(3)), fmt.Sprint("g", dice.IntN(3))}
					_, err = f.Update(t.Context(), name, account.Change{Groups: &groups})
				case 6:
					err = f.ActiveAt(t.Context(), name, time.Now().Add(time.Duration(dice.IntN(1000))*time.Hour))
				case 7:
					if dice.IntN(2) == 0 {
						err = f.DeleteGroup(t.Context(), fmt.Sprint("g", dice.IntN(3)))
						break
					}
					s := hub.Server{User: name, UserID: u.ID, State: []hub.State{hub.Starting, hub.Running, hub.Stopped}[dice.IntN(3)]}
					err = f.store.Transact(t.Context(), func(tx *store.Txn) error { return presence.Note(tx, &s) })
				}
				if err != nil && hub.KindOf(err) == hub.Internal || errors.Is(err, store.ErrUnchanged) || strings.Contains(fmt.Sprint(err), "database") {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	all.Wait()
	f.sound("after all that")
}

// TestMembersLoseTheirEdgeTokens: a change of membership ends what edges believe.
func TestMembersLoseTheirEdgeTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var names []hub.UserName
	for i := range 45 {
		names = append(names, f.user(hub.UserName(fmt.Sprint("u", i)), false).Name)
	}
	_, err := f.CreateGroups(t.Context(), []string{"staff"}, names)
	f.must("CreateGroups", err)
	u, err := f.Get(t.Context(), "u7")
	f.must("Get", err)
	_, cookie := f.session(u)
	c, err := f.BySession(t.Context(), cookie)
	f.must("BySession", err)
	before := f.claims(c)
	if len(before.Groups) != 1 || before.Groups[0] != "staff" || f.revoked(before) {
		t.Errorf("claims of a member: %+v", before)
	}
	ahead := func(c *routes.Claims) *routes.Claims { // as a replica makes them whose clock is ahead, or who was slow
		c.IssuedAt += 10
		return c
	}
	err = f.AddMembers(t.Context(), "staff", []hub.UserName{"u1", "nobody"})
	wantKind(t, "AddMembers of nobody", err, hub.Invalid)
	f.must("RemoveMembers", f.RemoveMembers(t.Context(), "staff", names[5:]))
	if !f.revoked(before) || !f.revoked(ahead(f.claims(c))) {
		t.Error("edges accept the edge token of a user who is no member any more")
	}
	if c, err = f.BySession(t.Context(), cookie); err != nil || len(f.claims(c).Groups) != 0 || f.revoked(f.claims(c)) {
		t.Errorf("the next edge token: %+v, %v", c, err)
	}
	f.must("DeleteGroup", f.DeleteGroup(t.Context(), "staff"))
	for _, name := range names {
		if u, err := f.Get(t.Context(), name); err != nil || len(u.Groups) != 0 {
			t.Errorf("%s is in %q, %v", name, u.Groups, err)
		}
	}
	f.sound("after deleting the group")
}

func TestRename(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("alice", false)
	groups := []string{"staff"}
	u, err := f.Update(t.Context(), "alice", account.Change{Groups: &groups})
	f.must("Update", err)
	f.user("bob", false)
	secret := f.api(u, "inherit")
	old := f.claims(f.byToken(secret))
	servers := store.NewTable[hub.Server](f.store, store.Servers, "server")
	f.must("Create", servers.Create(t.Context(), store.ID("alice", "lab"), hub.Server{User: "alice", UserID: u.ID, Name: "lab", State: hub.Stopped}))
	taken, to := hub.UserName("bob"), hub.UserName("alicia")
	_, err = f.Update(t.Context(), "alice", account.Change{Name: &taken})
	wantKind(t, "the name of somebody else", err, hub.Invalid)
	running := hub.Server{User: "alice", UserID: u.ID, State: hub.Running}
	note := func() error {
		return f.store.Transact(t.Context(), func(tx *store.Txn) error { return account.NewPresence(f.store).Note(tx, &running) })
	}
	f.must("Note", note())
	_, err = f.Update(t.Context(), "alice", account.Change{Name: &to})
	wantKind(t, "with a running server", err, hub.Invalid)
	wantKind(t, "delete with a running server", f.Delete(t.Context(), u), hub.Invalid)
	// That refusal came after the tokens had ended, as a deletion begins with them.
	secret = f.api(u, "inherit")
	_, cookie := f.session(u)
	running.State = hub.Stopped
	f.must("Note", note())

	renamed, err := f.Update(t.Context(), "alice", account.Change{Name: &to})
	if err != nil || renamed.ID != u.ID || renamed.Name != "alicia" || renamed.Number != u.Number {
		t.Errorf("renamed: %+v, %v", renamed, err)
	}
	_, err = f.Get(t.Context(), "alice")
	wantKind(t, "the old name", err, hub.NotFound)
	if c := f.byToken(secret); c.User.Name != "alicia" || c.User.ID != u.ID {
		t.Errorf("the token is now of %+v", c.User)
	}
	if !f.revoked(old) {
		t.Error("edges accept the edge token with the old name")
	}
	_, err = f.BySession(t.Context(), cookie)
	wantKind(t, "the old session", err, hub.Unauthenticated)
	if s, err := servers.Get(t.Context(), store.ID("alicia", "lab")); err != nil || s.Value.User != "alicia" {
		t.Errorf("the stopped server: %+v, %v", s, err)
	}
	if m, err := f.Members(t.Context(), "staff"); err != nil || len(m) != 1 || m[0] != "alicia" {
		t.Errorf("members: %q, %v", m, err)
	}
	next := f.user("alice", false)
	wantKind(t, "a start for the user who had the name", f.store.Transact(t.Context(), func(tx *store.Txn) error {
		return account.NewPresence(f.store).Note(tx, &hub.Server{User: "alice", UserID: u.ID, State: hub.Starting})
	}), hub.NotFound)
	if next.ID == u.ID {
		t.Error("the new user of the name has the old one's id")
	}
	f.sound("after renaming")
}
