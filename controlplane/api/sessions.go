package api

import (
	"net/http"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// Sessions by API are ours (jupyterhub#3688). They take the scopes of tokens.

// sessionModel is a browser that is signed in. current marks the one that asks.
func sessionModel(s hub.Session, c *account.Caller) map[string]any {
	return map[string]any{"kind": "session", "id": s.ID, "user": s.User, "created": timestamp(s.Created), "expires_at": timestamp(s.Expires),
		"last_activity": timestamp(s.LastActivity), "user_agent": s.Agent, "address": s.Address,
		"current": c.Session != nil && c.Session.ID == s.ID}
}

// listSessions answers with the browsers in which a user is signed in, the newest last.
func (a *API) listSessions(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	sessions, err := a.Tokens.OfUserSessions(r.Context(), u.ID)
	if err != nil {
		return err
	}
	models := []map[string]any{}
	for _, s := range sessions {
		models = append(models, sessionModel(s, c))
	}
	return web.JSON(w, http.StatusOK, map[string]any{"sessions": models})
}

// endSession signs one browser out: with it go the tokens that it caused.
func (a *API) endSession(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	id := r.PathValue("session")
	if _, err := a.Tokens.SessionByID(r.Context(), u.ID, id); err != nil {
		if hub.KindOf(err) == hub.Unauthenticated {
			return hub.Errorf(hub.NotFound, "No such session %s for user %s", hub.Clip(id), u.Name)
		}
		return err
	}
	if err := a.Tokens.EndSession(r.Context(), u.ID, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// endSessions signs a user out everywhere. API tokens that no browser caused stay.
func (a *API) endSessions(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	if err := a.Tokens.EndSessions(r.Context(), u.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
