package api

import (
	"net/http"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// tokenOwner answers whose an API token is, to programs older than GET /user that present one of their own. The answer is what
// the token's bearer would get, without what is about the token.
func (a *API) tokenOwner(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	secret := web.BearerToken(r)
	if secret == "" {
		return hub.Errorf(hub.Unauthenticated, "Missing or invalid credentials.")
	}
	if _, err := a.Accounts.ByToken(r.Context(), secret); err != nil {
		return err
	}
	c, err := a.Accounts.ByToken(r.Context(), r.PathValue("secret"))
	if hub.KindOf(err) == hub.Unauthenticated {
		err = hub.Errorf(hub.NotFound, "No such token.")
	}
	if err != nil {
		return err
	}
	if c.User == nil {
		m := serviceModel(c)
		m.AuthState = null
		return web.JSON(w, http.StatusOK, m)
	}
	servers, err := a.Servers.OfUser(r.Context(), c.User.Name)
	if err != nil {
		return err
	}
	m := a.callerModel(c, servers)
	m.AuthState = null
	return web.JSON(w, http.StatusOK, m)
}

// noTokenForPassword says where what JupyterHub had here before 2.0 is now.
func (a *API) noTokenForPassword(http.ResponseWriter, *http.Request, *account.Caller) error {
	return hub.Errorf(hub.NotFound, "This is gone since JupyterHub 2.0. Use /hub/api/users/:user/tokens instead.")
}
