package spawn

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// awaitReady waits until the server answers GET <prefix>api with any status below 500, as JupyterHub does (pauses from
// 0.1 s, doubling with jitter, at most 2 s). It fails at once when the instance has gone.
func (m *Manager) awaitReady(ctx context.Context, s *hub.Server, name string) error {
	url := s.Instance.URL + routes.UserPrefix(string(s.User), string(s.Name)) + "api"
	wait := 100 * time.Millisecond
	for {
		if m.answers(ctx, url) {
			return nil
		}
		status, err := m.poll(ctx, name, s.Instance)
		if err == nil && !status.Running {
			return hub.Errorf(hub.Unavailable, "The server ended before it was ready: %s%s", status.Reason, m.logTail(name))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", url, ctx.Err())
		case <-time.After(wait + rand.N(wait/2)):
		}
		wait = min(wait*2, 2*time.Second)
	}
}

func (m *Manager) answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16)
	return resp.StatusCode < http.StatusInternalServerError
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
