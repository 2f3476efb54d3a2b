package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// proxyTable answers with what edges serve, in JupyterHub's form: an object by prefix. What no other route has is the hub's, at
// any of its replicas; the one that answers names itself.
func (a *API) proxyTable(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	offset, limit, paged, err := window(r)
	if err != nil {
		return err
	}
	records, err := a.routes.All(r.Context(), "")
	if err != nil {
		return err
	}
	slices.SortFunc(records, func(x, y store.Record[routes.Route]) int { return strings.Compare(x.Value.Prefix, y.Value.Prefix) })
	records = slices.Insert(records, 0, store.Record[routes.Route]{Value: routes.Route{Prefix: "/", Target: a.URL}})
	total := len(records)
	if paged || r.URL.Query().Has("limit") || r.URL.Query().Has("offset") {
		records = records[min(offset, total):min(offset+limit, total)]
	}
	used, err := a.lastUses(r)
	if err != nil {
		return err
	}
	items := map[string]any{}
	for _, rec := range records {
		items[a.Base.Path(rec.Value.Prefix)] = a.proxyEntry(rec.Value, used)
	}
	if !paged {
		return web.JSON(w, http.StatusOK, items)
	}
	return web.JSON(w, http.StatusOK, map[string]any{"items": items, "_pagination": pageInfo(r, offset, limit, total)})
}

// lastUses are the times of servers' last activity, by their full names.
func (a *API) lastUses(r *http.Request) (map[string]any, error) {
	used := map[string]any{}
	err := a.Servers.All(r.Context(), func(s hub.Server) bool {
		used[s.FullName()] = timestamp(s.LastActivity)
		return true
	})
	return used, err
}

func (a *API) proxyEntry(r routes.Route, used map[string]any) map[string]any {
	data := map[string]any{"extra": true, "last_activity": nil}
	switch {
	case r.Prefix == "/":
		data = map[string]any{"hub": true}
	case r.OwnerID != "":
		data = map[string]any{"user": r.Owner, "server_name": r.Server, "last_activity": used[r.Owner+"/"+r.Server]}
	case r.Service != "":
		data = map[string]any{"service": r.Service, "last_activity": nil}
	}
	return map[string]any{"routespec": a.Base.Path(r.Prefix), "target": r.Target, "data": data}
}

// syncProxy is JupyterHub's way to make a proxy look at the hub's routes again. Edges always do.
func (a *API) syncProxy(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	if err := readKnown(w, r, &struct{}{}); err != nil {
		return err
	}
	return done(w)
}

// moveProxy is JupyterHub's way to tell the hub of another proxy. Here front doors find the hub, and not the hub them.
func (a *API) moveProxy(http.ResponseWriter, *http.Request, *account.Caller) error {
	return hub.Errorf(hub.Invalid, "There is no proxy that the hub must know: front doors find their routes in etcd. Start another one with the same etcd.")
}
