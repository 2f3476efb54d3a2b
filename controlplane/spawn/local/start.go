package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

const (
	// replaceGrace is what an older generation gets to end by itself.
	replaceGrace = 10 * time.Second
	// attempts bounds how often a start goes back because another one was faster.
	attempts = 10
	// minServerSecret is what edges demand of a route.
	minServerSecret = 16
)

// errHeld says that a live process has the lock of the folder: look again what it is.
var errHeld = errors.New("another process holds the lock of this server")

// Start makes the process spec.Name, or adopts it (see hub.Spawner). If ctx ends before the process exists, the shim may
// still make it; like after a crash, another Start with this generation adopts it then and Stop ends it. After Stop, or
// after the start of a newer one, a generation is over: starting it is a Conflict.
func (s *Spawner) Start(ctx context.Context, spec hub.Spec) (hub.Instance, error) {
	dir, err := s.folder(spec.Name)
	if err != nil {
		return hub.Instance{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return hub.Instance{}, err
	}
	err = errHeld
	for i := 0; i < attempts && errors.Is(err, errHeld); i++ {
		var r record
		if r, err = s.startOnce(ctx, dir, spec); err == nil {
			return r.instance()
		}
	}
	if errors.Is(err, errHeld) {
		err = hub.WithCause(hub.Errorf(hub.Unavailable, "The previous process of this server does not end."), err)
	}
	return hub.Instance{}, fmt.Errorf("start %s generation %d: %w", spec.Name, spec.Gen, err)
}

func (s *Spawner) startOnce(ctx context.Context, dir string, spec hub.Spec) (record, error) {
	if err := ctx.Err(); err != nil {
		return record{}, err
	}
	r, adopt, err := s.clear(ctx, dir, spec.Gen)
	if err != nil || adopt {
		return r, err
	}
	o, err := s.order(ctx, dir, spec)
	if err != nil {
		return record{}, err
	}
	return s.launch(ctx, o)
}

// clear finds an instance to adopt or ends an older one.
func (s *Spawner) clear(ctx context.Context, dir string, gen int64) (r record, adopt bool, err error) {
	if r, err = readRecord(dir); err != nil {
		return r, false, err
	}
	if r.fences(gen) {
		return r, false, conflict(r, gen)
	}
	live, err := r.alive()
	if err != nil || live && r.ours(gen) {
		return r, live, err
	}
	if live {
		if err := terminate(ctx, r.process, replaceGrace); err != nil {
			return r, false, err
		}
	}
	if r.PID != 0 {
		err = sweep(ctx, dir, gen-1)
	}
	return r, false, err
}

func conflict(r record, gen int64) error {
	message := "A newer start of this server came first."
	if gen <= r.Over {
		message = "This start of the server was stopped."
	}
	return hub.WithCause(hub.Errorf(hub.Conflict, "%s", message),
		fmt.Errorf("generation %d is asked for, %d was started and %d stopped", gen, r.Gen, r.Over))
}

// order writes down everything that the shim must know.
func (s *Spawner) order(ctx context.Context, dir string, spec hub.Spec) (order, error) {
	p, err := s.program()
	if err != nil {
		return order{}, err
	}
	if p.auth != routes.AuthNone && len(spec.Secret) < minServerSecret { // Jupyter takes an empty one for "no login"
		return order{}, errors.New("the server's secret is missing or too short")
	}
	a, err := s.account(ctx, spec)
	if err != nil {
		return order{}, err
	}
	port, err := s.ports.pick()
	if err != nil {
		return order{}, err
	}
	env := s.environ(spec, p, a, originOf(port))
	seals, err := seal(secretsOf(spec, env))
	if err != nil {
		return order{}, err
	}
	return order{
		Dir: dir, Path: p.path, WorkDir: a.workDir, Cred: a.cred,
		Args:   p.args(spec, port, a.workDir, a.root()),
		Env:    append(entries(env), mark(dir, spec.Gen)),
		Record: record{Gen: spec.Gen, URL: originOf(port), Port: port, Auth: p.auth, Seals: seals},
	}, nil
}
