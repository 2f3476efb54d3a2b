package plugin

import (
	"testing"

	"github.com/edgehub/edgehub/routes"
)

// TestAChangeOfRightsEndsTokens has a user's rights change at a time and a revision: what was made before it by either is over.
func TestAChangeOfRightsEndsTokens(t *testing.T) {
	t.Parallel()
	v := newView()
	v.putAll([]*record{{key: "k", mod: 50, tree: routes.RevokedTree, id: routes.RevokedUser + "/alice", revoked: routes.Revocation{Before: 100}}}, newChange())
	for _, c := range []struct {
		what             string
		issued, revision int64
		want             int
	}{
		{"before", 99, 40, revokedBefore},
		{"in the same second", 100, 50, revokedBefore},
		{"while the change was under way, or by a clock that is ahead", 103, 49, revokedBefore},
		{"after it", 101, 50, notRevoked},
		{"long after it", 200, 60, notRevoked},
		{"after it by a hub of an older release", 101, 0, notRevoked},
	} {
		for _, v := range []*view{v, v.copy()} {
			if got := revokedIn(v, &routes.Claims{UserID: "alice", IssuedAt: c.issued, UserRevision: c.revision}); got != c.want {
				t.Errorf("a token of %s: %d, want %d", c.what, got, c.want)
			}
		}
	}
}
