package api

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

const (
	// maxReports is how many reports of edges are worked on at once. Each makes a thousand reads, and anybody can send one.
	maxReports = 4
	// activityWrites is how many records one report writes at a time.
	activityWrites = 16
)

// edgeReport is what an edge sends.
type edgeReport struct {
	Activity []routes.Activity `json:"activity"`
}

// edgeActivity takes an edge's report of which servers are in use. Each entry proves itself (see routes.Activity), so nobody
// need sign in. Entries that prove nothing, or are about a start that is over, are ignored and counted. An error means that
// the edge shall send all of them again.
func (a *API) edgeActivity(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	var report edgeReport
	if err := web.ReadJSON(w, r, &report); err != nil {
		return err
	}
	if len(report.Activity) == 0 {
		return hub.Errorf(hub.Invalid, "The body must have activity.")
	}
	if len(report.Activity) > routes.MaxActivities {
		return hub.Errorf(hub.Invalid, "At most %d entries can be reported at once", routes.MaxActivities)
	}
	select {
	case a.reports <- struct{}{}:
		defer func() { <-a.reports }()
	default:
		return hub.Errorf(hub.Unavailable, "Too many reports of activity at once. Try again shortly.")
	}
	proven, err := a.provenActivity(r.Context(), report.Activity)
	if err != nil {
		return err
	}
	if err := a.noteActivity(r.Context(), proven); err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, map[string]int{"accepted": len(proven), "ignored": len(report.Activity) - len(proven)})
}

// provenActivity are the entries that were signed with the secret of the route as it is now, one for each route. Times to
// come are taken for now.
func (a *API) provenActivity(ctx context.Context, entries []routes.Activity) ([]spawn.Activity, error) {
	byID := map[string][]*routes.Activity{}
	for i := range entries {
		id := routes.EscapeKey(entries[i].Prefix)
		byID[id] = append(byID[id], &entries[i])
	}
	ids := make([]string, 0, len(byID))
	for id := range byID {
		ids = append(ids, id)
	}
	found, err := a.routes.GetMany(ctx, ids)
	if err != nil {
		return nil, err
	}
	now := time.Now().Unix()
	var proven []spawn.Activity
	for id, rec := range found {
		if at := latestProven(byID[id], &rec.Value); at > 0 {
			proven = append(proven, spawn.Activity{User: hub.UserName(rec.Value.Owner), Name: hub.ServerName(rec.Value.Server),
				Gen: rec.Value.Gen, At: time.Unix(min(at, now), 0).UTC()})
		}
	}
	return proven, nil
}

// latestProven is the latest time among the entries that prove themselves, or zero.
func latestProven(entries []*routes.Activity, route *routes.Route) int64 {
	var at int64
	for _, e := range entries {
		if e.At > at && routes.VerifyActivity(e, route) {
			at = e.At
		}
	}
	return at
}

// noteActivity writes what is worth it, for the user first: if that fails, the server is still due when the edge tries again.
func (a *API) noteActivity(ctx context.Context, all []spawn.Activity) error {
	due, err := a.Servers.DueActivity(ctx, all)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(activityWrites)
	for _, activity := range due {
		group.Go(func() error {
			err := a.Accounts.ActiveAt(ctx, activity.User, activity.At)
			if err != nil && hub.KindOf(err) != hub.NotFound {
				return err
			}
			return a.Servers.NoteActivity(ctx, activity)
		})
	}
	return group.Wait()
}
