package edgetest

import (
	"net/http"
	"testing"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// TokenEnds has one visitor ask for the same again and again, whom the edge soon answers without a second look, until the token
// has ended.
func TokenEnds(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make)
	claims := Claims("alice")
	end := time.Now().Unix() + 8
	claims.IssuedAt, claims.Expires = end-2*routes.Leeway, end-routes.Leeway
	token := w.Token(claims)
	served := 0
	w.Eventually("the token ends", func() bool {
		asked := time.Now().Unix()
		a := w.Do(w.Request("GET", "/user/alice/api", "Authorization", "token "+token, "User-Agent", "a"))
		if a.Status == http.StatusOK {
			served++
			return false
		}
		if a.Status != http.StatusForbidden || asked+1 < end {
			t.Fatalf("%ds before the end: %d %s", end-asked, a.Status, a.Body)
		}
		return true
	})
	if served < 2 {
		t.Errorf("the token was good for %d requests only", served)
	}
}
