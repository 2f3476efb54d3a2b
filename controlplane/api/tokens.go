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

// tokenModels are tokens of u as clients see them, with what they may do now.
func (a *API) tokenModels(r *http.Request, u hub.User, tokens ...hub.Token) ([]map[string]any, error) {
	worth, err := a.Accounts.TokenScopes(r.Context(), u, tokens...)
	if err != nil {
		return nil, err
	}
	models := []map[string]any{}
	for i, t := range tokens {
		models = append(models, tokenModel(t, worth[i].Strings()))
	}
	return models, nil
}

// tokensOf is the user that a request's path names, with all API tokens.
func (a *API) tokensOf(r *http.Request) (hub.User, []hub.Token, error) {
	u, err := a.target(r)
	if err != nil {
		return u, nil, err
	}
	tokens, err := a.Tokens.OfUser(r.Context(), u.ID)
	return u, tokens, err
}

// listTokens answers with a user's tokens, those used longest ago first.
func (a *API) listTokens(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, tokens, err := a.tokensOf(r)
	if err != nil {
		return err
	}
	slices.SortStableFunc(tokens, func(x, y hub.Token) int { return lastUse(x).Compare(lastUse(y)) })
	models, err := a.tokenModels(r, u, tokens...)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, map[string]any{"api_tokens": models})
}

func lastUse(t hub.Token) time.Time {
	if t.LastActivity.IsZero() {
		return t.Created
	}
	return t.LastActivity
}

// tokenBody asks for a token. Pointers tell null, which is the default, from the empty list, which is nothing.
type tokenBody struct {
	Note      string    `json:"note"`
	ExpiresIn *int64    `json:"expires_in"`
	Scopes    *[]string `json:"scopes"`
	Roles     *[]string `json:"roles"`
	Auth      *struct {
		Username string `json:"username"`
		Password string `json:"password"`
	} `json:"auth"`
}

// createToken issues a token and shows its secret once. It never holds more than its owner does. Who has no credential may
// send name and password.
func (a *API) createToken(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	var body tokenBody
	if err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	c, err := a.caller(r)
	if hub.KindOf(err) == hub.Unauthenticated && body.Auth != nil {
		c, err = a.Accounts.ByPassword(r.Context(), body.Auth.Username, body.Auth.Password)
	}
	if err != nil {
		return err
	}
	return a.audited(w, r, c, func(w http.ResponseWriter) error { return a.issue(w, r, c, body) })
}

func (a *API) issue(w http.ResponseWriter, r *http.Request, c *account.Caller, body tokenBody) error {
	err := a.authorise(r, c, []string{"tokens"})
	var u hub.User
	if err == nil {
		u, err = a.target(r)
	}
	if hub.KindOf(err) == hub.NotFound {
		return hub.Errorf(hub.Forbidden, "You cannot make tokens for this user.") // JupyterHub's status, also for no such user
	}
	if err != nil {
		return err
	}
	t := hub.Token{User: u.Name, UserID: u.ID, Note: body.Note}
	if len(t.Note) > maxNote {
		return hub.Errorf(hub.Invalid, "A note can have %d bytes.", maxNote)
	}
	if t.Note == "" {
		t.Note = "Requested via api" + requestedBy(c, u)
	}
	if t.Expires, err = a.expiry(body.ExpiresIn); err != nil {
		return err
	}
	if t.Scopes, err = a.requestedScopes(r, u, body); err != nil {
		return err
	}
	if err := a.notMoreThanCaller(r, c, u, t); err != nil {
		return err
	}
	t, secret, err := a.Tokens.Issue(r.Context(), t)
	if err != nil {
		return err
	}
	m, err := a.tokenModels(r, u, t)
	if err != nil {
		return err
	}
	m[0]["token"] = secret
	return web.JSON(w, http.StatusCreated, m[0])
}

// Bounds of a token: its note in bytes, its life in seconds, and how many scopes it asks for.
const (
	maxNote        = 1024
	maxTokenLife   = 10 * 365 * 24 * 3600
	maxTokenScopes = 500
)

func requestedBy(c *account.Caller, u hub.User) string {
	switch {
	case c.User == nil:
		return " by service " + c.Service
	case c.User.ID != u.ID:
		return " by user " + c.Name()
	}
	return ""
}

// expiry is when a token ends that shall live so many seconds; zero is never. The hub's longest life is also the default.
func (a *API) expiry(seconds *int64) (time.Time, error) {
	longest := int64(a.MaxTokenLife / time.Second)
	switch {
	case seconds == nil && longest == 0:
		return time.Time{}, nil
	case seconds == nil:
		seconds = &longest
	case *seconds <= 0 || *seconds > maxTokenLife:
		return time.Time{}, hub.Errorf(hub.Invalid, "expires_in must be a positive number of seconds, at most ten years.")
	case longest > 0 && *seconds > longest:
		return time.Time{}, hub.Errorf(hub.Invalid, "expires_in: %d must not exceed %d", *seconds, longest)
	}
	return time.Now().UTC().Add(time.Duration(*seconds) * time.Second), nil
}

// requestedScopes are the scopes to store: those asked for, those of the roles asked for, or those of the role token.
func (a *API) requestedScopes(r *http.Request, u hub.User, body tokenBody) ([]string, error) {
	var scopes, roles []string
	switch {
	case body.Scopes != nil && body.Roles != nil:
		return nil, hub.Errorf(hub.Invalid, "Give scopes or roles, not both.")
	case body.Scopes == nil && body.Roles == nil:
		roles = []string{"token"}
	case body.Roles != nil:
		roles = *body.Roles
	}
	if body.Scopes != nil {
		scopes = append(scopes, *body.Scopes...)
	}
	fromRoles, err := a.Accounts.RoleScopes(r.Context(), roles...)
	if err != nil {
		return nil, err
	}
	scopes = append(scopes, fromRoles...)
	if slices.Contains(scopes, access.Inherit) {
		return []string{access.Inherit}, nil
	}
	if len(scopes) > maxTokenScopes {
		return nil, hub.Errorf(hub.Invalid, "A token can have at most %d scopes.", maxTokenScopes)
	}
	asked, err := a.Accounts.Catalog().Expand(access.Owner{User: string(u.Name), Groups: u.Groups}, scopes...)
	if err != nil {
		return nil, hub.Errorf(hub.Invalid, "%s", err)
	}
	held, err := a.Accounts.UserScopes(r.Context(), u)
	if err != nil {
		return nil, err
	}
	if excess := a.Accounts.Excess(r.Context(), asked, held); len(excess) > 0 {
		return nil, hub.Errorf(hub.Invalid, "Not assigning requested scopes %s: %s does not have them.", few(excess), u.Name)
	}
	return append([]string{}, scopes...), nil
}

// few are the first of many scopes, for a message.
func few(scopes []string) string { return strings.Join(scopes[:min(len(scopes), 5)], ", ") }

// notMoreThanCaller refuses a token that could do more than the token it is asked for with: a narrow token must not mint a
// wide one (CVE-2024-41942 is of this kind).
func (a *API) notMoreThanCaller(r *http.Request, c *account.Caller, u hub.User, t hub.Token) error {
	wanted, err := a.Accounts.TokenScopes(r.Context(), u, t)
	if err != nil {
		return err
	}
	if excess := a.Accounts.Excess(r.Context(), wanted[0], c.Scopes); len(excess) > 0 {
		return hub.Errorf(hub.Forbidden, "You cannot give a token scopes that you do not hold: %s", few(excess))
	}
	return nil
}

// getToken answers with one token.
func (a *API) getToken(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, tokens, err := a.tokensOf(r)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.ID == r.PathValue("token") {
			m, err := a.tokenModels(r, u, t)
			if err != nil {
				return err
			}
			return web.JSON(w, http.StatusOK, m[0])
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
