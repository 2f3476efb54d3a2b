package spawn

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// environment is what a single-user server of JupyterHub expects (reference 5.1), without JUPYTERHUB_SERVICE_URL, which the
// spawner adds because it knows the port.
func (m *Manager) environment(s *hub.Server, token string) map[string]string {
	prefix := m.prefix(s)
	access := jsonList("access:servers!server="+s.FullName(), "access:servers!user="+string(s.User))
	env := map[string]string{
		"JUPYTERHUB_API_TOKEN":                   token,
		"JPY_API_TOKEN":                          token,
		"JUPYTERHUB_CLIENT_ID":                   s.ClientID(),
		"JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED":  "0",
		"JUPYTERHUB_HOST":                        "",
		"JUPYTERHUB_OAUTH_CALLBACK_URL":          m.Callback(s),
		"JUPYTERHUB_OAUTH_ACCESS_SCOPES":         access,
		"JUPYTERHUB_OAUTH_SCOPES":                access,
		"JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": jsonList(m.opts.ClientScopes...),
		"JUPYTERHUB_USER":                        string(s.User),
		"JUPYTERHUB_SERVER_NAME":                 string(s.Name),
		"JUPYTERHUB_API_URL":                     m.opts.APIURL,
		"JUPYTERHUB_ACTIVITY_URL":                m.opts.APIURL + "/users/" + routes.EscapeSegment(string(s.User)) + "/activity",
		"JUPYTERHUB_BASE_URL":                    m.opts.Base.Path("/"),
		"JUPYTERHUB_SERVICE_PREFIX":              prefix,
		"JUPYTERHUB_PUBLIC_URL":                  "",
		"JUPYTERHUB_PUBLIC_HUB_URL":              "",
	}
	if m.opts.PublicURL != "" {
		origin := strings.TrimSuffix(m.opts.PublicURL, "/")
		env["JUPYTERHUB_PUBLIC_URL"] = origin + prefix
		env["JUPYTERHUB_PUBLIC_HUB_URL"] = origin + m.opts.Base.Path("/hub/")
	}
	if h := m.opts.Hosts; h != nil {
		env["JUPYTERHUB_HOST"] = h.Origin()
		env["JUPYTERHUB_PUBLIC_URL"] = h.OriginOf(string(s.User)) + prefix
		env["JUPYTERHUB_PUBLIC_HUB_URL"] = h.Origin() + m.opts.Base.Path("/hub/")
	}
	return env
}

// Callback is the redirect URI of the server's OAuth client: a path, or a URL on the user's host.
func (m *Manager) Callback(s *hub.Server) string {
	path := m.prefix(s) + "oauth_callback"
	if m.opts.Hosts == nil {
		return path
	}
	return m.opts.Hosts.OriginOf(string(s.User)) + path
}

// ClientScopes is what servers may ask of their visitors as OAuth clients.
func (m *Manager) ClientScopes() []string { return m.opts.ClientScopes }

func jsonList(items ...string) string {
	if items == nil {
		return "[]"
	}
	data, err := json.Marshal(items)
	if err != nil {
		panic(fmt.Sprintf("strings always encode: %v", err))
	}
	return string(data)
}
