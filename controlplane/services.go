package controlplane

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/services"
	"github.com/edgehub/edgehub/controlplane/spawn/local"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// services stores the services of the configuration file and returns what runs them.
func (c *ControlPlane) services(ctx context.Context, st *store.Store, accounts *account.Accounts) (*services.Runner, error) {
	specs := make([]account.ServiceSpec, 0, len(c.opts.Services))
	for _, s := range c.opts.Services {
		if s.RedirectURI == "" && s.URL != "" {
			s.RedirectURI = c.opts.base().Path(s.DefaultRedirect())
		}
		specs = append(specs, s.ServiceSpec)
	}
	if err := accounts.SyncServices(ctx, specs); err != nil {
		return nil, err
	}
	deadlines := filepath.Join(c.opts.ServicesDir, ".deadlines") // no service has such a name
	if err := os.MkdirAll(deadlines, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create the folder for services: %w", err)
	}
	return services.New(services.Options{
		Store: st, Accounts: accounts, Log: c.log, Replica: c.id, Specs: c.opts.Services, Dir: deadlines, Launch: c.launch,
		Keeper: []string{"/proc/self/exe", "service-keep"}, // the running binary even while an upgrade replaces the file
		APIURL: c.opts.APIURL, PublicURL: c.opts.PublicURL, Base: c.opts.base(), Hosts: c.opts.hosts(), CheckEvery: c.opts.ServiceCheckInterval,
	}), nil
}

// launch makes the spawner of one service: processes of this machine, as users' servers are.
func (c *ControlPlane) launch(s services.Spec, command []string, env map[string]string) (services.Spawner, error) {
	all, dir, err := s.Account()
	if err != nil {
		return nil, err
	}
	if path := os.Getenv("PATH"); path != "" {
		all["PATH"] = path
	}
	maps.Copy(all, env) // what the operator set wins
	return local.New(local.Options{Dir: c.opts.ServicesDir, Command: command, Auth: routes.AuthNone, Env: all, WorkDir: dir,
		Exe: c.opts.Spawner.Exe, ShimArgs: c.opts.Spawner.ShimArgs})
}
