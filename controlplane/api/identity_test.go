package api

import (
	"net/http"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

func TestForgetAnIdentity(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	admin := h.token(h.user("root", true))
	u, err := h.accounts.Arrive(t.Context(), account.Arrival{Name: "ann", Identity: hub.Identity{Issuer: "https://op.test", Subject: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	h.do("DELETE", "/hub/api/users/ann/identity", "", as(h.token(u))).want(http.StatusForbidden)
	h.do("DELETE", "/hub/api/users/ann/identity", "", as(admin)).want(http.StatusNoContent)
	if got, err := h.accounts.Get(t.Context(), "ann"); err != nil || got.Identity != nil {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
	h.do("DELETE", "/hub/api/users/nobody/identity", "", as(admin)).want(http.StatusNotFound)
}
