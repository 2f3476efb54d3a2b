package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/edgehub/edgehub/controlplane/login"
	"github.com/edgehub/edgehub/controlplane/spawn/local"
)

// settings are everything that an operator can set, in the configuration file by these names. Flags are the names with
// dashes, environment variables are EDGEHUB_ and the flag's name in capitals. A flag wins over the environment, and the
// environment over the file.
type settings struct {
	// Listen is the address of the front door (up, edge) or of the hub (hub).
	Listen string `yaml:"listen"`
	// Data is the folder for everything that is stored on this machine.
	Data string `yaml:"data"`
	// Edge is "embedded" or "traefik".
	Edge string `yaml:"edge"`
	// Traefik is the traefik program for edge=traefik.
	Traefik string `yaml:"traefik"`
	// Etcd lists endpoints, Prefix says where the hub's records are in it.
	Etcd   []string `yaml:"etcd"`
	Prefix string   `yaml:"prefix"`
	// PublicURL is the hub as browsers see it; APIURL is where servers reach its API; AdvertiseURL is where edges reach
	// this replica.
	PublicURL    string `yaml:"public_url"`
	APIURL       string `yaml:"api_url"`
	AdvertiseURL string `yaml:"advertise_url"`
	// BaseURL is the path that the hub is below.
	BaseURL string `yaml:"base_url"`
	// UserDomain is the domain below which every user has a host. APIHosts are further hosts of the front door, for the hub's
	// API only.
	UserDomain string   `yaml:"user_domain"`
	APIHosts   []string `yaml:"api_hosts"`
	// QueryTokens makes ?token= in addresses a credential.
	QueryTokens bool `yaml:"query_tokens"`
	// ActivityInterval is how often the front door reports which servers are in use, zero for never.
	ActivityInterval time.Duration `yaml:"activity_interval"`
	// Admin is the administrator of a new hub, AdminPasswordFile has their password.
	Admin             string `yaml:"admin"`
	AdminPasswordFile string `yaml:"admin_password_file"`
	// BootstrapTokenFile has a token for automation.
	BootstrapTokenFile string `yaml:"bootstrap_token_file"`
	// CleanupServers stops users' servers when the hub ends.
	CleanupServers bool `yaml:"cleanup_servers"`
	// HoldStart is how long programs' requests wait for a server to start.
	HoldStart time.Duration `yaml:"hold_start"`
	// OAuthRequirePKCE refuses OAuth clients without PKCE; OAuthTokenExpiresIn is how long OAuth access tokens are good.
	OAuthRequirePKCE    bool          `yaml:"oauth_require_pkce"`
	OAuthTokenExpiresIn time.Duration `yaml:"oauth_token_expires_in"`
	// StoppedStatus is what programs get at the address of a stopped server: 424 or 503.
	StoppedStatus int `yaml:"stopped_status"`
	// AuditLog is the file for audit records as JSON lines, "-" for stderr.
	AuditLog string `yaml:"audit_log"`
	// rightsSettings are roles and scopes; they are set in the file only.
	rightsSettings `yaml:",inline"`
	// AuthenticatePrometheus keeps the hub's metrics for those who may read them.
	AuthenticatePrometheus bool `yaml:"authenticate_prometheus"`
	// RotateKeysEvery is how old a signing key gets.
	RotateKeysEvery time.Duration `yaml:"rotate_keys_every"`
	// URL and TokenFile are for the commands that talk to a running hub: where it is, and an API token for it.
	URL       string `yaml:"url"`
	TokenFile string `yaml:"token_file"`
	// AccessLog is the file for the front door's access log, "-" for stderr.
	AccessLog string `yaml:"access_log"`
	// StatusPath is where the front door says how it is; StatusTokenFile has the token for its metrics.
	StatusPath      string `yaml:"status_path"`
	StatusTokenFile string `yaml:"status_token_file"`
	// LogLevel is debug, info, warn or error.
	LogLevel string          `yaml:"log_level"`
	Spawner  spawnerSettings `yaml:"spawner"`
	// Services are the hub's services, ServiceCheckInterval is how often their urls are looked at.
	Services             []serviceSettings `yaml:"services"`
	ServiceCheckInterval time.Duration     `yaml:"service_check_interval"`
	// Login lists the login providers, PasswordLogin says whether passwords are good too, which they are if it is not set.
	// Both are set in the file only.
	Login         []login.Provider `yaml:"login"`
	PasswordLogin *bool            `yaml:"password_login"`

	config string
}

// spawnerSettings are about users' servers; they are set in the file only.
type spawnerSettings struct {
	// Command starts a server. {port}, {prefix}, {username} and {servername} are replaced. Empty: jupyterhub-singleuser if
	// it is on PATH, else jupyter lab.
	Command []string `yaml:"command"`
	// Auth is what the command understands: ticket (jupyterhub-singleuser), pass (the same, asking the hub itself), secret
	// (Jupyter Server's token) or none.
	Auth string `yaml:"auth"`
	// OAuthScopes is what servers may ask of their visitors, besides who they are.
	OAuthScopes []string `yaml:"oauth_client_allowed_scopes"`
	// Environment is added to every server's.
	Environment map[string]string `yaml:"environment"`
	// EnvKeep lists variables that servers inherit from the hub.
	EnvKeep []string `yaml:"env_keep"`
	// WorkDir is each server's working directory, a pattern with {username}.
	WorkDir string `yaml:"work_dir"`
	// SystemUser is the operating-system user of each server, a pattern like {username}. It needs root.
	SystemUser string `yaml:"system_user"`
	// StartTimeout and ReadyTimeout bound a start.
	StartTimeout time.Duration `yaml:"start_timeout"`
	ReadyTimeout time.Duration `yaml:"ready_timeout"`
}

// flags binds s to the flags named. All commands share names and meanings.
func (s *settings) flags(fs *pflag.FlagSet, names ...string) {
	for _, name := range names {
		switch name {
		case "listen":
			fs.StringVar(&s.Listen, name, s.Listen, "`ADDR` to listen on, host:port")
		case "data":
			fs.StringVar(&s.Data, name, s.Data, "`DIR` for everything that is stored: etcd, users' files, logs")
		case "edge":
			fs.StringVar(&s.Edge, name, s.Edge, "front door: `KIND` embedded (in this process) or traefik (a Traefik that interprets the plugin)")
		case "traefik":
			fs.StringVar(&s.Traefik, name, s.Traefik, "traefik program `FILE` for --edge=traefik (default: the one on PATH)")
		case "etcd":
			fs.Var(list{&s.Etcd}, name, "etcd endpoints `URL,...`: http://HOST:2379, https://HOST:2379 or unix:///PATH")
		case "prefix":
			fs.StringVar(&s.Prefix, name, s.Prefix, "`PREFIX` of the hub's records in etcd, so that several hubs can share one")
		case "public-url":
			fs.StringVar(&s.PublicURL, name, s.PublicURL, "hub as browsers see it: `URL` https://HOST (default: the address listened on)")
		case "base-url":
			fs.StringVar(&s.BaseURL, name, s.BaseURL, "`PATH` that everything of the hub is below, so that several hubs can share a host, like /teaching/")
		case "user-domain":
			fs.StringVar(&s.UserDomain, name, s.UserDomain, "give every user a host below `DOMAIN`, alice.DOMAIN; needs --public-url")
		case "api-hosts":
			fs.Var(list{&s.APIHosts}, name, "further `HOST,...` of the front door where programs reach the hub's API only; with --public-url all others are refused")
		case "query-tokens":
			fs.BoolVar(&s.QueryTokens, name, s.QueryTokens, "accept ?token= in addresses; a page is then replaced by its address without it")
		case "api-url":
			fs.StringVar(&s.APIURL, name, s.APIURL, "hub's API as users' servers reach it, `URL` (default: through the front door)")
		case "advertise-url":
			fs.StringVar(&s.AdvertiseURL, name, s.AdvertiseURL, "this hub as front doors reach it, `URL` (default: the address listened on)")
		case "activity-interval":
			fs.DurationVar(&s.ActivityInterval, name, s.ActivityInterval, "how often the front door reports which servers are in use, `TIME`; 0 for never")
		case "admin":
			fs.StringVar(&s.Admin, name, s.Admin, "administrator to create on a new hub, `NAME`; empty for none")
		case "admin-password-file":
			fs.StringVar(&s.AdminPasswordFile, name, s.AdminPasswordFile, "`FILE` with the administrator's first password (default: one is generated into --data)")
		case "bootstrap-token-file":
			fs.StringVar(&s.BootstrapTokenFile, name, s.BootstrapTokenFile, "`FILE` with an API token that gets all rights, for automation")
		case "cleanup-servers":
			fs.BoolVar(&s.CleanupServers, name, s.CleanupServers, "stop users' servers when the hub is stopped")
		case "hold-start":
			fs.DurationVar(&s.HoldStart, name, s.HoldStart, "how long programs' requests wait for a server that starts, `TIME` like 30s; 0 for not at all")
		case "oauth-require-pkce":
			fs.BoolVar(&s.OAuthRequirePKCE, name, s.OAuthRequirePKCE, "refuse OAuth clients that do not use PKCE, which JupyterHub's before 6.0 do not")
		case "oauth-token-expires-in":
			fs.DurationVar(&s.OAuthTokenExpiresIn, name, s.OAuthTokenExpiresIn, "how long OAuth access tokens are good, `TIME` like 24h; 0 for as long as the session")
		case "stopped-status":
			fs.IntVar(&s.StoppedStatus, name, s.StoppedStatus, "`CODE` that programs get from a server that does not run, 424 or 503")
		case "authenticate-prometheus":
			fs.BoolVar(&s.AuthenticatePrometheus, name, s.AuthenticatePrometheus, "ask for the scope read:metrics at /hub/metrics; without it everybody gets them")
		case "rotate-keys-every":
			fs.DurationVar(&s.RotateKeysEvery, name, s.RotateKeysEvery, "replace the key that signs edge tokens when it is this old, `TIME` like 720h; 0 for never")
		case "url":
			fs.StringVar(&s.URL, name, s.URL, "the hub as you reach it, `URL` http://HOST:PORT or https://HOST (default: the one of your last login, else http://127.0.0.1:8000)")
		case "token-file":
			fs.StringVar(&s.TokenFile, name, s.TokenFile, "`FILE` with an API token (default: that of 'edgehub login')")
		case "access-log":
			fs.StringVar(&s.AccessLog, name, s.AccessLog, "`FILE` for the front door's access log, - for stderr (default: none)")
		case "status-path":
			fs.StringVar(&s.StatusPath, name, s.StatusPath, "`PATH` like /.edgehub, below which the front door has ready and metrics (default: none)")
		case "status-token-file":
			fs.StringVar(&s.StatusTokenFile, name, s.StatusTokenFile, "`FILE` with the bearer token for the front door's metrics (default: nobody gets them)")
		case "audit-log":
			fs.StringVar(&s.AuditLog, name, s.AuditLog, "`FILE` for a line of JSON for each change that somebody makes and each sign-in, - for stderr (default: none)")
		case "log-level":
			fs.StringVar(&s.LogLevel, name, s.LogLevel, "how much to log, `LEVEL` debug, info, warn or error")
		case "config":
			fs.StringVar(&s.config, name, s.config, "YAML `FILE` with these settings, and those of users' servers")
		default:
			panic("no such flag: " + name)
		}
	}
}

// list is a comma-separated flag.
type list struct{ to *[]string }

func (l list) String() string {
	if l.to == nil {
		return ""
	}
	return strings.Join(*l.to, ",")
}

func (l list) Set(v string) error {
	*l.to = nil
	for _, item := range strings.Split(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			*l.to = append(*l.to, item)
		}
	}
	return nil
}

func (l list) Type() string { return "list" }

// command makes a command whose flags, environment and file end up in one settings value, which run gets.
func command(c *cobra.Command, defaults settings, names []string, run func(*cobra.Command, settings) error) *cobra.Command {
	parsed := defaults
	names = append(names, "log-level", "config")
	parsed.flags(c.Flags(), names...)
	c.Flags().SortFlags = false
	c.Args = noArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := resolve(defaults, cmd.Flags(), names)
		if err != nil {
			return err
		}
		return run(cmd, s)
	}
	return c
}

// resolve puts defaults, file, environment and flags together, the later winning.
func resolve(s settings, given *pflag.FlagSet, names []string) (settings, error) {
	out := pflag.NewFlagSet("", pflag.ContinueOnError)
	s.flags(out, names...)
	if err := apply(out, given, "config"); err != nil {
		return s, err
	}
	if s.config != "" {
		if err := s.load(s.config); err != nil {
			return s, err
		}
	}
	for _, name := range names {
		if err := apply(out, given, name); err != nil {
			return s, err
		}
	}
	return s, nil
}

// apply sets one flag from the environment or the command line.
func apply(out, given *pflag.FlagSet, name string) error {
	if f := given.Lookup(name); f.Changed {
		return out.Set(name, f.Value.String())
	}
	env := "EDGEHUB_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	if v, ok := os.LookupEnv(env); ok {
		if err := out.Set(name, v); err != nil {
			return fmt.Errorf("environment variable %s: %w", env, err)
		}
	}
	return nil
}

// load reads a configuration file. Unknown keys are errors, with their line.
func (s *settings) load(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read the configuration: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err = dec.Decode(s)
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		return fmt.Errorf("configuration %s: %s", file, goType.ReplaceAllString(strings.Join(typed.Errors, "; "), ""))
	}
	return fmt.Errorf("configuration %s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
}

// goType is what the YAML library says of our types, which is nothing to operators.
var goType = regexp.MustCompile(` in type main\.\w+`)

// checkActivityInterval says what the plugin, which cannot refuse to start, would say only in the log.
func (s *settings) checkActivityInterval() error {
	if d := s.ActivityInterval; d < 0 || d > 0 && d < 100*time.Millisecond {
		return fmt.Errorf("activity is reported every 100ms at most, not every %s. Use --activity-interval 60s, or 0 for never", d)
	}
	return nil
}

func (s *settings) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, fmt.Errorf("unknown log level %q: use debug, info, warn or error", s.LogLevel)
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), nil
}

// spawner are the process spawner's options.
func (s *settings) spawner() local.Options {
	workDir := s.Spawner.WorkDir
	if workDir == "" && s.Spawner.SystemUser == "" {
		workDir = filepath.Join(s.Data, "home", "{username}")
	}
	return local.Options{
		Dir: filepath.Join(s.Data, "servers"), Command: s.Spawner.Command, Auth: s.Spawner.Auth, Env: s.Spawner.Environment,
		EnvKeep: s.Spawner.EnvKeep, WorkDir: workDir, SystemUser: s.Spawner.SystemUser,
	}
}

// secretFile reads a token or password: the file's first line.
func secretFile(file, what string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("cannot read the %s: %w", what, err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	line = strings.TrimSpace(line)
	if len(line) < 8 {
		return "", fmt.Errorf("the %s in %s is shorter than 8 characters", what, file)
	}
	return line, nil
}
