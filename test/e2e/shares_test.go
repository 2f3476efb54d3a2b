package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// TestShares shares alice's server with bob by a code, and with the group of carol and dave: all visit it, and are out within a second
// of the end of the share, or of their membership, open connections included.
func TestShares(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := echo(t, env.Options{Edge: e, Config: `extra_user_scopes: ["shares!user", "read:users:name", "read:groups:name"]`}, "alice")
		for _, name := range []string{"bob", "carol", "dave"} {
			w.AddUser(t, name)
		}
		call(t, w, http.MethodPost, "/groups/team", object{"users": []string{"carol", "dave"}})
		alice, bob, carol, dave := w.Login(t, "alice"), w.Login(t, "bob"), w.Login(t, "carol"), w.Login(t, "dave")
		owner := w.Bearer(alice.Token(t).Secret)
		for who, c := range map[string]*env.Client{"bob": bob, "carol": carol, "dave": dave} {
			if resp := c.Get(t, "/user/alice/x"); resp.Status != http.StatusForbidden {
				t.Errorf("%s before: %s", who, resp)
			}
		}
		if resp := owner.Post(t, "/hub/api/shares/alice/", map[string]any{"group": "team"}); resp.Status != http.StatusOK {
			t.Fatalf("%s", resp)
		}
		acceptCode(t, w, owner)
		may := func(c *env.Client, want int) func() error {
			return func() error {
				resp := c.Get(t, "/user/alice/x")
				if resp.Status != want {
					return fmt.Errorf("%s", resp)
				}
				return nil
			}
		}
		late := w.Bearer(w.Login(t, "carol").Token(t, "access:servers!server=alice/").Secret)
		daves := w.Bearer(dave.Token(t).Secret)
		for what, c := range map[string]*env.Client{"bob": bob, "carol": carol, "dave": dave, "a token of carol's": late, "a token of dave's": daves} {
			env.Eventually(t, what+" may visit", 5*second, may(c, http.StatusOK))
		}
		bobs := w.Bearer(w.Login(t, "bob").Token(t).Secret)
		for _, end := range []struct {
			who     string
			clients []*env.Client
			by      *env.Client
			path    string
			body    any
		}{
			{"dave, who is no member any more", []*env.Client{dave, daves}, w.Bearer(w.AdminToken), "/hub/api/groups/team/users", object{"users": []string{"dave"}}},
			{"bob, who leaves", []*env.Client{bob}, bobs, "/hub/api/users/bob/shared/alice/", nil},
			{"carol, whose share ends", []*env.Client{carol, late}, owner, "/hub/api/shares/alice/", nil},
		} {
			var sockets []*loop
			for _, c := range end.clients {
				socket := talk(t, c.WebSocket(t, "/user/alice/ws"))
				socket.mustGoOn(t, "WebSocket of "+end.who)
				sockets = append(sockets, socket)
			}
			body, err := json.Marshal(end.body)
			if err != nil {
				t.Fatal(err)
			}
			resp := end.by.Do(t, http.MethodDelete, end.path, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(body))
			since := time.Now()
			if resp.Status/100 != 2 {
				t.Fatalf("%s: %s", end.who, resp)
			}
			for i, c := range end.clients {
				gone(t, end.who, since, c, nil, http.StatusForbidden)
				sockets[i].mustBreak(t, "WebSocket of "+end.who, since, second)
			}
		}
	})
}

// acceptCode has bob open the address of a code, as a link in a mail, and accept.
func acceptCode(t *testing.T, w *env.World, owner *env.Client) {
	t.Helper()
	resp := owner.Post(t, "/hub/api/share-codes/alice/", map[string]any{"expires_in": 600})
	var made struct {
		AcceptURL string `json:"accept_url"`
	}
	if err := json.Unmarshal(resp.Body, &made); err != nil || resp.Status != http.StatusOK {
		t.Fatalf("%s %v", resp, err)
	}
	b := env.OpenBrowser(t)
	b.Go(w.URL(made.AcceptURL))
	b.WaitPath("/hub/login")
	b.Click("#username_input")
	b.Type("bob")
	b.Click("#password_input")
	b.Type(w.Password("bob"))
	b.Click("#login_submit")
	b.WaitPath("/hub/accept-share")
	b.Shot("accept")
	b.Click("#accept-share")
	b.WaitPath("/user/alice/")
	if status := b.Go(w.URL("/hub/accept-share?code=nonsense")); status != http.StatusNotFound {
		t.Errorf("a code that nobody made: %d", status)
	}
}
