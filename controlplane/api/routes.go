package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// Routes by hand lead to programs that the hub does not run. They need the scope proxy, as JupyterHub's own control of the
// proxy does: whoever makes one decides what pages of this site say. They share no prefix with servers, so neither the start
// of a server nor the reconciler touches them.

// listRoutes answers with all routes that were made by hand, in the order of prefixes.
func (a *API) listRoutes(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	records, err := a.byHand.All(r.Context(), "")
	if err != nil {
		return err
	}
	models := make([]map[string]any, 0, len(records))
	for i := range records {
		m, err := a.routeModel(r.Context(), &records[i].Value)
		if err != nil {
			return err
		}
		models = append(models, m)
	}
	return web.JSON(w, http.StatusOK, models)
}

// getRoute answers with one route that was made by hand. Its secret is shown when it is set, and not again.
func (a *API) getRoute(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	prefix, err := handPrefix(r)
	if err != nil {
		return err
	}
	rec, err := a.byHand.Get(r.Context(), store.ID(prefix))
	if err != nil {
		return noSuchRoute(prefix, err)
	}
	m, err := a.routeModel(r.Context(), &rec.Value)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, m)
}

// putRoute makes a route, or replaces it altogether.
func (a *API) putRoute(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	prefix, err := handPrefix(r)
	if err != nil {
		return err
	}
	var body routeBody
	if err := readKnown(w, r, &body, "target", "auth", "secret", "users", "groups"); err != nil {
		return err
	}
	rec, err := a.routeOf(r.Context(), prefix, body)
	if err == nil {
		err = a.ofNoService(r.Context(), prefix)
	}
	if err != nil {
		return err
	}
	status, err := a.storeRoute(r.Context(), &rec)
	if err != nil {
		return err
	}
	m, err := a.routeModel(r.Context(), &rec)
	if err != nil {
		return err
	}
	if rec.Secret != "" {
		m["secret"] = rec.Secret
	}
	return web.JSON(w, status, m)
}

// deleteRoute removes a route. What is open through it is cut.
func (a *API) deleteRoute(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	prefix, err := handPrefix(r)
	if err != nil {
		return err
	}
	if err := a.byHand.Delete(r.Context(), store.ID(prefix), 0, store.Delete(a.routeKey(prefix))); err != nil {
		return noSuchRoute(prefix, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// ofNoService refuses the prefix of a service, whose route is not made by hand.
func (a *API) ofNoService(ctx context.Context, prefix string) error {
	name, ok := strings.CutPrefix(prefix, "/services/")
	if !ok {
		return nil
	}
	name, rest, _ := strings.Cut(name, "/")
	s, err := a.Accounts.Service(ctx, name)
	if hub.KindOf(err) == hub.NotFound || err == nil && s.URL == "" {
		return nil
	}
	if err == nil && rest == "" {
		err = hub.Errorf(hub.Conflict, "The prefix %s belongs to the service %s. Remove that first.", hub.Clip(prefix), hub.Clip(name))
	}
	return err
}

func noSuchRoute(prefix string, err error) error {
	if hub.KindOf(err) == hub.NotFound {
		return hub.Errorf(hub.NotFound, "No such route: %s", hub.Clip(prefix))
	}
	return err
}

// handPrefix is the prefix that a request's path names, with or without its last slash.
func handPrefix(r *http.Request) (string, error) {
	prefix := strings.TrimPrefix(r.URL.EscapedPath(), "/hub/api/routes")
	if !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	switch {
	case prefix == "/" || strings.HasPrefix(prefix, "/hub/"):
		return "", hub.Errorf(hub.Invalid, "The prefix %s belongs to the hub.", hub.Clip(prefix))
	case strings.HasPrefix(prefix, "/user/"):
		return "", hub.Errorf(hub.Invalid, "The prefix %s belongs to users' servers.", hub.Clip(prefix))
	case routes.CheckPrefix(prefix) != nil:
		return "", hub.Errorf(hub.Invalid, "%s cannot be a prefix: it needs one to three path segments in their plain spelling, as in /dashboard/ or /services/stats/.", hub.Clip(prefix))
	}
	return prefix, nil
}

func (a *API) routeKey(prefix string) string { return routes.RouteKey(a.Store.Prefix(), prefix) }

// storeRoute writes both records of a route, and says whether it was there.
func (a *API) storeRoute(ctx context.Context, rec *hub.Route) (int, error) {
	id, given := store.ID(rec.Prefix), rec.Secret
	for {
		_, err := a.byHand.Update(ctx, id, func(old *hub.Route) ([]store.Op, error) {
			rec.Created, rec.Secret = old.Created, given
			if given == "" && old.Auth == rec.Auth {
				rec.Secret = old.Secret // so that a change of the list does not change what the program knows
			}
			completeSecret(rec)
			*old = *rec
			return []store.Op{store.Put(a.routeKey(rec.Prefix), edgeRoute(rec))}, nil
		})
		if hub.KindOf(err) != hub.NotFound {
			return http.StatusOK, err
		}
		rec.Created = time.Now().UTC()
		completeSecret(rec)
		err = a.byHand.Create(ctx, id, *rec, store.Put(a.routeKey(rec.Prefix), edgeRoute(rec)))
		if hub.KindOf(err) != hub.Conflict {
			return http.StatusCreated, err
		}
	}
}

// completeSecret makes the secret that identity headers are signed with, if there is none yet.
func completeSecret(rec *hub.Route) {
	if rec.Auth == routes.AuthHeaders && rec.Secret == "" {
		b := make([]byte, 16)
		_, _ = rand.Read(b) // never fails since Go 1.24
		rec.Secret = hex.EncodeToString(b)
	}
}

// edgeRoute is what edges read of a route.
func edgeRoute(rec *hub.Route) routes.Route {
	route := routes.Route{Schema: routes.Schema, Prefix: rec.Prefix, Target: rec.Target, Auth: rec.Auth, Secret: rec.Secret, Groups: rec.Groups}
	for _, u := range rec.Users {
		route.Users = append(route.Users, u.ID)
	}
	return route
}

// routeModel is a route as the API shows it. A listed user who is gone, or whose name is somebody else's by now, is not on it.
func (a *API) routeModel(ctx context.Context, rec *hub.Route) (map[string]any, error) {
	users := []hub.UserName{}
	for _, ref := range rec.Users {
		u, err := a.Accounts.Get(ctx, ref.Name)
		if err != nil && hub.KindOf(err) != hub.NotFound {
			return nil, err
		}
		if err == nil && u.ID == ref.ID {
			users = append(users, u.Name)
		}
	}
	return map[string]any{"prefix": rec.Prefix, "target": rec.Target, "auth": rec.Auth, "users": users, "groups": orEmpty(rec.Groups),
		"created": timestamp(rec.Created)}, nil
}
