package routes

import "testing"

// TestWhyAgreesWithAllows keeps the log from telling another story than the decision.
func TestWhyAgreesWithAllows(t *testing.T) {
	t.Parallel()
	route := &Route{Auth: AuthTicket, Owner: "alice", OwnerID: "1", Server: "lab", Users: []string{"2"}, Groups: []string{"g"}}
	all, narrow := []string{ScopeInherit}, []string{ScopeAccess + "!server=alice/other"}
	for _, c := range []struct {
		claims *Claims
		want   string
		allows bool
	}{
		{&Claims{UserID: "1", Scopes: all}, "owner", true},
		{&Claims{UserID: "2", Scopes: all}, "share", true},
		{&Claims{UserID: "3", Groups: []string{"g"}, Scopes: all}, "group", true},
		{&Claims{UserID: "4", Scopes: []string{ScopeAccess}}, "admin", true},
		{&Claims{UserID: "4", Scopes: all, Grants: []string{ScopeAccess + "!user=alice"}}, "role", true},
		{&Claims{UserID: "1", Scopes: narrow}, "scope", false},
		{&Claims{UserID: "4", Scopes: all}, "stranger", false},
	} {
		if got := Why(route, c.claims); got != c.want || Allows(route, c.claims) != c.allows {
			t.Errorf("%+v: %s, %v, want %s, %v", c.claims, got, Allows(route, c.claims), c.want, c.allows)
		}
	}
	if got := Why(&Route{Auth: AuthNone}, nil); got != "open" {
		t.Errorf("a route for all: %s", got)
	}
}
