package hub

import (
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Service is a program with rights of its own, and, if it has a redirect URI, an OAuth client. Its key in the store is its
// name. Its tokens are records of their own, which Token.Service names; any of them is its OAuth client secret.
type Service struct {
	Schema int    `json:"v"`
	Name   string `json:"name"`
	// Admin gives the role admin.
	Admin bool `json:"admin,omitempty"`
	// Scopes are what the service itself may do, raw, besides its roles.
	Scopes []string `json:"scopes,omitempty"`
	// URL is where edges find the service: an http origin. Only a service with one has a route.
	URL string `json:"url,omitempty"`
	// Protect has edges admit only those who hold access:services on the service, and tell it who visits. Without it the
	// service gets every request and asks the hub itself (HubOAuth).
	Protect bool `json:"protect,omitempty"`
	// Secret signs the identity headers of a protected service.
	Secret string `json:"secret,omitempty"`
	// Users and Groups may visit a protected service besides those whom scopes admit.
	Users  []UserName `json:"users,omitempty"`
	Groups []string   `json:"groups,omitempty"`
	// ClientID, RedirectURI, NoConfirm and AllowedScopes are those of its OAuth client. RedirectURI is a path of the hub's
	// origin or an absolute URL; requests must name exactly it. NoConfirm skips the page that asks users for consent.
	ClientID      string   `json:"oauth_client_id,omitempty"`
	RedirectURI   string   `json:"oauth_redirect_uri,omitempty"`
	NoConfirm     bool     `json:"oauth_no_confirm,omitempty"`
	AllowedScopes []string `json:"oauth_client_allowed_scopes,omitempty"`
	// Command makes it a managed service: the hub runs exactly one process of it. Its environment may hold secrets and is not
	// here. Run is how it goes.
	Command []string    `json:"command,omitempty"`
	Run     *ServiceRun `json:"run,omitempty"`
	// Info is free JSON that the API shows, Display whether pages link to the service.
	Info    map[string]any `json:"info,omitempty"`
	Display bool           `json:"display,omitempty"`
	// FromConfig is set on services that the configuration file names; the API does not change these.
	FromConfig bool `json:"from_config,omitempty"`
}

// ServiceRun is how a managed service goes. Only the replica that runs it writes it.
type ServiceRun struct {
	// Gen counts starts and only grows.
	Gen int64 `json:"gen"`
	// Replica is the one that runs the service.
	Replica string    `json:"replica"`
	Started time.Time `json:"started,omitzero"`
	// PID is zero while no process runs; Failure says why then.
	PID     int    `json:"pid,omitempty"`
	Failure string `json:"failure,omitempty"`
}

// Managed reports whether the hub runs the service's process.
func (s *Service) Managed() bool { return len(s.Command) > 0 }

// Prefix is the part of the site that belongs to the service, below the hub's base, whether or not it has a URL.
func (s *Service) Prefix() string { return "/services/" + s.Name + "/" }

// DefaultRedirect is the redirect URI of its OAuth client, below the hub's base, unless it has another one.
func (s *Service) DefaultRedirect() string { return s.Prefix() + "oauth_callback" }

// ParseServiceName checks the name of a service: 1 to 64 of a-z, 0-9, "." , "_" and "-", first and last a letter or digit.
func ParseServiceName(s string) (string, error) {
	if len(s) > 64 || !serviceNamePattern.MatchString(s) {
		return "", Errorf(Invalid, "Invalid service name: '%s'. Use up to 64 small letters, digits and the signs . _ -, with a letter or digit at both ends.", Clip(s))
	}
	return s, nil
}

var serviceNamePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$`)

// ServiceClientID is what the id of every service's OAuth client begins with. No server's does.
const ServiceClientID = "service-"

// CheckClientID refuses what cannot be the id of a service's OAuth client.
func CheckClientID(id string) error {
	rest, ok := strings.CutPrefix(id, ServiceClientID)
	if !ok || len(id) > 128 || !clientIDPattern.MatchString(rest) {
		return Errorf(Invalid, "Invalid oauth_client_id: '%s'. It must begin with service- and hold only letters, digits and the signs . _ ~ -.", Clip(id))
	}
	return nil
}

var clientIDPattern = regexp.MustCompile(`^[A-Za-z0-9._~%-]+$`)

// CheckRedirectURI refuses what no OAuth client can be redirected to: it must be empty, a path of this site, or an absolute
// http or https address, without a fragment (RFC 6749, 3.1.2).
func CheckRedirectURI(uri string) error {
	if uri == "" {
		return nil
	}
	u, err := url.Parse(uri)
	path := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/") && !strings.HasPrefix(uri, "//")
	absolute := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
	if !path && !absolute || strings.ContainsAny(uri, "#\\ ") || len(uri) > 500 {
		return Errorf(Invalid, "Invalid oauth_redirect_uri: '%s'. Write a path that begins with /, or https://HOST/PATH, without a fragment.", Clip(uri))
	}
	return nil
}
