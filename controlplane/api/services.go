package api

import (
	"net/http"
	"slices"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// listServices answers with all services by name. Those that the caller may not see are absent.
func (a *API) listServices(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	all, err := a.Accounts.Services(r.Context())
	if err != nil {
		return err
	}
	models := map[string]any{}
	for i := range all {
		if c.Scopes.Allows("list:services", access.Resource{Service: all[i].Name}) {
			models[all[i].Name] = a.serviceModel(&all[i], c.Scopes)
		}
	}
	return web.JSON(w, http.StatusOK, models)
}

func (a *API) getService(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	s, err := a.Accounts.Service(r.Context(), r.PathValue("service"))
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, a.serviceModel(&s, c.Scopes))
}

// serviceBody is a service as a client describes it. The last four belong to managed services: a client may send what
// JupyterHub's model of an external one has, but not a command.
type serviceBody struct {
	URL           string         `json:"url"`
	APIToken      string         `json:"api_token"`
	Admin         bool           `json:"admin"`
	Scopes        []string       `json:"scopes"`
	Protect       bool           `json:"protect"`
	Users         []string       `json:"users"`
	Groups        []string       `json:"groups"`
	ClientID      string         `json:"oauth_client_id"`
	RedirectURI   string         `json:"oauth_redirect_uri"`
	NoConfirm     bool           `json:"oauth_no_confirm"`
	AllowedScopes []string       `json:"oauth_client_allowed_scopes"`
	Info          map[string]any `json:"info"`
	Display       *bool          `json:"display"`
	Name          string         `json:"name"`

	Command     []string          `json:"command"`
	Environment map[string]string `json:"environment"`
	Cwd         *string           `json:"cwd"`
	User        *string           `json:"user"`
}

var serviceKeys = []string{"url", "api_token", "admin", "scopes", "protect", "users", "groups", "oauth_client_id", "oauth_redirect_uri",
	"oauth_no_confirm", "oauth_client_allowed_scopes", "info", "display", "name", "command", "environment", "cwd", "user"}

// createService adds an external service until it is deleted. The hub runs only programs of its operator's file.
func (a *API) createService(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	var body serviceBody
	if err := readKnown(w, r, &body, serviceKeys...); err != nil {
		return err
	}
	s, err := body.service(r.PathValue("service"))
	if err != nil {
		return err
	}
	if err := a.mayGive(c, &s); err != nil {
		return err
	}
	if body.APIToken != "" {
		if err := checkSecret(body.APIToken); err != nil {
			return hub.Errorf(hub.Invalid, "The api_token must have %d to %d letters, digits and signs, without spaces.", minSecret, maxSecret)
		}
	}
	if s.RedirectURI == "" && s.URL != "" {
		s.RedirectURI = a.Base.Path(s.DefaultRedirect())
	}
	if s, err = a.Accounts.CreateService(r.Context(), s, body.APIToken); err != nil {
		return err
	}
	m := a.serviceModel(&s, c.Scopes)
	if s.Protect {
		m["secret"] = s.Secret // that its identity headers are signed with; not shown again
	}
	return web.JSON(w, http.StatusCreated, m)
}

func (b *serviceBody) service(name string) (hub.Service, error) {
	s := hub.Service{Name: name, URL: b.URL, Admin: b.Admin, Scopes: b.Scopes, Protect: b.Protect, Groups: b.Groups, ClientID: b.ClientID,
		RedirectURI: b.RedirectURI, NoConfirm: b.NoConfirm, AllowedScopes: b.AllowedScopes, Info: b.Info, Display: b.Display == nil || *b.Display}
	if b.Name != "" && b.Name != name {
		return s, hub.Errorf(hub.Invalid, "The name in the body is not that of the address.")
	}
	if len(b.Command) > 0 {
		return s, hub.Errorf(hub.Invalid, "A service with a command can only be in the configuration file.")
	}
	if len(b.Users)+len(b.Groups) > maxListed {
		return s, hub.Errorf(hub.Invalid, "At most %d users and groups can be listed. Put people into a group.", maxListed)
	}
	for _, u := range b.Users {
		parsed, err := hub.ParseUserName(u)
		if err != nil {
			return s, err
		}
		s.Users = append(s.Users, parsed)
	}
	return s, nil
}

// mayGive refuses a service that could do more than the caller, or ask users for more.
func (a *API) mayGive(c *account.Caller, s *hub.Service) error {
	if s.Admin && !c.Admin() {
		return hub.Errorf(hub.Forbidden, "Only admins can grant admin permissions.")
	}
	if s.URL != "" && !c.Scopes.Has("proxy") {
		return hub.Errorf(hub.Forbidden, "A service with a url is a part of this site, which takes the scope proxy.")
	}
	wanted, err := a.Accounts.Catalog().Expand(access.Owner{Service: s.Name}, slices.Concat(s.Scopes, s.AllowedScopes)...)
	if err != nil {
		return hub.WithCause(hub.Errorf(hub.Invalid, "A scope of the service cannot be given: %s.", err), err)
	}
	for _, scope := range access.Excess(wanted, c.Scopes, nil) {
		if p, err := access.Parse(scope); err == nil && p.FilterValue == s.Name && p.FilterKind == access.FilterService {
			continue // what the service may do about itself
		}
		return hub.Errorf(hub.Invalid, "You cannot give the scope %s, which you do not have.", scope)
	}
	return nil
}

// deleteService ends a service that was added at run time, with its tokens and its route.
func (a *API) deleteService(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	s, err := a.Accounts.Service(r.Context(), r.PathValue("service"))
	if err != nil {
		return err
	}
	if s.FromConfig || s.Name == account.BootstrapService {
		return &web.StatusError{Code: http.StatusMethodNotAllowed, Message: "Service " + s.Name + " is not modifiable at runtime: it is in the configuration file."}
	}
	if err := a.Accounts.DeleteService(r.Context(), s.Name); err != nil {
		return err
	}
	return done(w)
}

// serviceModel is a service as the holder of scopes may see it.
func (a *API) serviceModel(s *hub.Service, scopes access.Set) map[string]any {
	res := access.Resource{Service: s.Name}
	m := map[string]any{"kind": "service", "name": s.Name, "admin": s.Admin}
	if scopes.Allows("read:roles:services", res) {
		m["roles"] = orEmpty(a.Accounts.RolesOfService(*s))
	}
	if !scopes.Allows("read:services", res) {
		return m
	}
	m["url"], m["prefix"], m["command"], m["pid"], m["info"], m["display"] = s.URL, "", orEmpty(s.Command), 0, s.Info, s.Display
	if s.Info == nil {
		m["info"] = map[string]any{}
	}
	if s.URL != "" {
		m["prefix"] = a.Base.Path(s.Prefix())
	}
	if s.Run != nil {
		m["pid"], m["started"], m["failure"] = s.Run.PID, timestamp(s.Run.Started), s.Run.Failure
	}
	return m
}
