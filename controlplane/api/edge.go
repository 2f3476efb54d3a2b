package api

import (
	"net/http"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// edgeBody is what an edge sends: an API token to exchange, with the user's host for which it needs an edge token, if any, or
// its own edge token to renew.
type edgeBody struct {
	Token string `json:"token"`
	Host  string `json:"host"`
}

func readEdgeToken(w http.ResponseWriter, r *http.Request) (edgeBody, error) {
	var body edgeBody
	if err := web.ReadJSON(w, r, &body); err != nil {
		return body, err
	}
	if body.Token == "" || len(body.Token) > routes.MaxTokenLen {
		return body, hub.Errorf(hub.Invalid, "The body must have a token.")
	}
	return body, nil
}

// exchange gives an edge the edge token of an API token, so that it can decide by itself from then on. Who presents the API
// token could use it directly, so this gives nothing away.
func (a *API) exchange(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	body, err := readEdgeToken(w, r)
	if err != nil {
		return err
	}
	if body.Host != "" && (a.Hosts == nil || !a.Hosts.IsUsers(body.Host)) {
		return hub.Errorf(hub.Invalid, "This is not a user's host.")
	}
	c, err := a.Accounts.ByToken(r.Context(), body.Token)
	if err != nil {
		return err
	}
	return a.writeEdgeToken(w, r, c, edgeReply{Host: body.Host})
}

// renew gives an edge a fresh edge token for one that is past half of its life, if the session behind it still is.
func (a *API) renew(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	body, err := readEdgeToken(w, r)
	if err != nil {
		return err
	}
	claims, err := a.Tokens.OpenEdgeToken(r.Context(), body.Token)
	if err != nil {
		return err
	}
	c, err := a.Accounts.Renew(r.Context(), claims)
	if err != nil {
		return err
	}
	return a.writeEdgeToken(w, r, c, edgeReply{Host: claims.Host})
}

// redeem gives an edge the edge token of a browser that comes from the hub with the code of a sign-in on a user's host.
func (a *API) redeem(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	var body struct {
		Code  string `json:"code"`
		Host  string `json:"host"`
		State string `json:"state"`
	}
	if err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	if body.Code == "" || body.Host == "" || body.State == "" {
		return hub.Errorf(hub.Invalid, "The body must have a code, its host and its state.")
	}
	v, err := a.Tokens.RedeemVisit(r.Context(), body.Code, body.Host, body.State)
	if err != nil {
		return err
	}
	c, err := a.Accounts.Renew(r.Context(), &routes.Claims{UserID: v.UserID, Session: v.Session})
	if err != nil {
		return err
	}
	return a.writeEdgeToken(w, r, c, edgeReply{Host: v.Host, Next: a.Base.Path(v.Next)})
}

// edgeReply is what an edge gets.
type edgeReply struct {
	EdgeToken string `json:"edge_token"`
	ExpiresIn int    `json:"expires_in"`
	// Next is where a browser that signs in on a user's host wants to go.
	Next string `json:"next,omitempty"`
	// Host is the user's host for which the token is, empty for the hub's.
	Host string `json:"host,omitempty"`
}

// writeEdgeToken answers with an edge token of c for the host that the answer names.
func (a *API) writeEdgeToken(w http.ResponseWriter, r *http.Request, c *account.Caller, answer edgeReply) error {
	token, life, err := a.Accounts.EdgeToken(r.Context(), c, answer.Host)
	if err != nil {
		return err
	}
	answer.EdgeToken, answer.ExpiresIn = token, int(life.Seconds())
	return web.JSON(w, http.StatusOK, answer)
}
