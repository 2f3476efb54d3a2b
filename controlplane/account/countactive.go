package account

import (
	"context"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// CountActive is how many users have been active since a time: a count of keys in the index of activity, which reads no record.
func (a *Accounts) CountActive(ctx context.Context, since time.Time) (int, error) {
	return a.index.activity.Count(ctx, store.Range{From: activityID(&hub.User{LastActivity: since})})
}
