package access_test

import (
	"slices"
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
)

func TestTokenScopes(t *testing.T) {
	t.Parallel()
	shared := []string{"self", "access:servers!server=bob/x", "access:servers!group=g"}
	identify := access.IdentifyScopes(alice)
	carol := groupsOf(map[string][]string{"carol": {"g"}})
	server := access.Owner{User: "alice", Server: "carol/"}
	for _, test := range []struct {
		promise string
		owner   access.Owner
		holds   []string
		stored  []string
		want    []string
	}{
		{"inherit is all the owner holds", alice, []string{"proxy", "shutdown"}, []string{"inherit"},
			[]string{"proxy", "shutdown"}},
		{"inherit beside others too", alice, []string{"proxy"}, []string{"read:hub", "inherit"}, []string{"proxy"}},
		{"a list is cut to the owner", alice, shared, []string{"tokens", "proxy", "access:servers!server=bob/x"},
			append([]string{"tokens!user=alice", "read:tokens!user=alice", "access:servers!server=bob/x"}, identify...)},
		{"an empty list identifies only", alice, shared, nil, identify},
		{"a lost role takes effect at once", alice, nil, []string{"self"}, nil},
		{"a group grant reaches the server of a member", server, shared, []string{"access:servers!server"},
			append([]string{"access:servers!server=carol/"}, identify...)},
		{"a service without roles holds nothing", access.Owner{Service: "jobs"}, nil, []string{"read:hub"}, nil},
		{"a service identifies itself", access.Owner{Service: "jobs"}, []string{"list:services"}, nil,
			[]string{"read:services:name!service=jobs"}},
	} {
		holds := expand(t, test.owner, test.holds...)
		got, err := access.TokenScopes(test.stored, test.owner, holds, carol)
		if err != nil {
			t.Errorf("%s: %v", test.promise, err)
		}
		wantStrings(t, test.promise, got.Strings(), test.want)
	}
}

func TestATokenThatCannotBeReadMayDoNothing(t *testing.T) {
	t.Parallel()
	got, err := access.TokenScopes([]string{"self", "custom:gone:scope"}, alice, expand(t, alice, "self"), nil)
	if err == nil || !got.Empty() {
		t.Errorf("TokenScopes = %q, %v, want nothing and an error", got.Strings(), err)
	}
}

func TestTokenScopesTakesMembershipFromTheOwnerIfNotTold(t *testing.T) {
	t.Parallel()
	owner := access.Owner{User: "alice", Groups: []string{"g"}}
	holds := expand(t, owner, "read:shares!group=g")
	got, err := access.TokenScopes([]string{"read:shares!user=alice", "read:shares!user=bob"}, owner, holds, nil)
	if want := []string{"read:shares!user=alice"}; err != nil || !slices.Equal(got.Strings(), want) {
		t.Errorf("TokenScopes = %q, %v, want %q", got.Strings(), err, want)
	}
}

func TestAccessScopesNameTheIssuingClient(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		owner access.Owner
		want  []string
	}{
		{access.Owner{User: "alice", Server: "bob/x"}, []string{"access:servers!server=bob/x"}},
		{access.Owner{User: "alice", Service: "jobs"}, []string{"access:services!service=jobs"}},
		{alice, nil},
	} {
		wantStrings(t, "access scopes", access.AccessScopes(test.owner), test.want)
	}
	wantStrings(t, "identify nobody", access.IdentifyScopes(access.Owner{}), nil)
}
