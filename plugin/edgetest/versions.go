package edgetest

import (
	"crypto/ed25519"
	"embed"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// versionFiles are records and claims as they are written by other versions than this: by the first release, which must be read
// for as long as a rolling upgrade from it is promised, and by a later one, made up. Never change the first to make a test pass.
//
//go:embed testdata/versions
var versionFiles embed.FS

// writes is what a hub of one version writes: records by their key below the prefix, and the claims of a token.
type writes struct {
	Records map[string]json.RawMessage `json:"records"`
	Claims  map[string]any             `json:"claims"`
}

// readVersion reads one of versionFiles. ADDRESS is where its servers are, PUBLIC the public key of the world.
func (w *World) readVersion(name, address string) *writes {
	w.T.Helper()
	text, err := versionFiles.ReadFile("testdata/versions/" + name + ".json")
	if err != nil {
		w.T.Fatal(err)
	}
	public, _ := w.Key.Public().(ed25519.PublicKey)
	filled := strings.NewReplacer("ADDRESS", address, "PUBLIC", base64.StdEncoding.EncodeToString(public)).Replace(string(text))
	v := &writes{}
	if err := json.Unmarshal([]byte(filled), v); err != nil {
		w.T.Fatal(name, err)
	}
	return v
}

// tokenFor signs the claims of a version for a user, claims that this one does not know included.
func (w *World) tokenFor(v *writes, kid, user string) string {
	w.T.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"sub": user, "uid": "id-" + user, "iat": now - 5, "exp": now + 600}
	for name, value := range v.Claims {
		claims[name] = value
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		w.T.Fatal(err)
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(`{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"`+kid+`"}`)) + "." + enc.EncodeToString(payload)
	token := signed + "." + enc.EncodeToString(ed25519.Sign(w.Key, []byte(signed)))
	Keep(token)
	return token
}

// versions has hubs of two versions write into one etcd during an upgrade. What this edge understands it serves, of both and
// with the tokens of both; what it does not understand opens no door and stops nothing.
func versions(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.Start(make)
	address := Server(t, "server").Listener.Addr().String()
	first, next := w.readVersion("first", address), w.readVersion("next", address)
	for _, written := range []map[string]*writes{{"first": first}, {"first": first, "next": next}} {
		for _, v := range written {
			for key, value := range v.Records {
				w.Put(w.Prefix+key, string(value))
			}
		}
		w.PutRoute(Route("marker", "http://"+address))
		w.Eventually("what came after those records arrives", func() bool { return w.Get("marker", "/user/marker/").Status == http.StatusOK })
		for kid, v := range written {
			w.checkVersion(kid, v, written["next"] != nil)
		}
		w.Delete(routes.RouteKey(w.Prefix, "/user/marker/"))
		w.Eventually("the marker is gone", func() bool { return w.Get("marker", "/user/marker/").Status != http.StatusOK })
	}
}

// checkVersion visits everything with tokens of one version. withNext says whether the later version has written.
func (w *World) checkVersion(kid string, v *writes, withNext bool) {
	w.T.Helper()
	for user, want := range map[string]int{
		"old-secret": 200, "old-ticket": 200, "old-headers": 200, "old-revoked": 403,
		"new-fields": 200, "new-auth": 424, "new-schema": 424, "new-target": 424, "new-revoked": 403,
	} {
		if strings.HasPrefix(user, "new") && !withNext {
			continue
		}
		path := "/user/" + user + "/x"
		a := w.Do(w.Request("GET", path, "Authorization", "token "+w.tokenFor(v, kid, user)))
		if a.Status != want || (a.Seen() != nil) != (want == 200) {
			w.T.Errorf("%s with a token of %s: %d %s, want %d", path, kid, a.Status, a.Body, want)
		}
		// Whatever a record says that is new, it is nobody else's door.
		for _, r := range []*http.Request{w.Request("GET", path), w.Request("GET", path, "Authorization", "token "+w.tokenFor(v, kid, "mallory"))} {
			if a := w.Do(r); a.Seen() != nil || a.Status == 200 {
				w.T.Errorf("%s opens for others: %d %s", path, a.Status, a.Body)
			}
		}
	}
}
