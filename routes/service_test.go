package routes

import "testing"

// TestWhoMayVisitAService is about the route of a protected service: scopes on it admit, and its own list.
func TestWhoMayVisitAService(t *testing.T) {
	t.Parallel()
	app := &Route{Prefix: "/services/app/", Auth: AuthHeaders, Service: "app", Names: []string{"alice"}, Groups: []string{"staff"}}
	for _, c := range []struct {
		name   string
		claims Claims
		want   bool
		why    string
	}{
		{"a session of a listed user", Claims{UserID: "u1", Subject: "alice", Scopes: []string{"inherit"}}, true, "share"},
		{"a session of a listed group", Claims{UserID: "u2", Subject: "bob", Groups: []string{"staff"}, Scopes: []string{"inherit"}}, true, "group"},
		{"a session of nobody listed", Claims{UserID: "u2", Subject: "bob", Scopes: []string{"inherit"}}, false, "stranger"},
		{"a scope on it", Claims{UserID: "u2", Subject: "bob", Scopes: []string{"inherit", "access:services!service=app"}}, true, "role"},
		{"a token with a scope on it only", Claims{UserID: "u2", Subject: "bob", Scopes: []string{"access:services!service=app"}}, true, "role"},
		{"a scope on all", Claims{UserID: "u2", Subject: "bob", Scopes: []string{"access:services"}}, true, "role"},
		{"a scope on another", Claims{UserID: "u2", Subject: "bob", Scopes: []string{"access:services!service=app2"}}, false, "stranger"},
		{"all servers", Claims{UserID: "u2", Subject: "bob", Scopes: []string{"access:servers"}}, false, "stranger"},
		{"a token of a listed user for something else", Claims{UserID: "u1", Subject: "alice", Scopes: []string{"access:servers!user=alice"}}, false, "scope"},
		{"a listed user's token without an owner in its scope", Claims{UserID: "u1", Subject: "alice", Scopes: []string{"", "access:servers!user="}}, false, "scope"},
		{"a service with the name of a listed user", Claims{UserID: ServiceID + "alice", Subject: "alice", Scopes: []string{"inherit"}}, false, "stranger"},
	} {
		if got := Allows(app, &c.claims); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
		if got := Why(app, &c.claims); got != c.why {
			t.Errorf("%s: because of %q, want %q", c.name, got, c.why)
		}
	}
	server := &Route{Auth: AuthSecret, Owner: "alice", OwnerID: "u1"}
	for _, scope := range []string{"access:services", "access:services!service="} {
		if Allows(server, &Claims{UserID: "u2", Subject: "bob", Scopes: []string{scope}}) {
			t.Errorf("%s admits to a server", scope)
		}
	}
	if !Allows(&Route{Auth: AuthPass}, &Claims{}) {
		t.Error("a service that signs people in itself is closed to somebody")
	}
}
