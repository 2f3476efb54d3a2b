package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/services"
)

// serviceSettings are one service of the configuration file, with JupyterHub's keys.
type serviceSettings struct {
	Name string `yaml:"name"`
	// URL is where front doors find it: only a service with one is at /services/NAME/.
	URL string `yaml:"url"`
	// Admin gives the role admin; Scopes are what the service itself may do besides.
	Admin  bool     `yaml:"admin"`
	Scopes []string `yaml:"scopes"`
	// APITokenFile has its API token, which is its OAuth client secret too.
	APITokenFile string `yaml:"api_token_file"`
	// Protect lets only those in who may visit; Users and Groups may, besides those with access:services.
	Protect bool     `yaml:"protect"`
	Users   []string `yaml:"users"`
	Groups  []string `yaml:"groups"`
	// Command, Environment, Cwd and User are for the process that the hub runs, Timeout is for its start.
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Cwd         string            `yaml:"cwd"`
	User        string            `yaml:"user"`
	Timeout     *time.Duration    `yaml:"timeout"`
	// The OAuth client.
	OAuthClientID            string   `yaml:"oauth_client_id"`
	OAuthRedirectURI         string   `yaml:"oauth_redirect_uri"`
	OAuthNoConfirm           bool     `yaml:"oauth_no_confirm"`
	OAuthClientAllowedScopes []string `yaml:"oauth_client_allowed_scopes"`
	// Info and Display are for people.
	Info    map[string]any `yaml:"info"`
	Display *bool          `yaml:"display"`

	// Keys of JupyterHub that are something else here.
	APIToken   string   `yaml:"api_token"`
	OAuthRoles []string `yaml:"oauth_roles"`
	Prefix     string   `yaml:"prefix"`
	Managed    *bool    `yaml:"managed"`
}

// serviceTimeout is JupyterHub's.
const serviceTimeout = 30 * time.Second

func (s *serviceSettings) spec() (services.Spec, error) {
	spec := services.Spec{Environment: s.Environment, Dir: s.Cwd, SystemUser: s.User, Timeout: serviceTimeout}
	if err := s.moved(); err != nil {
		return spec, err
	}
	if s.Timeout != nil {
		spec.Timeout = *s.Timeout
	}
	spec.ServiceSpec = account.ServiceSpec{Service: hub.Service{
		Name: s.Name, URL: s.URL, Admin: s.Admin, Scopes: s.Scopes, Protect: s.Protect, Groups: s.Groups, Command: s.Command,
		ClientID: s.OAuthClientID, RedirectURI: s.OAuthRedirectURI, NoConfirm: s.OAuthNoConfirm, AllowedScopes: s.OAuthClientAllowedScopes,
		Info: s.Info, Display: s.Display == nil || *s.Display,
	}}
	for _, name := range s.Users {
		parsed, err := hub.ParseUserName(name)
		if err != nil {
			return spec, fmt.Errorf("service %s: %w", s.Name, err)
		}
		spec.Users = append(spec.Users, parsed)
	}
	if s.APITokenFile == "" {
		return spec, nil
	}
	token, err := secretFile(s.APITokenFile, "token of service "+s.Name)
	spec.Token = token
	return spec, err
}

// moved says what to write instead of a key that JupyterHub has and that is something else here.
func (s *serviceSettings) moved() error {
	instead := ""
	switch {
	case s.APIToken != "":
		instead = "api_token: write the token into a file that only the hub can read, and name that with api_token_file"
	case s.OAuthRoles != nil:
		instead = "oauth_roles: list the scopes of these roles in oauth_client_allowed_scopes"
	case s.Prefix != "":
		instead = "prefix: it is always /services/NAME/"
	case s.Managed != nil:
		instead = "managed: the hub runs a service that has a command"
	default:
		return nil
	}
	return fmt.Errorf("service %s cannot have %s", s.Name, instead)
}

// serviceKeepCommand is the process between the hub and a managed service.
func serviceKeepCommand() *cobra.Command {
	return &cobra.Command{
		Use: "service-keep", Hidden: true, DisableFlagParsing: true,
		Run: func(_ *cobra.Command, args []string) { os.Exit(services.Keep(args)) },
	}
}
