package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// shared are the scopes that a user has by shares.
func (h *testHub) shared(u hub.User) []string {
	h.t.Helper()
	shares, err := h.accounts.SharedWith(h.t.Context(), account.With{User: &u}, u.Groups...)
	if err != nil {
		h.t.Fatal(err)
	}
	var scopes []string
	for _, sh := range shares {
		scopes = append(scopes, sh.Scopes...)
	}
	return scopes
}

// wantScopes checks them, and those of the user's tokens.
func (h *testHub) wantScopes(what string, u hub.User, want ...string) {
	h.t.Helper()
	got := h.shared(u)
	if !slices.Equal(got, want) {
		h.t.Errorf("%s: %s has %q by shares, want %q", what, u.Name, got, want)
	}
	c, err := h.accounts.ByToken(h.t.Context(), h.token(u))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, scope := range want {
		if !slices.Contains(c.Scopes.Strings(), scope) {
			h.t.Errorf("%s: a token of %s lacks %s", what, u.Name, scope)
		}
	}
}

// code makes a share code for a server.
func (h *testHub) code(server string, owner with) string {
	h.t.Helper()
	var made struct{ Code string }
	h.do("POST", "/hub/api/share-codes/"+server, `{}`, owner).want(http.StatusOK).into(&made)
	return made.Code
}

// TestSharesEndWithTheirServer and do not come back with one of the same name.
func TestSharesEndWithTheirServer(t *testing.T) {
	t.Parallel()
	h := sharing(t)
	alice, bob, carol := h.user("alice", false), h.user("bob", false), h.user("carol", false, "team")
	owner := as(h.token(alice))
	h.running(alice, "gpu")
	h.do("POST", "/hub/api/shares/alice/gpu", `{"user":"bob"}`, owner).want(http.StatusOK)
	h.do("POST", "/hub/api/shares/alice/gpu", `{"group":"team"}`, owner).want(http.StatusOK)
	code := h.code("alice/gpu", owner)
	h.wantScopes("shared", bob, "access:servers!server=alice/gpu")
	h.wantScopes("shared", carol, "access:servers!server=alice/gpu")
	h.do("DELETE", "/hub/api/users/alice/servers/gpu", `{"remove":true}`, owner).want(http.StatusNoContent)
	h.do("POST", "/hub/api/shares/alice/gpu", `{"user":"bob"}`, owner).want(http.StatusNotFound)
	h.do("PUT", "/hub/api/users/alice/servers/gpu", "", owner).want(http.StatusCreated)
	h.wantScopes("removed", bob)
	h.wantScopes("removed", carol)
	if _, err := h.accounts.Exchange(t.Context(), code, bob); hub.KindOf(err) != hub.NotFound {
		t.Errorf("a code of the server before: %v", err)
	}
	for _, tree := range []string{"shares", "share-codes"} {
		h.do("GET", "/hub/api/"+tree+"/alice/gpu", "", owner).wantJSON(http.StatusOK, `{"items":[],"_pagination":{"offset":0,"limit":200,"total":0,"next":null}}`)
	}
	h.running(alice, "gpu")
	if r := h.routeOf("/user/alice/gpu/"); len(r.Users)+len(r.Groups) > 0 {
		t.Errorf("the route of the new server: %+v", r)
	}
}

// TestNothingIsSharedOfAServerThatGoes so that nothing is left of it.
func TestNothingIsSharedOfAServerThatGoes(t *testing.T) {
	t.Parallel()
	h := sharing(t)
	alice, bob := h.user("alice", false), h.user("bob", false)
	owner := as(h.token(alice))
	h.do("PUT", "/hub/api/users/alice/servers/gpu", "", owner).want(http.StatusCreated)
	s := account.SharedServer{Owner: alice, Name: "gpu"}
	code := h.code("alice/gpu", owner)
	if err := h.servers.Forget(t.Context(), "nobody"); err != nil {
		t.Fatal(err)
	}
	table := store.NewTable[hub.Server](h.opts.Store, store.Servers, "server")
	for what, change := range map[string]func(*hub.Server){"goes": func(s *hub.Server) { s.State, s.Remove, s.Owner = hub.Stopping, true, "test" },
		"of somebody before": func(s *hub.Server) { s.UserID = "u9" }} {
		id := store.ID("alice", "gpu")
		before, err := table.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		set := func(change func(*hub.Server)) {
			if _, err := table.Update(t.Context(), id, func(s *hub.Server) ([]store.Op, error) { change(s); return nil, nil }); err != nil {
				t.Fatal(err)
			}
		}
		gate := make(chan struct{})
		h.runtime.set(func(rt *runtime) { rt.stop = gate })
		set(change)
		_, share := h.accounts.Share(t.Context(), s, account.With{User: &bob}, []string{"access:servers!server=alice/gpu"})
		_, _, make := h.accounts.NewShareCode(t.Context(), s, []string{"access:servers!server=alice/gpu"}, 1e12)
		_, exchange := h.accounts.Exchange(t.Context(), code, bob)
		for name, err := range map[string]error{"Share": share, "NewShareCode": make, "Exchange": exchange} {
			if hub.KindOf(err) != hub.NotFound {
				t.Errorf("%s of a server %s: %v", name, what, err)
			}
		}
		h.do("GET", "/hub/api/shares/alice/gpu", "", owner).want(http.StatusNotFound)
		set(func(s *hub.Server) { *s = before.Value })
		close(gate)
	}
}

// TestSharesGoWithTheNameOfTheirServer and with that of its owner.
func TestSharesGoWithTheNameOfTheirServer(t *testing.T) {
	t.Parallel()
	h := sharing(t)
	alice, bob, carol := h.user("alice", false), h.user("bob", false), h.user("carol", false, "team")
	owner, root := as(h.token(alice)), as(h.token(h.user("root", true)))
	h.do("PUT", "/hub/api/users/alice/servers/gpu", `{"user_options":{"a":1}}`, owner).want(http.StatusCreated)
	h.do("POST", "/hub/api/shares/alice/gpu", `{"user":"bob","scopes":["access:servers","read:servers"]}`, owner).want(http.StatusOK)
	h.do("POST", "/hub/api/shares/alice/", `{"group":"team"}`, owner).want(http.StatusOK)
	code := h.code("alice/gpu", owner)

	h.do("PATCH", "/hub/api/users/alice/servers/gpu", `{"name":"tpu"}`, owner).want(http.StatusOK)
	h.wantScopes("a server's name", bob, "access:servers!server=alice/tpu", "read:servers!server=alice/tpu")
	h.wantScopes("the default server", carol, "access:servers!server=alice/")
	h.do("GET", "/hub/api/users/bob/shared/alice/tpu", "", as(h.token(bob))).want(http.StatusOK)
	h.do("GET", "/hub/api/users/bob/shared/alice/gpu", "", as(h.token(bob))).want(http.StatusNotFound)

	h.do("PATCH", "/hub/api/users/alice", `{"name":"alicia"}`, root).want(http.StatusOK)
	h.wantScopes("the owner's name", bob, "access:servers!server=alicia/tpu", "read:servers!server=alicia/tpu")
	h.wantScopes("the owner's name", carol, "access:servers!server=alicia/")
	h.do("PATCH", "/hub/api/users/bob", `{"name":"bobby"}`, root).want(http.StatusOK)
	bobby, err := h.accounts.Get(t.Context(), "bobby")
	if err != nil {
		t.Fatal(err)
	}
	list := h.do("GET", "/hub/api/shares/alicia/tpu", "", root).want(http.StatusOK)
	if !strings.Contains(list.body, `"user":{"name":"bobby"}`) {
		t.Errorf("with whom it is shared: %s", list.body)
	}
	if s, err := h.accounts.Exchange(t.Context(), code, carol); err != nil || s.FullName() != "alicia/tpu" {
		t.Errorf("the code is for %s, %v", s.FullName(), err)
	}
	again, dave := h.user("alice", false), h.user("dave", false)
	if shares, err := h.accounts.Shares(t.Context(), again, nil); err != nil || len(shares) > 0 {
		t.Errorf("shares of a new alice: %+v, %v", shares, err)
	}
	alicia, err := h.accounts.Get(t.Context(), "alicia")
	if err != nil {
		t.Fatal(err)
	}
	h.running(alicia, "tpu")
	if r := h.routeOf("/user/alicia/tpu/"); !slices.Contains(r.Users, bobby.ID) || !slices.Contains(r.Users, carol.ID) || slices.Contains(r.Users, dave.ID) {
		t.Errorf("the route: %+v", r)
	}
	h.do("DELETE", "/hub/api/shares/alicia/tpu", "", root).want(http.StatusNoContent)
	h.wantScopes("no share", bobby)
}

// TestARenameIsDoneInOneStep or refused.
func TestARenameIsDoneInOneStep(t *testing.T) {
	t.Parallel()
	h := sharing(t)
	alice := h.user("alice", false)
	owner, root := as(h.token(alice)), as(h.token(h.user("root", true)))
	h.do("PUT", "/hub/api/users/alice/servers/gpu", "", owner).want(http.StatusCreated)
	for i := range 40 {
		group := fmt.Sprintf("g%d", i)
		h.do("POST", "/hub/api/groups/"+group, "", root).want(http.StatusCreated)
		h.do("POST", "/hub/api/shares/alice/gpu", `{"group":"`+group+`"}`, owner).want(http.StatusOK)
		if i == 20 { // which fits
			h.do("PATCH", "/hub/api/users/alice/servers/gpu", `{"name":"tpu"}`, owner).want(http.StatusOK)
			h.do("PATCH", "/hub/api/users/alice/servers/tpu", `{"name":"gpu"}`, owner).want(http.StatusOK)
		}
	}
	h.do("PATCH", "/hub/api/users/alice/servers/gpu", `{"name":"tpu"}`, owner).wantError(http.StatusBadRequest,
		"alice:gpu has too many shares and share codes to change its name, which is done in one step: end some.")
	h.do("PATCH", "/hub/api/users/alice", `{"name":"alicia"}`, root).wantError(http.StatusBadRequest,
		"alice has too many API tokens, groups, servers and shares to change the name, which is done in one step: "+
			"delete API tokens, servers, shares and share codes that are not needed.")
	if shares, err := h.accounts.Shares(t.Context(), alice, nil); err != nil || len(shares) != 40 {
		t.Errorf("%d shares are left, %v", len(shares), err)
	}
}

func TestNamedServersStayListed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	secret := as(h.token(h.user("alice", false)))
	names := func(query string) string {
		var model struct {
			Servers map[string]struct {
				Stopped     bool
				DisplayName string `json:"display_name"`
			}
		}
		h.do("GET", "/hub/api/users/alice"+query, "", secret).want(http.StatusOK).into(&model)
		var all []string
		for name, s := range model.Servers {
			all = append(all, fmt.Sprintf("%s=%s,%t", name, s.DisplayName, s.Stopped))
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	h.do("POST", "/hub/api/users/alice/servers/gpu", `{"display_name":"Big one"}`, secret).want(http.StatusCreated)
	h.do("DELETE", "/hub/api/users/alice/servers/gpu", "", secret).want(http.StatusNoContent)
	h.do("PUT", "/hub/api/users/alice/servers/new", "", secret).want(http.StatusCreated)
	if got := names(""); got != "" {
		t.Errorf("servers that run: %s", got)
	}
	if got := names("?include_stopped_servers"); got != "=,true gpu=Big one,true new=new,true" {
		t.Errorf("all servers: %s", got)
	}
	h.do("POST", "/hub/api/users/alice/servers/gpu", `{"display_name":""}`, secret).want(http.StatusCreated)
	h.do("POST", "/hub/api/users/alice/server", `{"display_name":"Ignored"}`, secret).want(http.StatusCreated)
	if got := names(""); got != "=,false gpu=Big one,false" {
		t.Errorf("servers that run: %s", got)
	}
	h.do("DELETE", "/hub/api/users/alice/server", "", secret).want(http.StatusNoContent)
	h.do("PATCH", "/hub/api/users/alice/server", `{"display_name":"Mine"}`, secret).want(http.StatusOK)
	if got := names("?include_stopped_servers"); !strings.HasPrefix(got, "=Mine,true ") {
		t.Errorf("the default server: %s", got)
	}
}

// TestANameIsNotTakenOverTheScopes of who changes it.
func TestANameIsNotTakenOverTheScopes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	h.do("PUT", "/hub/api/users/alice/servers/gpu", "", as(h.token(alice))).want(http.StatusCreated)
	narrow := as(h.token(alice, "start:servers!server=alice/gpu"))
	h.do("PATCH", "/hub/api/users/alice/servers/gpu", `{"user_options":{"a":1}}`, narrow).want(http.StatusOK)
	h.do("PATCH", "/hub/api/users/alice/servers/gpu", `{"name":"tpu"}`, narrow).wantError(http.StatusForbidden,
		"name: the server would be outside of what you may start")
	h.do("PUT", "/hub/api/users/alice/servers/tpu", "", narrow).want(http.StatusNotFound)
}
