package edgetest

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/routes"
)

// newKey makes a key pair and the record of its public half; change says its times and epoch.
func (w *World) newKey(kid string, change func(k *routes.Key)) (*routes.Key, ed25519.PrivateKey) {
	w.T.Helper()
	pub, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		w.T.Fatal(err)
	}
	k := &routes.Key{Schema: 1, ID: kid, Hub: HubID, Public: pub}
	change(k)
	return k, private
}

// addKey publishes a key and returns a fresh token of alice that it signs.
func (w *World) addKey(kid string, change func(k *routes.Key)) string {
	w.T.Helper()
	k, private := w.newKey(kid, change)
	w.Put(routes.SigningKeyKey(w.Prefix, kid), k)
	token, err := routes.SignToken(kid, private, Claims("alice"))
	if err != nil {
		w.T.Fatal(err)
	}
	return token
}

// keyTimes: a key is good from NotBefore to NotAfter, give or take the leeway, also for what the edge remembers.
func keyTimes(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	ended := &atomic.Int64{}
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	sockets := Route("alice", socketServer(t, ended).URL)
	sockets.Prefix = routes.UserPrefix("alice", "sockets")
	w.PutRoute(sockets)
	now := time.Now().Unix()
	early := w.addKey("early", func(k *routes.Key) { k.NotBefore = now + 600 })
	soon := w.addKey("soon", func(k *routes.Key) { k.NotBefore = now + routes.Leeway/2 })
	over := w.addKey("over", func(k *routes.Key) { k.NotAfter = now - 2*routes.Leeway })
	ending := w.addKey("ending", func(k *routes.Key) { k.NotAfter = now - routes.Leeway + 5 })
	w.Start(make)
	socket := w.open("/user/alice/sockets/ws", ending)
	status := func(token string) int {
		return w.Do(w.Request("GET", "/user/alice/api", "Authorization", "token "+token)).Status
	}
	for name, c := range map[string]struct {
		token string
		want  int
	}{"before its time": {early, 403}, "within the leeway": {soon, 200}, "after its time": {over, 403}} {
		if got := status(c.token); got != c.want {
			t.Errorf("a key %s: %d, want %d", name, got, c.want)
		}
	}
	asked := 0 // the edge remembers the verdict for a minute, but not beyond the key's end
	w.Eventually("what a key signed is refused from its end on", func() bool { asked++; return status(ending) == 403 })
	if time.Now().Unix() < now+5 || asked < 2 {
		t.Errorf("refused before the key's end, after %d requests", asked)
	}
	// A key that has served goes. What it admitted while it was good stays.
	w.Delete(routes.SigningKeyKey(w.Prefix, "ending"))
	marker := w.addKey("marker", func(*routes.Key) {})
	w.Eventually("a later key arrives", func() bool { return status(marker) == 200 })
	if got := say(socket, "still"); got != "token "+Secret+" still" {
		t.Errorf("the end of a served key cut a socket: %s", got)
	}
}

// epochs: an emergency rotation replaces all keys at once. Tokens, sockets and exchanged API tokens of the old ones end.
func epochs(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	ended := &atomic.Int64{}
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	sockets := Route("alice", socketServer(t, ended).URL)
	sockets.Prefix = routes.UserPrefix("alice", "sockets")
	w.PutRoute(sockets)
	exchanged := &atomic.Int64{}
	w.Hub.OnExchange(func(string) (string, int) {
		exchanged.Add(1)
		c := Claims("alice")
		c.Session, c.Token = "", "tid"
		return w.Token(c), http.StatusOK
	})
	w.Start(make)
	const api = "an-api-token-0123456789"
	old := w.TokenOf("alice")
	status := func(token string) int {
		return w.Do(w.Request("GET", "/user/alice/api", "Authorization", "token "+token)).Status
	}
	for _, token := range []string{old, api} {
		if got := status(token); got != 200 {
			t.Fatalf("before: %d", got)
		}
	}
	bySession, byToken := w.open("/user/alice/sockets/ws", old), w.open("/user/alice/sockets/ws", api)

	k, private := w.newKey("k2", func(k *routes.Key) { k.Epoch = 1; k.NotBefore = time.Now().Unix() })
	record, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = w.Etcd.Client.Txn(ctx).Then(clientv3.OpDelete(routes.SigningKeyKey(w.Prefix, w.Kid)),
		clientv3.OpPut(routes.SigningKeyKey(w.Prefix, "k2"), string(record))).Commit()
	if err != nil {
		t.Fatal(err)
	}
	if !isCut(bySession) || !isCut(byToken) {
		t.Error("a socket of the old epoch is still open")
	}
	w.Eventually("the old token is refused", func() bool { return status(old) == 403 })
	w.Kid, w.Key = "k2", private
	if got := status(w.TokenOf("alice")); got != 200 {
		t.Errorf("a token of the new key: %d", got)
	}
	before := exchanged.Load()
	if got := status(api); got != 200 || exchanged.Load() != before+1 {
		t.Errorf("the API token: %d after %d more exchanges, want 200 after one", got, exchanged.Load()-before)
	}
	if got := status(old); got != 403 {
		t.Errorf("the old token works again: %d", got)
	}
}

// identityHeaders: a program without a line of code for it is told who its visitor is.
func identityHeaders(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	dash := &routes.Route{Schema: 1, Prefix: "/dash/", Target: Server(t, "dash").URL, Auth: routes.AuthHeaders, Secret: Secret,
		Users: []string{"id-alice"}, Groups: []string{"team"}}
	w.PutRoute(dash)
	w.Start(make)
	member := Claims("member")
	member.Groups = []string{"team", "a,b\r\nX-Evil: ü"}
	service := Claims("alice")
	service.UserID, service.Session, service.Token, service.Scopes, service.Admin = "service/alice", "", "t", []string{routes.ScopeAccess}, true
	for _, c := range []struct {
		claims routes.Claims
		want   map[string]string
	}{
		{Claims("alice"), map[string]string{"User": "alice", "User-Id": "id-alice", "Groups": "", "Admin": "false"}},
		{member, map[string]string{"User": "member", "User-Id": "id-member", "Groups": "team,a%2Cb%0D%0AX-Evil:%20%C3%BC", "Admin": "false"}},
		{service, map[string]string{"Service": "alice", "User-Id": "service%2Falice", "Groups": "", "Admin": "true"}},
	} {
		a := w.Do(w.Request("GET", "/dash/x", "Cookie", "edgehub="+w.Token(c.claims)+"; own=1", "X-Edgehub-User", "root", "X-Edgehub_Admin", "true",
			"X-Edgehub-Service", "forged", "X-Edgehub-Ticket", "forged"))
		seen := a.Seen()
		if a.Status != 200 || seen == nil || seen.Server != "dash" {
			t.Fatalf("%s: %d %s", c.claims.UserID, a.Status, a.Body)
		}
		got := map[string]string{}
		for name, values := range seen.Header {
			if rest, ok := strings.CutPrefix(name, "X-Edgehub"); ok && rest != "-Ticket" {
				got[strings.TrimPrefix(rest, "-")] = strings.Join(values, "|")
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: got %q, want %q", c.claims.UserID, got, c.want)
		}
		for name, want := range c.want {
			if got[name] != want {
				t.Errorf("%s: %s is %q, want %q", c.claims.UserID, name, got[name], want)
			}
		}
		if seen.Header.Get("Authorization") != "" || seen.Header.Get("Cookie") != "own=1" {
			t.Errorf("credentials went through: %q", seen.Header)
		}
		if visitor := openByHand(t, seen.Header.Get("X-Edgehub-Ticket")); visitor.User != c.claims.Subject || visitor.UserID != c.claims.UserID || visitor.Prefix != "/dash/" {
			t.Errorf("the ticket is of %+v", visitor)
		}
	}
	for name, user := range map[string]string{"a stranger": "bob", "nobody": ""} {
		if a := w.Get(user, "/dash/x"); a.Status != 403 {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	if a := w.Do(w.Request("GET", "/dash/", "Accept", "text/html")); a.Status != 302 || !strings.HasPrefix(a.Header.Get("Location"), "/hub/login?next=") {
		t.Errorf("a person without a token: %d %v", a.Status, a.Header)
	}
}

// openByHand reads a ticket as a program in another language would.
func openByHand(t *testing.T, ticket string) routes.Ticket {
	t.Helper()
	i := strings.LastIndexByte(ticket, '.')
	mac := hmac.New(sha256.New, []byte(Secret))
	mac.Write([]byte(ticket[:i]))
	if base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) != ticket[i+1:] {
		t.Fatalf("the signature of %q is wrong", ticket)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(ticket, ".")[1])
	visitor := routes.Ticket{}
	if err == nil {
		err = json.Unmarshal(payload, &visitor)
	}
	if err != nil || visitor.Expires < time.Now().Unix() {
		t.Fatalf("ticket %q: %+v, %v", payload, visitor, err)
	}
	return visitor
}
