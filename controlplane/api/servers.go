package api

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// How long a start and a stop are waited for before the answer is 202, JupyterHub's slow_spawn_timeout and slow_stop_timeout.
const (
	slowSpawn = 10 * time.Second
	slowStop  = 10 * time.Second
)

func stopped(s hub.Server) bool { return !s.Active() }

// server is the user and the server name that a request's path names.
func (a *API) server(r *http.Request) (hub.User, hub.ServerName, error) {
	u, err := a.target(r)
	if err != nil {
		return u, "", err
	}
	name, err := hub.ParseServerName(r.PathValue("server"))
	return u, name, err
}

// started is the user that a request's path names, and the record of the server: the default one, or a named one that was
// started at least once.
func (a *API) started(r *http.Request) (hub.User, hub.Server, error) {
	u, name, err := a.server(r)
	if err != nil {
		return u, hub.Server{}, err
	}
	s, err := a.Servers.Get(r.Context(), u.Name, name)
	if err == nil && s.Gen == 0 && name != "" {
		err = hub.Errorf(hub.NotFound, "%s has no server named '%s'", u.Name, name)
	}
	return u, s, err
}

// getServer answers with a server that was started at least once.
func (a *API) getServer(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	u, s, err := a.started(r)
	if err != nil {
		return err
	}
	server := string(s.Name)
	res := access.Resource{User: string(u.Name), UserGroups: u.Groups, Server: &server}
	return web.JSON(w, http.StatusOK, a.serverModel(&s, c.Scopes.Allows("admin:server_state", res)))
}

// startServer starts a server: 201 when it became ready at once, 202 when it is still starting.
func (a *API) startServer(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, name, err := a.server(r)
	if err != nil {
		return err
	}
	options, err := startOptions(w, r)
	if err != nil {
		return err
	}
	s, err := a.Servers.Start(r.Context(), u, name, options)
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

// maxOptions is how large user_options may be, in bytes. They are part of the server's record.
const maxOptions = 64 << 10

// startOptions reads the user_options of a start: nil means those of the last one. The whole body is the options if it has
// none of the keys of JupyterHub 6 (its older and still most used form).
func startOptions(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
	options, err := readOptions(w, r)
	if err != nil {
		return nil, err
	}
	if data, err := json.Marshal(options); err != nil || len(data) > maxOptions {
		return nil, hub.Errorf(hub.Invalid, "user_options are too large: at most %d KiB", maxOptions>>10)
	}
	return options, nil
}

func readOptions(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
	var body map[string]json.RawMessage
	if err := web.ReadJSON(w, r, &body); err != nil {
		return nil, err
	}
	_, named := body["display_name"]
	raw, given := body["user_options"]
	var options map[string]any
	if given {
		if json.Unmarshal(raw, &options) != nil {
			return nil, hub.Errorf(hub.Invalid, "user_options must be an object")
		}
		return options, nil
	}
	if named || len(body) == 0 {
		return nil, nil
	}
	options = map[string]any{}
	for key, raw := range body {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		options[key] = v
	}
	return options, nil
}

// stopServer stops a server: 204 when it is gone, 202 when it is still stopping.
func (a *API) stopServer(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, name, err := a.server(r)
	if err != nil {
		return err
	}
	s, err := a.Servers.Stop(r.Context(), u.Name, name)
	if err != nil {
		return err
	}
	if s.Gen == 0 && name != "" {
		return hub.Errorf(hub.NotFound, "%s has no server named '%s'", u.Name, name)
	}
	if s, err = a.Servers.Await(r.Context(), u.Name, name, slowStop, stopped); err != nil {
		return err
	}
	if s.Active() {
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
