package account_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/routes"
)

// list is a list of the configuration, which is not nil even if it is empty.
func list(names ...string) *[]string {
	names = append([]string{}, names...)
	return &names
}

func (f fixture) configure(c account.Config) {
	f.t.Helper()
	f.must("Configure", f.Configure(f.t.Context(), c))
}

// has reports whether a user holds a scope, on everything or something.
func (f fixture) has(name hub.UserName, scope string) bool {
	f.t.Helper()
	u, err := f.Get(f.t.Context(), name)
	f.must("Get", err)
	set, err := f.UserScopes(f.t.Context(), u)
	f.must("UserScopes", err)
	return set.HasAny(scope)
}

func TestTheConfigurationIsAuthoritativeForItsRoles(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	f.user("alice", false)
	_, err := f.CreateRole(ctx, hub.Role{Name: "reader", Scopes: []string{"read:hub"}})
	f.must("CreateRole", err)
	f.must("GiveRole", f.GiveRole(ctx, "reader", "alice"))
	first := account.Config{CustomScopes: map[string][]string{"custom:grades:all": {"custom:grades:read"}, "custom:grades:read": nil},
		ExtraUserScopes: []string{"read:metrics"},
		Roles: []account.RoleConfig{
			{Name: "reader", Scopes: list("list:users")},
			{Name: "later", Scopes: list("custom:grades:all"), Users: list("Carol")},
		}}
	f.configure(first)
	f.user("carol", false)
	for scope, want := range map[hub.UserName]map[string]bool{
		"alice": {"list:users": true, "read:hub": false, "read:metrics": true, "custom:grades:read": false},
		"carol": {"list:users": false, "read:metrics": true, "custom:grades:read": true, "servers": true},
	} {
		for s, w := range want {
			if f.has(scope, s) != w {
				t.Errorf("%s holds %s: %t, want %t", scope, s, !w, w)
			}
		}
	}
	before := storetest.Dump(t, f.store, f.client)
	f.configure(first)
	if after := storetest.Dump(t, f.store, f.client); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Error("a restart with the same configuration wrote something")
	}

	// The file says now who has the role, and that is nobody who was given it.
	f.configure(account.Config{Roles: []account.RoleConfig{{Name: "reader", Scopes: list("read:hub"), Users: list()}}})
	if f.has("alice", "read:hub") || f.has("alice", "list:users") || f.has("alice", "read:metrics") || f.has("carol", "custom:grades:read") {
		t.Error("somebody has what the configuration does not give any more")
	}
	if _, err := f.Role(ctx, "later"); hub.KindOf(err) != hub.NotFound {
		t.Errorf("a role that left the file: %v", err)
	}
	f.configure(account.Config{})
	if !f.has("alice", "servers") {
		t.Error("the role user is not its default again")
	}
}

func TestAConfigurationThatCannotBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		config account.Config
		want   string
	}{
		"unknown scope":       {account.Config{Roles: []account.RoleConfig{{Name: "abc", Scopes: list("nope")}}}, `Role abc of the configuration: scope "nope" does not exist`},
		"bad name":            {account.Config{Roles: []account.RoleConfig{{Name: "Abc"}}}, "Invalid role name"},
		"twice":               {account.Config{Roles: []account.RoleConfig{{Name: "abc"}, {Name: "abc"}}}, "twice"},
		"scopes of admin":     {account.Config{Roles: []account.RoleConfig{{Name: "admin", Scopes: list()}}}, "admin cannot be changed"},
		"bad user":            {account.Config{Roles: []account.RoleConfig{{Name: "abc", Users: list("a b")}}}, "Invalid username: a b"},
		"inherit":             {account.Config{Roles: []account.RoleConfig{{Name: "abc", Scopes: list("inherit")}}}, "only for the role token"},
		"custom scope":        {account.Config{CustomScopes: map[string][]string{"custom:a:b": {"admin:users"}}}, "custom_scopes: "},
		"undefined custom":    {account.Config{Roles: []account.RoleConfig{{Name: "abc", Scopes: list("custom:a:b")}}}, "does not exist"},
		"extra user scope":    {account.Config{ExtraUserScopes: []string{"nope"}}, "extra_user_scopes: "},
		"an empty group name": {account.Config{Roles: []account.RoleConfig{{Name: "abc", Groups: list("")}}}, "Invalid group name"},
	} {
		if err := test.config.Check(); hub.KindOf(err) != hub.Invalid || !strings.Contains(hub.MessageOf(err), test.want) {
			t.Errorf("%s: %v, want an error with %q", what, err, test.want)
		}
	}
}

// A scope that the configuration had gives nothing, and takes nothing else of the role with it. A token that names it is worth
// nothing.
func TestACustomScopeThatIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.configure(account.Config{CustomScopes: map[string][]string{"custom:a:b": nil}})
	_, err := f.CreateRole(t.Context(), hub.Role{Name: "mixed", Scopes: []string{"custom:a:b", "read:hub"}})
	f.must("CreateRole", err)
	u := f.user("alice", false)
	f.must("GiveRole", f.GiveRole(t.Context(), "mixed", "alice"))
	secret := f.api(u, "custom:a:b", "read:hub")
	if c := f.byToken(secret); !c.Scopes.Has("custom:a:b") || !c.Scopes.Has("read:hub") {
		t.Errorf("before: %q", c.Scopes.Strings())
	}
	f.configure(account.Config{})
	if !f.has("alice", "read:hub") || f.has("alice", "custom:a:b") {
		t.Error("the rest of the role is not what is left")
	}
	if c := f.byToken(secret); !c.Scopes.Empty() {
		t.Errorf("a token that cannot be read holds %q", c.Scopes.Strings())
	}
}

// Only what edges go by is revoked at edges.
func TestWhichChangesOfRolesReachEdges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u := f.user("alice", false)
	f.user("bob", false)
	_, err := f.CreateRole(t.Context(), hub.Role{Name: "helper", Scopes: []string{"read:hub"}})
	f.must("CreateRole", err)
	f.must("GiveRole", f.GiveRole(t.Context(), "helper", "alice"))
	secret := f.api(u, "inherit")
	for _, step := range []struct {
		what    string
		change  func(*hub.Role)
		revoked int
		grants  []string
	}{
		{"a description", func(r *hub.Role) { r.Description = "Helps" }, 0, nil},
		{"a scope that only the hub asks for", func(r *hub.Role) { r.Scopes = []string{"list:users"} }, 0, nil},
		{"a server", func(r *hub.Role) { r.Scopes = []string{"access:servers!server=bob/"} }, 1, []string{"access:servers!server=bob/"}},
		{"what contains it", func(r *hub.Role) { r.Scopes = []string{"shares!user=bob"} }, 1, []string{"access:servers!user=bob"}},
		{"a group", func(r *hub.Role) { r.Groups = []string{"g"} }, 1, []string{"access:servers!user=bob"}},
		{"a service", func(r *hub.Role) { r.Services = []string{"s"} }, 1, []string{"access:servers!user=bob"}},
		{"the end of it", func(r *hub.Role) { r.Scopes = []string{} }, 3, nil}, // of the role; group and service do not change
	} {
		before := f.revisions()
		_, err := f.UpdateRole(t.Context(), "helper", func(r *hub.Role) error { step.change(r); return nil })
		f.must("UpdateRole", err)
		n := 0
		for key, revision := range f.revisions() {
			if before[key] != revision {
				n++
			}
		}
		if want := min(step.revoked, 1); n != want {
			t.Errorf("%s: %d revocations, want %d", step.what, n, want)
		}
		if got := f.claims(f.byToken(secret)).Grants; !slices.Equal(got, step.grants) {
			t.Errorf("%s: grants %q, want %q", step.what, got, step.grants)
		}
	}
}

// revisions are the revisions of all revocations.
func (f fixture) revisions() map[string]int64 {
	f.t.Helper()
	out := map[string]int64{}
	for key := range storetest.Dump(f.t, f.store, f.client) {
		if strings.Contains(key, routes.RevokedTree) {
			_, out[key], _ = storetest.Raw(f.t, f.client, key)
		}
	}
	return out
}

// Edge tokens have a longest length; of rights that do not fit some are missing, and the token is revoked with any role.
func TestManyRightsFitIntoAnEdgeToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u := f.user("alice", false)
	var scopes []string
	for i := range 400 {
		scopes = append(scopes, fmt.Sprintf("access:servers!user=user%d", i))
	}
	f.configure(account.Config{Roles: []account.RoleConfig{{Name: "wide", Scopes: &scopes, Users: list("alice")}}})
	got := f.claims(f.byToken(f.api(u, "inherit")))
	if n := len(got.Grants); n < 40 || n >= 400 || len(got.Roles) != 2 {
		t.Errorf("%d grants and roles %q", n, got.Roles)
	}
	f.claims(f.byToken(f.api(u, scopes...)))

	var roles []account.RoleConfig
	for i := range 300 {
		roles = append(roles, account.RoleConfig{Name: fmt.Sprintf("role%d", i), Users: list("alice")})
	}
	f.configure(account.Config{Roles: roles})
	if got := f.claims(f.byToken(f.api(u, "inherit"))); !slices.Equal(got.Roles, []string{routes.AnyRole}) || !slices.Contains(got.Scopes, "inherit") {
		t.Errorf("with 300 roles: roles %q, scopes %q", got.Roles, got.Scopes)
	}
}

func TestARestrictedUserDoesNotReachTheOwnServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u := f.user("alice", false)
	f.configure(account.Config{Roles: []account.RoleConfig{{Name: "user", Scopes: list("read:users!user")}}})
	if got := f.claims(f.byToken(f.api(u, "inherit"))); routes.Allows(server(u, ""), got) {
		t.Errorf("a user without access:servers enters with %+v", got)
	}
	f.configure(account.Config{})
	if got := f.claims(f.byToken(f.api(u, "inherit"))); !routes.Allows(server(u, ""), got) {
		t.Errorf("with the default role: %+v", got)
	}
}

func TestARoleOfManyUsersIsTidiedUpByWhoeverComes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.CreateRole(t.Context(), hub.Role{Name: "many", Scopes: []string{"read:hub"}})
	f.must("CreateRole", err)
	const n = 130 // more than one batch
	for i := range n {
		name := hub.UserName(fmt.Sprintf("user%d", i))
		f.user(name, false)
		f.must("GiveRole", f.GiveRole(t.Context(), "many", name))
	}
	gone, err := f.Get(t.Context(), "user7")
	f.must("Get", err)
	f.must("Delete", f.Delete(t.Context(), gone))
	f.must("DeleteRole", f.DeleteRole(t.Context(), "many"))
	if f.has("user0", "read:hub") || f.has("user129", "read:hub") {
		t.Error("a deleted role gives something")
	}
	_, err = f.CreateRole(t.Context(), hub.Role{Name: "many", Scopes: []string{"read:hub"}})
	wantKind(t, "CreateRole while the old one is tidied up", err, hub.Conflict)
	other, err := account.New(f.store, f.tokens)
	f.must("New", err)
	f.must("TidyRoles", other.TidyRoles(t.Context()))
	for key := range storetest.Dump(t, f.store, f.client) {
		if strings.Contains(key, "role-holders/") || strings.Contains(key, "roles/many") {
			t.Errorf("left over: %s", key)
		}
	}
	_, err = f.CreateRole(t.Context(), hub.Role{Name: "many", Scopes: []string{"read:hub"}})
	f.must("CreateRole again", err)
	if f.has("user0", "read:hub") {
		t.Error("a later role of the name belongs to who had the old one")
	}
}

func TestAUserHasFewRolesOneByOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("alice", false)
	var roles []account.RoleConfig
	var names []string
	for i := range 51 {
		names = append(names, fmt.Sprintf("role%d", i))
		roles = append(roles, account.RoleConfig{Name: names[i]})
	}
	f.configure(account.Config{Roles: roles})
	_, err := f.Update(t.Context(), "alice", account.Change{Roles: &names})
	wantKind(t, "51 roles", err, hub.Invalid)
	few := names[:50]
	_, err = f.Update(t.Context(), "alice", account.Change{Roles: &few})
	f.must("50 roles", err)
	wantKind(t, "one more", f.GiveRole(t.Context(), names[50], "alice"), hub.Invalid)
	wantKind(t, "a role that there is not", f.GiveRole(t.Context(), "nope", "alice"), hub.NotFound)
	wantKind(t, "a user whom there is not", f.GiveRole(t.Context(), names[0], "nobody"), hub.NotFound)
}
