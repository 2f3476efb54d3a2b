package api

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// idleFor makes a server and its user ones that were last active so long ago, and returns when.
func (h *testHub) idleFor(u hub.User, name hub.ServerName, d time.Duration) time.Time {
	h.t.Helper()
	at := time.Now().Add(-d).UTC().Truncate(time.Second)
	servers := store.NewTable[hub.Server](h.opts.Store, store.Servers, "server")
	_, err := servers.Update(h.t.Context(), store.ID(string(u.Name), string(name)), func(s *hub.Server) ([]store.Op, error) {
		s.LastActivity = at
		return nil, nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	users := store.NewTable[hub.User](h.opts.Store, store.Users, "user")
	_, err = users.Update(h.t.Context(), store.ID(string(u.Name)), func(u *hub.User) ([]store.Op, error) {
		u.LastActivity = at
		return nil, nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return at
}

// route is the route of a user's server as edges see it.
func (h *testHub) route(prefix string) *routes.Route {
	h.t.Helper()
	r, err := store.NewTable[routes.Route](h.opts.Store, routes.RoutesTree, "route").Get(h.t.Context(), routes.EscapeKey(prefix))
	if err != nil {
		h.t.Fatal(err)
	}
	return &r.Value
}

// report sends what an edge would send.
func (h *testHub) report(entries ...*routes.Activity) answer {
	h.t.Helper()
	return h.do("POST", "/hub/api/edge/activity", toJSON(map[string]any{"activity": entries}))
}

// wantActive checks when the API says that a server and its user were last active.
func (h *testHub) wantActive(u hub.User, name hub.ServerName, want time.Time) {
	h.t.Helper()
	var model struct {
		LastActivity time.Time `json:"last_activity"`
		Servers      map[hub.ServerName]struct {
			LastActivity time.Time `json:"last_activity"`
		}
	}
	h.do("GET", "/hub/api/users/"+string(u.Name), "", as(h.ownToken(u, ""))).want(200).into(&model)
	if got := model.Servers[name].LastActivity; !got.Equal(want) {
		h.t.Errorf("server %s/%s was last active at %s, want %s", u.Name, name, got, want)
	}
	if !model.LastActivity.Equal(want) {
		h.t.Errorf("%s was last active at %s, want %s", u.Name, model.LastActivity, want)
	}
}

// ownToken is one as servers get, with which requests are no activity of the user.
func (h *testHub) ownToken(u hub.User, name hub.ServerName) string {
	h.t.Helper()
	_, own, err := h.tokens.Issue(h.t.Context(), hubToken(u, string(u.Name)+"/"+string(name), "users:activity!user", "access:servers!server", "read:users!user", "read:servers!user"))
	if err != nil {
		h.t.Fatal(err)
	}
	return own
}

// revision is that of the newest write to a server's record.
func (h *testHub) revision(u hub.User, name hub.ServerName) int64 {
	h.t.Helper()
	r, err := store.NewTable[hub.Server](h.opts.Store, store.Servers, "server").Get(h.t.Context(), store.ID(string(u.Name), string(name)))
	if err != nil {
		h.t.Fatal(err)
	}
	return r.Revision
}

func TestEdgesReportActivity(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice, bob := h.user("alice", false), h.user("bob", false)
	root := as(h.token(h.user("root", true))) // a request of alice's would be activity
	h.running(alice, "")
	h.running(alice, "lab2")
	h.running(bob, "")
	h.idleFor(alice, "lab2", 2*time.Hour)
	h.idleFor(alice, "", 2*time.Hour)
	bobs := h.idleFor(bob, "", 2*time.Hour)
	mine, second := h.route("/user/alice/"), h.route("/user/alice/lab2/")
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d).UTC().Truncate(time.Second) }

	at := ago(time.Hour)
	older := routes.SignActivity(mine, at.Add(-time.Minute).Unix())
	h.report(older, routes.SignActivity(mine, at.Unix()), routes.SignActivity(second, at.Unix()), older).
		wantJSON(200, `{"accepted":2,"ignored":2}`)
	h.wantActive(alice, "", at)
	h.wantActive(alice, "lab2", at)
	h.wantActive(bob, "", bobs)

	t.Run("it never goes back, and moves by five minutes at least", func(t *testing.T) {
		before := h.revision(alice, "")
		for _, d := range []time.Duration{-2 * time.Hour, -time.Second, 0, time.Second, hub.ActivityResolution - time.Second} {
			h.report(routes.SignActivity(mine, at.Add(d).Unix())).wantJSON(200, `{"accepted":1,"ignored":0}`)
			h.do("POST", "/hub/api/users/alice/activity", fmt.Sprintf(`{"last_activity":%[1]q,"servers":{"":{"last_activity":%[1]q}}}`,
				at.Add(d).Format(time.RFC3339)), root).want(200)
		}
		h.wantActive(alice, "", at)
		if after := h.revision(alice, ""); after != before {
			t.Errorf("reports that are not worth a write wrote revision %d after %d", after, before)
		}
		at = at.Add(hub.ActivityResolution)
		h.report(routes.SignActivity(mine, at.Unix())).want(200)
		h.wantActive(alice, "", at)
	})
	t.Run("what proves nothing is ignored", func(t *testing.T) {
		now := time.Now().Unix()
		forged, none := *h.route("/user/bob/"), *mine
		forged.Secret = mine.Secret // alice's server knows its own secret
		none.Prefix = "/user/nobody/"
		changed := routes.SignActivity(mine, at.Unix())
		changed.At = now
		h.report(routes.SignActivity(&forged, now), routes.SignActivity(&none, now), changed, &routes.Activity{}, &routes.Activity{Prefix: "/user/bob/", At: now}).
			wantJSON(200, `{"accepted":0,"ignored":5}`)
		h.wantActive(alice, "", at)
		h.wantActive(bob, "", bobs)
	})
	t.Run("a time to come is now", func(t *testing.T) {
		from := ago(0)
		h.report(routes.SignActivity(second, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).Unix())).want(200)
		s, err := h.servers.Get(t.Context(), "alice", "lab2")
		if err != nil || s.LastActivity.Before(from) || s.LastActivity.After(time.Now()) {
			t.Errorf("a report of the year 9999 makes it %s (%v)", s.LastActivity, err)
		}
	})
	t.Run("of a start that is over", func(t *testing.T) {
		h.do("DELETE", "/hub/api/users/bob/server", "", root).want(204)
		h.report(routes.SignActivity(&routes.Route{Prefix: "/user/bob/", Gen: 1, Secret: strings.Repeat("x", 20)}, time.Now().Unix())).
			wantJSON(200, `{"accepted":0,"ignored":1}`)
		old := *mine
		h.do("DELETE", "/hub/api/users/alice/server", "", root).want(204)
		h.running(alice, "")
		at := h.idleFor(alice, "", 2*time.Hour)
		h.report(routes.SignActivity(&old, time.Now().Unix())).wantJSON(200, `{"accepted":0,"ignored":1}`)
		fresh := *h.route("/user/alice/")
		fresh.Gen = old.Gen // the right secret with a wrong generation
		h.report(routes.SignActivity(&fresh, time.Now().Unix())).wantJSON(200, `{"accepted":0,"ignored":1}`)
		h.wantActive(alice, "", at)
	})
}

func TestReportsOfEdgesAreBounded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	many := make([]*routes.Activity, routes.MaxActivities+1)
	for i := range many {
		many[i] = &routes.Activity{Prefix: fmt.Sprintf("/user/u%d/", i), Gen: 1, At: time.Now().Unix(), MAC: strings.Repeat("x", 43)}
	}
	h.report(many...).wantError(400, "At most 1000 entries can be reported at once")
	h.report(many[1:]...).wantJSON(200, `{"accepted":0,"ignored":1000}`)
	full := &API{Options: h.opts, reports: make(chan struct{})} // no place for any
	r := h.request("POST", "/hub/api/edge/activity", toJSON(map[string]any{"activity": many[:1]}))
	if err := full.edgeActivity(httptest.NewRecorder(), r, nil); hub.KindOf(err) != hub.Unavailable {
		t.Errorf("one report too many at once: %v, want Unavailable", err)
	}
}

// A server's token speaks for that server only (threat T81).
func TestAServerReportsItsOwnActivity(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	h.running(alice, "")
	h.running(alice, "lab2")
	at := h.idleFor(alice, "lab2", 2*time.Hour)
	own := h.ownToken(alice, "")
	body := func(name string) string {
		return fmt.Sprintf(`{"servers":{%q:{"last_activity":%q}}}`, name, time.Now().UTC().Format(time.RFC3339))
	}
	post := func(body, secret string) answer {
		return h.do("POST", "/hub/api/users/alice/activity", body, as(secret))
	}
	post(body("lab2"), own).wantError(404, "No access to resources or resources not found")
	h.wantActive(alice, "lab2", at)
	post(body(""), own).want(200)
	post(body("lab2"), h.token(alice)).want(200)
	if s, err := h.servers.Get(t.Context(), "alice", "lab2"); err != nil || !s.LastActivity.After(at) {
		t.Errorf("the user's own token: server = %+v, %v", s, err)
	}
}
