package operators

import (
	"strings"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
)

// TestWhatTheLogSaysOfEtcd is what the manual says about a 503 that etcd is the reason of.
func TestWhatTheLogSaysOfEtcd(t *testing.T) {
	c := newChanging(t)
	etcd := edgetest.StartEtcd(t, false)
	endpoint, ca := secured(t, etcd)
	password, wrong, authority := c.write(t, "password", etcdPassword), c.write(t, "wrong", "x"), c.write(t, "ca.crt", ca)
	for _, problem := range []struct {
		name    string
		options section
		says    string
	}{
		{"nobody there", section{"etcd": "http://" + edgetest.FreeAddr(t)}, "connect: connection refused"},
		{"a wrong password", section{"etcd": endpoint, "etcdCAFile": authority, "etcdUsername": "edge", "etcdPasswordFile": wrong},
			"authentication failed, invalid user ID or password"},
		{"a role for another prefix", section{"etcd": endpoint, "etcdCAFile": authority, "etcdUsername": "edge", "etcdPasswordFile": password,
			"prefix": "/other/"},
			"permission denied"},
		{"no user at all", section{"etcd": endpoint, "etcdCAFile": authority}, "user name is empty"},
		{"another authority", section{"etcd": endpoint}, "certificate signed by unknown authority"},
	} {
		said := c.options(problem.options)
		c.Eventually(problem.name+": the log says "+problem.says, func() bool { return strings.Contains(said(), problem.says) })
		if !strings.Contains(manual(t), "`"+problem.says+"`") {
			t.Errorf("%s: docs/traefik.md does not name %q", problem.name, problem.says)
		}
		c.AssertClosed("alice")
		body := "edgehub edge is not ready: etcd cannot be read"
		if problem.name == "a wrong password" {
			body = "edgehub edge is not ready: etcd does not accept the edge's credentials"
		}
		if a := c.World.Get("alice", "/hub/"); !strings.Contains(a.Body, body) {
			t.Errorf("%s: %s", problem.name, a.Body)
		}
	}
}
