package api

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// edgeRoute is what edges read at a prefix, nil if there is nothing. A record that they would ignore fails the test.
func (h *testHub) edgeRoute(prefix string) *routes.Route {
	h.t.Helper()
	rec, err := store.NewTable[routes.Route](h.opts.Store, routes.RoutesTree, "route").Get(h.t.Context(), routes.EscapeKey(prefix))
	if hub.KindOf(err) == hub.NotFound {
		return nil
	}
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := routes.ParseRoute(routes.EscapeKey(prefix), []byte(toJSON(rec.Value)))
	if err != nil {
		h.t.Fatalf("edges ignore %+v: %v", rec.Value, err)
	}
	return r
}

func TestARouteByHandHoldsIdsOfUsers(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, alice := as(h.token(h.user("root", true))), h.user("alice", false)
	var made struct {
		Users  []string
		Secret string
	}
	h.do("PUT", "/hub/api/routes/dash/", `{"target":"http://127.0.0.1:8050","users":["alice"],"groups":["staff"]}`, root).want(201).into(&made)
	r := h.edgeRoute("/dash/")
	if r == nil || r.Target != "http://127.0.0.1:8050" || r.Auth != routes.AuthHeaders || r.Secret != made.Secret ||
		!slices.Equal(r.Users, []string{alice.ID}) || !slices.Equal(r.Groups, []string{"staff"}) || r.OwnerID != "" {
		t.Fatalf("edges read %+v, want alice's id and the secret %q", r, made.Secret)
	}
	// The next one of the name is not let in, and not shown.
	h.do("DELETE", "/hub/api/users/alice", "", root).want(204)
	next := h.user("alice", false)
	if routes.Allows(h.edgeRoute("/dash/"), &routes.Claims{Subject: "alice", UserID: next.ID, Scopes: []string{"inherit"}}) {
		t.Error("another alice may visit")
	}
	h.do("GET", "/hub/api/routes/dash/", "", root).want(200).into(&made)
	if len(made.Users) != 0 {
		t.Errorf("listed users are %q, want none", made.Users)
	}
}

func TestTheSecretOfARouteByHand(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := as(h.token(h.user("root", true)))
	put := func(body string) string {
		var made struct{ Secret string }
		h.do("PUT", "/hub/api/routes/dash/", body, root).into(&made)
		return made.Secret
	}
	made := put(`{"target":"http://h"}`)
	if kept := put(`{"target":"http://h2"}`); len(made) < 32 || kept != made {
		t.Errorf("the secret was %q and is %q after a change of the target, want the same", made, kept)
	}
	if got := h.do("GET", "/hub/api/routes/dash/", "", root); strings.Contains(got.body, made) {
		t.Errorf("the secret is shown again: %s", got.body)
	}
	const given = "given-secret-0123"
	if got := put(`{"target":"http://h","secret":"` + given + `"}`); got != given || h.edgeRoute("/dash/").Secret != given {
		t.Errorf("a given secret became %q", got)
	}
	if got := put(`{"target":"http://h","auth":"none"}`); got != "" || h.edgeRoute("/dash/").Secret != "" {
		t.Errorf("a route that is open to all has the secret %q", got)
	}
	if got := put(`{"target":"http://h"}`); got == "" || got == given || got == made {
		t.Errorf("a protected route got an old secret %q", got)
	}
	h.do("DELETE", "/hub/api/routes/dash/", "", root).want(204)
	if r := h.edgeRoute("/dash/"); r != nil {
		t.Errorf("edges still read %+v", r)
	}
}

// TestRoutesByHandAndServersLeaveEachOtherAlone through starts, stops, and the reconciler's rounds in between.
func TestRoutesByHandAndServersLeaveEachOtherAlone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, alice := as(h.token(h.user("root", true))), h.user("alice", false)
	h.do("PUT", "/hub/api/routes/user2/alice/", `{"target":"http://127.0.0.1:8050"}`, root).want(201)
	before := h.edgeRoute("/user2/alice/")
	h.running(alice, "")
	h.do("PUT", "/hub/api/routes/user/alice/", `{"target":"http://127.0.0.1:1"}`, root).want(400)
	if r := h.edgeRoute("/user/alice/"); r == nil || r.OwnerID != alice.ID {
		t.Errorf("the server's route is %+v", r)
	}
	var table map[string]struct {
		Data map[string]any `json:"data"`
	}
	h.do("GET", "/hub/api/proxy", "", root).want(200).into(&table)
	if data := table["/user/alice/"].Data; len(table) != 3 || data["user"] != "alice" || data["server_name"] != "" || data["last_activity"] == nil {
		t.Errorf("the routing table is %v", table)
	}
	h.runtime.set(func(rt *runtime) { clear(rt.live) }) // it ends by itself: only the reconciler sees that
	h.await("alice", "", hub.Stopped)
	if r := h.edgeRoute("/user/alice/"); r != nil {
		t.Errorf("the server is gone, its route is %+v", r)
	}
	if after := h.edgeRoute("/user2/alice/"); toJSON(after) != toJSON(before) {
		t.Errorf("the route by hand is %+v, was %+v", after, before)
	}
}

// TestConcurrentWritesOfARouteByHand end with two records that agree.
func TestConcurrentWritesOfARouteByHand(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	secret := h.token(h.user("root", true))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			method, body := "PUT", `{"target":"http://h`+string(rune('a'+i))+`"}`
			if i%4 == 3 {
				method, body = "DELETE", ""
			}
			if a := h.do(method, "/hub/api/routes/dash/", body, as(secret)); a.status >= 300 && a.status != 404 {
				t.Errorf("%s = %d %s", a.what, a.status, a.body)
			}
		})
	}
	all.Wait()
	rec, err := store.NewTable[hub.Route](h.opts.Store, store.HandRoutes, "route").Get(t.Context(), store.ID("/dash/"))
	r := h.edgeRoute("/dash/")
	if (err == nil) != (r != nil) || r != nil && (r.Target != rec.Value.Target || r.Secret != rec.Value.Secret) {
		t.Errorf("the hub has %+v (%v), edges read %+v", rec.Value, err, r)
	}
}

func TestWhoMayRotateKeys(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, alice := h.user("root", true), h.user("alice", false)
	const notEnough = "Action is not authorized with current scopes; requires all of [admin:users, admin:servers]"
	h.do("POST", "/hub/api/keys/rotate", "", as(h.token(root, "admin:users"))).wantError(403, notEnough)
	h.do("POST", "/hub/api/keys/rotate", "", as(h.token(root, "admin:users", "admin:servers!user=alice"))).wantError(403, notEnough)
	h.do("POST", "/hub/api/keys/rotate", "", as(h.token(root, "admin:users", "admin:servers"))).want(200)
	h.do("POST", "/hub/api/keys/rotate", "", as(h.service())).want(200)

	// In a browser: with the XSRF token only; and the emergency ends this very session.
	b, hers := h.browser(root), h.browser(alice)
	h.do("POST", "/hub/api/keys/rotate", `{"emergency":true}`, b.session).want(403)
	h.do("GET", "/hub/api/user", "", hers.session).want(200)
	h.do("POST", "/hub/api/keys/rotate", `{"emergency":true}`, as(h.token(root))).want(200)
	h.do("GET", "/hub/api/user", "", b.session).wantError(403, noCredentials)
	h.do("GET", "/hub/api/user", "", hers.session).wantError(403, noCredentials)
	h.do("GET", "/hub/api/user", "", h.browser(alice).session).want(200)
	h.do("GET", "/hub/api/user", "", as(h.token(alice))).want(200)
}

func TestRotationRefusesNoRenewal(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	session, _, err := h.tokens.StartSession(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	renew := func() answer {
		old, err := h.tokens.EdgeToken(t.Context(), routes.Claims{Subject: "alice", UserID: alice.ID, Session: session.ID, Scopes: []string{"inherit"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.tokens.Rotate(t.Context(), 0); err != nil { // the next key is active at once
			t.Fatal(err)
		}
		return h.edge("renew", old)
	}
	if c := h.claims(renew()); c.Session != session.ID || c.IssuedAt < time.Now().Unix()-60 {
		t.Errorf("renewed: %+v", c)
	}
}
