package api

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// listShareCodes answers with the codes of a user's servers, or of one of them, without the codes themselves.
func (a *API) listShareCodes(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	owner, server, err := a.sharedBy(r)
	if err != nil {
		return err
	}
	codes, err := a.Accounts.ShareCodes(r.Context(), owner, server)
	if err != nil {
		return err
	}
	return a.writeCodes(w, r, codes)
}

func (a *API) writeCodes(w http.ResponseWriter, r *http.Request, codes []hub.ShareCode) error {
	slices.SortStableFunc(codes, func(x, y hub.ShareCode) int { return x.Created.Compare(y.Created) })
	return writeEnvelope(w, r, codes, func(c hub.ShareCode) (map[string]any, error) { return a.codeModel(r, &c) })
}

// createShareCode makes a code for a server and shows it once.
func (a *API) createShareCode(w http.ResponseWriter, r *http.Request, c *account.Caller, s account.SharedServer) error {
	var body struct {
		ExpiresIn *int64   `json:"expires_in"`
		Scopes    []string `json:"scopes"`
	}
	if err := readKnown(w, r, &body, "expires_in", "scopes"); err != nil {
		return err
	}
	life, err := expiry(body.ExpiresIn)
	if err != nil {
		return err
	}
	scopes, err := a.sharedScopes(c, s, body.Scopes)
	if err != nil {
		return err
	}
	rec, code, err := a.Accounts.NewShareCode(r.Context(), s, scopes, life)
	if err != nil {
		return err
	}
	m, err := a.codeModel(r, &rec)
	if err != nil {
		return err
	}
	accept := a.Base.Path("/hub/accept-share?" + url.Values{"code": {code}}.Encode())
	m["code"], m["accept_url"], m["full_accept_url"] = code, accept, nil
	if a.Hosts != nil {
		m["full_accept_url"] = a.Hosts.Origin() + accept
	}
	return web.JSON(w, http.StatusOK, m)
}

// deleteShareCodes ends one code of a server, by itself or its id, or all of them. Shares that were made with it stay.
func (a *API) deleteShareCodes(w http.ResponseWriter, r *http.Request, _ *account.Caller, s account.SharedServer) error {
	q := r.URL.Query()
	id, missing := q.Get("id"), hub.Errorf(hub.NotFound, "No code found matching id=%s", hub.Clip(q.Get("id")))
	if code := q.Get("code"); code != "" {
		missing = hub.Errorf(hub.NotFound, "No matching code found")
		rec, of, err := a.Accounts.ShareCode(r.Context(), code)
		if err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
		if err != nil || of.Owner.ID != s.Owner.ID || of.Name != s.Name {
			return missing
		}
		id = rec.ID
	}
	found := false
	err := a.Accounts.DeleteShareCodes(r.Context(), s.Owner, &s.Name, func(c *hub.ShareCode) bool {
		match := id == "" || c.ID == id
		found = found || match
		return match
	})
	if err == nil && id != "" && !found {
		err = missing
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) codeModel(r *http.Request, c *hub.ShareCode) (map[string]any, error) {
	server, err := a.sharedModel(r, c.Owner, c.Server)
	return map[string]any{"server": server, "scopes": c.Scopes, "id": c.ID, "created_at": timestamp(c.Created), "expires_at": timestamp(c.Expires),
		"exchange_count": c.Exchanged, "last_exchanged_at": timestamp(c.LastExchanged)}, err
}
