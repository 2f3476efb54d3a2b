package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

type edgeAnswer struct {
	Token     string `json:"edge_token"`
	ExpiresIn int    `json:"expires_in"`
}

func (h *testHub) edge(path, token string) answer {
	h.t.Helper()
	return h.do("POST", "/hub/api/edge/"+path, toJSON(map[string]string{"token": token}))
}

// claims of an edge token that the API gave.
func (h *testHub) claims(a answer) *routes.Claims {
	h.t.Helper()
	var got edgeAnswer
	a.want(200).into(&got)
	c, err := h.tokens.OpenEdgeToken(h.t.Context(), got.Token)
	if err != nil {
		h.t.Fatalf("%s gives a token that does not verify: %v", a.what, err)
	}
	if got.ExpiresIn < 1 || got.ExpiresIn > routes.TokenLife || c.Expires-c.IssuedAt > routes.TokenLife {
		h.t.Errorf("%s expires in %d s, its token lives %d s", a.what, got.ExpiresIn, c.Expires-c.IssuedAt)
	}
	return c
}

func TestExchangeOfAnAPIToken(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, alice := h.user("root", true), h.user("alice", false, "g")
	for _, test := range []struct {
		who, secret string
		want        routes.Claims
	}{
		{"alice", h.token(alice), routes.Claims{Subject: "alice", UserID: alice.ID, Groups: []string{"g"}, Scopes: []string{"inherit"}}},
		{"one server of alice", h.token(alice, "access:servers!server=alice/srv"),
			routes.Claims{Subject: "alice", UserID: alice.ID, Groups: []string{"g"}, Scopes: []string{"access:servers!server=alice/srv"}}},
		{"no server", h.token(alice, "read:users!user=alice"),
			routes.Claims{Subject: "alice", UserID: alice.ID, Groups: []string{"g"}}},
		{"root", h.token(root), routes.Claims{Subject: "root", UserID: root.ID, Admin: true, Scopes: []string{"inherit", "access:servers", "access:services"}}},
		{"service", h.service(), routes.Claims{Subject: "automation", UserID: "service/automation", Admin: true, Scopes: []string{"inherit", "access:servers", "access:services"}}},
	} {
		c := h.claims(h.edge("exchange", test.secret))
		got := fmt.Sprint(c.Subject, c.UserID, c.Admin, c.Groups, c.Scopes)
		want := fmt.Sprint(test.want.Subject, test.want.UserID, test.want.Admin, test.want.Groups, test.want.Scopes)
		if got != want || c.Token == "" || c.Session != "" {
			t.Errorf("%s: claims = %+v, want %s", test.who, c, want)
		}
	}
}

func TestExchangeRefusesWhatIsNoAPIToken(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	_, session, err := h.tokens.StartSession(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	secret := h.token(alice)
	var edge edgeAnswer
	h.edge("exchange", secret).want(200).into(&edge)
	for what, token := range map[string]string{"a session's secret": session, "an edge token": edge.Token, "junk": "junk", "a hash": strings.Repeat("0", 64)} {
		a := h.edge("exchange", token)
		a.what += " of " + what
		a.wantError(403, noCredentials)
	}
	h.edge("exchange", strings.Repeat("x", routes.MaxTokenLen+1)).wantError(400, "The body must have a token.")
	tokens, err := h.tokens.OfUser(t.Context(), alice.ID)
	if err != nil || len(tokens) != 1 {
		t.Fatal(tokens, err)
	}
	if err := h.tokens.Delete(t.Context(), alice.ID, tokens[0].ID); err != nil {
		t.Fatal(err)
	}
	h.edge("exchange", secret).wantError(403, noCredentials)
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	session, _, err := h.tokens.StartSession(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	old, err := h.tokens.EdgeToken(t.Context(), routes.Claims{Subject: "alice", UserID: alice.ID, Session: session.ID, Scopes: []string{"inherit"}})
	if err != nil {
		t.Fatal(err)
	}
	if c := h.claims(h.edge("renew", old)); c.Session != session.ID || c.Subject != "alice" || c.UserID != alice.ID || c.Token != "" {
		t.Errorf("claims = %+v", c)
	}

	t.Run("says what is true now", func(t *testing.T) {
		yes := true
		if _, err := h.accounts.Update(t.Context(), "alice", accountAdmin(&yes)); err != nil {
			t.Fatal(err)
		}
		if c := h.claims(h.edge("renew", old)); !c.Admin || c.IssuedAt <= time.Now().Unix()-routes.TokenLife {
			t.Errorf("after the user became an administrator the claims are %+v", c)
		}
	})
	t.Run("is for sessions only", func(t *testing.T) {
		var exchanged edgeAnswer
		h.edge("exchange", h.token(alice)).want(200).into(&exchanged)
		h.edge("renew", exchanged.Token).wantError(403, "You are not signed in.")
	})
	t.Run("needs our signature", func(t *testing.T) {
		i := strings.LastIndexByte(old, '.')
		for _, bad := range []string{old[:i], old[:i] + ".AAAA", "x" + old, old + "x"} {
			h.edge("renew", bad).wantError(403, "The edge token is not valid.")
		}
	})
	t.Run("ends with the session", func(t *testing.T) {
		if err := h.tokens.EndSession(t.Context(), alice.ID, session.ID); err != nil {
			t.Fatal(err)
		}
		h.edge("renew", old).wantError(403, "You are not signed in.")
	})
	t.Run("ends with the user", func(t *testing.T) {
		bob := h.user("bob", false)
		session, _, err := h.tokens.StartSession(t.Context(), bob)
		if err != nil {
			t.Fatal(err)
		}
		token, err := h.tokens.EdgeToken(t.Context(), routes.Claims{Subject: "bob", UserID: bob.ID, Session: session.ID, Scopes: []string{"inherit"}})
		if err != nil {
			t.Fatal(err)
		}
		h.do("DELETE", "/hub/api/users/bob", "", as(h.service())).want(204)
		h.user("bob", false)
		h.edge("renew", token).wantError(403, "You are not signed in.")
	})
}

// A single-user server asks who visits with the ticket that the edge gave it.
func TestVisitorTickets(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice, bob := h.user("alice", false), h.user("bob", false)
	h.running(alice, "")
	h.running(bob, "")
	table := store.NewTable[routes.Route](h.opts.Store, routes.RoutesTree, "route")
	route := func(user string) *routes.Route {
		t.Helper()
		r, err := table.Get(t.Context(), routes.EscapeKey("/user/"+user+"/"))
		if err != nil {
			t.Fatal(err)
		}
		return &r.Value
	}
	sign := func(r *routes.Route, expires time.Time) string {
		t.Helper()
		ticket, err := routes.SignTicket(r, &routes.Claims{Subject: "alice", UserID: alice.ID, Session: "the-session-id", Groups: []string{"g"}}, expires.Unix())
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	soon := time.Now().Add(time.Minute)
	good := sign(route("alice"), soon)
	a := h.do("GET", "/hub/api/user", "", as(good))
	a.wantJSON(200, `{"kind":"user","name":"alice","admin":false,"groups":["g"],"token_id":null,"session_id":"<text>",
		"scopes":["access:servers!server=alice/"]}`)
	if strings.Contains(a.body, "the-session-id") {
		t.Error("the server learns the visitor's session id")
	}

	forged, stale := *route("alice"), *route("alice")
	forged.Secret = route("bob").Secret
	stale.Gen--
	none := *route("alice")
	none.Prefix = "/user/nobody/"
	for what, ticket := range map[string]string{
		"of another server's key": sign(&forged, soon), "of an older start": sign(&stale, soon), "of no route": sign(&none, soon),
		"that is over": sign(route("alice"), time.Now().Add(-time.Minute)), "that was cut": good[:len(good)-2], "that is empty": "edgehub-visitor.",
	} {
		a := h.do("GET", "/hub/api/user", "", as(ticket))
		a.what += " with a ticket " + what
		a.wantError(403, noCredentials)
	}
	// It opens nothing else.
	for _, path := range []string{"/hub/api/users/alice", "/hub/api/users/alice/server", "/hub/api/info"} {
		h.do("GET", path, "", as(good)).wantError(403, noCredentials)
	}
	h.edge("exchange", good).wantError(403, noCredentials)
	b := h.browser(alice)
	h.do("GET", "/hub/api/user", "", as(good[:len(good)-2]), b.session).wantError(403, noCredentials)

	h.do("DELETE", "/hub/api/users/alice/server", "", as(h.token(alice))).want(204)
	h.do("GET", "/hub/api/user", "", as(good)).wantError(403, noCredentials)
	h.running(alice, "")
	h.do("GET", "/hub/api/user", "", as(good)).wantError(403, noCredentials)
}

func TestPlannedCookiesOfTheEdgeDoNotSignIn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	var edge edgeAnswer
	h.edge("exchange", h.token(alice)).want(200).into(&edge)
	h.do("GET", "/hub/api/user", "", cookie(web.EdgeCookie, edge.Token)).wantError(403, noCredentials)
	h.do("GET", "/hub/api/user", "", as(edge.Token)).wantError(403, noCredentials)
	if s, err := h.servers.Get(t.Context(), "alice", ""); err != nil || s.State != hub.Stopped {
		t.Errorf("server = %+v, %v", s, err)
	}
}
