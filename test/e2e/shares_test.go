package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// TestShares shares alice's server with bob by a code, and with carol's group: both visit it, and are out within a second of its
// end, open connections included.
func TestShares(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := echo(t, env.Options{Edge: e, Config: `extra_user_scopes: ["shares!user", "read:users:name", "read:groups:name"]`}, "alice")
		w.AddUser(t, "bob")
		w.AddUser(t, "carol")
		if status, body := w.API(t, http.MethodPatch, "/users/carol", map[string]any{"groups": []string{"team"}}); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		alice, bob, carol := w.Login(t, "alice"), w.Login(t, "bob"), w.Login(t, "carol")
		owner := w.Bearer(alice.Token(t).Secret)
		for who, c := range map[string]*env.Client{"bob": bob, "carol": carol} {
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
		for what, c := range map[string]*env.Client{"bob": bob, "carol": carol, "a token of carol's": late} {
			env.Eventually(t, what+" may visit", 5*second, may(c, http.StatusOK))
		}
		bobs := w.Bearer(w.Login(t, "bob").Token(t).Secret)
		for _, end := range []struct {
			who    string
			client *env.Client
			leave  func() *env.Response
		}{
			{"bob", bob, func() *env.Response {
				return bobs.Do(t, http.MethodDelete, "/hub/api/users/bob/shared/alice/", nil, nil)
			}},
			{"carol", carol, func() *env.Response { return owner.Do(t, http.MethodDelete, "/hub/api/shares/alice/", nil, nil) }},
		} {
			what, c, leave := end.who, end.client, end.leave
			conn := c.WebSocket(t, "/user/alice/ws")
			cut := make(chan struct{})
			go func() {
				defer close(cut)
				for {
					if _, _, err := conn.Read(context.Background()); err != nil {
						return
					}
				}
			}()
			if resp := leave(); resp.Status != http.StatusNoContent {
				t.Fatalf("%s leaves: %s", what, resp)
			}
			env.Eventually(t, what+" is out", second, may(c, http.StatusForbidden))
			select {
			case <-cut:
			case <-time.After(5 * second):
				t.Errorf("the WebSocket of %s goes on", what)
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
