package access

import (
	"slices"
	"testing"
)

func TestFilteredTo(t *testing.T) {
	t.Parallel()
	set, err := Expand(Owner{User: "alice"}, "list:users!group=staff", "list:users!group=a", "list:users!user=bob", "groups!group=own", "list:services")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		scope, kind string
		want        []string
	}{
		{"list:users", FilterGroup, []string{"a", "staff"}},
		{"list:users", FilterUser, []string{"bob"}},
		{"list:users", FilterServer, nil},
		{"list:groups", FilterGroup, []string{"own"}}, // contained in groups
		{"list:services", FilterService, nil},         // held on all
		{"admin:users", FilterUser, nil},
	} {
		if got := set.FilteredTo(tt.scope, tt.kind); !slices.Equal(got, tt.want) {
			t.Errorf("FilteredTo(%s, %s) = %q, want %q", tt.scope, tt.kind, got, tt.want)
		}
	}
}
