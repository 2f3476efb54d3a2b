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
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/api"
	"github.com/edgehub/edgehub/controlplane/audit"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/login"
	"github.com/edgehub/edgehub/controlplane/metrics"
	"github.com/edgehub/edgehub/controlplane/oauth"
	"github.com/edgehub/edgehub/controlplane/pages"
	"github.com/edgehub/edgehub/controlplane/services"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/spawn/local"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
)

// ControlPlane is one replica. Make it with New, run it once with Run.
type ControlPlane struct {
	opts    Options
	id      string
	spawner *local.Spawner
	client  *clientv3.Client
	metrics *metrics.Metrics
	log     *slog.Logger
	// cleanup is Options.CleanupServers, until somebody shuts the hub down by API and wants it otherwise.
	cleanup atomic.Bool
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
	measured := metrics.New()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: opts.Etcd, DialTimeout: 3 * time.Second, Logger: zap.NewNop(),
		DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithDisableServiceConfig(), grpc.WithChainUnaryInterceptor(measured.EtcdCalls)},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up the etcd client: %w", err), spawner.Close())
	}
	c := &ControlPlane{opts: opts, id: newReplicaID(), spawner: spawner, client: client, metrics: measured, log: opts.Log}
	c.cleanup.Store(opts.CleanupServers)
	return c, nil
}

// shutdown ends the replica for somebody who asked for it by API.
func (c *ControlPlane) shutdown(stopServers *bool) {
	if stopServers != nil {
		c.cleanup.Store(*stopServers)
	}
	c.opts.Shutdown()
}

func newReplicaID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}

// Run serves until ctx ends. It waits for etcd as long as it takes, answering 503, and calls ready once, when the replica is a
// member and answers. It returns after everything it started has ended: it stops accepting, drains, stops servers if asked to,
// stops its workers, and gives up its lease, in this order.
func (c *ControlPlane) Run(ctx context.Context, ready func()) error {
	defer c.close()
	door := newGate(c.opts.base().Path("/hub/api/health"))
	srv := c.listen(ctx, door)
	defer srv.close()
	st := store.New(c.client, c.opts.Prefix)
	parts, began, err := c.assemble(ctx, st)
	if ctx.Err() != nil {
		return nil // before there was anything to do
	}
	if err != nil {
		return err
	}
	defer parts.logins.Close()
	c.measure(st, parts)
	// Workers and membership outlive the requests that are drained, so they do not end with ctx.
	workers, stopWorkers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorkers()
	var all sync.WaitGroup
	defer all.Wait()
	joined := make(chan struct{})
	door.expect()
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
	door.open(parts.handler)
	c.metrics.Started(time.Since(began))
	ready()
	err = srv.serve(ctx)
	if c.cleanup.Load() {
		c.stopServers(parts.servers)
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

// assemble waits for etcd and builds the parts. It waits again if etcd goes away meanwhile. began is when etcd was there.
func (c *ControlPlane) assemble(ctx context.Context, st *store.Store) (p *parts, began time.Time, err error) {
	for {
		if err := c.awaitStore(ctx, st); err != nil {
			return nil, began, err
		}
		began = time.Now()
		p, err = c.build(ctx, st)
		if hub.KindOf(err) != hub.Unavailable || ctx.Err() != nil {
			return p, began, err
		}
		c.log.Warn("the start broke off, trying again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
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
		HoldStart: c.opts.HoldStart, ClientScopes: c.opts.OAuthScopes, Metrics: c.metrics,
		TokenScopes: func(ctx context.Context) ([]string, error) { return accounts.RoleScopes(ctx, "server") },
	})
	xsrf := web.XSRF{MAC: signing.MAC}
	logins, err := login.New(login.Options{Providers: c.opts.Logins, HubURL: strings.TrimSuffix(c.opts.PublicURL, "/") + base.Path("/hub/"), Accounts: accounts, Store: st, MAC: signing.MAC, Log: c.log})
	if err != nil {
		return nil, err
	}
	rest := api.New(api.Options{Store: st, Accounts: accounts, Tokens: tokens, Servers: servers, XSRF: xsrf, Log: c.log, Base: base, Hosts: hosts,
		Audit: audited, MaxTokenLife: c.opts.MaxTokenLife, URL: c.opts.URL, Shutdown: c.shutdown, OwnDoor: c.opts.OwnDoor,
		Metrics: c.metrics.Handler(), OpenMetrics: c.opts.OpenMetrics})
	html, err := pages.New(pages.Options{Store: st, Accounts: accounts, Tokens: tokens, Servers: servers, XSRF: xsrf, Log: c.log, Version: c.opts.Version,
		Base: base, Hosts: hosts, Logins: logins, NoPasswords: c.opts.NoPasswords, Audit: audited, API: rest, Metrics: c.metrics, MaxTokenLife: c.opts.MaxTokenLife})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(oauth.Prefix, oauth.New(oauth.Options{Store: st, Accounts: accounts, Tokens: tokens, Servers: servers, XSRF: xsrf, Pages: html, Log: c.log,
		PublicURL: c.opts.PublicURL, RequirePKCE: c.opts.RequirePKCE, TokenLife: c.opts.OAuthTokenLife}))
	mux.Handle("/hub/api", rest)
	mux.Handle("/hub/api/", rest)
	mux.Handle(api.MetricsPage, rest)
	mux.Handle("/", html)
	return &parts{accounts: accounts, tokens: tokens, servers: servers, services: runner, logins: logins, handler: web.WithRequestID(c.log, web.StrictPath(web.Below(base, c.metrics.Requests(mux))))}, nil
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

func (c *ControlPlane) stopServers(servers *spawn.Manager) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := servers.StopAll(ctx); err != nil {
		c.log.Warn("not all servers could be stopped", "err", err)
	}
}
