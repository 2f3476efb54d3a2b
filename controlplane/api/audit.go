package api

import (
	"net/http"
	"strconv"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/audit"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// quiet are calls that change something and are no act of anybody: reports.
var quiet = map[string]bool{"POST /hub/api/users/{user}/activity": true, "POST /hub/api/proxy": true}

// audited calls next and keeps a record if the request can change something.
func (a *API) audited(w http.ResponseWriter, r *http.Request, c *account.Caller, next func(http.ResponseWriter) error) error {
	if quiet[r.Pattern] {
		return next(w)
	}
	return a.Audit.Around(w, r, audit.Of(c, r.Pattern, r.URL.EscapedPath()), next)
}

// maxAudit is the longest page of the audit log.
const maxAudit = 1000

// listAudit answers with the newest records, or those older than ?before=ID.
func (a *API) listAudit(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	q, limit := r.URL.Query(), 100
	if q.Has("limit") {
		n, err := strconv.Atoi(q.Get("limit"))
		if err != nil || n < 1 || n > maxAudit {
			return hub.Errorf(hub.Invalid, "limit must be a number from 1 to %d", maxAudit)
		}
		limit = n
	}
	entries, err := a.Audit.Before(r.Context(), q.Get("before"), limit)
	if err != nil {
		return err
	}
	answer := map[string]any{"items": orEmpty(entries), "next": nil}
	if len(entries) == limit {
		answer["next"] = entries[limit-1].ID
	}
	return web.JSON(w, http.StatusOK, answer)
}
