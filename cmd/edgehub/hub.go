package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgehub/edgehub/controlplane"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

func hubCommand() *cobra.Command {
	defaults := settings{Listen: "127.0.0.1:8081", Data: defaultData(), Prefix: routes.DefaultPrefix, BaseURL: "/", RotateKeysEvery: keyAge, LogLevel: "info",
		ServiceCheckInterval: time.Minute, AuthenticatePrometheus: true}
	return command(&cobra.Command{
		Use:   "hub",
		Short: "Run one replica of the control plane against an etcd",
		Long: `Run one replica of the control plane: sign-in, API, pages, and the starting and stopping of
users' servers. It keeps its state in etcd only. Several replicas may run at once; front doors
(Traefik with the edgehub plugin, or "edgehub edge") find them in etcd.`,
		Example: "  edgehub hub --etcd http://127.0.0.1:2379 --public-url https://hub.example.org --bootstrap-token-file token",
	}, defaults, []string{"etcd", "prefix", "listen", "advertise-url", "public-url", "base-url", "user-domain", "api-url", "data", "admin",
		"admin-password-file", "bootstrap-token-file", "cleanup-servers", "hold-start",
		"oauth-require-pkce", "oauth-token-expires-in", "rotate-keys-every", "authenticate-prometheus", "audit-log"}, runHub)
}

// keyAge is how old a signing key gets unless the operator says otherwise.
const keyAge = 30 * 24 * time.Hour

func defaultData() string { return "edgehub-data" }

// lessGC trades memory for processor time, unless the operator decides: what a hub holds is bounded, whatever its number
// of users, and its requests make garbage.
func lessGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

func runHub(cmd *cobra.Command, s settings) error {
	lessGC()
	log, err := s.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if err := controlplane.CheckEtcd(s.Etcd); err != nil {
		return err
	}
	if err := s.normaliseBase(); err != nil {
		return err
	}
	if err := s.prepareData(); err != nil {
		return err
	}
	opts, err := s.controlPlane(log)
	if err != nil {
		return err
	}
	audit, closeAudit, err := s.auditLog(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer closeAudit()
	opts.AuditLog = audit
	if s.Admin != "" && s.AdminPasswordFile == "" {
		return fmt.Errorf("--admin needs --admin-password-file")
	}
	l, err := listen(s.Listen)
	if err != nil {
		return err
	}
	opts.Listener, opts.URL = l, s.AdvertiseURL
	if opts.URL == "" {
		opts.URL = "http://" + l.Addr().String()
	}
	if opts.PublicURL == "" && opts.APIURL == "" {
		opts.APIURL = opts.URL + s.BaseURL + "hub/api"
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	opts.Shutdown = stop
	cp, err := controlplane.New(opts)
	if err != nil {
		_ = l.Close()
		return err
	}
	return cp.Run(ctx, func() { log.Info("hub is ready", "listen", l.Addr().String()) })
}

// controlPlane are the options that `up` and `hub` share.
func (s *settings) controlPlane(log *slog.Logger) (controlplane.Options, error) {
	opts := controlplane.Options{
		Etcd: s.Etcd, Prefix: s.Prefix, PublicURL: s.PublicURL, BaseURL: s.BaseURL, UserDomain: s.UserDomain, APIURL: s.APIURL, CleanupServers: s.CleanupServers,
		HoldStart:    s.HoldStart,
		StartTimeout: s.Spawner.StartTimeout, ReadyTimeout: s.Spawner.ReadyTimeout, Spawner: s.spawner(), Log: log, Version: version,
		RotateKeysEvery: s.RotateKeysEvery, Rights: s.rights(), MaxTokenLife: s.maxTokenLife(),
		RequirePKCE: s.OAuthRequirePKCE, OAuthTokenLife: s.OAuthTokenExpiresIn, OAuthScopes: s.Spawner.OAuthScopes,
		OpenMetrics: !s.AuthenticatePrometheus,
	}
	opts.ServicesDir, opts.ServiceCheckInterval = filepath.Join(s.Data, "services"), s.ServiceCheckInterval
	for i := range s.Services {
		spec, err := s.Services[i].spec()
		if err != nil {
			return opts, err
		}
		opts.Services = append(opts.Services, spec)
	}
	if s.Admin != "" {
		name, err := hub.ParseUserName(s.Admin)
		if err != nil {
			return opts, err
		}
		opts.Admin = name
		opts.AdminPassword = func() (string, error) { return secretFile(s.AdminPasswordFile, "administrator's password") }
	}
	if err := s.logins(&opts); err != nil {
		return opts, err
	}
	if s.BootstrapTokenFile != "" {
		token, err := secretFile(s.BootstrapTokenFile, "bootstrap token")
		if err != nil {
			return opts, err
		}
		opts.BootstrapToken = token
	}
	return opts, nil
}

// normaliseBase gives BaseURL its one form, with slashes at both ends.
func (s *settings) normaliseBase() error {
	base, err := controlplane.ParseBase(s.BaseURL)
	s.BaseURL = base.Path("/")
	return err
}

// prepareData makes the data folder, which only our account can open, and checks that it can be written.
func (s *settings) prepareData() error {
	abs, err := filepath.Abs(s.Data)
	if err != nil {
		return err
	}
	s.Data = abs
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return fmt.Errorf("cannot create the data directory: %w. Choose another one with --data DIR", err)
	}
	probe, err := os.CreateTemp(s.Data, ".write-test-*")
	if err != nil {
		return fmt.Errorf("cannot write to the data directory: %w. Choose another one with --data DIR", err)
	}
	_ = probe.Close()
	return os.Remove(probe.Name())
}

// listen opens a TCP address, with an error that says what to do.
func listen(addr string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w. Choose another address with --listen HOST:PORT", addr, err)
	}
	return l, nil
}
