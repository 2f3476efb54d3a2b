package spawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// awaitReady waits until the server is ready (pauses from 0.1 s, doubling with jitter, at most 2 s). It fails at once when the
// instance has gone, and else when ctx ends, with what was missing last.
func (m *Manager) awaitReady(ctx context.Context, s *hub.Server, name string) error {
	url := s.Instance.URL + m.prefix(s) + "api"
	missing := errors.New("there was no time")
	wait := 100 * time.Millisecond
	for {
		err := m.ready(ctx, url, name, s.Instance)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			missing = err
		}
		status, err := m.poll(ctx, name, s.Instance)
		if err == nil && !status.Running {
			return endedEarly(status, m.logTail(name))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", url, missing)
		case <-time.After(wait + rand.N(wait/2)):
		}
		wait = min(wait*2, 2*time.Second)
	}
}

// listener is a Spawner that can tell whose program listens where an instance should. One that gives each instance an address
// of its own does not need it.
type listener interface {
	// Listens reports whether the instance itself listens at Instance.URL. It is false as long as nobody does, and while a
	// stranger does, whose answers do not count and who must not get the requests of visitors. An error means unknown.
	Listens(ctx context.Context, name string, inst *hub.Instance) (bool, error)
}

// ready returns nil if the server answers GET <prefix>api with any status below 500, as JupyterHub asks it, and if it is the
// server who does.
func (m *Manager) ready(ctx context.Context, url, name string, inst *hub.Instance) error {
	if err := m.visit(ctx, url); err != nil {
		return err
	}
	s, ok := m.opts.Spawner.(listener)
	if !ok {
		return nil
	}
	own, err := s.Listens(ctx, name, inst)
	if err == nil && !own {
		err = hub.Errorf(hub.Unavailable, "Another program listens at the address of the server.")
	}
	return err
}

func (m *Manager) visit(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16)
	if resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}

// logTail is what a server that failed said last, if the spawner can tell. It takes secrets out itself.
func (m *Manager) logTail(name string) string {
	s, ok := m.opts.Spawner.(interface {
		LogTail(name string, n int) string
	})
	if !ok {
		return ""
	}
	tail := s.LogTail(name, 5)
	if tail == "" {
		return ""
	}
	return ". Its log ends with: " + tail
}
