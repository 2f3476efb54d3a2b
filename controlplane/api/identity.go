package api

import (
	"net/http"

	"github.com/edgehub/edgehub/controlplane/account"
)

// unbindUser forgets who the user is at a login provider and signs the user out: for people whom the provider knows by
// another identity from now on.
func (a *API) unbindUser(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	if err := a.Accounts.Unbind(r.Context(), u.Name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
