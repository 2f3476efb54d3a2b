package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// sharing is a hub on which everybody may share their servers, as an operator would have to set it.
func sharing(t *testing.T) *testHub {
	t.Helper()
	h := newHub(t)
	err := h.accounts.Configure(t.Context(), account.Config{ExtraUserScopes: []string{"shares!user", "read:users:name", "read:groups:name"}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// routeOf is the route of a server as edges have it.
func (h *testHub) routeOf(prefix string) routes.Route {
	h.t.Helper()
	r, err := store.NewTable[routes.Route](h.opts.Store, routes.RoutesTree, "route").Get(h.t.Context(), store.ID(prefix))
	if err != nil {
		h.t.Fatal(err)
	}
	return r.Value
}

const aliceShared = `"server":{"user":{"name":"alice"},"name":"","url":"/user/alice/","full_url":null,"ready":true}`

func TestSharesReachRoutesAndTokens(t *testing.T) {
	t.Parallel()
	h := sharing(t)
	alice, bob, carol := h.user("alice", false), h.user("bob", false), h.user("carol", false, "team")
	h.running(alice, "")
	owner, bobs, carols := as(h.token(alice)), h.token(bob), h.token(carol, "access:servers!server=alice/")
	visit := func(secret string) bool {
		c, err := h.accounts.ByToken(t.Context(), secret)
		if err != nil {
			t.Fatal(err)
		}
		return c.Scopes.Has("access:servers!server=alice/") || slices.Contains(c.Scopes.Strings(), "access:servers!server=alice/")
	}
	if visit(bobs) || visit(carols) {
		t.Error("there are shares before there are any")
	}
	h.do("POST", "/hub/api/shares/alice/", `{"user":"bob"}`, owner).wantJSON(http.StatusOK,
		`{`+aliceShared+`,"scopes":["access:servers!server=alice/"],"user":{"name":"bob"},"group":null,"kind":"user","created_at":"<time>"}`)
	h.do("POST", "/hub/api/shares/alice/", `{"group":"team","scopes":["access:servers!server","read:servers"]}`, owner).wantJSON(http.StatusOK,
		`{`+aliceShared+`,"scopes":["access:servers!server=alice/","read:servers!server=alice/"],"user":null,"group":{"name":"team"},"kind":"group","created_at":"<time>"}`)
	if r := h.routeOf("/user/alice/"); !slices.Equal(r.Users, []string{bob.ID}) || !slices.Equal(r.Groups, []string{"team"}) {
		t.Errorf("the route: %+v", r)
	}
	if !visit(bobs) || !visit(carols) {
		t.Error("a token does not have what is shared with its owner, or with the owner's group")
	}
	h.do("GET", "/hub/api/users/alice/server", "", as(h.token(carol))).want(http.StatusOK)
	h.do("GET", "/hub/api/users/alice/server", "", as(bobs)).want(http.StatusNotFound)
	h.do("GET", "/hub/api/shares/alice", "", owner).want(http.StatusOK)

	var page struct {
		Items []struct{ Kind string } `json:"items"`
		Info  struct{ Total int }     `json:"_pagination"`
	}
	h.do("GET", "/hub/api/shares/alice/?limit=1", "", owner).want(http.StatusOK).into(&page)
	if page.Info.Total != 2 || len(page.Items) != 1 {
		t.Errorf("a page of shares: %+v", page)
	}
	h.do("GET", "/hub/api/users/carol/shared", "", as(h.token(carol))).want(http.StatusOK).into(&page)
	if page.Info.Total != 1 || page.Items[0].Kind != "group" {
		t.Errorf("what is shared with carol: %+v", page)
	}
	root := as(h.token(h.user("root", true)))
	h.do("GET", "/hub/api/groups/team/shared", "", root).want(http.StatusOK).into(&page)
	if page.Info.Total != 1 {
		t.Errorf("what is shared with team: %+v", page)
	}

	h.do("PATCH", "/hub/api/shares/alice/", `{"group":"team","scopes":["access:servers"]}`, owner).want(http.StatusOK)
	if visit(carols) || len(h.routeOf("/user/alice/").Groups) > 0 {
		t.Error("what was taken away of a share is there")
	}
	h.do("DELETE", "/hub/api/users/bob/shared/alice/", "", as(bobs)).want(http.StatusNoContent)
	h.do("DELETE", "/hub/api/users/bob/shared/alice/", "", as(bobs)).want(http.StatusNotFound)
	if visit(bobs) || len(h.routeOf("/user/alice/").Users) > 0 {
		t.Error("a share that was left is there")
	}
	h.do("PATCH", "/hub/api/shares/alice/", `{"user":"bob"}`, owner).wantJSON(http.StatusOK, `{}`)
	h.do("DELETE", "/hub/api/shares/alice/", "", owner).want(http.StatusNoContent)
	h.do("GET", "/hub/api/groups/team/shared", "", root).want(http.StatusOK).into(&page)
	if page.Info.Total != 0 {
		t.Errorf("what is shared with team: %+v", page)
	}
}

// TestSharesBeforeTheStart are in the route from its first moment.
func TestSharesBeforeTheStart(t *testing.T) {
	t.Parallel()
	h := sharing(t)
	alice, bob := h.user("alice", false), h.user("bob", false)
	h.do("POST", "/hub/api/shares/alice/", `{"user":"bob"}`, as(h.token(alice))).want(http.StatusOK)
	h.running(alice, "")
	if r := h.routeOf("/user/alice/"); !slices.Equal(r.Users, []string{bob.ID}) {
		t.Errorf("the route: %+v", r)
	}
}

// TestSharesOfThoseWhoAreGone do not come back with a user of the same name.
func TestSharesOfThoseWhoAreGone(t *testing.T) {
	t.Parallel()
	h := sharing(t)
	alice, bob := h.user("alice", false), h.user("bob", false)
	h.do("POST", "/hub/api/shares/alice/", `{"user":"bob"}`, as(h.token(alice))).want(http.StatusOK)
	h.do("POST", "/hub/api/shares/bob/", `{"user":"alice"}`, as(h.token(bob))).want(http.StatusOK)
	if err := h.accounts.Delete(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	again := h.user("alice", false)
	for _, u := range []hub.User{again, bob} {
		shares, err := h.accounts.SharedWith(t.Context(), account.With{User: &u})
		if err != nil || len(shares) > 0 {
			t.Errorf("shared with %s: %+v, %v", u.Name, shares, err)
		}
		if shares, err = h.accounts.Shares(t.Context(), u, nil); err != nil || len(shares) > 0 {
			t.Errorf("shares of %s: %+v, %v", u.Name, shares, err)
		}
	}
}

// TestSharesOfAGroupThatIsGone do not come back with a group of the same name.
func TestSharesOfAGroupThatIsGone(t *testing.T) {
	t.Parallel()
	h := sharing(t)
	alice, root := h.user("alice", false), as(h.token(h.user("root", true)))
	h.user("bob", false, "team")
	h.do("POST", "/hub/api/shares/alice/", `{"group":"team"}`, as(h.token(alice))).want(http.StatusOK)
	h.do("DELETE", "/hub/api/groups/team", "", root).want(http.StatusNoContent)
	h.do("POST", "/hub/api/groups/team", `{"users":["bob"]}`, root).want(http.StatusCreated)
	shares, err := h.accounts.Shares(t.Context(), alice, nil)
	if err != nil || len(shares) > 0 {
		t.Errorf("shares: %+v, %v", shares, err)
	}
}

func TestBadShares(t *testing.T) {
	t.Parallel()
	h := sharing(t)
	alice := h.user("alice", false)
	h.user("bob", false)
	for body, says := range map[string]string{
		`{}`:                               "exactly one of user and group",
		`{"user":"bob","group":"g"}`:       "exactly one of user and group",
		`{"user":"nobody"}`:                "No such user: nobody",
		`{"user":"alice"}`:                 "The server is alice's own.",
		`{"user":7}`:                       "user",
		`{"group":"none"}`:                 "No such group: none",
		`{"group":""}`:                     "Invalid group name",
		`{"user":"bob","x":1}`:             "Unknown key 'x'",
		`{"user":"bob","scopes":["nope"]}`: "cannot be shared",
		`{"user":"bob","scopes":["access:servers!server=alice/other"]}`: "must be about the server alice/",
		`{"user":"bob","scopes":["access:servers!user=alice"]}`:         "must be about the server alice/",
		`{"user":"bob","scopes":["shares"]}`:                            "cannot be shared",
		`{"user":"bob","scopes":["admin:server_state"]}`:                "cannot be shared",
	} {
		if a := h.do("POST", "/hub/api/shares/alice/", body, as(h.token(alice))).want(http.StatusBadRequest); !strings.Contains(a.body, says) {
			t.Errorf("%s: %s, want %q", body, a.body, says)
		}
	}
	h.do("POST", "/hub/api/shares/alice/none", `{"user":"bob"}`, as(h.token(alice))).want(http.StatusNotFound)
	h.do("POST", "/hub/api/shares/bob/", `{"user":"alice"}`, as(h.token(alice))).want(http.StatusNotFound)
	narrow := h.token(alice, "shares!server=alice/")
	h.do("POST", "/hub/api/shares/alice/", `{"user":"bob"}`, as(narrow)).want(http.StatusForbidden) // may not read bob's name
	few := h.token(alice, "shares!server=alice/", "read:users:name")
	h.do("POST", "/hub/api/shares/alice/", `{"user":"bob","scopes":["servers"]}`, as(few)).want(http.StatusForbidden)
	h.do("POST", "/hub/api/shares/alice/", `{"user":"bob"}`, as(few)).want(http.StatusOK)
}

func TestShareCodes(t *testing.T) {
	t.Parallel()
	h := sharing(t)
	alice, bob := h.user("alice", false), h.user("bob", false)
	owner := as(h.token(alice))
	var made struct {
		ID        string
		Code      string
		AcceptURL string `json:"accept_url"`
	}
	h.do("POST", "/hub/api/share-codes/alice/", `{"expires_in":59}`, owner).want(http.StatusBadRequest)
	h.do("POST", "/hub/api/share-codes/alice/", `{"expires_in":60}`, owner).want(http.StatusOK).into(&made)
	if len(made.Code) != 43 || !strings.HasPrefix(made.ID, "sc_") || made.AcceptURL != "/hub/accept-share?code="+made.Code {
		t.Errorf("a code: %+v", made)
	}
	s, err := h.accounts.Exchange(t.Context(), made.Code, bob)
	if err != nil || s.FullName() != "alice/" {
		t.Fatalf("Exchange: %v %v", s, err)
	}
	if _, err := h.accounts.Exchange(t.Context(), made.Code, alice); hub.KindOf(err) != hub.Invalid {
		t.Errorf("her own code: %v", err)
	}
	list := h.do("GET", "/hub/api/share-codes/alice", "", owner)
	list.want(http.StatusOK)
	if strings.Contains(list.body, made.Code) || !strings.Contains(list.body, `"exchange_count":1`) {
		t.Errorf("codes: %s", list.body)
	}
	h.do("DELETE", "/hub/api/share-codes/alice/?id=sc_7", "", owner).wantError(http.StatusNotFound, "No code found matching id=sc_7")
	h.do("DELETE", "/hub/api/share-codes/alice/?code=x", "", owner).wantError(http.StatusNotFound, "No matching code found")
	h.do("DELETE", "/hub/api/share-codes/alice/?code="+made.Code, "", owner).want(http.StatusNoContent)
	if _, err := h.accounts.Exchange(t.Context(), made.Code, h.user("carol", false)); hub.KindOf(err) != hub.NotFound {
		t.Errorf("a deleted code: %v", err)
	}
	shares, err := h.accounts.Shares(t.Context(), alice, nil)
	if err != nil || len(shares) != 1 || shares[0].UserID != bob.ID {
		t.Errorf("what was accepted is %+v, %v", shares, err)
	}
}
