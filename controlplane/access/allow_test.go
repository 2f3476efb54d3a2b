package access_test

import (
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
)

func TestAllows(t *testing.T) {
	t.Parallel()
	group, service := access.Resource{Group: "g"}, access.Resource{Service: "jobs"}
	for _, test := range []struct {
		promise string
		held    string
		scope   string
		on      access.Resource
		want    bool
	}{
		{"unfiltered reaches the hub", "read:hub", "read:hub", access.Resource{}, true},
		{"unfiltered reaches a server", "servers", "delete:servers", serverResource("bob", "x"), true},
		{"a missing scope reaches nothing", "servers", "tokens", userResource("bob"), false},
		{"filtered does not reach the hub", "read:hub!user=alice", "read:hub", access.Resource{}, false},
		{"a filter does not reach a nameless user", "servers!user=alice", "servers", serverResource("", ""), false},
		{"user reaches the user", "read:users!user=alice", "read:users:name", userResource("alice"), true},
		{"user does not reach another", "read:users!user=alice", "read:users", userResource("bob"), false},
		{"user reaches the default server", "servers!user=alice", "servers", serverResource("alice", ""), true},
		{"user reaches a named server", "servers!user=alice", "servers", serverResource("alice", "x"), true},
		{"user does not reach another's server", "servers!user=alice", "servers", serverResource("bob", "x"), false},
		{"user is not a group", "groups!user=g", "groups", group, false},
		{"server reaches that server", "servers!server=alice/x", "servers", serverResource("alice", "x"), true},
		{"server reaches the default server", "servers!server=alice/", "servers", serverResource("alice", ""), true},
		{"server does not reach another", "servers!server=alice/x", "servers", serverResource("alice", ""), false},
		{"server does not reach its owner", "servers!server=alice/x", "servers", userResource("alice"), false},
		{"group reaches the group", "groups!group=g", "read:groups:name", group, true},
		{"group does not reach another", "groups!group=h", "groups", group, false},
		{"group reaches members", "read:users!group=g", "read:users", userResource("alice", "f", "g"), true},
		{"group reaches servers of members", "servers!group=g", "servers", serverResource("alice", "x", "g"), true},
		{"group does not reach others", "read:users!group=g", "read:users", userResource("alice", "h"), false},
		{"service reaches the service", "access:services!service=jobs", "access:services", service, true},
		{"service does not reach another", "access:services!service=x", "access:services", service, false},
		{"a filter in the question is never held", "read:hub", "read:hub!user=alice", userResource("alice"), false},
	} {
		set := expand(t, access.Owner{}, test.held)
		if got := set.Allows(test.scope, test.on); got != test.want {
			t.Errorf("%s: %s allows %s on %+v = %v, want %v", test.promise, test.held, test.scope, test.on, got, test.want)
		}
	}
}

func TestHasAsksForEverythingAndHasAnyForSomething(t *testing.T) {
	t.Parallel()
	set := expand(t, alice, "read:hub", "tokens!user")
	for scope, want := range map[string][2]bool{
		"read:hub": {true, true}, "tokens": {false, true}, "read:tokens": {false, true}, "users": {false, false},
	} {
		if got := [2]bool{set.Has(scope), set.HasAny(scope)}; got != want {
			t.Errorf("Has, HasAny(%s) = %v, want %v", scope, got, want)
		}
	}
}

func TestTheZeroSetAllowsNothing(t *testing.T) {
	t.Parallel()
	var set access.Set
	if !set.Empty() || set.Has("read:hub") || set.HasAny("read:hub") || len(set.Strings()) > 0 ||
		set.Allows("read:hub", access.Resource{}) || !set.UserFields(userResource("alice")).Empty() {
		t.Error("the zero Set holds something")
	}
	if both := access.Intersect(set, expand(t, alice, "self"), nil); !both.Empty() {
		t.Errorf("zero ∩ self = %q", both.Strings())
	}
}

func TestUserFieldsFollowTheScopesHeldOnTheUser(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		held   string
		fields []string
	}{
		{"read:users", []string{
			"kind", "name", "user_info", "admin", "roles", "groups", "server", "pending", "created", "last_activity",
		}},
		{"read:users:name", []string{"kind", "name", "user_info", "admin"}},
		{"read:users:groups", []string{"kind", "name", "groups"}},
		{"read:users:activity", []string{"kind", "name", "last_activity"}},
		{"read:servers", []string{"kind", "name", "servers", "user_info", "admin"}},
		{"read:roles:users", []string{"kind", "name", "roles", "admin"}},
		{"admin:auth_state", []string{"kind", "name", "auth_state"}},
		{"read:users:name!user=alice", []string{"kind", "name", "user_info", "admin"}},
		{"read:users:groups!group=g", []string{"kind", "name", "groups"}},
		{"read:users!user=bob", nil},
		{"read:servers!server=alice/", nil},
		{"tokens", nil},
	} {
		var got []string
		visible := expand(t, alice, test.held).UserFields(serverResource("alice", "", "g"))
		for _, field := range []string{
			"kind", "name", "user_info", "admin", "roles", "groups", "server", "pending", "created", "last_activity", "auth_state", "servers", "nothing",
		} {
			if visible.Has(field) {
				got = append(got, field)
			}
		}
		if visible.Empty() != (test.fields == nil) {
			t.Errorf("%s: empty is %t", test.held, visible.Empty())
		}
		wantStrings(t, test.held, got, test.fields)
	}
}
