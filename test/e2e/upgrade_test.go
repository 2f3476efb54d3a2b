package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/test/env"
)

// TestRollingUpgradeOfEtcd replaces the program of one member after the other by that of the next release (C14). Between two
// of them both versions are at work. Nobody in a running server notices; the hub goes on, with what it has acknowledged.
func TestRollingUpgradeOfEtcd(t *testing.T) {
	t.Parallel()
	c := edgetest.StartClusterOf(t, env.Peer(t, env.OlderEtcd))
	w := echo(t, env.Options{Etcd: c.Endpoints()}, "alice")
	w.AddUser(t, "bob")
	alice := w.Login(t, "alice")
	work := visits(t, alice, "/user/alice/x", instance(t, alice, "alice"))
	users := writer(t, w, "upgrade")
	for _, m := range c.Members {
		if got := m.Version(t); !strings.HasPrefix(got, "3.6.") {
			t.Fatalf("a member to upgrade is of version %s", got)
		}
		users.await(t, http.StatusCreated)
		m.Stop()
		m.Program = env.Peer(t, env.Etcd)
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		users.await(t, http.StatusCreated)
		w.StartServer(t, "bob") // and the front door hears of it
		w.StopServer(t, "bob")
		work.mustGoOn(t, "alice's work")
	}
	for _, name := range users.end(t) {
		if status, body := w.API(t, http.MethodGet, "/users/"+name, nil); status != http.StatusOK {
			t.Errorf("user %s was acknowledged and is not there: %d %s", name, status, body)
		}
	}
	for i, m := range c.Members {
		if got := m.Version(t); strings.HasPrefix(got, "3.6.") {
			t.Errorf("member %d is still of version %s", i, got)
		}
	}
	t.Logf("the longest wait of a write was %v", users.longest)
	if _, err := work.end(); err != nil {
		t.Errorf("alice's work: %v", err)
	}
}
