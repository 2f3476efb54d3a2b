package api

import (
	"slices"
	"strings"
	"testing"
	"time"
)

type tokenAnswer struct {
	ID      string
	Token   string
	Note    string
	Scopes  []string
	Expires string `json:"expires_at"`
}

func TestTokensNeverExceedOwnerOrCaller(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, alice := h.user("root", true), h.user("alice", false)
	h.user("bob", false)
	ownOnly := h.token(alice, "tokens!user=alice", "read:users!user=alice")
	for _, test := range []struct {
		who, secret, user, body string
		status                  int
	}{
		{"alice", h.token(alice), "alice", ``, 201},
		{"alice", h.token(alice), "alice", `{"scopes":["self"]}`, 201},
		{"alice", h.token(alice), "alice", `{"roles":["token"]}`, 201},
		{"alice", h.token(alice), "alice", `{"roles":["user"]}`, 201},
		{"alice", h.token(alice), "alice", `{"roles":["admin"]}`, 400},
		{"alice", h.token(alice), "alice", `{"scopes":["read:servers"]}`, 400},
		{"alice", h.token(alice), "alice", `{"scopes":["read:servers!user=bob"]}`, 400},
		{"alice", h.token(alice), "alice", `{"scopes":["read:servers!user=alice","admin:users"]}`, 400},
		{"alice, tokens only", ownOnly, "alice", `{"scopes":["read:users!user=alice"]}`, 201},
		{"alice, tokens only", ownOnly, "alice", `{"scopes":["read:users:name!user=alice"]}`, 201},
		{"alice, tokens only", ownOnly, "alice", `{"scopes":["servers!user=alice"]}`, 403},
		{"alice, tokens only", ownOnly, "alice", `{"scopes":["inherit"]}`, 403},
		{"alice, tokens only", ownOnly, "alice", `{"scopes":["read:users!user=alice","inherit"]}`, 403},
		{"alice, tokens only", ownOnly, "alice", ``, 403},
		{"root", h.token(root), "alice", ``, 201},
		{"root", h.token(root), "alice", `{"scopes":["list:users"]}`, 400},
		{"root", h.token(root), "root", `{"scopes":["list:users"]}`, 201},
		{"root, tokens only", h.token(root, "tokens"), "root", ``, 403},
		{"root, tokens only", h.token(root, "tokens"), "bob", ``, 403},
		{"root, tokens of bob", h.token(root, "tokens!user=bob"), "bob", `{"scopes":["access:servers!user=bob"]}`, 403},
		{"service", h.service(), "bob", ``, 201},
	} {
		a := h.do("POST", "/hub/api/users/"+test.user+"/tokens", test.body, as(test.secret))
		a.what += " as " + test.who + " with " + test.body
		a.want(test.status)
		if a.status != 201 {
			continue
		}
		var made tokenAnswer
		a.into(&made)
		var me struct {
			Name   string
			Scopes []string
		}
		h.do("GET", "/hub/api/user", "", as(made.Token)).want(200).into(&me)
		if me.Name != test.user || !slices.Equal(me.Scopes, made.Scopes) {
			t.Errorf("%s: the token is %s's and says %q, its model %q", a.what, me.Name, me.Scopes, made.Scopes)
		}
	}
}

// Nobody grants what they do not hold (CVE-2024-41942): not by the admin flag, not by a password.
func TestRightsNeverGrow(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.user("root", true)
	h.user("alice", false)
	const grant = "Only admins can grant admin permissions"
	narrow := as(h.token(root, "admin:users"))
	h.do("POST", "/hub/api/users", `{"usernames":["eve"],"admin":true}`, narrow).wantError(403, grant)
	h.do("POST", "/hub/api/users/eve", `{"admin":true}`, narrow).wantError(403, grant)
	h.do("PATCH", "/hub/api/users/alice", `{"admin":true}`, narrow).wantError(403, grant)
	h.do("PATCH", "/hub/api/users/root", `{"password":"correct horse"}`, narrow).wantError(403, grant)
	h.do("PATCH", "/hub/api/users/root", `{"groups":[]}`, narrow).wantError(403, grant)
	h.do("PATCH", "/hub/api/users/alice", `{"password":"correct horse"}`, narrow).
		wantError(403, "You cannot set the password of a user who may do more than you")
	const members = "groups: you may not change the members of g"
	h.do("PATCH", "/hub/api/users/alice", `{"groups":["g"]}`, narrow).wantError(403, members) // groups give rights
	grouper := as(h.token(root, "admin:users", "groups"))
	h.do("PATCH", "/hub/api/users/alice", `{"groups":["g"]}`, grouper).wantError(400, "groups: No such group: g")
	h.do("PATCH", "/hub/api/users/alice", `{"groups":["g"]}`, as(h.token(root, "admin:users", "admin:groups"))).want(200)
	h.do("PATCH", "/hub/api/users/alice", `{"groups":[]}`, grouper).want(200)
	h.do("PATCH", "/hub/api/users/alice", `{"groups":["g"]}`, grouper).want(200)
	h.do("GET", "/hub/api/users/eve", "", as(h.token(root))).want(404)

	for who, secret := range map[string]string{"an administrator": h.token(root), "the admin service": h.service()} {
		for _, body := range []string{`{"admin":true}`, `{"admin":false}`, `{"password":"correct horse"}`} {
			a := h.do("PATCH", "/hub/api/users/alice", body, as(secret))
			a.what += " as " + who + " with " + body
			a.want(200)
		}
	}
}

func TestListOfTokens(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	secret := h.token(alice)
	var made []tokenAnswer
	for _, body := range []string{`{"note":"first"}`, `{"note":"second","expires_in":60}`} {
		var one tokenAnswer
		h.do("POST", "/hub/api/users/alice/tokens", body, as(secret)).want(201).into(&one)
		made = append(made, one)
	}
	expires, err := time.Parse(time.RFC3339, made[1].Expires)
	if left := time.Until(expires); err != nil || left < 0 || left > time.Minute {
		t.Errorf("expires_in 60 gives %q", made[1].Expires)
	}
	old := hubToken(alice, "", "inherit")
	old.Expires = time.Now().Add(-time.Minute)
	if _, _, err := h.tokens.Issue(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	h.do("GET", "/hub/api/user", "", as(made[0].Token)).want(200) // so it is the one used last

	var list struct {
		Tokens []tokenAnswer `json:"api_tokens"`
	}
	a := h.do("GET", "/hub/api/users/alice/tokens", "", as(secret)).want(200).into(&list)
	var notes []string
	for _, tok := range list.Tokens {
		notes = append(notes, tok.Note)
	}
	if len(notes) != 3 || notes[0] != "" && notes[0] != "second" || notes[2] != "first" {
		t.Errorf("tokens are %q, want those used longest ago first and no expired one", notes)
	}
	for _, tok := range made {
		if strings.Contains(a.body, tok.Token) {
			t.Error("the list shows a secret")
		}
		var one tokenAnswer
		h.do("GET", "/hub/api/users/alice/tokens/"+tok.ID, "", as(secret)).want(200).into(&one)
		if one.ID != tok.ID || one.Note != tok.Note || one.Token != "" {
			t.Errorf("token %s = %+v", tok.ID, one)
		}
	}
	bob := as(h.token(h.user("bob", false)))
	h.do("GET", "/hub/api/users/alice/tokens/"+made[0].ID, "", bob).wantError(404, noAccess)
	h.do("DELETE", "/hub/api/users/bob/tokens/"+made[0].ID, "", bob).want(404) // one's own list does not have it

	h.do("DELETE", "/hub/api/users/alice/tokens/"+made[0].ID, "", as(secret)).want(204)
	h.do("GET", "/hub/api/user", "", as(made[0].Token)).wantError(403, noCredentials)
	h.do("GET", "/hub/api/users/alice/tokens/"+made[0].ID, "", as(secret)).want(404)
}

func TestNoteOfATokenSaysWhoAsked(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, alice := h.token(h.user("root", true)), h.user("alice", false)
	for secret, want := range map[string]string{h.token(alice): "Requested via api", root: "Requested via api by user root",
		h.service(): "Requested via api by service automation"} {
		var made tokenAnswer
		h.do("POST", "/hub/api/users/alice/tokens", "", as(secret)).want(201).into(&made)
		if made.Note != want {
			t.Errorf("note %q, want %q", made.Note, want)
		}
	}
}
