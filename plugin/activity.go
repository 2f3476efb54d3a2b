package plugin

import (
	"context"
	"math/rand"
	"net/http"
	"sync"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// Bounds of the reports of activity.
const (
	defaultActivityInterval = time.Minute
	minActivityInterval     = 100 * time.Millisecond
	lastReport              = 2 * time.Second // for the report of an edge that stops
)

// activity remembers when each route was last used, and reports it to the control plane: every interval what has changed
// since the last report that a replica accepted. While no replica answers it goes on collecting, one time for each route,
// so an hour without the hub costs no more memory than there are routes in use, and nothing is lost.
type activity struct {
	shared *shared
	every  time.Duration // zero: off

	mu   sync.Mutex
	used map[string]*use // by prefix; what has been reported is removed
}

// use is when a route was last used.
type use struct {
	route *routes.Route
	at    int64 // Unix seconds
}

func newActivity(s *shared) *activity {
	return &activity{shared: s, every: s.set.activityEvery, used: make(map[string]*use)}
}

// note remembers that route is in use. It is on the path of requests: one lock and one look into a map.
func (a *activity) note(route *routes.Route, now int64) {
	if a.every == 0 {
		return
	}
	a.mu.Lock()
	u := a.used[route.Prefix]
	if u != nil && u.route.Secret == route.Secret { // each start has its own
		if now > u.at {
			u.at = now
		}
	} else if routes.CanSignActivity(route) {
		a.used[route.Prefix] = &use{route: route, at: now}
	}
	a.mu.Unlock()
}

// noteUse notes a request to a route that may be use. It is apart from serveRoute because few requests come so far.
func noteUse(s *shared, r *http.Request, f *found, now int64) {
	if realUse(r, s.set.base.Path(f.route.Prefix)) {
		s.activity.note(f.route, now)
	}
}

// run reports until ctx ends, and once more then.
func (a *activity) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, a.every+time.Duration(rand.Int63n(int64(a.every/10))))
		if ctx.Err() == nil {
			a.report(ctx)
		}
	}
	last, cancel := context.WithTimeout(context.Background(), lastReport)
	defer cancel()
	a.report(last)
}

// report sends what is to be reported, in parts. The first part that is not accepted ends it until the next time.
func (a *activity) report(ctx context.Context) {
	defer a.shared.recovered("activity")
	list := a.pending()
	for len(list) > 0 {
		n := len(list)
		if n > routes.MaxActivities {
			n = routes.MaxActivities
		}
		body := map[string]any{"activity": list[:n]}
		if status := a.shared.control.post(ctx, "/hub/api/edge/activity", body, nil); status != http.StatusOK {
			a.shared.log.printf("activity", "the control plane did not take a report of activity (status %d), it will get it later", status)
			return
		}
		a.accepted(list[:n])
		list = list[n:]
	}
}

// pending are the signed uses of all routes that still are what they were, and forgets the others: a server that was
// stopped or started again since then has no use for them.
func (a *activity) pending() []*routes.Activity {
	a.mu.Lock()
	uses := make([]*use, 0, len(a.used))
	for _, u := range a.used {
		uses = append(uses, &use{route: u.route, at: u.at})
	}
	a.mu.Unlock()
	list := make([]*routes.Activity, 0, len(uses))
	for _, u := range uses {
		if now := a.shared.state.routeOf(u.route.Prefix); now != nil && now.Gen == u.route.Gen && now.Secret == u.route.Secret {
			list = append(list, routes.SignActivity(u.route, u.at))
		} else {
			a.forget(u.route.Prefix, u.route.Gen, u.at)
		}
	}
	return list
}

// accepted forgets what the control plane knows now, except where there was more use meanwhile.
func (a *activity) accepted(list []*routes.Activity) {
	for _, sent := range list {
		a.forget(sent.Prefix, sent.Gen, sent.At)
	}
}

// forget removes one use, unless it is a newer one by now.
func (a *activity) forget(prefix string, gen, at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if u := a.used[prefix]; u != nil && u.route.Gen == gen && u.at == at {
		delete(a.used, prefix)
	}
}
