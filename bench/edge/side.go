package edge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// side is a running proxy, or the user server itself.
type side struct {
	w       *world
	name    string
	addr    string   // where the client connects
	proxy   *process // nil for direct
	auth    *process // forwardauth's auth service
	inside  string   // where the proxy shows profiles, empty if it does not
	dynamic string   // Traefik's dynamic configuration
	loaded  int      // how many routes it has, if not all
}

// startSide starts one side and returns when it gives the right answers.
func (w *world) startSide(ctx context.Context, name string) (*side, error) {
	s, err := w.launch(ctx, name)
	if err != nil {
		return nil, err
	}
	return s, w.await(ctx, s, readyTime)
}

// launch starts one side and does not wait.
func (w *world) launch(ctx context.Context, name string) (*side, error) {
	s := &side{w: w, name: name, addr: w.backend}
	start := map[string]func(context.Context, *side) error{
		Direct: func(context.Context, *side) error { return nil },
		Plain:  w.startTraefik, ForwardAuth: w.startTraefik, Plugin: w.startTraefik,
		Embedded: w.startEmbedded, CHP: w.startCHP, EtcdProvider: w.startEtcdProvider,
	}[name]
	w.opts.say("starting %s", name)
	return s, start(ctx, s)
}

// routes is how many routes the side serves.
func (s *side) routes() int {
	if s.loaded > 0 {
		return s.loaded
	}
	return s.w.opts.Routes
}

// user is the i-th of the users that the client plays: they are spread evenly over the side's routes.
func (s *side) user(i int) string { return userName(i * (s.routes() / s.w.opts.Users)) }

// errNotReady says that a side does not give the right answers in time.
var errNotReady = errors.New("not ready")

// stop ends the processes of the side.
func (s *side) stop() {
	if s.proxy != nil {
		s.proxy.stop()
	}
	if s.auth != nil {
		s.auth.stop()
	}
}

// startEmbedded starts `edgehub edge`, or the same as a part that shows profiles.
func (w *world) startEmbedded(ctx context.Context, s *side) (err error) {
	if w.opts.inside {
		var line string
		s.proxy, line, err = w.startPart(ctx, "edge", w.etcd)
		s.addr, s.inside, _ = strings.Cut(line, " ")
		return err
	}
	if s.addr, err = freeAddr(); err != nil {
		return err
	}
	s.proxy, err = w.startProcess(ctx, s.name, w.dir, w.opts.Program, "edge", "--etcd", w.etcd, "--listen", s.addr, "--log-level", "error")
	return err
}

// await returns when the side gives right answers, or errNotReady.
func (w *world) await(ctx context.Context, s *side, atMost time.Duration) error {
	requests, err := s.requests()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(atMost)
	for {
		o := &outcome{}
		j := &job{Addr: s.addr, Seconds: 0.1, Connections: 1, Requests: requests}
		if err := w.load.ask(ctx, j, o); err != nil {
			return err
		}
		if o.Error == "" {
			return nil
		}
		if time.Now().After(deadline) || s.proxy == nil || s.proxy.ended() {
			return s.failed(ctx, fmt.Errorf("%w: %s", errNotReady, o.Error))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *side) failed(ctx context.Context, err error) error {
	if s.proxy == nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return s.proxy.failed(ctx, err)
}
