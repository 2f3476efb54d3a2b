package access_test

import (
	"slices"
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
)

// expand is Expand for scopes that must be good.
func expand(t testing.TB, owner access.Owner, raw ...string) access.Set {
	t.Helper()
	set, err := access.Expand(owner, raw...)
	if err != nil {
		t.Fatalf("Expand(%+v, %q): %v", owner, raw, err)
	}
	return set
}

func wantStrings(t testing.TB, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func groupsOf(groups map[string][]string) func(string) []string {
	return func(user string) []string { return groups[user] }
}

// userResource is a user, serverResource one of the user's servers.
func userResource(user string, groups ...string) access.Resource {
	return access.Resource{User: user, UserGroups: groups}
}

func serverResource(user, server string, groups ...string) access.Resource {
	return access.Resource{User: user, UserGroups: groups, Server: &server}
}
