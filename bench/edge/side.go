package edge

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// side is a running proxy, or the user server itself.
type side struct {
	name    string
	addr    string   // where the client connects
	proxy   *process // nil for direct
	auth    *process // forwardauth's auth service
	inside  string   // where the proxy shows profiles, empty if it does not
	dynamic string   // Traefik's dynamic configuration
}

// startSide starts one side and returns when it gives the right answers.
func (w *world) startSide(ctx context.Context, name string) (*side, error) {
	s := &side{name: name, addr: w.backend}
	start := map[string]func(context.Context, *side) error{
		Direct: func(context.Context, *side) error { return nil },
		Plain:  w.startTraefik, ForwardAuth: w.startTraefik, Plugin: w.startTraefik,
		Embedded: w.startEmbedded, CHP: w.startCHP,
	}[name]
	w.opts.say("starting %s", name)
	if err := start(ctx, s); err != nil {
		return nil, err
	}
	return s, w.await(ctx, s)
}

// startEmbedded starts `edgehub edge`, or the same as a part that shows profiles.
func (w *world) startEmbedded(ctx context.Context, s *side) (err error) {
	if w.inside() {
		var line string
		s.proxy, line, err = w.startPart(ctx, "edge", w.etcd)
		s.addr, s.inside, _ = strings.Cut(line, " ")
		return err
	}
	if s.addr, err = freeAddr(); err != nil {
		return err
	}
	s.proxy, err = startProcess(ctx, s.name, w.dir, w.opts.Program, "edge", "--etcd", w.etcd, "--listen", s.addr, "--log-level", "error")
	return err
}

// inside reports whether proxies must show profiles.
func (w *world) inside() bool { return w.opts.Profile != "" }

// await returns when every user gets the right answer.
func (w *world) await(ctx context.Context, s *side) error {
	requests, err := w.requests()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(readyTime)
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
			return s.failed(ctx, fmt.Errorf("not ready: %s", o.Error))
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
