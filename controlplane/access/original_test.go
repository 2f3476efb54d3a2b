package access_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
)

// recording is what testdata/record.py writes.
type recording struct {
	Version string
	Groups  map[string][]string
	Expand  []struct {
		Owner     access.Owner
		Raw, Want []string
	}
	Intersect []struct{ A, B, Want []string }
	Allow     []struct {
		Have    []string
		Scope   string
		Allowed []string
	}
	Token []struct {
		Owner        access.Owner
		Stored, Want []string
	}
}

// The answers of JupyterHub 6.1.1 to some hundred questions. To ask a newer
// one, see testdata/record.py.
func TestMatchesTheOriginal(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/jupyterhub.json")
	if err != nil {
		t.Fatal(err)
	}
	var hub recording
	if err := json.Unmarshal(data, &hub); err != nil {
		t.Fatal(err)
	}
	if len(hub.Expand)*len(hub.Intersect)*len(hub.Allow)*len(hub.Token) == 0 {
		t.Fatal("the recording lacks a part")
	}
	t.Run("expand", hub.testExpand)
	t.Run("intersect", hub.testIntersect)
	t.Run("allow", hub.testAllow)
	t.Run("token", hub.testToken)
}

func (hub recording) testExpand(t *testing.T) {
	t.Parallel()
	for _, c := range hub.Expand {
		wantStrings(t, strings.Join(c.Raw, " "), expand(t, c.Owner, c.Raw...).Strings(), c.Want)
	}
}

func (hub recording) testIntersect(t *testing.T) {
	t.Parallel()
	for _, c := range hub.Intersect {
		a, b := expand(t, access.Owner{}, c.A...), expand(t, access.Owner{}, c.B...)
		got := access.Intersect(a, b, groupsOf(hub.Groups)).Strings()
		wantStrings(t, strings.Join(c.A, " ")+" ∩ "+strings.Join(c.B, " "), got, c.Want)
	}
}

func (hub recording) testAllow(t *testing.T) {
	t.Parallel()
	filters := []string{
		"", "!user=alice", "!user=bob", "!user=carol", "!server=alice/", "!server=alice/x", "!server=bob/",
		"!server=carol/y", "!group=g", "!group=h", "!service=svc",
	}
	for _, c := range hub.Allow {
		set := expand(t, access.Owner{}, c.Have...)
		for _, filter := range filters {
			got := set.Allows(c.Scope, hub.resource(filter))
			if want := slices.Contains(c.Allowed, filter); got != want {
				t.Errorf("%q allows %s%s = %v, want %v", c.Have, c.Scope, filter, got, want)
			}
		}
	}
}

func (hub recording) testToken(t *testing.T) {
	t.Parallel()
	for _, c := range hub.Token {
		holds := expand(t, c.Owner, "self")
		got, err := access.TokenScopes(c.Stored, c.Owner, holds, groupsOf(hub.Groups))
		if err != nil {
			t.Errorf("token of %+v with %q: %v", c.Owner, c.Stored, err)
		}
		wantStrings(t, "token of "+c.Owner.User+" with "+strings.Join(c.Stored, " "), got.Strings(), c.Want)
	}
}

// resource is what a filter names.
func (hub recording) resource(filter string) access.Resource {
	kind, value, _ := strings.Cut(strings.TrimPrefix(filter, "!"), "=")
	switch kind {
	case "user":
		return userResource(value, hub.Groups[value]...)
	case "server":
		user, server, _ := strings.Cut(value, "/")
		return serverResource(user, server, hub.Groups[user]...)
	case "group":
		return access.Resource{Group: value}
	case "service":
		return access.Resource{Service: value}
	}
	return access.Resource{}
}
