package edgetest

import "testing"

// deadMembers takes etcd's members away one after the other: the first is killed, the second falls silent. The edge must
// go on with the third, which still has a quorum with the second.
func deadMembers(t *testing.T, make Maker) {
	c := StartCluster(t)
	w := NewWorld(t, c.Members[2].Etcd)
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make, func(o *Options) { o.Etcd = c.Endpoints() })
	c.Members[0].Stop()
	c.Members[1].Front.Freeze()
	w.Eventually("etcd accepts writes again", func() bool { return w.TryPutRoute(Route("bob", Server(t, "bob").URL)) == nil })
	w.Eventually("a change arrives from the third member", func() bool {
		if a := w.Get("alice", "/user/alice/x"); a.Status != 200 {
			t.Fatalf("a running server while etcd's members go: %d %s", a.Status, a.Body)
		}
		seen := w.Get("bob", "/user/bob/").Seen()
		return seen != nil && seen.Server == "bob"
	})
}
