package api

import (
	"net/http"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
)

// listKeys answers with the signing keys of edge tokens: their names and times, nothing that helps to sign in.
func (a *API) listKeys(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	keys, err := a.Tokens.Keys(r.Context())
	return a.writeKeys(w, keys, err)
}

// rotateKeys publishes a new signing key, or, in an emergency, replaces all at once and signs everybody out.
func (a *API) rotateKeys(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	if err := mayRotate(c); err != nil {
		return err
	}
	var body struct {
		Emergency bool `json:"emergency"`
	}
	if err := readKnown(w, r, &body, "emergency"); err != nil {
		return err
	}
	if body.Emergency {
		a.Log.Warn("emergency rotation of the signing key: everybody is signed out", "by", c.Name(), "request_id", web.RequestID(r))
		keys, err := a.Tokens.EndAll(r.Context())
		return a.writeKeys(w, keys, err)
	}
	keys, err := a.Tokens.Rotate(r.Context(), token.Lead)
	return a.writeKeys(w, keys, err)
}

// mayRotate asks for more than the route's scope. JupyterHub has no keys and so no scope for them. A rotation signs
// everybody out and ends what they have open, so it takes what could do that to each of them one by one: all users and all
// servers, both without a filter, which is what the role admin has. One scope of its own would be in no role that exists.
func mayRotate(c *account.Caller) error {
	if c.Scopes.Has("admin:users") && c.Scopes.Has("admin:servers") {
		return nil
	}
	return hub.Errorf(hub.Forbidden, "Action is not authorized with current scopes; requires all of [admin:users, admin:servers]")
}

func (a *API) writeKeys(w http.ResponseWriter, keys []token.Key, err error) error {
	if err != nil {
		return err
	}
	models := make([]map[string]any, 0, len(keys))
	for _, k := range keys {
		models = append(models, map[string]any{"id": k.ID, "state": k.State, "active_from": timestamp(k.From), "accepted_until": timestamp(k.Until)})
	}
	return web.JSON(w, http.StatusOK, models)
}
