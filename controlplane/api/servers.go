package api

import (
	"net/http"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/web"
)

// How long a start and a stop are waited for before the answer is 202, JupyterHub's slow_spawn_timeout and slow_stop_timeout.
const (
	slowSpawn = 10 * time.Second
	slowStop  = 10 * time.Second
)

func stopped(s hub.Server) bool { return !s.Active() }
func removed(s hub.Server) bool { return stopped(s) && !s.Remove }

// server is the user and the server name that a request's path names.
func (a *API) server(r *http.Request) (hub.User, hub.ServerName, error) {
	u, err := a.target(r)
	if err != nil {
		return u, "", err
	}
	name, err := hub.ParseServerName(r.PathValue("server"))
	return u, name, err
}

// known is the user that a request's path names, and the record of the server: the default one, which everybody has, or a named
// one that was created or started.
func (a *API) known(r *http.Request) (hub.User, hub.Server, error) {
	u, name, err := a.server(r)
	if err != nil {
		return u, hub.Server{}, err
	}
	s, err := a.Servers.Get(r.Context(), u.Name, name)
	if err == nil && name != "" && s.UserID != u.ID {
		err = hub.Errorf(hub.NotFound, "%s has no server named '%s'", u.Name, name)
	}
	return u, s, err
}

// getServer answers with a server, running or not.
func (a *API) getServer(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	u, s, err := a.known(r)
	if err != nil {
		return err
	}
	return a.writeServer(w, http.StatusOK, c, u, &s)
}

func (a *API) writeServer(w http.ResponseWriter, status int, c *account.Caller, u hub.User, s *hub.Server) error {
	return web.JSON(w, status, a.serverModel(s, c.Scopes.Allows("admin:server_state", serverOf(u, s.Name))))
}

// serverOf is a user's server for questions about scopes.
func serverOf(u hub.User, name hub.ServerName) access.Resource {
	server := string(name)
	return access.Resource{User: string(u.Name), UserGroups: u.Groups, Server: &server}
}

// wanted is what a start, or the making of a server, is about: user, name and settings.
func (a *API) wanted(w http.ResponseWriter, r *http.Request) (hub.User, hub.ServerName, spawn.Settings, error) {
	u, name, err := a.server(r)
	if err != nil {
		return u, name, spawn.Settings{}, err
	}
	settings, err := readSettings(w, r)
	return u, name, settings, err
}

// startServer starts a server: 201 when it became ready at once, 202 when it is still starting.
func (a *API) startServer(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, name, settings, err := a.wanted(w, r)
	if err != nil {
		return err
	}
	if name == "" {
		settings.DisplayName = "" // as in JupyterHub: the default server's only changes with PATCH
	}
	s, err := a.Servers.StartWith(r.Context(), u, name, settings)
	if err != nil {
		return err
	}
	gen := s.Gen
	s, err = a.Servers.Await(r.Context(), u.Name, name, slowSpawn, func(s hub.Server) bool { return s.State != hub.Starting })
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain")
	switch {
	case s.State == hub.Running:
		w.WriteHeader(http.StatusCreated)
	case s.State == hub.Stopped && s.Failure != "" && s.Gen >= gen:
		return &web.StatusError{Code: http.StatusInternalServerError, Message: "Spawn failed: " + s.Failure}
	default:
		w.WriteHeader(http.StatusAccepted)
	}
	return nil
}

// stopServer stops a server, and removes a named one if the body says so: 204 when it is gone, 202 when it is still stopping.
func (a *API) stopServer(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	remove, err := readRemove(w, r)
	if err != nil {
		return err
	}
	u, s, err := a.known(r)
	if err != nil {
		return err
	}
	if remove && s.Name == "" {
		return hub.Errorf(hub.Invalid, "Cannot delete the default server")
	}
	end, ended := a.Servers.Stop, stopped
	if remove {
		end, ended = a.Servers.Remove, removed
	}
	if _, err := end(r.Context(), u.Name, s.Name); err != nil {
		return err
	}
	if s, err = a.Servers.Await(r.Context(), u.Name, s.Name, slowStop, ended); err != nil {
		return err
	}
	if !ended(s) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
