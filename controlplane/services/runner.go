// Package services runs the managed services of a hub: programs that the configuration file names with a command. It also
// looks now and then whether services with a url answer. What a service is, and its route, is package account's.
//
// Invariant: of one service at most one process runs, whatever number of replicas there is and whatever happens to them. A
// replica runs a service only while it holds it, which is a lease in etcd. Between replica and service is a keeper (see
// Keep), a process that ends the service when the lease is nearly over and was not renewed: then nobody else has begun
// yet, even if the replica was killed, halted, or cut off from etcd.
//
//	replica A                 etcd                  replica B
//	 │ hold ────────────────► lease
//	 │ start keeper ─ service  │
//	 │ renew, tell keeper ───► │ ◄─── waits for the hold
//	 ✗                         │
//	   keeper: time is over    │
//	   ends the service        │
//	                          lease is over ──────► hold, start keeper ─ service
package services

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// Spec is a service as the configuration file describes it, with what only a managed one needs.
type Spec struct {
	account.ServiceSpec

	// Environment is added to the process's, Dir is where it starts, SystemUser is who runs it. Empty means the hub's own.
	Environment map[string]string
	Dir         string
	SystemUser  string
	// Timeout is how long it may take until url answers, before the log says so.
	Timeout time.Duration
}

// Spawner makes the process of one service.
type Spawner interface {
	hub.Spawner
	Close() error
}

// Launcher makes the spawner of one service: its program is command, with this environment on top.
type Launcher func(s Spec, command []string, env map[string]string) (Spawner, error)

// Options are what a Runner works with.
type Options struct {
	Store    *store.Store
	Accounts *account.Accounts
	Log      *slog.Logger
	Replica  string
	// Specs are all services of the configuration file.
	Specs []Spec
	// Dir is for the files by which keepers are told how long they may go on. Launch starts processes; Keeper is the command
	// that calls Keep.
	Dir    string
	Launch Launcher
	Keeper []string
	// APIURL, PublicURL, Base and Hosts are those of the hub.
	APIURL    string
	PublicURL string
	Base      routes.Base
	Hosts     *routes.Hosts
	// CheckEvery is how often urls are looked at, JupyterHub's service_check_interval.
	CheckEvery time.Duration
}

// Runner runs managed services.
type Runner struct{ opts Options }

// New returns the runner of one replica. Run makes it work.
func New(opts Options) *Runner { return &Runner{opts: opts} }

// Run runs those services that no other replica runs, and waits for the others, until ctx ends. All processes of this replica
// have ended when it returns.
func (r *Runner) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, spec := range r.opts.Specs {
		if spec.Managed() {
			all.Go(func() { r.hold(ctx, spec) })
		}
	}
	all.Go(func() { r.check(ctx) })
}

// hold runs one service whenever this replica holds it.
func (r *Runner) hold(ctx context.Context, spec Spec) {
	p := &process{opts: r.opts, spec: spec, log: r.opts.Log.With("service", spec.Name), deadline: filepath.Join(r.opts.Dir, spec.Name+".deadline")}
	r.opts.Store.Hold(ctx, store.ID("service", spec.Name), r.opts.Replica, p.confirm, p.run)
}

// Bounds of the pauses between restarts. A service that ran for longer than longRun starts over with the shortest.
const (
	firstPause = time.Second
	lastPause  = time.Minute
	longRun    = time.Minute
	pollEvery  = time.Second
	lookEvery  = 10 // polls
	stopGrace  = 5 * time.Second
)

// process is one managed service while this replica holds it.
type process struct {
	opts     Options
	spec     Spec
	log      *slog.Logger
	deadline string
}

// confirm tells the keeper how long it may go on.
func (p *process) confirm(until time.Time) {
	if err := writeDeadline(p.deadline, until.Add(-keeperMargin)); err != nil {
		p.log.Warn("cannot tell the keeper of a service to go on, so it will end it", "err", err)
	}
}

// run starts the service again and again until ctx ends. Its process has ended when it returns.
func (p *process) run(ctx context.Context, held *store.Held) {
	pause := firstPause
	for {
		began := time.Now()
		err := p.once(ctx, held)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longRun {
			pause = firstPause
		}
		if hub.KindOf(err) == hub.NotFound {
			pause = lastPause // a replica with another configuration file has removed it; ours may be the newer one
		}
		p.log.Warn("the service ended, starting it again", "why", err, "pause", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause + rand.N(pause/4)):
		}
		pause = min(2*pause, lastPause)
	}
}

// once starts the service and returns when it has ended, saying why, or has been stopped because ctx ended.
func (p *process) once(ctx context.Context, held *store.Held) error {
	service, err := p.opts.Accounts.UpdateRun(ctx, p.spec.Name, held.Op(), func(run *hub.ServiceRun) {
		*run = hub.ServiceRun{Gen: run.Gen + 1, Replica: p.opts.Replica}
	})
	if err != nil {
		return err
	}
	gen := service.Run.Gen
	secret, err := p.token(ctx, held)
	if err != nil {
		return err
	}
	command := slices.Concat(p.opts.Keeper, []string{p.deadline, p.spec.SystemUser, "--"}, p.spec.Command)
	spawner, err := p.opts.Launch(p.spec, command, p.environment(&service, secret))
	if err != nil {
		return err
	}
	defer func() { _ = spawner.Close() }()
	inst, err := spawner.Start(ctx, hub.Spec{Name: p.spec.Name, Gen: gen, Prefix: p.spec.Prefix()})
	defer p.stop(spawner, gen, &inst)
	if err == nil {
		err = p.note(ctx, held, func(run *hub.ServiceRun) { run.PID, run.Started = pidOf(inst), time.Now().UTC() })
	}
	if err == nil {
		p.log.Info("the service runs", "pid", pidOf(inst), "gen", gen)
		err = p.watch(ctx, spawner, &inst)
	}
	if ctx.Err() == nil {
		reason := err
		err = p.note(ctx, held, func(run *hub.ServiceRun) { run.PID, run.Failure = 0, reason.Error() })
		if err == nil {
			err = reason
		}
	}
	return err
}

func (p *process) note(ctx context.Context, held *store.Held, change func(*hub.ServiceRun)) error {
	_, err := p.opts.Accounts.UpdateRun(ctx, p.spec.Name, held.Op(), change)
	return err
}

// token is what the service presents to the hub: that of its file, or one for this start. Those of earlier starts end.
func (p *process) token(ctx context.Context, held *store.Held) (string, error) {
	if p.spec.Token != "" {
		return p.spec.Token, nil
	}
	t, secret, err := p.opts.Accounts.IssueServiceToken(ctx, p.spec.Name, held.Op())
	if err != nil {
		return "", err
	}
	return secret, p.opts.Accounts.DeleteOtherServiceTokens(ctx, p.spec.Name, t.ID)
}

// watch returns when the process has ended, or the service was removed, or ctx has ended.
func (p *process) watch(ctx context.Context, spawner hub.Spawner, inst *hub.Instance) error {
	ticks := time.NewTicker(pollEvery)
	defer ticks.Stop()
	for tick := 1; ; tick++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		}
		status, err := spawner.Poll(ctx, p.spec.Name, inst)
		if err != nil {
			continue // unknown is not gone
		}
		if !status.Running {
			return hub.Errorf(hub.Unavailable, "It %s. Its log is server.log in the folder %s of the data directory.", status.Reason, filepath.Join("services", p.spec.Name))
		}
		if tick%lookEvery != 0 {
			continue
		}
		// A replica with another configuration file may have removed it.
		if _, err := p.opts.Accounts.Service(ctx, p.spec.Name); hub.KindOf(err) == hub.NotFound {
			return err
		}
	}
}

// stop ends the process, with a fresh context because the one that ended is why it is stopped.
func (p *process) stop(spawner Spawner, gen int64, inst *hub.Instance) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := spawner.Stop(ctx, p.spec.Name, gen, inst, stopGrace); err != nil {
		p.log.Error("cannot stop the service; its keeper will", "err", err)
	}
}
