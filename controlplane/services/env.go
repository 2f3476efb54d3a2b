package services

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// environment is what JupyterHub gives a managed service, with the operator's additions on top.
func (p *process) environment(s *hub.Service, token string) map[string]string {
	o := &p.opts
	access := jsonList(routes.ScopeServices + "!service=" + s.Name)
	env := map[string]string{
		"JUPYTERHUB_SERVICE_NAME":                s.Name,
		"JUPYTERHUB_API_TOKEN":                   token,
		"JPY_API_TOKEN":                          token,
		"JUPYTERHUB_API_URL":                     o.APIURL,
		"JUPYTERHUB_BASE_URL":                    o.Base.Path("/"),
		"JUPYTERHUB_SERVICE_PREFIX":              o.Base.Path(s.Prefix()),
		"JUPYTERHUB_SERVICE_URL":                 s.URL,
		"JUPYTERHUB_CLIENT_ID":                   s.ClientID,
		"JUPYTERHUB_HOST":                        "",
		"JUPYTERHUB_OAUTH_ACCESS_SCOPES":         access,
		"JUPYTERHUB_OAUTH_SCOPES":                access,
		"JUPYTERHUB_OAUTH_CALLBACK_URL":          s.RedirectURI,
		"JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": jsonList(s.AllowedScopes...),
		"JUPYTERHUB_PUBLIC_URL":                  "",
		"JUPYTERHUB_PUBLIC_HUB_URL":              "",
	}
	origin := strings.TrimSuffix(o.PublicURL, "/")
	if o.Hosts != nil {
		origin = o.Hosts.Origin()
		env["JUPYTERHUB_HOST"] = origin
	}
	if origin != "" {
		env["JUPYTERHUB_PUBLIC_HUB_URL"] = origin + o.Base.Path("/hub/")
		if s.URL != "" {
			env["JUPYTERHUB_PUBLIC_URL"] = origin + o.Base.Path(s.Prefix())
		}
	}
	if s.Protect {
		env["EDGEHUB_TICKET_SECRET"] = s.Secret
	}
	maps.Copy(env, p.spec.Environment)
	return env
}

func jsonList(items ...string) string {
	if items == nil {
		items = []string{}
	}
	data, err := json.Marshal(items)
	if err != nil {
		panic(fmt.Sprintf("strings always encode: %v", err))
	}
	return string(data)
}

// pidOf is the process id of an instance, or 0.
func pidOf(inst hub.Instance) int {
	var state struct {
		PID int `json:"pid"`
	}
	_ = json.Unmarshal(inst.State, &state)
	return state.PID
}
