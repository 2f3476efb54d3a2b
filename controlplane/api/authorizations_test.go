package api

import "testing"

func TestWhoseATokenIs(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice, asker := h.token(h.user("alice", false), "read:servers!user"), h.token(h.user("bob", false))
	got := h.do("GET", "/hub/api/authorizations/token/"+alice, "", as(asker)).want(200).body
	if own := h.do("GET", "/hub/api/user", "", as(alice)).want(200).body; got != own {
		t.Errorf("others are told %s of a token, its bearer %s", got, own)
	}
}
