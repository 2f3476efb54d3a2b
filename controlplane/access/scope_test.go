package access_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
)

func TestParseTakesAScopeApart(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]access.Parsed{
		"users":                        {Name: "users"},
		"(no_scope)":                   {Name: "(no_scope)"},
		"admin-ui":                     {Name: "admin-ui"},
		"custom:a:b*":                  {Name: "custom:a:b*"},
		"read:users!user":              {Name: "read:users", FilterKind: "user"},
		"access:servers!server":        {Name: "access:servers", FilterKind: "server"},
		"access:services!service":      {Name: "access:services", FilterKind: "service"},
		"read:users!user=alice":        {Name: "read:users", FilterKind: "user", FilterValue: "alice"},
		"read:users!user=a!b=c":        {Name: "read:users", FilterKind: "user", FilterValue: "a!b=c"},
		"servers!server=alice/":        {Name: "servers", FilterKind: "server", FilterValue: "alice/"},
		"servers!server=alice/x":       {Name: "servers", FilterKind: "server", FilterValue: "alice/x"},
		"groups!group=g h":             {Name: "groups", FilterKind: "group", FilterValue: "g h"},
		"access:services!service=jobs": {Name: "access:services", FilterKind: "service", FilterValue: "jobs"},
	} {
		got, err := access.Scope(in).Parse()
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", in, got, err, want)
		}
		if got.String() != in {
			t.Errorf("Parse(%q).String() = %q", in, got)
		}
	}
}

func TestParseRefusesAndSaysWhy(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                          "not a scope name",
		"!user=alice":               "not a scope name",
		"Users":                     "not a scope name",
		"read users":                "not a scope name",
		"users=alice":               "not a scope name",
		"read:users!":               "unknown filter",
		"read:users!users=alice":    "unknown filter",
		"read:users!=alice":         "unknown filter",
		"read:users!user=":          "empty filter",
		"read:users!group":          "without a name",
		"read:users!user=a!group=g": "more than one filter",
		"read:users!user!group=g":   "unknown filter",
		"read:servers!server=alice": "not USER/SERVER",
		"read:servers!server=/x":    "not USER/SERVER",
	} {
		_, err := access.Parse(in)
		var scopeErr *access.Error
		if !errors.As(err, &scopeErr) || scopeErr.Scope != in || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want an error that says %q", in, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"users", "read:users!user", "read:users!user=alice", "servers!server=alice/", "a!user=b!c=d",
		"users!", "!user=", "users!server=/", "\x00!group=\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := access.Parse(in)
		if err != nil {
			if got != (access.Parsed{}) {
				t.Fatalf("Parse(%q) = %+v with error %v", in, got, err)
			}
			return
		}
		if got.String() != in {
			t.Fatalf("Parse(%q).String() = %q", in, got)
		}
		if got.FilterKind == "" && strings.Contains(in, "!") {
			t.Fatalf("Parse(%q) = %+v lost the filter", in, got)
		}
		expandFuzzed(t, in)
	})
}

// expandFuzzed checks that expanding twice is expanding once.
func expandFuzzed(t *testing.T, in string) {
	set, err := access.Expand(access.Owner{User: "alice"}, in)
	if err != nil {
		return
	}
	again, err := access.Expand(access.Owner{}, set.Strings()...)
	if err != nil {
		t.Fatalf("Expand(%q) = %q, which does not expand: %v", in, set.Strings(), err)
	}
	wantStrings(t, "Expand twice of "+in, again.Strings(), set.Strings())
}

// FuzzCheckRole: what a role may hold can be expanded and demanded, and who holds the demand holds what the role gives to anybody.
func FuzzCheckRole(f *testing.F) {
	for _, seed := range []string{"self", "inherit", "users", "servers!user", "access:servers!group=g", "shares!server=alice/", "all", "self!user", "(no_scope)"} {
		f.Add(seed)
	}
	catalog := access.Builtin()
	f.Fuzz(func(t *testing.T, in string) {
		if catalog.CheckRole([]string{in}) != nil || in == access.Inherit {
			return
		}
		owner := access.Owner{User: "alice", Service: "jobs", Server: "alice/"}
		given, err := catalog.Expand(owner, in)
		if err != nil {
			t.Fatalf("CheckRole accepts %q, Expand does not: %v", in, err)
		}
		demand, err := catalog.Demand([]string{in})
		if err != nil {
			t.Fatalf("CheckRole accepts %q, Demand does not: %v", in, err)
		}
		if excess := access.Excess(given, demand, nil); len(excess) > 0 {
			t.Fatalf("%q gives %q, which who may hand it out need not hold", in, excess)
		}
		wantStrings(t, "ExpandKnown of "+in, catalog.ExpandKnown(owner, in, "no-such-scope").Strings(), given.Strings())
	})
}
