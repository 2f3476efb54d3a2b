package access_test

import (
	"slices"
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
)

func TestDefaultRolesExpandForTheirHolders(t *testing.T) {
	t.Parallel()
	var names []string
	for _, role := range access.DefaultRoles() {
		names = append(names, role.Name)
		if role.Name == "token" {
			continue // inherit is for TokenScopes
		}
		if set := expand(t, access.Owner{User: "alice", Server: "alice/"}, role.Scopes...); set.Empty() {
			t.Errorf("role %s grants nothing", role.Name)
		}
	}
	if want := []string{"user", "admin", "server", "token"}; !slices.Equal(names, want) {
		t.Errorf("default roles are %q, want %q", names, want)
	}
}

func TestAdminHoldsEveryScopeOnEverything(t *testing.T) {
	t.Parallel()
	raw, err := access.RoleScopes(access.DefaultRoles(), "user", "admin")
	if err != nil {
		t.Fatal(err)
	}
	wantStrings(t, "user and admin", expand(t, alice, raw...).Strings(), access.All())
}

func TestRoleScopesListsEachScopeOnce(t *testing.T) {
	t.Parallel()
	roles := []access.Role{
		{Name: "a", Scopes: []string{"proxy", "read:hub"}},
		{Name: "b", Scopes: []string{"read:hub", "shutdown"}},
	}
	got, err := access.RoleScopes(roles, "b", "a")
	if want := []string{"read:hub", "shutdown", "proxy"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("RoleScopes(b, a) = %q, %v, want %q", got, err, want)
	}
	if got, err := access.RoleScopes(roles, "a", "c"); err == nil {
		t.Errorf("RoleScopes of an unknown role = %q, want an error", got)
	}
}

func TestDefaultRolesAreTheCallersToChange(t *testing.T) {
	t.Parallel()
	access.DefaultRoles()[0].Scopes[0] = "shutdown"
	if got := access.DefaultRoles()[0].Scopes[0]; got != "self" {
		t.Errorf("role user now holds %q", got)
	}
}
