package edgetest

import (
	"net/http"
	"testing"

	"github.com/edgehub/edgehub/routes"
)

// grants are rights by roles: they open servers whose list does not name the visitor, and end with a change of what they
// depend on that is newer than the token.
func grants(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	alice := Route("alice", Server(t, "alice").URL)
	alice.OwnerGroups = []string{"class"}
	w.PutRoute(alice)
	w.PutRoute(Route("bob", Server(t, "bob").URL))
	w.Start(make)
	token := func(change func(c *routes.Claims)) string {
		c := Claims("teacher")
		c.Revision = 1 << 40 // issued after all that is in etcd
		change(&c)
		return w.Token(c)
	}
	status := func(path, token string) int {
		return w.Do(w.Request("GET", path, "Authorization", "token "+token)).Status
	}
	for grant, want := range map[string][2]int{
		"access:servers!group=class":   {200, 403},
		"access:servers!user=alice":    {200, 403},
		"access:servers!server=alice/": {200, 403},
		"access:servers!server=bob/":   {403, 200},
		"access:servers!group=other":   {403, 403},
		"read:servers!group=class":     {403, 403},
	} {
		granted := token(func(c *routes.Claims) { c.Grants = []string{"x", grant} })
		if got := [2]int{status("/user/alice/api", granted), status("/user/bob/api", granted)}; got != want {
			t.Errorf("with %s alice's and bob's servers answer %v, want %v", grant, got, want)
		}
	}
	endOfGrants(w, token, status)
}

// endOfGrants revokes by role, by group and by service.
func endOfGrants(w *World, token func(func(*routes.Claims)) string, status func(string, string) int) {
	w.T.Helper()
	service := routes.ServiceID + "grader"
	for _, test := range []struct {
		name, what, id string
		depends        func(c *routes.Claims)
	}{
		{"more roles than fit", routes.RevokedRole, "mark2", func(c *routes.Claims) { c.Roles = []string{routes.AnyRole} }},
		{"a role", routes.RevokedRole, "mark1", func(c *routes.Claims) { c.Roles = []string{"other", "mark1"} }},
		{"a group", routes.RevokedGroup, "a/b", func(c *routes.Claims) { c.Groups = []string{"a/b"} }},
		{"a service", routes.RevokedService, "grader", func(c *routes.Claims) { c.UserID = service }},
	} {
		with := func(session string, revision int64, depends func(c *routes.Claims)) string {
			return token(func(c *routes.Claims) {
				c.Session, c.Grants, c.Revision = session+test.id, []string{"access:servers!user=alice"}, revision
				depends(c)
			})
		}
		old, newer := with("old", 1, test.depends), with("new", 1<<40, test.depends)
		other := with("other", 1, func(c *routes.Claims) { c.Roles, c.Groups = []string{"mark3"}, []string{"c"} })
		if got := status("/user/alice/api", old); got != 200 {
			w.T.Errorf("%s, before the change: %d", test.name, got)
		}
		w.Put(routes.RevokedKey(w.Prefix, test.what, test.id), "{}")
		w.Eventually(test.name+": a token of before is refused", func() bool { return status("/user/alice/api", old) == http.StatusForbidden })
		for name, good := range map[string]string{"of after the change": newer, "that does not depend on it": other} {
			if got := status("/user/alice/api", good); got != 200 {
				w.T.Errorf("%s: a token %s: %d", test.name, name, got)
			}
		}
		if got := w.Do(w.Request("GET", "/user/alice/api", "Cookie", "edgehub="+newer)).Status; got != 200 {
			w.T.Errorf("%s: a cookie of after the change: %d", test.name, got)
		}
	}
}
