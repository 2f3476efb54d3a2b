package account_test

import (
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// TestAnEdgeTokenEndsWithItsCredential: an API token for 100 seconds must not open an edge for an hour.
func TestAnEdgeTokenEndsWithItsCredential(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u := f.user("alice", false)
	for _, c := range []struct {
		name string
		ends time.Duration
		want time.Duration
	}{
		{"soon", 100 * time.Second, 100 * time.Second},
		{"late", 100 * time.Hour, routes.TokenLife * time.Second},
		{"never", 0, routes.TokenLife * time.Second},
	} {
		token := hub.Token{User: u.Name, UserID: u.ID, Scopes: []string{"inherit"}}
		if c.ends != 0 {
			token.Expires = time.Now().Add(c.ends)
		}
		_, secret, err := f.tokens.Issue(t.Context(), token)
		f.must("Issue", err)
		edge, life, err := f.EdgeToken(t.Context(), f.byToken(secret), "")
		f.must("EdgeToken", err)
		claims, err := f.tokens.OpenEdgeToken(t.Context(), edge)
		f.must("OpenEdgeToken", err)
		got := time.Until(time.Unix(claims.Expires, 0))
		if got > c.want || got < c.want-30*time.Second || life > c.want || life < c.want-30*time.Second {
			t.Errorf("%s: the edge token lives %s and says %s, want %s", c.name, got, life, c.want)
		}
	}
}
