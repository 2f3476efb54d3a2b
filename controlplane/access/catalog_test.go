package access_test

import (
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
)

func TestCustomScopesExpandLikeBuiltInOnes(t *testing.T) {
	t.Parallel()
	catalog, err := access.NewCatalog(map[string][]string{
		"custom:grades:all":  {"custom:grades:read", "custom:grades:write"},
		"custom:grades:read": nil,
		// These two contain each other, which must come to an end.
		"custom:grades:write": {"custom:grades:post"},
		"custom:grades:post":  {"custom:grades:write"},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, err := catalog.Expand(alice, "custom:grades:all!group=g", "read:hub")
	if err != nil {
		t.Fatal(err)
	}
	wantStrings(t, "custom:grades:all", set.Strings(), []string{
		"custom:grades:all!group=g", "custom:grades:read!group=g", "custom:grades:write!group=g",
		"custom:grades:post!group=g", "read:hub",
	})
	token, err := catalog.TokenScopes([]string{"custom:grades:read!group=g"}, alice, set, nil)
	if err != nil || !token.HasAny("custom:grades:read") || token.HasAny("custom:grades:all") {
		t.Errorf("token with custom:grades:read: %q, %v", token.Strings(), err)
	}
}

func TestCustomScopesCannotReachTheHubsOwn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		custom map[string][]string
		want   string
	}{
		"child built in":  {map[string][]string{"custom:x:y": {"admin:users"}}, "not a custom scope"},
		"child undefined": {map[string][]string{"custom:x:y": {"custom:x:z"}}, "not a custom scope"},
		"name built in":   {map[string][]string{"users": nil}, "not a valid custom scope"},
		"name too short":  {map[string][]string{"custom:x": nil}, "not a valid custom scope"},
		"name upper case": {map[string][]string{"custom:Xy:z": nil}, "not a valid custom scope"},
		"name ends in :":  {map[string][]string{"custom:xy:": nil}, "not a valid custom scope"},
		"name with a !":   {map[string][]string{"custom:xy!user": nil}, "not a valid custom scope"},
	} {
		if _, err := access.NewCatalog(test.custom); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: NewCatalog(%v) = %v, want an error that says %q", name, test.custom, err, test.want)
		}
	}
}
