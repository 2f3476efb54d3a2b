package access_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
)

var alice = access.Owner{User: "alice"}

func TestSelfOfAUserIsTheListSeenOnTheWire(t *testing.T) {
	t.Parallel()
	const seen = "access:servers delete:servers read:servers read:shares read:tokens read:users read:users:activity" +
		" read:users:groups read:users:name read:users:shares servers start:servers tokens users:activity users:shares"
	var want []string
	for scope := range strings.FieldsSeq(seen) {
		want = append(want, scope+"!user=alice")
	}
	got := expand(t, alice, "self").Strings()
	if !slices.Equal(got, want) {
		t.Errorf("self of alice:\n got %q\nwant %q", got, want)
	}
}

func TestExpandFillsInTheOwner(t *testing.T) {
	t.Parallel()
	server := access.Owner{User: "alice", Server: "alice/"}
	service := access.Owner{Service: "jobs"}
	oauth := access.Owner{User: "alice", Service: "jobs"}
	for _, test := range []struct {
		promise string
		owner   access.Owner
		raw     []string
		want    []string
	}{
		{"nothing gives nothing", alice, nil, nil},
		{"user", alice, []string{"users:activity!user"}, []string{"users:activity!user=alice", "read:users:activity!user=alice"}},
		{"server", server, []string{"access:servers!server"}, []string{"access:servers!server=alice/"}},
		{"service", service, []string{"access:services!service"}, []string{"access:services!service=jobs"}},
		{"service of an OAuth client", oauth, []string{"access:services!service", "tokens!user"},
			[]string{"access:services!service=jobs", "tokens!user=alice", "read:tokens!user=alice"}},
		{"user of a service is dropped", service, []string{"tokens!user", "read:hub"}, []string{"read:hub"}},
		{"server without a server is dropped", alice, []string{"access:servers!server"}, nil},
		{"service without a service is dropped", alice, []string{"access:services!service"}, nil},
		{"self of a service is nothing", service, []string{"self"}, nil},
	} {
		wantStrings(t, test.promise, expand(t, test.owner, test.raw...).Strings(), test.want)
	}
}

func TestExpandAddsWhatAScopeContains(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		promise   string
		raw, want []string
	}{
		{"children at every depth", []string{"admin:groups"}, []string{
			"admin:groups", "groups", "read:groups", "list:groups", "read:groups:name", "read:roles:groups", "delete:groups",
		}},
		{"with the same filter", []string{"tokens!group=g"}, []string{"tokens!group=g", "read:tokens!group=g"}},
		{"but nothing about users on a server filter", []string{"read:servers!server=alice/x"},
			[]string{"read:servers!server=alice/x"}},
		{"not even when asked for", []string{"read:users!server=alice/x"}, nil},
		{"unfiltered swallows filtered", []string{"read:hub!user=a", "read:hub", "read:hub!user=b"}, []string{"read:hub"}},
		{"other filters stay", []string{"tokens!user=a", "read:tokens"}, []string{"tokens!user=a", "read:tokens"}},
	} {
		wantStrings(t, test.promise, expand(t, alice, test.raw...).Strings(), test.want)
	}
}

func TestExpandRefusesWithTheScopeInTheError(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"read:userz":            "does not exist",
		"read:userz!user=alice": "does not exist",
		"custom:x:read":         "does not exist",
		"all":                   `now "inherit"`,
		"inherit":               "only for tokens",
		"self!user=bob":         "takes no filter",
		"users!team=x":          "unknown filter",
	} {
		set, err := access.Expand(alice, "read:hub", in)
		var scopeErr *access.Error
		if !errors.As(err, &scopeErr) || scopeErr.Scope != in || !strings.Contains(err.Error(), want) {
			t.Errorf("Expand(%q) = %v, want an error that says %q", in, err, want)
		}
		if !set.Empty() {
			t.Errorf("Expand(%q) failed and still gives %q", in, set.Strings())
		}
	}
}

func TestUnresolvedNamesWhatExpandDrops(t *testing.T) {
	t.Parallel()
	got := access.Unresolved(access.Owner{Service: "jobs"},
		"self", "tokens!user", "tokens!user=bob", "access:servers!server", "access:services!service", "bad!x", "read:hub")
	wantStrings(t, "unresolved of a service", got, []string{"self", "tokens!user", "access:servers!server"})
}

func TestAllListsThe45BuiltInNamesAndTheyExpand(t *testing.T) {
	t.Parallel()
	all := access.All()
	if len(all) != 45 || !slices.IsSorted(all) {
		t.Errorf("All() has %d names, want 45 sorted: %q", len(all), all)
	}
	for _, name := range all {
		set := expand(t, alice, name)
		for _, child := range access.Contains(name) {
			if !set.Has(child) {
				t.Errorf("%s contains %s, but expanding it gives %q", name, child, set.Strings())
			}
		}
	}
	access.Contains("users")[0] = "changed"
	if got := access.Contains("users")[0]; got == "changed" {
		t.Error("Contains hands out its own list")
	}
}
