package plugin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// Config is what an operator sets for the middleware. Secrets are given as files, because Traefik's API shows the
// settings of plugins in clear.
type Config struct {
	// Unknown is where Traefik puts options that are none of those below. One is enough to close the edge: a misspelt
	// option that is ignored in silence would be an edge with other settings than its operator believes.
	Unknown map[string]interface{} `json:"-" yaml:"-" mapstructure:",remain"`
	// Etcd lists etcd's client endpoints: http://host:port, https://host:port, or unix:///path/to/socket.
	Etcd []string `json:"etcd,omitempty" yaml:"etcd,omitempty"`
	// Prefix is where the hub keeps its records in etcd. Default: /edgehub/.
	Prefix string `json:"prefix,omitempty" yaml:"prefix,omitempty"`
	// Hub lists the base URLs of the control plane: http://host:port, https://host:port, or unix:///path/to/socket.
	// Empty: the addresses that the replicas write into etcd.
	Hub []string `json:"hub,omitempty" yaml:"hub,omitempty"`
	// PublicURL is the origin as browsers see it: https://hub.example.org. Empty: taken from each request.
	PublicURL string `json:"publicURL,omitempty" yaml:"publicURL,omitempty"`
	// BaseURL is the path that everything of the hub is below, as the hub's option of the same name: /teaching/. Whatever is
	// outside of it is answered with 404. Default: /.
	BaseURL string `json:"baseURL,omitempty" yaml:"baseURL,omitempty"`
	// UserDomain gives every user a host of their own below it: hub.example.org for alice.hub.example.org. It needs
	// PublicURL, whose scheme and port all hosts have, and the hub's option of the same name. Empty: one origin for all.
	UserDomain string `json:"userDomain,omitempty" yaml:"userDomain,omitempty"`
	// APIHosts lists further hosts, with the port if it is not the scheme's own, at which programs reach the hub's API and
	// nothing else: 10.0.0.7:8000. With PublicURL, requests to any other host are refused.
	APIHosts []string `json:"apiHosts,omitempty" yaml:"apiHosts,omitempty"`
	// EtcdUsername is the etcd user to read as; it needs to read <prefix>edge/ only. Empty: no authentication.
	EtcdUsername string `json:"etcdUsername,omitempty" yaml:"etcdUsername,omitempty"`
	// EtcdPasswordFile is the file with that user's password. A line break at its end is ignored.
	EtcdPasswordFile string `json:"etcdPasswordFile,omitempty" yaml:"etcdPasswordFile,omitempty"`
	// EtcdCAFile is a PEM file with the authorities that sign etcd's certificates. Empty: the system's.
	EtcdCAFile string `json:"etcdCAFile,omitempty" yaml:"etcdCAFile,omitempty"`
	// Targets lists the networks in which users' servers are: 10.0.0.0/8. Empty: everywhere but link-local, multicast and
	// unspecified addresses. etcd's and the control plane's own addresses, as configured here, are never dialled for a route.
	Targets []string `json:"targets,omitempty" yaml:"targets,omitempty"`
	// StoppedStatus is what programs get at the address of a server that does not run: 424, or 503 as before JupyterHub
	// 2.0. Default: 424.
	StoppedStatus int `json:"stoppedStatus,omitempty" yaml:"stoppedStatus,omitempty"`
	// QueryTokens makes ?token= in an address a credential, like a token in a header. Addresses end up in histories and logs,
	// so that a page that is opened with one is replaced by its address without it. Default: tokens in addresses are removed
	// and count for nothing.
	QueryTokens bool `json:"queryTokens,omitempty" yaml:"queryTokens,omitempty"`
	// ActivityInterval is how often the edge tells the control plane which servers are in use: 60s, 5m. "0": never.
	ActivityInterval string `json:"activityInterval,omitempty" yaml:"activityInterval,omitempty"`
	// LogFields sets X-Edgehub-User, -Server, -Decision and -Reason on each request for Traefik's access log. Nobody else
	// sees them. Default: false.
	LogFields bool `json:"logFields,omitempty" yaml:"logFields,omitempty"`
	// StatusPath is where the edge says whether it is ready, and how it is: /.edgehub for /.edgehub/ready and
	// /.edgehub/metrics, behind the BaseURL. Empty: nowhere.
	StatusPath string `json:"statusPath,omitempty" yaml:"statusPath,omitempty"`
	// StatusTokenFile is the file with the bearer token for the metrics, of 16 characters or more. Empty: nobody gets them.
	StatusTokenFile string `json:"statusTokenFile,omitempty" yaml:"statusTokenFile,omitempty"`
	// EtcdCertFile and EtcdKeyFile are PEM files with the certificate that the edge shows to etcd, and its key. They are
	// read again whenever the edge connects anew. etcd's gateway refuses certificates with a common name.
	EtcdCertFile string `json:"etcdCertFile,omitempty" yaml:"etcdCertFile,omitempty"`
	// EtcdKeyFile is the key of EtcdCertFile.
	EtcdKeyFile string `json:"etcdKeyFile,omitempty" yaml:"etcdKeyFile,omitempty"`
}

// CreateConfig returns the configuration that holds where an operator sets nothing.
func CreateConfig() *Config {
	return &Config{Prefix: routes.DefaultPrefix, ActivityInterval: defaultActivityInterval.String()}
}

// settings are the checked form of a Config.
type settings struct {
	etcd         []*address
	prefix       string
	hub          []*address
	publicScheme string // empty: taken from each request
	publicHost   string
	base         routes.Base
	cookies      cookieNames
	hosts        *routes.Hosts   // nil without hosts of users
	apiHosts     map[string]bool // in normal form
	username     string
	passwordFile string
	caFile       string
	certFile     string
	keyFile      string
	targets      []netip.Prefix

	stoppedStatus int
	queryTokens   bool

	// activityEvery is how often activity is reported, zero for never.
	activityEvery time.Duration

	logFields       bool
	statusPath      string // with the base; empty: none
	statusTokenFile string
}

// address is where to dial: a host and port, or a unix socket.
type address struct {
	scheme string // http, https or unix
	host   string // host:port, or the path of the socket
	name   string // without the port, for TLS
}

func (a *address) String() string { return a.scheme + "://" + a.host }

// Check returns an error that names the option that is wrong, for programs that rather say so than open a closed door.
func (c *Config) Check() error {
	_, err := c.check()
	return err
}

// check turns a Config into settings, or says which option is wrong.
func (c *Config) check() (*settings, error) {
	if name := c.unknown(); name != "" {
		return nil, fmt.Errorf("option %s: there is no such option", clip(name))
	}
	if c == nil || len(c.Etcd) == 0 {
		return nil, errors.New("option etcd: at least one endpoint is needed")
	}
	s := &settings{
		prefix:       routes.NormalPrefix(c.Prefix),
		username:     c.EtcdUsername,
		passwordFile: c.EtcdPasswordFile,
		caFile:       c.EtcdCAFile,
		queryTokens:  c.QueryTokens,
		certFile:     c.EtcdCertFile,
		keyFile:      c.EtcdKeyFile,

		logFields:       c.LogFields,
		statusTokenFile: c.StatusTokenFile,
	}
	var err error
	if s.etcd, err = parseAddresses(c.Etcd); err != nil {
		return nil, fmt.Errorf("option etcd: %w", err)
	}
	if s.base, err = routes.ParseBase(c.BaseURL); err != nil {
		return nil, fmt.Errorf("option baseURL: %s is not a path like /teaching/", clip(c.BaseURL))
	}
	s.cookies = cookieNamesOf(s.base)
	s.statusPath = s.base.Path(c.StatusPath)
	if s.hub, err = parseAddresses(c.Hub); err != nil {
		return nil, fmt.Errorf("option hub: %w", err)
	}
	if s.stoppedStatus, err = checkStoppedStatus(c.StoppedStatus); err != nil {
		return nil, err
	}
	if err := checkStatus(c.StatusPath, c.StatusTokenFile); err != nil {
		return nil, err
	}
	if s.username != "" && s.passwordFile == "" {
		return nil, errors.New("option etcdPasswordFile: needed with etcdUsername")
	}
	for _, raw := range c.Targets {
		p, err := netip.ParsePrefix(raw)
		if err != nil || p != p.Masked() {
			return nil, fmt.Errorf("option targets: %s is not a network like 10.0.0.0/8", clip(raw))
		}
		s.targets = append(s.targets, p)
	}
	if s.activityEvery, err = parseInterval(c.ActivityInterval); err != nil {
		return nil, fmt.Errorf("option activityInterval: %w", err)
	}
	if (s.certFile == "") != (s.keyFile == "") {
		return nil, errors.New("options etcdCertFile and etcdKeyFile: one needs the other")
	}
	if err = c.checkHosts(s); err != nil {
		return nil, err
	}
	return s, nil
}

// checkHosts reads the options about the hosts that browsers and programs use.
func (c *Config) checkHosts(s *settings) error {
	if c.PublicURL == "" {
		if c.UserDomain != "" || len(c.APIHosts) > 0 {
			return errors.New("option publicURL: needed with userDomain and with apiHosts")
		}
		return nil
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || routes.CheckTarget(c.PublicURL) != nil {
		return fmt.Errorf("option publicURL: %s is not an origin like https://hub.example.org", clip(c.PublicURL))
	}
	s.publicScheme = u.Scheme
	s.publicHost = routes.NormalHost(u.Scheme, u.Host)
	if c.UserDomain != "" {
		if s.hosts, err = routes.NewHosts(c.PublicURL, c.UserDomain); err != nil {
			return fmt.Errorf("option userDomain: %s is not a domain like hub.example.org that the hub's own host is not below", clip(c.UserDomain))
		}
	}
	s.apiHosts = make(map[string]bool)
	for _, host := range c.APIHosts {
		if host == "" || strings.ContainsAny(host, "/@?# ") {
			return fmt.Errorf("option apiHosts: %s is not a host like 10.0.0.7:8000", clip(host))
		}
		s.apiHosts[routes.NormalHost(u.Scheme, host)] = true
	}
	return nil
}

func checkStoppedStatus(status int) (int, error) {
	if status == 0 {
		return http.StatusFailedDependency, nil
	}
	if status != http.StatusFailedDependency && status != http.StatusServiceUnavailable {
		return 0, fmt.Errorf("option stoppedStatus: %d is neither 424 nor 503", status)
	}
	return status, nil
}

// unknown is the first option by name that the plugin does not have, or "".
func (c *Config) unknown() string {
	first := ""
	if c == nil {
		return first
	}
	for name := range c.Unknown {
		if first == "" || name < first {
			first = name
		}
	}
	return first
}

// parseInterval reads how often activity is reported.
func parseInterval(raw string) (time.Duration, error) {
	if raw == "" {
		return defaultActivityInterval, nil
	}
	d, err := time.ParseDuration(raw)
	if err != nil || d < 0 || d > 0 && d < minActivityInterval {
		return 0, fmt.Errorf("%s is neither a time like 60s, of 100ms or more, nor 0", clip(raw))
	}
	return d, nil
}

func parseAddresses(list []string) ([]*address, error) {
	all := make([]*address, 0, len(list))
	for _, raw := range list {
		a, err := parseAddress(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// parseAddress reads http://host:port, https://host:port or unix:///path.
func parseAddress(raw string) (*address, error) {
	u, err := url.Parse(raw)
	if err == nil && u.Scheme == "unix" && u.Host == "" && len(u.Path) > 1 {
		return &address{scheme: "unix", host: u.Path}, nil
	}
	if err != nil || routes.CheckTarget(raw) != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("%s is not http://host:port, https://host:port or unix:///path", clip(raw))
	}
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return &address{scheme: u.Scheme, host: net.JoinHostPort(u.Hostname(), port), name: u.Hostname()}, nil
}
