package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/edgehub/edgehub/controlplane"
	"github.com/edgehub/edgehub/controlplane/etcd"
	"github.com/edgehub/edgehub/controlplane/front"
	"github.com/edgehub/edgehub/routes"
)

// startTime bounds the preparation of `up`.
const startTime = 60 * time.Second

func upCommand() *cobra.Command {
	defaults := settings{Listen: "127.0.0.1:8000", Data: defaultData(), Edge: "embedded", Prefix: routes.DefaultPrefix, BaseURL: "/",
		ActivityInterval: time.Minute, Admin: "admin", CleanupServers: true, StoppedStatus: http.StatusFailedDependency,
		RotateKeysEvery: keyAge, LogLevel: "warn", ServiceCheckInterval: time.Minute, AuthenticatePrometheus: true}
	return command(&cobra.Command{
		Use:   "up",
		Short: "Run a whole hub on this machine",
		Long: `Run a whole hub on this machine: an etcd, the control plane and the front door, in one process. Users' servers
are processes of this machine. Everything is stored below --data, and is there again at the next start.

On a new hub the administrator gets a generated password, which is printed and kept in --data.`,
		Example: "  edgehub up\n  edgehub up --listen 0.0.0.0:8000 --data /var/lib/edgehub\n  edgehub up --edge=traefik",
	}, defaults, []string{"listen", "data", "edge", "traefik", "public-url", "base-url", "user-domain", "api-hosts", "query-tokens", "api-url",
		"activity-interval", "admin", "admin-password-file", "bootstrap-token-file", "cleanup-servers", "hold-start",
		"oauth-require-pkce", "oauth-token-expires-in", "rotate-keys-every", "authenticate-prometheus", "stopped-status", "access-log", "audit-log", "status-path", "status-token-file"}, func(cmd *cobra.Command, s settings) error {
		log, err := s.logger(cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		u := &up{settings: s, log: log, out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr()}
		return u.run(cmd.Context())
	})
}

// up is one run of `edgehub up`.
type up struct {
	settings
	log     *slog.Logger
	out     io.Writer
	errs    io.Writer
	traefik *front.Traefik
}

func (u *up) say(format string, args ...any) { _, _ = fmt.Fprintf(u.out, format+"\n", args...) }

func (u *up) path(name ...string) string { return filepath.Join(append([]string{u.Data}, name...)...) }

// run checks everything that can be checked, then starts etcd, the control plane and the front door, and stops them in
// reverse when ctx ends.
func (u *up) run(ctx context.Context) error {
	if err := u.checkActivityInterval(); err != nil {
		return err
	}
	if err := u.prepareData(); err != nil {
		return err
	}
	unlock, err := u.lock()
	if err != nil {
		return err
	}
	defer unlock()
	l, err := listen(u.Listen)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	if err := u.findEdge(l.Addr()); err != nil {
		return err
	}
	opts, err := u.options(l.Addr())
	if err != nil {
		return err
	}
	audit, closeAudit, err := u.auditLog(u.errs)
	if err != nil {
		return err
	}
	defer closeAudit()
	opts.AuditLog = audit
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	opts.Shutdown, opts.OwnDoor = stop, true
	cp, err := controlplane.New(opts)
	if err != nil {
		return err
	}
	u.say("edgehub %s: preparing in %s", version, u.Data)
	u.say("  etcd ...")
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	db, err := etcd.Start(starting, u.path("etcd"), u.path("run", "etcd.sock"), u.path("etcd.log"))
	if err != nil {
		return err
	}
	defer db.Stop()
	return u.serve(ctx, cp, db, l)
}

// serve runs the parts until ctx ends or one of them fails.
func (u *up) serve(ctx context.Context, cp *controlplane.ControlPlane, db *etcd.Server, l net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		select {
		case err := <-db.Err():
			return fmt.Errorf("the embedded etcd ended: %w", err)
		case <-ctx.Done():
			return nil
		}
	})
	// The front door closes first and the hub after it, so that nobody meets a door with nothing behind it.
	hubCtx, stopHub := context.WithCancel(context.WithoutCancel(ctx))
	hubReady := make(chan struct{})
	group.Go(func() error {
		u.say("  hub ...")
		return cp.Run(hubCtx, func() { close(hubReady) })
	})
	group.Go(func() error {
		defer stopHub()
		select {
		case <-hubReady:
		case <-ctx.Done():
			return nil
		}
		u.say("  front door (%s) ...", u.Edge)
		return u.door(ctx, l)
	})
	group.Go(func() error { return u.announce(ctx, l.Addr()) })
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	if err == nil {
		u.say("edgehub: stopped. Everything is stored in %s", u.Data)
	}
	return err
}

// door serves the front door until ctx ends.
func (u *up) door(ctx context.Context, l net.Listener) error {
	if u.traefik == nil {
		around, done, err := u.accessLog(u.errs, u.log)
		if err != nil {
			return err
		}
		defer done()
		return front.Embedded(ctx, l, u.plugin(l.Addr()), u.log, around...)
	}
	// Until now the listener kept the address for us; now it is Traefik's.
	if err := l.Close(); err != nil {
		return err
	}
	if err := u.traefik.Write(); err != nil {
		return fmt.Errorf("write Traefik's configuration: %w", err)
	}
	return u.traefik.Run(ctx)
}

// announce tells the operator where the hub is when it can be used.
func (u *up) announce(ctx context.Context, addr net.Addr) error {
	ready, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := front.AwaitReady(ready, u.localURL(addr)+"hub/health"); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		hint := ""
		if u.traefik != nil {
			hint = " (Traefik's log is " + u.traefik.LogFile() + ")"
		}
		return fmt.Errorf("the front door does not answer on %s%s", addr, hint)
	}
	u.say("\nedgehub is ready.\n\n  URL:       %s", u.publicURL(addr))
	if password, err := os.ReadFile(u.AdminPasswordFile); err == nil && u.Admin != "" && u.passwords() {
		u.say("  User:      %s\n  Password:  %s   (the first one; kept in %s)", u.Admin, strings.TrimSpace(string(password)), u.AdminPasswordFile)
	}
	u.say("\nPress Ctrl-C to stop.")
	return nil
}

// findEdge checks the options of the front door and finds Traefik if it is asked for.
func (u *up) findEdge(addr net.Addr) error {
	if err := controlplane.CheckPublicURL(u.PublicURL); err != nil {
		return err
	}
	if err := u.normaliseBase(); err != nil {
		return err
	}
	if err := front.CheckStoppedStatus(u.StoppedStatus); err != nil {
		return err
	}
	if err := controlplane.CheckUserDomain(u.PublicURL, u.UserDomain); err != nil {
		return err
	}
	if err := front.CheckAPIHosts(u.PublicURL, u.APIHosts); err != nil {
		return err
	}
	if err := front.Check(u.plugin(addr)); err != nil {
		return err
	}
	switch u.Edge {
	case "embedded":
		return nil
	case "traefik":
	default:
		return fmt.Errorf("unknown front door %q. Use --edge=embedded or --edge=traefik", u.Edge)
	}
	binary, err := front.FindTraefik(u.Traefik)
	if err != nil {
		return err
	}
	if err := u.absolute(); err != nil { // Traefik runs in another folder
		return err
	}
	u.traefik = &front.Traefik{Binary: binary, Dir: u.path("traefik"), Listen: addr.String(), Plugin: u.plugin(addr), Log: u.log,
		AccessLog: u.AccessLog}
	return nil
}

// apiHosts are the hosts by which this machine reaches its own front door, and those given.
func (u *up) apiHosts(addr net.Addr) []string {
	if u.PublicURL == "" {
		return nil
	}
	hosts := append([]string(nil), u.APIHosts...)
	for _, raw := range []string{u.localURL(addr), u.APIURL} {
		if parsed, err := url.Parse(raw); err == nil && parsed.Host != "" {
			hosts = append(hosts, parsed.Host)
		}
	}
	return hosts
}

func (u *up) plugin(addr net.Addr) *front.Config {
	cfg := u.frontConfig([]string{"unix://" + u.path("run", "etcd.sock")})
	cfg.APIHosts = u.apiHosts(addr)
	return cfg
}

// options are the control plane's. It listens on a Unix socket: the front door is the only address of this machine.
func (u *up) options(addr net.Addr) (controlplane.Options, error) {
	if u.AdminPasswordFile == "" {
		u.AdminPasswordFile = u.path("admin-password")
		if err := u.generatePassword(); err != nil {
			return controlplane.Options{}, err
		}
	}
	opts, err := u.controlPlane(u.log)
	if err != nil {
		return opts, err
	}
	socket := u.path("run", "hub.sock")
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return opts, err
	}
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return opts, err
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", socket)
	if err != nil {
		return opts, fmt.Errorf("cannot listen on %s: %w. Choose a shorter path with --data DIR", socket, err)
	}
	opts.Listener, opts.URL = l, "unix://"+socket
	opts.Etcd = []string{"unix://" + u.path("run", "etcd.sock")}
	if opts.APIURL == "" {
		opts.APIURL = u.localURL(addr) + "hub/api"
	}
	return opts, nil
}

// generatePassword makes the administrator's first password, unless there is one.
func (u *up) generatePassword() error {
	b := make([]byte, 9)
	_, _ = rand.Read(b) // never fails since Go 1.24
	f, err := os.OpenFile(u.AdminPasswordFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if os.IsExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, hex.EncodeToString(b))
	return errors.Join(err, f.Close())
}

// lock keeps a second hub out of the data directory.
func (u *up) lock() (func(), error) {
	f, err := os.OpenFile(u.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("another edgehub is running in %s. Stop it, or choose another directory with --data DIR", u.Data)
	}
	return func() { _ = f.Close() }, nil
}

// localURL is the hub as this machine reaches it through the front door, with its base.
func (u *up) localURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String() + u.BaseURL
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + u.BaseURL
}

func (u *up) publicURL(addr net.Addr) string {
	if u.PublicURL != "" {
		return strings.TrimSuffix(u.PublicURL, "/") + u.BaseURL
	}
	return u.localURL(addr)
}
