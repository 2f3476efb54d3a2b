package api

import (
	"net/http"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// edgeBody is what an edge sends: an API token to exchange, or its own edge token to renew.
type edgeBody struct {
	Token string `json:"token"`
}

func readEdgeToken(w http.ResponseWriter, r *http.Request) (string, error) {
	var body edgeBody
	if err := web.ReadJSON(w, r, &body); err != nil {
		return "", err
	}
	if body.Token == "" || len(body.Token) > routes.MaxTokenLen {
		return "", hub.Errorf(hub.Invalid, "The body must have a token.")
	}
	return body.Token, nil
}

// exchange gives an edge the edge token of an API token, so that it can decide by itself from then on. Who presents the API
// token could use it directly, so this gives nothing away.
func (a *API) exchange(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	secret, err := readEdgeToken(w, r)
	if err != nil {
		return err
	}
	c, err := a.Accounts.ByToken(r.Context(), secret)
	if err != nil {
		return err
	}
	return a.writeEdgeToken(w, r, c)
}

// renew gives an edge a fresh edge token for one that is past half of its life, if the session behind it still is.
func (a *API) renew(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	old, err := readEdgeToken(w, r)
	if err != nil {
		return err
	}
	claims, err := a.Tokens.OpenEdgeToken(r.Context(), old)
	if err != nil {
		return err
	}
	c, err := a.Accounts.Renew(r.Context(), claims)
	if err != nil {
		return err
	}
	return a.writeEdgeToken(w, r, c)
}

func (a *API) writeEdgeToken(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	token, life, err := a.Accounts.EdgeToken(r.Context(), c)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, map[string]any{"edge_token": token, "expires_in": int(life.Seconds())})
}
