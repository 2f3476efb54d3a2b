package token_test

import (
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/routes"
)

var alice = hub.User{Name: "alice", ID: "u1"}

func TestSession(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, cookie, err := f.StartSession(t.Context(), alice)
	f.must("StartSession", err)
	other, otherCookie, err := f.StartSession(t.Context(), alice)
	f.must("StartSession", err)
	if s.ID == other.ID || cookie == otherCookie || len(cookie) < 32 || strings.Contains(cookie, s.ID) {
		t.Fatalf("sessions %s and %s, cookies %s and %s: want them all different", s.ID, other.ID, cookie, otherCookie)
	}
	if life := time.Until(s.Expires); life > token.SessionLife || life < token.SessionLife-time.Minute {
		t.Errorf("a session lives for %s, want %s", life, token.SessionLife)
	}
	for what, find := range map[string]func() (hub.Session, error){
		"FindSession": func() (hub.Session, error) { return f.FindSession(t.Context(), cookie) },
		"SessionByID": func() (hub.Session, error) { return f.SessionByID(t.Context(), "u1", s.ID) },
	} {
		if got, err := find(); err != nil || got != s {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", what, got, err, s)
		}
	}
	for _, userID := range []string{"u2", "", "u", "u1/"} {
		_, err = f.SessionByID(t.Context(), userID, s.ID)
		wantKind(t, "SessionByID for another user", err, hub.Unauthenticated)
	}
	for _, id := range []string{"", "..", other.ID[:31]} {
		_, err = f.SessionByID(t.Context(), "u1", id)
		wantKind(t, "SessionByID of nothing", err, hub.Unauthenticated)
	}

	f.must("EndSession of another user's", f.EndSession(t.Context(), "u2", s.ID))
	if _, err := f.FindSession(t.Context(), cookie); err != nil {
		t.Fatalf("another user could end the session: %v", err)
	}
	from := f.revision() + 1
	f.must("EndSession", f.EndSession(t.Context(), "u1", s.ID))
	f.wantRevoked(routes.RevokedSession, s.ID, f.goneAt(f.store.Key(store.Sessions, ""), from))
	f.wantRevoked(routes.RevokedSession, s.ID, f.goneAt(f.store.Key(store.UserSession, ""), from))
	f.must("EndSession again", f.EndSession(t.Context(), "u1", s.ID))
	_, err = f.FindSession(t.Context(), cookie)
	wantKind(t, "FindSession after its end", err, hub.Unauthenticated)
	_, err = f.SessionByID(t.Context(), "u1", s.ID)
	wantKind(t, "SessionByID after its end", err, hub.Unauthenticated)
	if _, err := f.FindSession(t.Context(), otherCookie); err != nil {
		t.Errorf("the user's other browser was signed out too: %v", err)
	}
}

func TestSessionRunsOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, cookie, err := f.StartSession(t.Context(), alice)
	f.must("StartSession", err)
	key := strings.TrimPrefix(onlyKey(f, store.Sessions), f.store.Key(store.Sessions, ""))
	_, err = store.NewTable[hub.Session](f.store, store.Sessions, "session").Update(t.Context(), key, func(r *hub.Session) ([]store.Op, error) {
		r.Expires = time.Now().Add(-time.Second)
		return nil, nil
	})
	f.must("Update", err)
	_, err = f.FindSession(t.Context(), cookie)
	wantKind(t, "FindSession of one that ran out", err, hub.Unauthenticated)
	_, err = f.SessionByID(t.Context(), "u1", s.ID)
	wantKind(t, "SessionByID of one that ran out", err, hub.Unauthenticated)
	f.must("EndSession of one that ran out", f.EndSession(t.Context(), "u1", s.ID))
}

func TestEndSessionsOfOneUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var ids, cookies []string
	for range 3 {
		s, cookie, err := f.StartSession(t.Context(), alice)
		f.must("StartSession", err)
		ids, cookies = append(ids, s.ID), append(cookies, cookie)
	}
	_, neighbour, err := f.StartSession(t.Context(), hub.User{Name: "alice", ID: "u10"}) // an id that starts alike
	f.must("StartSession", err)
	f.must("EndSessions", f.EndSessions(t.Context(), "u1"))
	f.must("EndSessions again", f.EndSessions(t.Context(), "u1"))
	for i, cookie := range cookies {
		_, err := f.FindSession(t.Context(), cookie)
		wantKind(t, "FindSession", err, hub.Unauthenticated)
		f.wantRevoked(routes.RevokedSession, ids[i], 0)
	}
	if _, err := f.FindSession(t.Context(), neighbour); err != nil {
		t.Errorf("another user was signed out too: %v", err)
	}
	for key := range storetest.Dump(t, f.store, f.client) {
		if strings.HasPrefix(key, f.store.Key(store.UserSession, store.ID("u1")+"/")) {
			t.Errorf("left in etcd: %s", key)
		}
	}
}
