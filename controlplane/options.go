package controlplane

import (
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/login"
	"github.com/edgehub/edgehub/controlplane/services"
	"github.com/edgehub/edgehub/controlplane/spawn/local"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/routes"
)

// MaxHoldStart is the longest HoldStart that edges accept.
const MaxHoldStart = routes.MaxHold * time.Second

// Options configure one replica of the control plane.
type Options struct {
	// Etcd are the endpoints: http://host:port, https://host:port or unix:///path.
	Etcd []string
	// Prefix is where the hub's records are, "/edgehub/" if empty.
	Prefix string
	// Listener is where edges reach this replica, URL what they are told: http://host:port or unix:///path.
	Listener net.Listener
	URL      string
	// PublicURL is the hub as browsers see it, empty if it is not known.
	PublicURL string
	// BaseURL is the path that everything of the hub is below, JupyterHub's base_url: "/" if empty.
	BaseURL string
	// UserDomain is the domain below which every user has a host, JupyterHub's subdomain_host; empty for one origin for all.
	UserDomain string
	// APIURL is where servers reach the hub's API, empty for that below PublicURL.
	APIURL string
	// Admin is the administrator to create on a new hub, with the password that AdminPassword returns.
	Admin         hub.UserName
	AdminPassword func() (string, error)
	// Logins are the login providers. NoPasswords leaves them as the only way for people to sign in.
	Logins      []login.Provider
	NoPasswords bool
	// BootstrapToken, if not empty, is made the API token of the admin service "bootstrap".
	BootstrapToken string
	// Rights are the roles and scopes of the configuration. It is authoritative for what it names.
	Rights account.Config
	// MaxTokenLife is the longest life of a token made by API, and the default: JupyterHub's token_expires_in_max_seconds.
	// Zero is for ever.
	MaxTokenLife time.Duration
	// AuditLog takes audit records as JSON lines. It may be nil.
	AuditLog io.Writer
	// RotateKeysEvery is how old a signing key gets before a new one is published. Zero is for ever.
	RotateKeysEvery time.Duration
	// CleanupServers stops all servers when the replica ends in an orderly way, JupyterHub's cleanup_servers.
	CleanupServers bool
	StartTimeout   time.Duration
	ReadyTimeout   time.Duration
	// HoldStart is how long programs' requests may wait for a server to start: whole seconds up to MaxHoldStart, or zero.
	HoldStart time.Duration
	Spawner   local.Options
	// Services are those of the configuration file, ServicesDir is for the files of their processes, and ServiceCheckInterval
	// is how often their urls are looked at; zero is never.
	Services             []services.Spec
	ServicesDir          string
	ServiceCheckInterval time.Duration
	// RequirePKCE refuses OAuth clients that do not use PKCE, JupyterHub's oauth_require_pkce. OAuthTokenLife is how long OAuth
	// access tokens are good at most, its oauth_token_expires_in; zero is as long as a session.
	RequirePKCE    bool
	OAuthTokenLife time.Duration
	// OAuthScopes is what servers may ask of their visitors as OAuth clients, JupyterHub's oauth_client_allowed_scopes.
	OAuthScopes []string
	// Shutdown ends the process as a signal does, for who asks for that by API. It ends, sooner or later, the context of Run.
	Shutdown func()
	// OwnDoor says that the front door is a part of this process.
	OwnDoor bool
	// OpenMetrics gives Prometheus' metrics to everybody, as JupyterHub without authenticate_prometheus does.
	OpenMetrics bool
	// Version is edgehub's, for people to see.
	Version string
	Log     *slog.Logger
}

// validate checks the options and fills in what follows from others.
func (o *Options) validate() error {
	if err := CheckEtcd(o.Etcd); err != nil {
		return err
	}
	if err := CheckPublicURL(o.PublicURL); err != nil {
		return err
	}
	if _, err := ParseBase(o.BaseURL); err != nil {
		return err
	}
	if err := CheckUserDomain(o.PublicURL, o.UserDomain); err != nil {
		return err
	}
	if h := o.HoldStart; h < 0 || h > MaxHoldStart || h%time.Second != 0 {
		return hub.Errorf(hub.Invalid, "%s is no time to hold requests while a server starts. Write whole seconds, %s at most, for example 30s; 0 for not at all.", h, MaxHoldStart)
	}
	if err := o.Rights.Check(); err != nil {
		return err
	}
	if o.MaxTokenLife < 0 {
		return hub.Errorf(hub.Invalid, "%s is no longest life of a token. Write a number of seconds, or 0 for no limit.", o.MaxTokenLife)
	}
	if d := o.OAuthTokenLife; d < 0 || d > 0 && d < time.Minute {
		return hub.Errorf(hub.Invalid, "OAuth access tokens cannot be good for %s. Use a minute or more, for example 24h; 0 for as long as the session.", d)
	}
	catalog, err := access.NewCatalog(o.Rights.CustomScopes)
	if err != nil {
		return hub.Errorf(hub.Invalid, "custom_scopes: %s.", err)
	}
	if err := catalog.CheckClientScopes(o.OAuthScopes); err != nil {
		return hub.Errorf(hub.Invalid, "oauth_client_allowed_scopes: %s.", err)
	}
	if err := token.CheckKeyAge(o.RotateKeysEvery); err != nil {
		return err
	}
	if err := services.CheckSpecs(o.Services); err != nil {
		return err
	}
	if d := o.ServiceCheckInterval; d < 0 || d > 0 && d < time.Second {
		return hub.Errorf(hub.Invalid, "Services cannot be looked at every %s. Set service_check_interval to a second or more, for example 60s; 0 for never.", d)
	}
	if err := login.Check(o.Logins, o.PublicURL); err != nil {
		return err
	}
	if o.NoPasswords && len(o.Logins) == 0 {
		return hub.Errorf(hub.Invalid, "Without passwords and without login providers nobody can sign in. Add a provider to login, or remove password_login.")
	}
	if o.PublicURL != "" {
		o.PublicURL = strings.TrimSuffix(o.PublicURL, "/") + "/"
	}
	if o.APIURL == "" {
		if o.PublicURL == "" {
			return hub.Errorf(hub.Invalid, "Servers must be told where the hub is. Set --public-url or --api-url.")
		}
		o.APIURL = strings.TrimSuffix(o.PublicURL, "/") + o.base().Path("/hub/api")
	}
	o.APIURL = strings.TrimSuffix(o.APIURL, "/")
	return nil
}

// CheckEtcd refuses what is not a list of etcd endpoints.
func CheckEtcd(endpoints []string) error {
	if len(endpoints) == 0 {
		return hub.Errorf(hub.Invalid, "No etcd given. Name its endpoints with --etcd http://HOST:2379.")
	}
	for _, e := range endpoints {
		u, err := url.Parse(e)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "unix" || u.Scheme != "unix" && u.Host == "" {
			return hub.Errorf(hub.Invalid, "%q is not an etcd endpoint. Write http://HOST:2379, https://HOST:2379 or unix:///PATH.", e)
		}
	}
	return nil
}

// hosts are the hub's hosts if every user has one, else nil.
func (o *Options) hosts() *routes.Hosts {
	if o.UserDomain == "" {
		return nil
	}
	h, err := routes.NewHosts(o.PublicURL, o.UserDomain)
	if err != nil {
		panic(err) // validate has checked it
	}
	h.Base = o.base()
	return h
}

// base is what the hub is below.
func (o *Options) base() routes.Base {
	base, err := ParseBase(o.BaseURL)
	if err != nil {
		panic(err) // validate has checked it
	}
	return base
}

// ParseBase reads a base URL, or says what is wrong with it.
func ParseBase(raw string) (routes.Base, error) {
	base, err := routes.ParseBase(raw)
	if err != nil {
		return "", hub.Errorf(hub.Invalid, "%q is not a base URL. Write a path like /teaching/ with plain or percent-encoded names between its slashes, none of them empty, . or .., or api.", raw)
	}
	return base, nil
}

// CheckUserDomain refuses what is neither empty nor a domain for users' hosts beside the hub at public.
func CheckUserDomain(public, domain string) error {
	if domain == "" {
		return nil
	}
	if public == "" {
		return hub.Errorf(hub.Invalid, "With hosts of users the hub's own must be known. Set --public-url.")
	}
	if _, err := routes.NewHosts(public, domain); err != nil {
		return hub.Errorf(hub.Invalid, "%q is not a domain for users' hosts. Write one like hub.example.org, without a port, that the hub's own host is not below.", domain)
	}
	return nil
}

// CheckPublicURL refuses what is neither empty nor the origin of a hub.
func CheckPublicURL(public string) error {
	if public == "" {
		return nil
	}
	u, err := url.Parse(public)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return hub.Errorf(hub.Invalid, "%q is not a public URL. Write https://HOST with nothing behind it; a path goes into --base-url.", public)
	}
	return nil
}
