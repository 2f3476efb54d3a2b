package spawn

import (
	"context"
	"errors"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/metrics"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// CountRunning is how many servers of the hub run, by their routes, which they have exactly as long.
func (m *Manager) CountRunning(ctx context.Context) (int, error) {
	first := routes.EscapeKey("/user/")
	return store.NewTable[routes.Route](m.opts.Store, routes.RoutesTree, "route").Count(ctx, store.Range{From: first, To: first + "\xff"})
}

// Pending is how many servers this replica is starting or stopping.
func (m *Manager) Pending() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.busy)
}

// whyFailed is the word for why a start failed. out says that its time was over.
func whyFailed(err error, out bool) string {
	switch {
	case errors.Is(err, errEnded):
		return metrics.Exited
	case out:
		return metrics.Timeout
	}
	return metrics.Error
}

// errEnded is in the errors of starts whose instance has ended.
var errEnded = errors.New("the instance has ended")

func endedEarly(status hub.Status, log string) error {
	return hub.WithCause(hub.Errorf(hub.Unavailable, "The server ended before it was ready: %s%s", status.Reason, log), errEnded)
}
