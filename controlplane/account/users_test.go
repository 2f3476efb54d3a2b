package account_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/routes"
)

func TestCreateUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made, err := f.Create(t.Context(), account.NewUser{Name: "alice", Admin: true, Password: "correct horse"})
	f.must("Create", err)
	got, err := f.Get(t.Context(), "alice")
	f.must("Get", err)
	if !reflect.DeepEqual(got, made) || got.ID == "" || !got.Admin || time.Since(got.Created) > time.Minute {
		t.Errorf("Get:\n got %+v\nwant %+v", got, made)
	}
	if !strings.HasPrefix(got.Password, "$argon2id$v=19$m=65536,") || strings.Contains(got.Password, "horse") {
		t.Errorf("stored password %q, want an argon2id hash", got.Password)
	}
	_, err = f.Create(t.Context(), account.NewUser{Name: "alice", Password: "another one"})
	wantKind(t, "Create of a name that is taken", err, hub.Conflict)
	if hub.MessageOf(err) != "User alice already exists" {
		t.Errorf("message: %q", hub.MessageOf(err))
	}
	if again, err := f.Get(t.Context(), "alice"); err != nil || !reflect.DeepEqual(again, made) {
		t.Errorf("Create of a name that is taken changed the user to %+v, %v", again, err)
	}
	_, err = f.Get(t.Context(), "bob")
	wantKind(t, "Get of nobody", err, hub.NotFound)
	bob := f.user("bob", false)
	if bob.ID == made.ID || bob.Password != "" {
		t.Errorf("bob: %+v, want another id and no password", bob)
	}
	all, err := f.ListUsers(t.Context(), account.Query{Window: account.Window{Limit: 10}, Sort: account.ByID})
	if err != nil || all.Total != 2 || all.Items[0].Name != "alice" || all.Items[1].Name != "bob" {
		t.Errorf("ListUsers: got %+v, %v; want alice and bob", all, err)
	}
}

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("alice", false)
	for what, p := range map[string]string{"short": "1234567", "one character": "x", "long": strings.Repeat("x", 1025), "very long": strings.Repeat("x", 1<<20)} {
		_, err := f.Create(t.Context(), account.NewUser{Name: "bob", Password: p})
		wantKind(t, "Create with a password that is "+what, err, hub.Invalid)
		_, err = f.Update(t.Context(), "alice", account.Change{Password: &p})
		wantKind(t, "Update to a password that is "+what, err, hub.Invalid)
	}
	empty := ""
	_, err := f.Update(t.Context(), "alice", account.Change{Password: &empty})
	wantKind(t, "Update to no password", err, hub.Invalid)
	_, err = f.Get(t.Context(), "bob")
	wantKind(t, "Get of a user who was refused", err, hub.NotFound)
	for _, p := range []string{"12345678", strings.Repeat("ä", 512)} {
		_, err := f.Update(t.Context(), "alice", account.Change{Password: &p})
		f.must("Update to a good password", err)
		_, err = f.Authenticate(t.Context(), "alice", p)
		f.must("Authenticate", err)
	}
}

// TestAuthenticateTellsNothing is threat T103: all refusals are one.
func TestAuthenticateTellsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made, err := f.Create(t.Context(), account.NewUser{Name: "alice", Password: "correct horse"})
	f.must("Create", err)
	f.user("nopass", false)
	var first error
	for what, c := range map[string][2]string{
		"wrong password": {"alice", "correct Horse"}, "no password given": {"alice", ""}, "longer password": {"alice", "correct horse "},
		"unknown user": {"bob", "correct horse"}, "user without a password": {"nopass", ""}, "the decoy's": {"nopass", "no user has this password"},
		"the decoy's for nobody": {"bob", "no user has this password"}, "a name that cannot be": {"a/../b", "correct horse"}, "no name": {"", ""},
		"a look-alike": {"al\u0130ce", "correct horse"}, "the hash": {"alice", made.Password}, "an endless password": {"alice", strings.Repeat("x", 1<<20)},
	} {
		u, err := f.Authenticate(t.Context(), c[0], c[1])
		wantKind(t, what, err, hub.Unauthenticated)
		if first == nil {
			first = err
		}
		if err == nil || err.Error() != first.Error() || errors.Unwrap(err) != nil || !reflect.DeepEqual(u, hub.User{}) {
			t.Errorf("%s: got user %+v and error %v, want nobody and %v", what, u, err, first)
		}
	}
	for _, name := range []string{"alice", "Alice", "ALICE"} {
		if u, err := f.Authenticate(t.Context(), name, "correct horse"); err != nil || u.ID != made.ID {
			t.Errorf("Authenticate(%q) with the password: got %+v, %v", name, u, err)
		}
	}
}

func TestPasswordChangeEndsSessions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u := f.user("alice", false)
	_, cookie := f.session(u)
	secret := f.api(u, "inherit")
	c, err := f.BySession(t.Context(), cookie)
	f.must("BySession", err)
	edge := f.claims(c)
	_, others := f.session(f.user("bob", false))
	password := "a new password"
	_, err = f.Update(t.Context(), "alice", account.Change{Password: &password})
	f.must("Update", err)
	_, err = f.BySession(t.Context(), cookie)
	wantKind(t, "BySession after a new password", err, hub.Unauthenticated)
	_, err = f.Renew(t.Context(), edge)
	wantKind(t, "Renew after a new password", err, hub.Unauthenticated)
	if !f.revoked(edge) {
		t.Error("edges still accept the edge token of a session that ended")
	}
	if _, err = f.ByToken(t.Context(), secret); err != nil {
		t.Errorf("API tokens must stay: %v", err)
	}
	if _, err = f.BySession(t.Context(), others); err != nil {
		t.Errorf("another user was signed out: %v", err)
	}
	if _, err = f.Authenticate(t.Context(), "alice", password); err != nil {
		t.Errorf("Authenticate with the new password: %v", err)
	}
}

// TestChangeOfRights follows edge tokens through changes: each change ends those issued before it, and new ones are good.
func TestChangeOfRights(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u := f.user("alice", false)
	_, cookie := f.session(u)
	secret := f.api(u, "inherit")
	issue := func() map[string]*routes.Claims {
		s, err := f.BySession(t.Context(), cookie)
		f.must("BySession", err)
		return map[string]*routes.Claims{"session": f.claims(s), "token": f.claims(f.byToken(secret))}
	}
	yes, no, groups, none := true, false, []string{"staff", "a group"}, []string{}
	old := issue()
	for i, c := range []account.Change{{Admin: &yes}, {Groups: &groups}, {Admin: &no, Groups: &none}, {Admin: &yes}} { // within one second
		changed, err := f.Update(t.Context(), "alice", c)
		f.must("Update", err)
		for what, o := range old {
			if !f.revoked(o) {
				t.Errorf("change %d: edges still accept the %s's edge token from before it", i, what)
			}
		}
		old = issue()
		for what, o := range old {
			if f.revoked(o) {
				t.Errorf("change %d: edges refuse the %s's new edge token (issued %d, %+v)", i, what, o.IssuedAt, changed)
			}
			if o.Admin != changed.Admin || strings.Join(o.Groups, ",") != strings.Join(changed.Groups, ",") || changed.ID != u.ID {
				t.Errorf("change %d: the %s's edge token says %+v, the user is %+v", i, what, o, changed)
			}
		}
	}
	before, err := f.Get(t.Context(), "alice")
	f.must("Get", err)
	password := "a new password"
	after, err := f.Update(t.Context(), "alice", account.Change{Password: &password})
	f.must("Update", err)
	if after.TokensAfter != before.TokensAfter || !after.Admin {
		t.Errorf("a new password changed rights: %+v, before %+v", after, before)
	}
	_, err = f.Update(t.Context(), "nobody", account.Change{Admin: &yes})
	wantKind(t, "Update of nobody", err, hub.NotFound)
}

// TestManyChangesOfRights is about a program that changes one user many times a second. Every change moves the earliest issue
// of edge tokens on by a second; too far into the future, and edges would refuse the new ones for it.
func TestManyChangesOfRights(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u := f.user("alice", false)
	secret := f.api(u, "inherit")
	refused := 0
	for i := range 100 {
		admin := i%2 == 0
		_, err := f.Update(t.Context(), "alice", account.Change{Admin: &admin})
		if hub.KindOf(err) == hub.Exhausted {
			refused++
			continue
		}
		f.must("Update", err)
	}
	if refused == 0 || refused > 90 {
		t.Errorf("%d of 100 changes at once were refused, want some", refused)
	}
	if c := f.claims(f.byToken(secret)); f.revoked(c) {
		t.Errorf("edges refuse a new edge token: %+v", c)
	}
}

func TestGroupsFitIntoEdgeTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	name := hub.UserName(strings.Repeat("n", 128))
	u := f.user(name, true)
	_, cookie := f.session(u)
	accepted := 0
	for step := 256; step > 0; step /= 2 { // finds the largest number that is accepted
		var groups []string
		for i := range accepted + step {
			groups = append(groups, fmt.Sprintf("g <&> %03d", i))
		}
		_, err := f.Update(t.Context(), name, account.Change{Groups: &groups})
		if err == nil {
			accepted += step
			continue
		}
		wantKind(t, "Update with too many groups", err, hub.Invalid)
	}
	if accepted < 50 || accepted > 500 {
		t.Errorf("%d groups were accepted, want some, and not any number", accepted)
	}
	c, err := f.BySession(t.Context(), cookie)
	f.must("BySession", err)
	if _, _, err := f.EdgeToken(t.Context(), c, ""); err != nil {
		t.Errorf("a user with %d accepted groups cannot sign in: %v", len(c.User.Groups), err)
	}
}

func TestActive(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("alice", false)
	key := f.store.Key(store.Users, store.ID("alice"))
	for range 3 {
		f.must("Active", f.Active(t.Context(), "alice"))
	}
	u, err := f.Get(t.Context(), "alice")
	if err != nil || time.Since(u.LastActivity) > time.Minute {
		t.Errorf("last activity: %v, %v; want now", u.LastActivity, err)
	}
	if _, _, version := storetest.Raw(t, f.client, key); version != 2 {
		t.Errorf("three times within a minute wrote the user %d times, want once", version-1)
	}
	wantKind(t, "Active of nobody", f.Active(t.Context(), "bob"), hub.NotFound)
}

// TestDeletedUser is threat T34: the name may be used again, nothing else.
func TestDeletedUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := f.user("alice", true)
	session, cookie := f.session(old)
	secret := f.api(old, "inherit")
	bySession, err := f.BySession(t.Context(), cookie)
	f.must("BySession", err)
	edges := map[string]*routes.Claims{"session": f.claims(bySession), "token": f.claims(f.byToken(secret))}

	f.must("Delete", f.Delete(t.Context(), old))
	wantKind(t, "Delete again", f.Delete(t.Context(), old), hub.NotFound)
	// As if they had been made by another replica in the middle of the deletion.
	lateSession, lateCookie := f.session(old)
	lateSecret := f.api(old, "inherit")
	new := f.user("alice", false)
	if new.ID == old.ID || new.TokensAfter != 0 {
		t.Fatalf("the new user is %+v, the old one was %+v", new, old)
	}
	for what, s := range map[string]string{"token": secret, "token made late": lateSecret} {
		_, err := f.ByToken(t.Context(), s)
		wantKind(t, "ByToken with the old user's "+what, err, hub.Unauthenticated)
	}
	for what, s := range map[string]string{"session": cookie, "session made late": lateCookie} {
		_, err := f.BySession(t.Context(), s)
		wantKind(t, "BySession with the old user's "+what, err, hub.Unauthenticated)
	}
	for what, c := range edges {
		if !f.revoked(c) {
			t.Errorf("edges accept the edge token of the old user's %s", what)
		}
		_, err := f.Renew(t.Context(), c)
		wantKind(t, "Renew of the old user's "+what, err, hub.Unauthenticated)
	}
	for _, s := range []hub.Session{session, lateSession} {
		for _, id := range []string{old.ID, new.ID} {
			_, err := f.Renew(t.Context(), &routes.Claims{Subject: "alice", UserID: id, Session: s.ID})
			wantKind(t, "Renew by session", err, hub.Unauthenticated)
		}
	}
	// A second deletion of the old user, decided before the name was used again, must not meet the new one.
	wantKind(t, "Delete of the old user", f.Delete(t.Context(), old), hub.NotFound)
	if got, err := f.Get(t.Context(), "alice"); err != nil || got.ID != new.ID {
		t.Errorf("the new user: got %+v, %v; want it untouched", got, err)
	}
	if list, err := f.tokens.OfUser(t.Context(), new.ID); err != nil || len(list) != 0 {
		t.Errorf("the new user has tokens: %+v, %v", list, err)
	}
	if c := f.claims(f.byToken(f.api(new, "inherit"))); f.revoked(c) || c.UserID != new.ID || c.Admin {
		t.Errorf("the new user's edge token: %+v, revoked %t", c, f.revoked(c))
	}
}

// TestSecretsAreNotInEtcd is threat T104 for everything that signs somebody in.
func TestSecretsAreNotInEtcd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u, err := f.Create(t.Context(), account.NewUser{Name: "alice", Password: "correct horse"})
	f.must("Create", err)
	changed := "battery staple"
	_, err = f.Update(t.Context(), "alice", account.Change{Password: &changed})
	f.must("Update", err)
	f.must("PutAdminService", f.PutAdminService(t.Context(), "bootstrap", "operator's secret"))
	_, cookie := f.session(u)
	secret := f.api(u, "inherit")
	edge, _, err := f.EdgeToken(t.Context(), f.byToken(secret), "")
	f.must("EdgeToken", err)
	for key, value := range storetest.Dump(t, f.store, f.client) {
		for what, s := range map[string]string{
			"first password": "correct horse", "password": changed, "cookie": cookie, "API token": secret, "bootstrap token": "operator's secret", "edge token": edge,
		} {
			for _, form := range storetest.Spellings(s) {
				if strings.Contains(key+" "+value, form) {
					t.Errorf("the %s is in etcd as %q at %s", what, form, key)
				}
			}
		}
	}
}

// TestDeleteWhileOthersChangeTheUser also checks that a change of rights, which replaces the user's revocation, does not
// bring edge tokens back to life.
func TestDeleteWhileOthersChangeTheUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u := f.user("alice", false)
	edge := f.claims(f.byToken(f.api(u, "inherit")))
	users := store.NewTable[hub.User](f.store, store.Users, "user")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				_, err := users.Update(t.Context(), store.ID("alice"), func(u *hub.User) ([]store.Op, error) {
					return []store.Op{f.tokens.RevokeUser(u.ID, 1)}, nil // as weak as can be
				})
				if hub.KindOf(err) == hub.NotFound {
					return
				}
				if err != nil {
					t.Errorf("Update: %v", err)
					return
				}
			}
		})
	}
	f.must("Delete", f.Delete(t.Context(), u))
	all.Wait()
	edge.Token, edge.Session = "", "s" // one that was issued in between, of a session that nobody ended
	if !f.revoked(edge) {
		t.Error("edges accept edge tokens of a deleted user")
	}
}
