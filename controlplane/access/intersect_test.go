package access_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
)

func TestIntersect(t *testing.T) {
	t.Parallel()
	groups := groupsOf(map[string][]string{"alice": {"g"}, "bob": {"h"}})
	for _, test := range []struct {
		promise string
		a, b    []string
		want    []string
	}{
		{"unfiltered takes the other's filters", []string{"read:hub"}, []string{"read:hub!user=alice", "read:hub!group=g"},
			[]string{"read:hub!user=alice", "read:hub!group=g"}},
		{"both unfiltered stay", []string{"read:hub", "proxy"}, []string{"read:hub"}, []string{"read:hub"}},
		{"common names stay", []string{"proxy!user=a", "proxy!user=b"}, []string{"proxy!user=b", "proxy!user=c"},
			[]string{"proxy!user=b"}},
		{"kinds do not mix", []string{"proxy!user=x"}, []string{"proxy!group=x", "proxy!service=x"}, nil},
		{"a server of the user stays", []string{"start:servers!server=alice/x", "start:servers!server=bob/x"},
			[]string{"start:servers!user=alice"}, []string{"start:servers!server=alice/x"}},
		{"a server of a member stays", []string{"start:servers!server=alice/x", "start:servers!server=bob/x"},
			[]string{"start:servers!group=g"}, []string{"start:servers!server=alice/x"}},
		{"a member stays", []string{"read:tokens!user=alice", "read:tokens!user=bob"},
			[]string{"read:tokens!group=g"}, []string{"read:tokens!user=alice"}},
		{"two groups share nothing", []string{"proxy!group=g"}, []string{"proxy!group=h"}, nil},
		{"different scopes share what they contain", []string{"list:users"}, []string{"read:users!user=alice"},
			[]string{"read:users:name!user=alice"}},
	} {
		a, b := expand(t, alice, test.a...), expand(t, alice, test.b...)
		wantStrings(t, test.promise, access.Intersect(a, b, groups).Strings(), test.want)
		wantStrings(t, test.promise+", the other way round", access.Intersect(b, a, groups).Strings(), test.want)
	}
}

func TestIntersectWithoutALookupKnowsNoMembers(t *testing.T) {
	t.Parallel()
	a, b := expand(t, alice, "read:tokens!group=g"), expand(t, alice, "read:tokens!user=alice")
	if got := access.Intersect(a, b, nil); !got.Empty() {
		t.Errorf("group ∩ user without groups = %q, want nothing", got.Strings())
	}
}

func TestExcessIsWhatTheHolderLacks(t *testing.T) {
	t.Parallel()
	held := expand(t, alice, "self")
	for _, test := range []struct{ raw, want []string }{
		{[]string{"self"}, nil},
		{[]string{"read:users:name!user", "servers!server=alice/x"}, nil},
		{[]string{"read:tokens"}, []string{"read:tokens"}},
		{[]string{"read:tokens!user=bob", "read:tokens!user"}, []string{"read:tokens!user=bob"}},
		{[]string{"read:tokens!group=g"}, []string{"read:tokens!group=g"}},
	} {
		groups := groupsOf(map[string][]string{"alice": {"g"}})
		wantStrings(t, strings.Join(test.raw, " "), access.Excess(expand(t, alice, test.raw...), held, groups), test.want)
	}
}

// The small world of the property tests.
var (
	worldGroups = map[string][]string{"alice": {"g"}, "bob": {"g", "h"}, "carol": nil}
	worldScopes = []string{"servers", "read:servers", "read:users:name", "groups", "shares", "access:services"}
	worldAsked  = []string{"servers", "read:servers", "start:servers", "read:users:name", "read:groups", "access:servers",
		"read:shares", "access:services"}
	worldFilters = []string{
		"", "!user=alice", "!user=bob", "!user=carol", "!group=g", "!group=h", "!service=jobs",
		"!server=alice/", "!server=alice/x", "!server=bob/x",
	}
	worldResources = []access.Resource{
		{}, {Group: "g"}, {Group: "h"}, {Service: "jobs"}, {Service: "other"},
		userResource("alice", "g"), userResource("bob", "g", "h"), userResource("carol"),
		serverResource("alice", "", "g"), serverResource("alice", "x", "g"), serverResource("bob", "x", "g", "h"),
		serverResource("carol", ""),
	}
)

func TestIntersectionNeverAllowsWhatOneSideForbids(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 0))
	for range 1500 {
		a, b := randomScopes(rnd), randomScopes(rnd)
		setA, setB := expand(t, access.Owner{}, a...), expand(t, access.Owner{}, b...)
		both := access.Intersect(setA, setB, groupsOf(worldGroups))
		checkDecisions(t, a, b, setA, both)
		wantStrings(t, "b ∩ a", access.Intersect(setB, setA, groupsOf(worldGroups)).Strings(), both.Strings())
		wantStrings(t, "a ∩ a", access.Intersect(setA, setA, nil).Strings(), setA.Strings())
	}
}

// checkDecisions compares a and a ∩ b with the naive answer for every question
// there is. Only if both sides have group filters may the intersection be
// smaller than what both allow.
func checkDecisions(t *testing.T, a, b []string, setA, both access.Set) {
	t.Helper()
	again := expand(t, access.Owner{}, both.Strings()...)
	exact := !hasGroup(a) || !hasGroup(b)
	for _, scope := range worldAsked {
		for _, res := range worldResources {
			okA, okB, got := naive(a, scope, res), naive(b, scope, res), both.Allows(scope, res)
			switch {
			case setA.Allows(scope, res) != okA:
				t.Fatalf("%q allows %s on %+v = %v, want %v", a, scope, res, !okA, okA)
			case got && !(okA && okB):
				t.Fatalf("%q ∩ %q = %q allows %s on %+v", a, b, both.Strings(), scope, res)
			case exact && got != (okA && okB):
				t.Fatalf("%q ∩ %q = %q forbids %s on %+v", a, b, both.Strings(), scope, res)
			case again.Allows(scope, res) != got:
				t.Fatalf("expanding %q again changes %s on %+v", both.Strings(), scope, res)
			}
		}
	}
}

func randomScopes(rnd *rand.Rand) []string {
	raw := make([]string, 1+rnd.IntN(4))
	for i := range raw {
		raw[i] = worldScopes[rnd.IntN(len(worldScopes))] + worldFilters[rnd.IntN(len(worldFilters))]
	}
	return raw
}

func hasGroup(raw []string) bool {
	return slices.ContainsFunc(raw, func(s string) bool { return strings.Contains(s, "!group=") })
}

// naive decides from the raw scopes alone, one by one, as the manual says it.
func naive(raw []string, scope string, res access.Resource) bool {
	return slices.ContainsFunc(raw, func(held string) bool {
		name, filter, _ := strings.Cut(held, "!")
		if strings.HasPrefix(filter, "server=") && strings.HasPrefix(scope, "read:user") {
			return false
		}
		return naiveContains(name, scope) && slices.Contains(naiveFilters(res), filter)
	})
}

func naiveContains(name, scope string) bool {
	return name == scope || slices.ContainsFunc(access.Contains(name), func(child string) bool {
		return naiveContains(child, scope)
	})
}

// naiveFilters lists every filter that reaches the resource.
func naiveFilters(res access.Resource) []string {
	filters := []string{""}
	if res.User != "" {
		filters = append(filters, "user="+res.User)
		for _, group := range res.UserGroups {
			filters = append(filters, "group="+group)
		}
	}
	if res.Server != nil {
		filters = append(filters, "server="+res.User+"/"+*res.Server)
	}
	if res.Group != "" {
		filters = append(filters, "group="+res.Group)
	}
	if res.Service != "" {
		filters = append(filters, "service="+res.Service)
	}
	return filters
}
