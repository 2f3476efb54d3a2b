package api

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// worth is what a user's token may do now.
func worth(u hub.User, t hub.Token) []string {
	owned, err := account.UserScopes(u)
	if err != nil {
		return nil
	}
	s, err := access.TokenScopes(t.Scopes, access.Owner{User: string(u.Name), Server: t.Server, Groups: u.Groups}, owned, nil)
	if err != nil {
		return nil
	}
	return s.Strings()
}

// listTokens answers with a user's tokens, those used longest ago first.
func (a *API) listTokens(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	tokens, err := a.Tokens.OfUser(r.Context(), u.ID)
	if err != nil {
		return err
	}
	slices.SortStableFunc(tokens, func(x, y hub.Token) int { return lastUse(x).Compare(lastUse(y)) })
	models := []map[string]any{}
	for _, t := range tokens {
		models = append(models, tokenModel(t, worth(u, t)))
	}
	return web.JSON(w, http.StatusOK, map[string]any{"api_tokens": models})
}

func lastUse(t hub.Token) time.Time {
	if t.LastActivity.IsZero() {
		return t.Created
	}
	return t.LastActivity
}

// createToken issues a token and shows its secret once. It never holds more than its owner does.
func (a *API) createToken(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	var body struct {
		Note      string   `json:"note"`
		ExpiresIn *int64   `json:"expires_in"`
		Scopes    []string `json:"scopes"`
		Roles     []string `json:"roles"`
	}
	if err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	t := hub.Token{User: u.Name, UserID: u.ID, Note: body.Note, Scopes: body.Scopes}
	if t.Note == "" {
		t.Note = "Requested via api"
		if c.Name() != string(u.Name) {
			t.Note += " by " + c.Name()
		}
	}
	if body.ExpiresIn != nil {
		if *body.ExpiresIn <= 0 || *body.ExpiresIn > 10*365*24*3600 {
			return hub.Errorf(hub.Invalid, "expires_in must be a positive number of seconds, at most ten years.")
		}
		t.Expires = time.Now().UTC().Add(time.Duration(*body.ExpiresIn) * time.Second)
	}
	if t.Scopes, err = requestedScopes(u, body.Scopes, body.Roles); err != nil {
		return err
	}
	if err := notMoreThanCaller(c, u, t.Scopes); err != nil {
		return err
	}
	t, secret, err := a.Tokens.Issue(r.Context(), t)
	if err != nil {
		return err
	}
	m := tokenModel(t, worth(u, t))
	m["token"] = secret
	return web.JSON(w, http.StatusCreated, m)
}

// requestedScopes are the scopes to store: those asked for, those of the roles asked for, or all of the owner's.
func requestedScopes(u hub.User, scopes, roles []string) ([]string, error) {
	if len(roles) > 0 {
		fromRoles, err := access.RoleScopes(access.DefaultRoles(), roles...)
		if err != nil {
			return nil, hub.Errorf(hub.Invalid, "%s", err)
		}
		scopes = append(scopes, fromRoles...)
	}
	if len(scopes) == 0 || slices.Contains(scopes, access.Inherit) {
		return []string{access.Inherit}, nil
	}
	owner := access.Owner{User: string(u.Name), Groups: u.Groups}
	asked, err := access.Expand(owner, scopes...)
	if err != nil {
		return nil, hub.Errorf(hub.Invalid, "%s", err)
	}
	held, err := account.UserScopes(u)
	if err != nil {
		return nil, err
	}
	if excess := access.Excess(asked, held, nil); len(excess) > 0 {
		return nil, hub.Errorf(hub.Invalid, "Not assigning requested scopes %s: %s does not have them.", strings.Join(excess, ", "), u.Name)
	}
	return scopes, nil
}

// notMoreThanCaller refuses a token that could do more than the token it is asked for with: a narrow token must not mint a
// wide one (CVE-2024-41942 is of this kind).
func notMoreThanCaller(c *account.Caller, u hub.User, scopes []string) error {
	owned, err := account.UserScopes(u)
	if err != nil {
		return err
	}
	wanted, err := access.TokenScopes(scopes, access.Owner{User: string(u.Name), Groups: u.Groups}, owned, nil)
	if err != nil {
		return err
	}
	if excess := access.Excess(wanted, c.Scopes, nil); len(excess) > 0 {
		return hub.Errorf(hub.Forbidden, "You cannot give a token scopes that you do not hold: %s", strings.Join(excess[:min(len(excess), 5)], ", "))
	}
	return nil
}

// getToken answers with one token.
func (a *API) getToken(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	tokens, err := a.Tokens.OfUser(r.Context(), u.ID)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.ID == r.PathValue("token") {
			return web.JSON(w, http.StatusOK, tokenModel(t, worth(u, t)))
		}
	}
	return noSuchToken(r, u)
}

func noSuchToken(r *http.Request, u hub.User) error {
	return hub.Errorf(hub.NotFound, "No such token %s for user %s", hub.Clip(r.PathValue("token")), u.Name)
}

// deleteToken ends a token; edges refuse it from then on.
func (a *API) deleteToken(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, err := a.target(r)
	if err != nil {
		return err
	}
	err = a.Tokens.DeleteGrant(r.Context(), u.ID, r.PathValue("token"))
	if hub.KindOf(err) == hub.NotFound {
		return noSuchToken(r, u)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
