package api

import (
	"encoding/json"
	"net/http"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
)

// createServer makes a named server without starting it.
func (a *API) createServer(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	u, name, settings, err := a.wanted(w, r)
	if err != nil {
		return err
	}
	s, err := a.Servers.Create(r.Context(), u, name, settings)
	if err != nil {
		return err
	}
	return a.writeServer(w, http.StatusCreated, c, u, &s)
}

// patchServer changes the name, the display name or the user_options of a stopped server.
func (a *API) patchServer(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	u, name, err := a.server(r)
	if err != nil {
		return err
	}
	body, err := readObject(w, r)
	if err != nil {
		return err
	}
	settings, to, err := body.serverChange()
	if err != nil {
		return err
	}
	if err := a.mayRename(c, u, to); err != nil {
		return err
	}
	s, err := a.Servers.Configure(r.Context(), u, name, settings, to)
	if err != nil {
		return err
	}
	return a.writeServer(w, http.StatusOK, c, u, &s)
}

// mayRename refuses a name that the caller could not start a server by.
func (a *API) mayRename(c *account.Caller, u hub.User, to *hub.ServerName) error {
	if to == nil || c.Scopes.Allows("start:servers", serverOf(u, *to)) {
		return nil
	}
	return hub.Errorf(hub.Forbidden, "name: the server would be outside of what you may start")
}

// serverChange reads what a PATCH changes. null leaves a thing as it is, but user_options are cleared by {} only.
func (body object) serverChange() (settings spawn.Settings, to *hub.ServerName, err error) {
	if len(body) == 0 {
		return settings, nil, hub.Errorf(hub.Invalid, "Must specify at least one field to modify: name, display_name or user_options.")
	}
	for key, raw := range body {
		switch {
		case key == "user_options":
			settings.Options, err = userOptions(raw)
			if err == nil && settings.Options == nil {
				err = hub.Errorf(hub.Invalid, "user_options must be an object")
			}
		case key == "display_name" && string(raw) != "null":
			settings.DisplayName, err = displayName(raw)
		case key == "name" && string(raw) != "null":
			to, err = newServerName(raw)
		case key != "display_name" && key != "name":
			err = hub.Errorf(hub.Invalid, "Invalid JSON keys: %s can not be changed here; name, display_name and user_options can", hub.Clip(key))
		}
		if err != nil {
			return settings, nil, err
		}
	}
	return settings, to, nil
}

func newServerName(raw json.RawMessage) (*hub.ServerName, error) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return nil, hub.Errorf(hub.Invalid, "name must be a string")
	}
	name, err := hub.ParseServerName(text)
	return &name, err
}
