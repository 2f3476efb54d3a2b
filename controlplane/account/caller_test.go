package account_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// server is the route of one server of a user.
func server(u hub.User, name string) *routes.Route {
	return &routes.Route{Auth: routes.AuthTicket, Owner: string(u.Name), OwnerID: u.ID, Server: name}
}

// TestAccessScopes says what edge tokens carry, and where an edge lets their bearer in.
func TestAccessScopes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	alice, bob, root := f.user("alice", false), f.user("bob", false), f.user("root", true)
	places := map[string]*routes.Route{"alice": server(alice, ""), "alice/lab2": server(alice, "lab2"), "bob": server(bob, "")}
	for what, c := range map[string]struct {
		owner  hub.User
		scopes []string
		want   []string
		enters []string
	}{
		"inherit":                     {alice, []string{"inherit"}, []string{"inherit"}, []string{"alice", "alice/lab2"}},
		"inherit of an administrator": {root, []string{"inherit"}, []string{"inherit", "access:servers", "access:services"}, []string{"alice", "alice/lab2", "bob"}},
		"own servers":                 {alice, []string{"access:servers!user"}, []string{"access:servers!user=alice"}, []string{"alice", "alice/lab2"}},
		"one server":                  {alice, []string{"access:servers!server=alice/lab2"}, []string{"access:servers!server=alice/lab2"}, []string{"alice/lab2"}},
		"the default server":          {alice, []string{"access:servers!server=alice/"}, []string{"access:servers!server=alice/"}, []string{"alice"}},
		"all servers, asked by alice": {alice, []string{"access:servers"}, []string{"access:servers!user=alice"}, []string{"alice", "alice/lab2"}},
		"all servers, by root":        {root, []string{"access:servers"}, []string{"access:servers"}, []string{"alice", "alice/lab2", "bob"}},
		"bob's, asked by alice":       {alice, []string{"access:servers!user=bob"}, nil, nil},
		"bob's, asked by root":        {root, []string{"access:servers!user=bob"}, []string{"access:servers!user=bob"}, []string{"bob"}},
		"no access at all":            {alice, []string{"read:users:name!user"}, nil, nil},
		"nothing":                     {alice, nil, nil, nil},
		"inherit and more":            {alice, []string{"inherit", "read:users:name!user"}, []string{"access:servers!user=alice"}, []string{"alice", "alice/lab2"}},
	} {
		secret := f.api(c.owner, c.scopes...)
		got := f.claims(f.byToken(secret))
		if !slices.Equal(got.Scopes, c.want) {
			t.Errorf("%s: edge token with scopes %q, want %q", what, got.Scopes, c.want)
		}
		if got.UserID != c.owner.ID || got.Subject != string(c.owner.Name) || got.Token == "" || got.Session != "" {
			t.Errorf("%s: claims %+v", what, got)
		}
		for name, r := range places {
			if enters := routes.Allows(r, got); enters != slices.Contains(c.enters, name) {
				t.Errorf("%s: enters %s: %t, want only %q", what, name, enters, c.enters)
			}
		}
	}
	_, cookie := f.session(alice)
	c, err := f.BySession(t.Context(), cookie)
	f.must("BySession", err)
	if got := f.claims(c); !slices.Equal(got.Scopes, []string{"inherit"}) || got.Session == "" || got.Token != "" || !routes.Allows(places["alice"], got) || routes.Allows(places["bob"], got) {
		t.Errorf("a session: claims %+v, want inherit, and only the own servers", got)
	}
}

// TestRightsAreThoseOfNow holds the invariant of the package.
func TestRightsAreThoseOfNow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u, yes, no := f.user("alice", false), true, false
	_, cookie := f.session(u)
	secret := f.api(u, "inherit")
	narrow := f.api(u, "read:users:name!user")
	admin := func() map[string]bool {
		s, err := f.BySession(t.Context(), cookie)
		f.must("BySession", err)
		has := map[string]bool{}
		for what, c := range map[string]*account.Caller{"session": s, "token": f.byToken(secret), "narrow token": f.byToken(narrow)} {
			has[what] = c.Scopes.Has("admin:users")
			if c.Name() != "alice" {
				t.Errorf("name of a %s: %q, want alice", what, c.Name())
			}
			if !c.Scopes.Allows("read:users:name", access.Resource{User: "alice"}) {
				t.Errorf("a %s cannot read its own name", what)
			}
		}
		return has
	}
	for _, step := range []*bool{&no, &yes, &no} {
		_, err := f.Update(t.Context(), "alice", account.Change{Admin: step})
		f.must("Update", err)
		for what, has := range admin() {
			if has != (*step && what != "narrow token") {
				t.Errorf("administrator %t: a %s may administer users: %t", *step, what, has)
			}
		}
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u := f.user("alice", false)
	s, cookie := f.session(u)
	c, err := f.BySession(t.Context(), cookie)
	f.must("BySession", err)
	claims := f.claims(c)
	renewed, err := f.Renew(t.Context(), claims)
	if err != nil || renewed.Session.ID != s.ID || renewed.User.ID != u.ID {
		t.Errorf("Renew: got %+v, %v; want the same session", renewed, err)
	}
	_, err = f.Renew(t.Context(), f.claims(f.byToken(f.api(u, "inherit"))))
	wantKind(t, "Renew without a session", err, hub.Unauthenticated)
	other := f.user("bob", false)
	_, err = f.Renew(t.Context(), &routes.Claims{Subject: "bob", UserID: other.ID, Session: s.ID})
	wantKind(t, "Renew of another user's session", err, hub.Unauthenticated)
	f.must("EndSession", f.tokens.EndSession(t.Context(), u.ID, s.ID))
	_, err = f.Renew(t.Context(), claims)
	wantKind(t, "Renew after signing out", err, hub.Unauthenticated)
	if !f.revoked(claims) {
		t.Error("edges accept the edge token of a session that was signed out")
	}
}

// TestBootstrapService is about the token file of automation.
func TestBootstrapService(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.must("PutAdminService", f.PutAdminService(t.Context(), "bootstrap", "first secret"))
	c := f.byToken("first secret")
	if c.User != nil || c.Service != "bootstrap" || c.Name() != "bootstrap" || !c.Admin() || !c.Scopes.Has("admin:users") {
		t.Errorf("caller: %+v, want the service with the role admin", c)
	}
	claims := f.claims(c)
	if claims.UserID != "service/bootstrap" || !claims.Admin || !slices.Equal(claims.Scopes, []string{"inherit", "access:servers", "access:services"}) {
		t.Errorf("claims: %+v", claims)
	}
	f.must("PutAdminService again", f.PutAdminService(t.Context(), "bootstrap", "first secret"))
	if again := f.byToken("first secret"); again.Token.ID != c.Token.ID {
		t.Errorf("a restart made a new token %s, had %s", again.Token.ID, c.Token.ID)
	}
	f.must("PutAdminService", f.PutAdminService(t.Context(), "bootstrap", "second secret"))
	_, err := f.ByToken(t.Context(), "first secret")
	wantKind(t, "ByToken with the replaced token", err, hub.Unauthenticated)
	if !f.revoked(claims) {
		t.Error("edges accept the edge token of the replaced token")
	}
	if f.byToken("second secret").Service != "bootstrap" {
		t.Error("the new token is not the service's")
	}

	services := store.NewTable[hub.Service](f.store, store.Services, "service")
	_, err = services.Update(t.Context(), store.ID("bootstrap"), func(s *hub.Service) ([]store.Op, error) { s.Admin = false; return nil, nil })
	f.must("Update", err)
	if c := f.byToken("second secret"); c.Admin() || !c.Scopes.Empty() {
		t.Errorf("a service without the role admin: %+v", c)
	}
	f.must("PutAdminService", f.PutAdminService(t.Context(), "bootstrap", "second secret"))
	if !f.byToken("second secret").Admin() {
		t.Error("PutAdminService did not give an existing service the role admin")
	}
	f.must("Delete", services.Delete(t.Context(), store.ID("bootstrap"), 0))
	_, err = f.ByToken(t.Context(), "second secret")
	wantKind(t, "ByToken of a service that is gone", err, hub.Unauthenticated)
}

// TestServiceAndUserOfOneName are two, for the hub and for edges.
func TestServiceAndUserOfOneName(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u := f.user("bootstrap", false)
	f.must("PutAdminService", f.PutAdminService(t.Context(), "bootstrap", "the service's"))
	if c := f.byToken(f.api(u, "inherit")); c.Admin() || c.Service != "" || c.Scopes.Has("admin:users") {
		t.Errorf("the user has the service's rights: %+v", c)
	}
	if service := f.claims(f.byToken("the service's")); service.UserID == u.ID || strings.Contains(u.ID, "/") {
		t.Errorf("edges take the service %q for the user %q", service.UserID, u.ID)
	}
}
