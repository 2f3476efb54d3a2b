// Package controlplane is the runtime of one hub replica. It is the only place that wires the packages below it.
//
// Invariant: a replica keeps nothing in memory that another one needs. Killing it at any moment loses no acknowledged
// write and no running server.
package controlplane

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/api"
	"github.com/edgehub/edgehub/controlplane/audit"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/login"
	"github.com/edgehub/edgehub/controlplane/oauth"
	"github.com/edgehub/edgehub/controlplane/pages"
	"github.com/edgehub/edgehub/controlplane/services"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/spawn/local"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
)

// drainTime is how long requests may take to end at shutdown. The longest held request is a start that is waited for.
const drainTime = 12 * time.Second

// ControlPlane is one replica. Make it with New, run it once with Run.
type ControlPlane struct {
	opts    Options
	id      string
	spawner *local.Spawner
	client  *clientv3.Client
	log     *slog.Logger
}

// New checks the options and what the machine has. It starts nothing. Errors say what to do.
func New(opts Options) (*ControlPlane, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	spawner, err := local.New(opts.Spawner)
	if err != nil {
		return nil, err
	}
	if err := spawner.Check(); err != nil {
		return nil, errors.Join(err, spawner.Close())
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: opts.Etcd, DialTimeout: 3 * time.Second, Logger: zap.NewNop(),
		DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithDisableServiceConfig()},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up the etcd client: %w", err), spawner.Close())
	}
	return &ControlPlane{opts: opts, id: newReplicaID(), spawner: spawner, client: client, log: opts.Log}, nil
}

func newReplicaID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}

// Run serves until ctx ends. It waits for etcd as long as it takes, and calls ready once, when the replica is a member and
// answers. It returns after everything it started has ended: it stops accepting, drains, stops servers if asked to, stops
// its workers, and gives up its lease, in this order.
func (c *ControlPlane) Run(ctx context.Context, ready func()) error {
	defer c.close()
	st := store.New(c.client, c.opts.Prefix)
	if err := c.awaitStore(ctx, st); err != nil {
		return nil // ctx ended before there was anything to do
	}
	parts, err := c.build(ctx, st)
	if err != nil {
		return err
	}
	defer parts.logins.Close()
	// Workers and membership outlive the requests that are drained, so they do not end with ctx.
	workers, stopWorkers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorkers()
	var all sync.WaitGroup
	defer all.Wait()
	joined := make(chan struct{})
	member, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	all.Go(func() {
		_ = store.NewMember(st, c.id, c.opts.URL, c.log).Run(member, sync.OnceFunc(func() { close(joined) }))
	})
	select {
	case <-joined:
	case <-ctx.Done():
		return nil
	}
	var manager sync.WaitGroup
	manager.Go(func() { _ = parts.servers.Run(workers) })
	manager.Go(func() { parts.services.Run(workers) })
	manager.Go(func() { parts.accounts.Tend(workers, c.log) })
	manager.Go(func() { st.Follow(workers) })
	manager.Go(func() { parts.tokens.Tend(workers, c.opts.RotateKeysEvery, c.log) })
	err = c.serve(ctx, parts.handler, ready)
	if c.opts.CleanupServers {
		c.cleanup(parts.servers)
	}
	stopWorkers()
	manager.Wait()
	leave()
	return err
}

func (c *ControlPlane) close() {
	if err := errors.Join(c.client.Close(), c.spawner.Close()); err != nil && !errors.Is(err, context.Canceled) {
		c.log.Debug("close", "err", err)
	}
}

// awaitStore returns nil when etcd answers, or ctx's error.
func (c *ControlPlane) awaitStore(ctx context.Context, st *store.Store) error {
	for attempt := 0; ; attempt++ {
		err := st.Ping(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if attempt%5 == 0 {
			c.log.Warn("waiting for etcd", "endpoints", c.opts.Etcd, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// parts are what a replica consists of.
type parts struct {
	accounts *account.Accounts
	tokens   *token.Service
	servers  *spawn.Manager
	services *services.Runner
	logins   *login.Login
	handler  http.Handler
}

func (c *ControlPlane) build(ctx context.Context, st *store.Store) (*parts, error) {
	signing, err := token.OpenSigning(ctx, st)
	if err != nil {
		return nil, err
	}
	tokens := token.New(st, signing)
	accounts, err := account.New(st, tokens)
	if err != nil {
		return nil, err
	}
	if err := accounts.Complete(ctx, c.log); err != nil {
		return nil, err
	}
	if err := accounts.Configure(ctx, c.opts.Rights); err != nil {
		return nil, err
	}
	if err := c.bootstrap(ctx, accounts); err != nil {
		return nil, err
	}
	runner, err := c.services(ctx, st, accounts)
	if err != nil {
		return nil, err
	}
	audited := audit.New(st, c.opts.AuditLog, c.log)
	hosts, base := c.opts.hosts(), c.opts.base()
	servers := spawn.New(spawn.Options{
		Store: st, Tokens: tokens, Spawner: c.spawner, Log: c.log, Replica: c.id, HubID: signing.HubID(),
		APIURL: c.opts.APIURL, PublicURL: c.opts.PublicURL, Base: base, Hosts: hosts, StartTimeout: c.opts.StartTimeout, ReadyTimeout: c.opts.ReadyTimeout,
		HoldStart: c.opts.HoldStart, ClientScopes: c.opts.OAuthScopes,
	})
	xsrf := web.XSRF{MAC: signing.MAC}
	logins, err := login.New(login.Options{Providers: c.opts.Logins, HubURL: strings.TrimSuffix(c.opts.PublicURL, "/") + base.Path("/hub/"), Accounts: accounts, Store: st, MAC: signing.MAC, Log: c.log})
	if err != nil {
		return nil, err
	}
	rest := api.New(api.Options{Store: st, Accounts: accounts, Tokens: tokens, Servers: servers, XSRF: xsrf, Log: c.log, Base: base, Hosts: hosts,
		Audit: audited, MaxTokenLife: c.opts.MaxTokenLife})
	html, err := pages.New(pages.Options{Store: st, Accounts: accounts, Tokens: tokens, Servers: servers, XSRF: xsrf, Log: c.log, Version: c.opts.Version,
		Base: base, Hosts: hosts, Logins: logins, NoPasswords: c.opts.NoPasswords, Audit: audited, API: rest, MaxTokenLife: c.opts.MaxTokenLife})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(oauth.Prefix, oauth.New(oauth.Options{Store: st, Accounts: accounts, Tokens: tokens, Servers: servers, XSRF: xsrf, Pages: html, Log: c.log,
		PublicURL: c.opts.PublicURL, RequirePKCE: c.opts.RequirePKCE, TokenLife: c.opts.OAuthTokenLife}))
	mux.Handle("/hub/api", rest)
	mux.Handle("/hub/api/", rest)
	mux.Handle("/", html)
	return &parts{accounts: accounts, tokens: tokens, servers: servers, services: runner, logins: logins, handler: web.WithRequestID(c.log, web.StrictPath(web.Below(base, mux)))}, nil
}

// bootstrap makes a new hub usable: an administrator who can sign in, and the token of automation.
func (c *ControlPlane) bootstrap(ctx context.Context, accounts *account.Accounts) error {
	if c.opts.BootstrapToken != "" {
		if err := accounts.PutAdminService(ctx, "bootstrap", c.opts.BootstrapToken); err != nil {
			return fmt.Errorf("store the bootstrap token: %w", err)
		}
	}
	if c.opts.Admin == "" {
		return nil
	}
	_, err := accounts.Get(ctx, c.opts.Admin)
	if hub.KindOf(err) != hub.NotFound {
		return err
	}
	password, err := c.opts.AdminPassword()
	if err != nil {
		return err
	}
	_, err = accounts.Create(ctx, account.NewUser{Name: c.opts.Admin, Admin: true, Password: password})
	if hub.KindOf(err) == hub.Conflict {
		return nil // another replica was first
	}
	return err
}

// serve answers requests until ctx ends, then drains.
func (c *ControlPlane) serve(ctx context.Context, handler http.Handler, ready func()) error {
	// Streams must end at shutdown, or they would hold up the drain.
	requests, endRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer endRequests()
	srv := &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(c.opts.Listener) }()
	ready()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the hub: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	time.AfterFunc(time.Second, endRequests)
	err := srv.Shutdown(drain)
	if served := <-failed; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	if err != nil {
		return errors.Join(fmt.Errorf("drain requests: %w", err), srv.Close())
	}
	return nil
}

func (c *ControlPlane) cleanup(servers *spawn.Manager) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := servers.StopAll(ctx); err != nil {
		c.log.Warn("not all servers could be stopped", "err", err)
	}
}
