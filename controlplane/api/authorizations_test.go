package api

import (
	"strings"
	"testing"
)

func TestWhoseATokenIs(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice, asker := h.token(h.user("alice", false), "read:servers!user"), h.token(h.user("bob", false))
	got := h.do("GET", "/hub/api/authorizations/token/"+alice, "", as(asker)).want(200).body
	if !strings.Contains(got, `"name":"alice"`) || strings.Contains(got, alice) || strings.Contains(got, "bob") || strings.Contains(got, `"scopes"`) {
		t.Errorf("others are told %s of alice's token", got)
	}
	h.do("GET", "/hub/api/authorizations/token/"+h.service(), "", as(asker)).want(200)
}
