package controlplane

import (
	"context"

	"github.com/edgehub/edgehub/controlplane/metrics"
	"github.com/edgehub/edgehub/controlplane/store"
)

// measure adds to the metrics what only the parts know.
func (c *ControlPlane) measure(st *store.Store, p *parts) {
	c.metrics.WatchStore(st)
	c.metrics.WatchWork(p.servers.Pending)
	c.metrics.Count(metrics.Counts{
		Users: p.accounts.CountUsers, Active: p.accounts.CountActive, Running: p.servers.CountRunning,
		Replicas: func(ctx context.Context) (int, error) {
			live, err := st.LiveMembers(ctx)
			return len(live), err
		},
	})
}
