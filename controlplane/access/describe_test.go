package access_test

import (
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, name := range append(access.All(), access.Inherit, access.Self, access.NoScope) {
		if text, on := access.Describe(name); text == name || text == "" || on != "" {
			t.Errorf("%s: %q, %q, want words", name, text, on)
		}
	}
	for scope, want := range map[string][2]string{
		"servers!user=alice":         {"start, stop and read servers", "the user alice"},
		"servers!server=alice/":      {"start, stop and read servers", "the server of alice"},
		"servers!server=alice/lab":   {"start, stop and read servers", "the server lab of alice"},
		"read:groups!group=g":        {"read groups with who is in them", "the group g"},
		"access:services!service":    {"open services", "itself"},
		"read:users:name!user":       {"read names of users", "yourself"},
		"custom:grades:read!group=g": {"custom:grades:read", "the group g"},
		"<b>":                        {"<b>", ""},
	} {
		if text, on := access.Describe(scope); text != want[0] || on != want[1] {
			t.Errorf("%s: %q, %q, want %q", scope, text, on, want)
		}
	}
}
